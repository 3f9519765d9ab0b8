"""A checkout of rancher/os or burmilla/os as data: how it gets its kernel, and what its build does about it.

Nothing of it is executed. The facts are those of the two repositories, from v0.5.0 on; which of them a checkout is does
not decide anything here, since forks are called otherwise, and BurmillaOS 1.9 is as RancherOS 1.5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.errors import InputError
from builder.osrepo.changes import read_plain

DOCKERFILE = "Dockerfile.dapper"
ASSET = "assets/kernel.tar.gz"
_LAYOUTS = ("scripts/layout", "scripts/layout-kernel")
_HINT = "give the folder of a clone of rancher/os or burmilla/os, or of a fork of one"
_ARG = re.compile(r"[ \t]*ARG[ \t]+(?P<name>\w+)(?:=(?P<value>.*))?", re.IGNORECASE)
_UNLESS_SKIP = re.compile(r"\$\{!KERNEL_URL\}\"?\s+!=\s+\"?skip\b")
_UNLESS_EMPTY = re.compile(r"-n\s+\"?\$\{!KERNEL_URL\}")


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A checkout of an OS.

    Attributes:
        root: Its folder.
        name: What the OS is called.
        dockerfile: The text of its Dockerfile.dapper, with its line ends.
        arguments: The names of the Dockerfile's ARG lines, each with the lines (from 0) that it is on.
        no_download: What a KERNEL_URL has to be for nothing to be downloaded.
        takes_asset: Its build takes assets/kernel.tar.gz; None where it does not show.
        checks_host: Its build stops where the host's kernel is older, unless KERNEL_CHECK is 0.
    """

    root: Path
    name: str
    dockerfile: str
    arguments: Mapping[str, Sequence[int]]
    no_download: str
    takes_asset: bool | None
    checks_host: bool

    def version_argument(self, oci: str) -> str | None:
        """The ARG that holds V for an architecture (`amd64`); None where the OS has none for it.

        Raises:
            InputError: There are two that could be it.
        """
        found = [name for name in ("KERNEL_VERSION", f"KERNEL_VERSION_{oci}") if name in self.arguments]
        if len(found) > 1:
            raise InputError(
                f"it has both {' and '.join(found)}",
                where=self.root / DOCKERFILE,
                hint="no known OS has; remove the one that is not used",
            )
        return found[0] if found else None


def read_checkout(root: Path) -> Checkout:
    """Look at a checkout.

    Raises:
        InputError: The folder is not there, or is no checkout of an OS.
    """
    if not root.is_dir():
        raise InputError("there is no such folder", where=root, hint=_HINT)
    data = read_plain(root, DOCKERFILE)
    text = (data or b"").decode("utf-8", "surrogateescape")
    arguments = _arguments(text)
    urls = [name for name in arguments if name.startswith("KERNEL_URL_")]
    if not urls or "OS_REPO" not in arguments:
        kernel = any(root.glob("config/*/kernel-config")) or (root / "config/kernel-config").is_file()
        raise InputError(
            "this is a checkout of os-kernel, not of the OS"
            if kernel
            else f"this is no checkout of an OS: its {DOCKERFILE} has no ARG KERNEL_URL_amd64 beside ARG OS_REPO"
            if data is not None
            else f"this is no checkout of an OS: it has no {DOCKERFILE}",
            where=root,
            hint="`rosk import` makes a project of it" if kernel else _HINT,
        )
    return Checkout(
        root=root,
        name=_name(text),
        dockerfile=text,
        arguments=arguments,
        no_download=_no_download(text),
        takes_asset=_takes_asset(root),
        checks_host=_checks_host(root),
    )


def _arguments(text: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, line in enumerate(text.split("\n")):
        if match := _ARG.match(line):
            found.setdefault(match["name"], []).append(number)
    return found


def _value(text: str, name: str) -> str:
    found = (match["value"] or "" for line in text.split("\n") if (match := _ARG.match(line)) and match["name"] == name)
    return next(found, "")


def _name(text: str) -> str:
    """What the OS is called; a fork keeps one of the two ARGs that say it, DISTRIB_ID most likely."""
    said = _value(text, "DISTRIB_ID") + _value(text, "OS_REPO")
    return "BurmillaOS" if "burmilla" in said.lower() else "RancherOS"


def _no_download(text: str) -> str:
    """What the line that downloads compares the URL with; where there is no such line, what its OS does."""
    lines = [line for line in text.split("\n") if not line.lstrip().startswith("#")]
    if any(_UNLESS_SKIP.search(line) for line in lines):
        return "skip"
    if any(_UNLESS_EMPTY.search(line) for line in lines):
        return ""
    return "skip" if _name(text) == "BurmillaOS" else ""


def _takes_asset(root: Path) -> bool | None:
    scripts = [data for name in _LAYOUTS if (data := read_plain(root, name)) is not None]
    return any(ASSET.encode() in data for data in scripts) if scripts else None


def _checks_host(root: Path) -> bool:
    """Whether scripts/build compares `uname -r` with the kernel, and not in a comment (BurmillaOS's is one)."""
    data = read_plain(root, "scripts/build") or b""
    return any(re.match(rb"\s*[^#\s].*version_gt \$\(uname -r\)", line) for line in data.splitlines())
