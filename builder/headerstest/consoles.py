"""The consoles that modules are built in: clean systems with a compiler and make, and nothing of a kernel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from builder.errors import InputError

MUSL = "musl"
DEFAULT = ("bullseye", "bookworm", "trixie", MUSL)
"""What is tested when nothing is asked for: the Debian releases that consoles are made of, and a system with musl."""

_NUMBERS = {"bullseye": 11, "bookworm": 12, "trixie": 13, "forky": 14}
_MUSL_SUITE = "trixie"
_PACKAGES = ("gcc", "make")
_MUSL_PACKAGES = (*_PACKAGES, "busybox-static", "musl-tools", "patchelf", "xz-utils")


@dataclass(frozen=True, kw_only=True)
class Console:
    """One console.

    Attributes:
        name: What the command line calls it: a Debian suite, or `musl`.
        title: For people.
        suite: The Debian suite that it is made of.
        packages: What is installed of it.
        kind: The stage of dockerfiles/headers-test.Dockerfile (`console-…`) that makes it.
    """

    name: str
    title: str
    suite: str
    packages: tuple[str, ...]
    kind: Literal["debian", "musl"]


def find_consoles(names: Sequence[str]) -> tuple[Console, ...]:
    """The consoles of these names, each once; all of `DEFAULT` when there are none.

    Raises:
        InputError: One cannot be the name of a Debian suite.
    """
    return tuple(_console(name) for name in dict.fromkeys(names or DEFAULT))


def _console(name: str) -> Console:
    if name == MUSL:
        return Console(
            name=name,
            title="musl and busybox",
            suite=_MUSL_SUITE,
            packages=_MUSL_PACKAGES,
            kind="musl",
        )
    if not re.fullmatch(r"[a-z]+", name):
        raise InputError(
            f"{name!r} is no Debian suite", hint=f"give --suite one of {', '.join(DEFAULT)}, or another suite's name"
        )
    title = f"Debian {_NUMBERS[name]} ({name})" if name in _NUMBERS else f"Debian {name}"
    return Console(name=name, title=title, suite=name, packages=_PACKAGES, kind="debian")
