"""Tar archives of chosen files of a tree, which are equal bytes when the files are equal."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path


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
    member = archive.gettarinfo(file, name)
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    if member.islnk():  # to a member of the same inode
        member.type, member.size = tarfile.REGTYPE, file.stat().st_size
    if member.isreg():
        with file.open("rb") as content:
            archive.addfile(member, content)
    else:
        archive.addfile(member)
