"""The version of a project's kernel as far as it can be told before anything is fetched or unpacked."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from builder.stages.common import StageError
from builder.stages.source import kernel_version
from builder.tarmember import TarMember

_NAMED = re.compile(r"linux(?:-source)?-v?(\d+\.\d+(?:\.\d+)?(?:-rc\d+)?)(?!\d)")
_MAX_MEMBERS = 40_000
_MAX_MAKEFILE = 1 << 20
_MAX_BYTES = 256 << 20
"""The top Makefile comes after Documentation/, which is some 60 MB."""


def of_tree(tree: Path) -> str:
    """What the top Makefile of a source tree states; empty when it is none, or not there yet."""
    try:
        return kernel_version((tree / "Makefile").read_text(errors="replace"))
    except (OSError, StageError):
        return ""


def of_archive(path: Path) -> tuple[str, str]:
    """A source archive's version and what tells it; both empty when it cannot be told.

    Asked in this order: the file's name, the name of the folder in it, and its Makefile, as far as these can be had
    cheaply. An archive that cannot be read tells nothing here; the build says what is wrong with it.
    """
    if match := _NAMED.match(path.name):
        return match[1], "the archive's name"
    try:
        with tarfile.open(path, "r|*", tarinfo=TarMember) as tar:  # as a stream: nothing is sought, nothing is written
            for number, member in enumerate(tar):
                if match := _NAMED.match(member.name.removeprefix("./")):
                    return match[1], "the folder in the archive"
                if re.fullmatch(r"(?:\./)?[^/]+/Makefile", member.name) and member.size <= _MAX_MAKEFILE:
                    file = tar.extractfile(member)
                    text = file.read().decode(errors="replace") if file else ""
                    return kernel_version(text), "the archive's Makefile"
                if number >= _MAX_MEMBERS or tar.offset > _MAX_BYTES:
                    break
    except (OSError, EOFError, tarfile.TarError, StageError, ValueError):
        pass
    return "", ""
