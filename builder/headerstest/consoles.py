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
_LLVM_PACKAGES = ("clang", "lld", "llvm")
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
        llvm: Modules are built by clang there (kbuild's LLVM=1), as the kernel was.
    """

    name: str
    title: str
    suite: str
    packages: tuple[str, ...]
    kind: Literal["debian", "musl"]
    llvm: bool = False


def find_consoles(names: Sequence[str], *, llvm: bool = False) -> tuple[Console, ...]:
    """The consoles of these names, each once; all of `DEFAULT` when there are none.

    Args:
        llvm: The kernel was compiled by clang. The console with musl has no clang: it is none of the default then.

    Raises:
        InputError: One cannot be the name of a Debian suite, or has no compiler for this kernel.
    """
    default = tuple(name for name in DEFAULT if not (llvm and name == MUSL))
    return tuple(_console(name, llvm=llvm) for name in dict.fromkeys(names or default))


def _console(name: str, *, llvm: bool) -> Console:
    if name == MUSL and llvm:
        raise InputError(
            "the console with musl has no clang, which the kernel was compiled by",
            hint="name Debian suites with --suite",
        )
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
    packages = (*_PACKAGES, *_LLVM_PACKAGES) if llvm else _PACKAGES
    return Console(name=name, title=title, suite=name, packages=packages, kind="debian", llvm=llvm)
