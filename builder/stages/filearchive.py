"""Tar archives of chosen files of a tree, which are equal bytes when the files are equal."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path

from builder.stages.journal import content


def write_archive(out: Path, files: Mapping[str, Path]) -> None:
    """Write an archive.

    Args:
        out: The archive; its folder need not exist.
        files: The name of each member to the file or the symbolic link that it is made from, of which nothing but
            content and executable bit counts.

    Raises:
        OSError: One cannot be read, or the archive cannot be written.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(out, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, file in sorted(files.items()):
            _add(archive, file, name)


def _add(archive: tarfile.TarFile, file: Path, name: str) -> None:
    # Not `archive.gettarinfo`, which looks up the owner of each file.
    member, mode = tarfile.TarInfo(name), file.lstat().st_mode
    member.mode = 0o755 if mode & 0o100 else 0o644
    if stat.S_ISLNK(mode):
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(file)  # noqa: PTH115 (a target may end with "/.")
        archive.addfile(member)
        return
    text = content(str(file))
    member.size = len(text)
    archive.addfile(member, io.BytesIO(text))
