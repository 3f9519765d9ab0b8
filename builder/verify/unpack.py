"""Reads a package once, from its first byte to its last: its members, and its files into a folder, with suspicion."""

from __future__ import annotations

import errno
import lzma
import os
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from builder.stages.compressor import format_of
from builder.verify.streams import Stream

LIMIT = 32 << 30
"""Bytes of all files together that no release has."""
_PIECE = 1 << 16
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of this machine's disk, which are no fault of the package."""
_DAMAGE = (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a package holds.

    Attributes:
        members: Its members in their order, duplicates and all; of a damaged one, those before the damage.
        damage: Why it could not be read to its end; empty when it could.
        garbage: What follows the archive; empty when nothing does. The members are whole nevertheless.
    """

    members: tuple[tarfile.TarInfo, ...]
    damage: str = ""
    garbage: str = ""


class _Member(tarfile.TarInfo):
    """A member whose header has to be right: `tarfile` takes one that is not for the archive's end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Member:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if isinstance(error, tarfile.EOFHeaderError):  # type: ignore[attr-defined]  # the right end: zeros
                raise
            raise tarfile.ReadError(f"where a member or the archive's end should be: {error}") from None


def read_package(package: Path, target: Path | None = None) -> Contents:
    """Read a package to its end.

    Args:
        package: A tar archive, compressed as its name says.
        target: The folder that receives what it holds, without what would leave the folder; None: nothing is written.

    Raises:
        MissingProgram: The program that reads this compression is not installed.
        OSError: This machine's disk is full.
    """
    members: list[tarfile.TarInfo] = []
    stream = Stream(package, format_of(package.name))
    try:
        garbage = _read(stream, target, members)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        return Contents(members=tuple(members), damage=str(error) or type(error).__name__)
    finally:
        stream.close()
    return Contents(members=tuple(members), garbage=garbage)


def _read(stream: Stream, target: Path | None, members: list[tarfile.TarInfo]) -> str:
    """Put the members in a list, and their files in a folder; says what follows the archive."""
    size = 0
    with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|", bufsize=_PIECE, tarinfo=_Member) as tar:
        for member in tar:
            members.append(member)
            size += member.size
            if size > LIMIT:
                raise ValueError(f"it unpacks to more than {LIMIT >> 30} GiB")
            if target is not None:
                _unpack(tar, member, target)
        rest: Any = tar.fileobj
        follows = ""
        while piece := rest.read(_PIECE):
            if piece.strip(b"\0"):
                follows = "something follows the end of the tar archive"
    return stream.garbage or follows


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Unpack what is harmless and leave out the rest: what is wrong with it is for a check to say.

    Owners and times do not matter here. Two members of one name, where one is a folder, are such a wrong thing.
    """
    try:
        safe = tarfile.data_filter(member, str(target))
        path = target / safe.name
        if safe.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif safe.isreg():
            _write(tar, member, path, executable=bool(safe.mode & 0o100))
        elif safe.issym():
            _free(path)
            path.symlink_to(safe.linkname)
        elif safe.islnk():
            _free(path)
            path.hardlink_to(target / safe.linkname)
    except tarfile.FilterError:
        return
    except OSError as error:
        if error.errno in FULL:
            raise


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, *, executable: bool) -> None:
    content = tar.extractfile(member)
    assert content is not None
    try:
        file = path.open("xb")
    except OSError:
        _free(path)
        file = path.open("xb")
    with file:
        while piece := content.read(_PIECE):
            file.write(piece)
        if executable:
            os.fchmod(file.fileno(), 0o755)


def _free(path: Path) -> None:
    """Make room for a file: the folders on its way, and nothing of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
