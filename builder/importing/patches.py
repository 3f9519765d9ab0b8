"""Patches of os-kernel: which of them rosk can apply, and under which name.

Their scripts run `patch -p1` on each, in the order in which find(1) meets them; rosk does so in the order of their
names, and with no fuzz.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePosixPath

from builder.stages.common import StageError
from builder.stages.patchfile import check_patch

# What is at the top of the kernel's source (of Linux 6.12, and what older ones had).
_TOP = (
    *("Documentation", "Kbuild", "Kconfig", "Makefile", "arch", "block", "certs", "crypto", "drivers", "firmware"),
    *("fs", "include", "init", "io_uring", "ipc", "kernel", "lib", "mm", "net", "rust", "samples", "scripts"),
    *("security", "sound", "tools", "usr", "virt"),
)
_UNSTRIPPED = re.compile(rf"(?:---|\+\+\+) ({'|'.join(_TOP)})(?:/|\s|$)".encode())


def refusal(name: str, data: bytes) -> tuple[int | None, str] | None:
    """Why a patch cannot be taken over, and its line; None when it can."""
    try:
        check_patch(data, name)
    except StageError as error:
        return error.line, f"{error.what} ({error.hint})"
    for number, line in enumerate(data.split(b"\n"), 1):
        if match := _UNSTRIPPED.match(line):
            what = (
                f"its paths start at {match[1].decode()}, as for patch -p0: rosk, as their scripts, strips one folder"
            )
            return number, f"{what} (make it again with `git diff`)"
    return None


def name_for(path: str, folder: str, taken: Collection[str]) -> str:
    """The file name of a patch in the project: its own, with the folders between in front of it.

    Args:
        path: Where it is in the checkout.
        folder: The folder that is read for patches (`patches/x86`).
        taken: The names that are given already.
    """
    name = "-".join(PurePosixPath(path).relative_to(folder).parts)
    while name in taken:
        name = f"{name.removesuffix('.patch')}-2.patch"
    return name
