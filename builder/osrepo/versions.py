"""The versions of RancherOS and BurmillaOS, and what each asks of a services repository.

Facts from their sources: `pkg/docker/env.go`, `os-config.tpl.yml`, `scripts/release-build`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from builder.errors import InputError

MASTER = "master"
"""The branch that an OS asks for which was built from no tag."""

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+|x)(-(?:rc|alpha|beta)[0-9.]+)?")
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_OLDEST = (0, 5, 0)
"""Earlier ones have no `${SUFFIX}`, and are not built from a Dockerfile.dapper."""
_KNOWS_KERNEL = (0, 8, 0)
"""From here on `${KERNEL_VERSION}` is the running kernel's release (from /proc/version)."""
_KNOWS_REGISTRY = (1, 3, 0)
"""From here on (March 2018) `${REGISTRY_DOMAIN}` is set, to docker.io."""
_SERIES = (2, 0, 2)
"""From here on BurmillaOS asks for the branch of the series, `v2.0.x`, whatever its tag."""


@dataclass(frozen=True, kw_only=True)
class OsVersion:
    """A version of an OS.

    Attributes:
        name: What it is called (`v1.5.8`, `master`).
        branches: The branches that it may ask for, the most exact one first.
        has_registry: It sets `${REGISTRY_DOMAIN}`.
        has_kernel: It sets `${KERNEL_VERSION}`.
    """

    name: str
    branches: tuple[str, ...]
    has_registry: bool = True
    has_kernel: bool = True


def parse_version(text: str) -> OsVersion:
    """The version of an OS, as its tags (`v1.5.8`, `1.5.8-rc1`) or the branch of a series (`v2.0.x`) name it.

    Raises:
        InputError: It is none, or is older than any that these services work in.
    """
    if text in (MASTER, "main"):
        return OsVersion(name=text, branches=(text,))
    match = _VERSION.fullmatch(text)
    if match is None:
        raise InputError(
            f"{text!r} is no version of an OS", hint="give --os a tag such as v1.5.8 or v2.0.0-rc1, v2.0.x, or master"
        )
    name = text if text.startswith("v") else f"v{text}"
    number = (int(match[1]), int(match[2]), 10**6 if match[3] == "x" else int(match[3]))
    if number < _OLDEST:
        raise InputError(f"{name} is too old for these services", hint="they need RancherOS v0.5.0 or newer")
    branches = [name]
    if number >= _SERIES and match[3] != "x":
        branches.append(f"v{match[1]}.{match[2]}.x")
    return OsVersion(
        name=name,
        branches=tuple(branches),
        has_registry=number >= _KNOWS_REGISTRY,
        has_kernel=number >= _KNOWS_KERNEL,
    )


def is_branch(text: str) -> bool:
    """Whether a text can be a branch, as a part of a URL and of a path."""
    return _BRANCH.fullmatch(text) is not None
