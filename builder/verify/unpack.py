"""Reads a package once, from its first byte to its last: its members, and its files into a folder, with suspicion."""

from __future__ import annotations

import errno
import lzma
import os
import posixpath
import tarfile
import zlib
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from builder.release import human_size
from builder.stages.compressor import format_of
from builder.verify.streams import Stream

LIMIT = 32 << 30
"""Bytes of all files together that no release has."""
_RATIO, _SMALL = 64, 1 << 30
"""So many times its size no package unpacks to, unless that is little: modules are packed to a third or a sixth."""
_PIECE = 1 << 16
_PATH_MAX = 4096  # limits.h of Linux
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
        garbage = _read(stream, target, members, limit=min(LIMIT, max(_SMALL, _RATIO * package.stat().st_size)))
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        return Contents(members=tuple(members), damage=str(error) or type(error).__name__)
    finally:
        stream.close()
    return Contents(members=tuple(members), garbage=garbage)


def _read(stream: Stream, target: Path | None, members: list[tarfile.TarInfo], *, limit: int) -> str:
    """Put the members in a list, and their files in a folder; says what follows the archive."""
    size = 0
    with (
        tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|", bufsize=_PIECE, tarinfo=_Member) as tar,
        nullcontext() if target is None else closing(_Tree(target)) as tree,
    ):
        for member in tar:
            members.append(member)
            size += member.size
            _check_size(size, limit)
            if tree is not None:
                tree.unpack(tar, member)
        rest: Any = tar.fileobj
        follows = ""
        while piece := rest.read(_PIECE):
            size += len(piece)
            _check_size(size, limit)
            if piece.strip(b"\0"):
                follows = "something follows the end of the tar archive"
    return stream.garbage or follows


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise ValueError(f"it unpacks to more than {human_size(limit)}, which no release does")


class _Tree:
    """The folder that receives a package: no member is written through a link, and no link leads out of it.

    `tarfile.data_filter` would not do: it believes `os.path.realpath`, which follows no link behind PATH_MAX bytes of
    path, where the kernel does (CVE-2025-4517), and Debian 12's Python has none.
    """

    def __init__(self, target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        self.target = target
        self._folders = {target}

    def unpack(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Unpack what is harmless and leave out the rest: what is wrong with it is for a check to say.

        Owners and times do not matter here. Two members of one name, where one is a folder, are such a wrong thing.
        """
        name, link = posixpath.normpath(member.name), member.linkname
        if not _stays_inside(name):
            return
        path = self.target / name
        try:
            self._way(path)
            if member.isdir():
                self._folder(path)
            elif member.isreg():
                _write(tar, member, path)
            elif member.issym() and _stays_inside(posixpath.join(posixpath.dirname(name), link)):
                path.unlink(missing_ok=True)
                path.symlink_to(link)
            elif member.islnk() and _stays_inside(link):
                source = self.target / posixpath.normpath(link)
                self._way(source)
                path.unlink(missing_ok=True)
                os.link(source, path, follow_symlinks=False)
        except ValueError:  # a name with NUL in it
            return
        except OSError as error:
            if error.errno in FULL:
                raise

    def close(self) -> None:
        """Take away the links that lead out of the folder, now that all is there that they may go through."""
        for folder, folders, names in os.walk(self.target):
            for link in (Path(folder, name) for name in (*folders, *names)):
                if link.is_symlink() and not self._inside(link):
                    link.unlink()

    def _inside(self, link: Path) -> bool:
        """Whether a link leads to something in the folder, or to nothing."""
        try:
            return Path(os.path.realpath(link, strict=True)).is_relative_to(self.target.resolve())
        except FileNotFoundError:
            return True
        except (OSError, RecursionError):
            return False

    def _way(self, path: Path) -> None:
        """Make the folders on the way to a path."""
        if path.parent not in self._folders:
            for folder in reversed(path.parents):
                if folder not in self.target.parents:
                    self._folder(folder)

    def _folder(self, path: Path) -> None:
        """Make a folder, or take it as it is.

        Raises:
            NotADirectoryError: A link is there.
            OSError: Something else is there, or none can be made.
        """
        if path not in self._folders:
            if path.is_symlink():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
            path.mkdir(exist_ok=True)
            self._folders.add(path)


def _stays_inside(name: str) -> bool:
    """Whether a name can be one of a file in the folder, links aside."""
    parts = posixpath.normpath(name).split("/")
    return len(name) <= _PATH_MAX and parts[0] not in ("", "..")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    content = tar.extractfile(member)
    assert content is not None
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        while piece := content.read(_PIECE):
            file.write(piece)
        if member.mode & 0o100:
            os.fchmod(file.fileno(), 0o755)
