"""Reads a package once, from its first byte to its last: its members, and its files into a folder, with suspicion."""

from __future__ import annotations

import errno
import lzma
import os
import posixpath
import re
import shutil
import stat
import tarfile
import zlib
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, cast

from builder.release import human_size
from builder.stages.compressor import format_of
from builder.tarmember import PATH_MAX, TarMember
from builder.verify.streams import Stream

LIMIT = 32 << 30
"""Bytes of all files together that no release has."""
_RATIO, _SMALL = 64, 1 << 30
"""So many times its size no package unpacks to, unless that is little: modules are packed to a third or a sixth."""
_PIECE = 1 << 18
_NOT_PLAIN = re.compile(r"(?:^|/)\.?(?:/|$)")
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


class _Member(TarMember):
    """A member whose header has to be right: `tarfile` takes one that is not for the archive's end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Member:
        try:
            return super().fromtarfile(archive)
        except tarfile.HeaderError as error:
            if isinstance(error, tarfile.EOFHeaderError):  # type: ignore[attr-defined]  # the right end: zeros
                raise
            raise tarfile.ReadError(f"where a member or the archive's end should be: {error}") from None


@lru_cache(maxsize=1 << 15)  # checks ask for those of all members
def plain(name: str) -> str:
    """A member's name without its `./`: the root is an empty string."""
    if name in (".", "./"):
        return ""
    name = name.removeprefix("./")
    return str(PurePosixPath(name)) if _NOT_PLAIN.search(name) else name


def read_package(
    package: Path, target: Path | None = None, *, tar: Path | None = None, only: re.Pattern[str] | None = None
) -> Contents:
    """Read a package to its end.

    Args:
        package: A tar archive, compressed as its name says.
        target: The folder that receives what it holds, without what would leave the folder; None: nothing is written.
        tar: The file that receives the archive itself, without the compression.
        only: The plain names of what the folder receives; None: all.

    Raises:
        MissingProgram: The program that reads this compression is not installed.
        OSError: This machine's disk is full.
    """
    members: list[tarfile.TarInfo] = []
    stream = Stream(package, format_of(package.name), tar)
    try:
        limit = min(LIMIT, max(_SMALL, _RATIO * package.stat().st_size))
        garbage = _read(stream, target, members, only=only, limit=limit)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        return Contents(members=tuple(members), damage=str(error) or type(error).__name__)
    finally:
        stream.close()
    return Contents(members=tuple(members), garbage=garbage)


def read_member(package: Path, name: str) -> bytes | None:
    """The content of a file of a package that can be read to its end; no more of it is read than up to there.

    Args:
        name: The file's plain name.

    Returns:
        None where there is none, or it is a link.

    Raises:
        MissingProgram: See `read_package`.
    """
    stream = Stream(package, format_of(package.name))
    try:
        with tarfile.TarFile(fileobj=cast(IO[bytes], stream), tarinfo=_Member) as tar:
            found = next((member for member in tar if plain(member.name) == name), None)
            content = tar.extractfile(found) if found and found.isreg() else None
            return content.read() if content else None
    finally:
        stream.close()


def _read(
    stream: Stream, target: Path | None, members: list[tarfile.TarInfo], *, only: re.Pattern[str] | None, limit: int
) -> str:
    """Put the members in a list, and their files in a folder; says what follows the archive."""
    size = 0
    with (
        # Not `tarfile.open` with "r|", whose buffer is copied for each header.
        tarfile.TarFile(fileobj=cast(IO[bytes], stream), tarinfo=_Member) as tar,
        nullcontext() if target is None else closing(_Tree(target)) as tree,
    ):
        for member in tar:
            members.append(member)
            size += member.size
            _check_size(max(size, stream.tell()), limit)  # headers count too, and what is claimed
            if tree is not None and (only is None or only.match(plain(member.name))):
                tree.unpack(tar, stream, member)
        follows = ""
        while piece := stream.read(_PIECE):
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
        self._folders = {"", "."}
        self._links: list[Path] = []

    def unpack(self, tar: tarfile.TarFile, stream: Stream, member: tarfile.TarInfo) -> None:
        """Unpack what is harmless and leave out the rest: what is wrong with it is for a check to say.

        Owners and times do not matter here. Two members of one name, where one is a folder, are such a wrong thing.

        Args:
            stream: What `tar` reads.
        """
        name, link = posixpath.normpath(member.name), member.linkname
        if not stays_inside(name):
            return
        path = self.target / name
        try:
            self._way(name)
            if member.isdir():
                self._folder(name)
            elif member.isreg():
                _write(tar, stream, member, path)
            elif member.issym() and stays_inside(posixpath.join(posixpath.dirname(name), link)):
                path.unlink(missing_ok=True)
                path.symlink_to(link)
                self._links.append(path)
            elif member.islnk() and stays_inside(link):
                source = posixpath.normpath(link)
                self._way(source)
                path.unlink(missing_ok=True)
                os.link(self.target / source, path, follow_symlinks=False)
                self._links.append(path)  # it may be one of a symbolic link
        except ValueError:  # a name with NUL in it
            return
        except OSError as error:
            if error.errno in FULL:
                raise

    def close(self) -> None:
        """Take away the links that lead out of the folder, now that all is there that they may go through."""
        for link in self._links:
            if link.is_symlink() and not self._inside(link):
                link.unlink()

    def _inside(self, link: Path) -> bool:
        """Whether a link leads to something in the folder, or to nothing."""
        try:
            link.stat()  # gives up after 40 links (path_resolution(7)), where Python goes on to the chain's end
            return Path(os.path.realpath(link, strict=True)).is_relative_to(self.target.resolve())
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def _way(self, name: str) -> None:
        """Make the folders on the way to a name."""
        if (way := posixpath.dirname(name)) not in self._folders:
            parts = way.split("/")
            for end in range(1, len(parts) + 1):
                self._folder("/".join(parts[:end]))

    def _folder(self, name: str) -> None:
        """Make a folder, or take it as it is.

        Raises:
            OSError: A link or something else is there, or none can be made.
        """
        if name not in self._folders:
            path = self.target / name
            try:
                path.mkdir()
            except FileExistsError:
                if not stat.S_ISDIR(path.lstat().st_mode):
                    raise
            self._folders.add(name)


def stays_inside(name: str) -> bool:
    """Whether a name can be one of a file in the folder, links aside."""
    return len(name) <= PATH_MAX and posixpath.normpath(name).split("/", 1)[0] not in ("", "..")


def _write(tar: tarfile.TarFile, stream: Stream, member: tarfile.TarInfo, path: Path) -> None:
    """Write a file of an archive; the stream, which the archive is read from, is at its content."""
    with _new(path) as file:
        if member.issparse():
            content = tar.extractfile(member)
            assert content is not None
            shutil.copyfileobj(content, file, _PIECE)
        else:
            left = member.size
            while left:
                piece = stream.read(min(left, _PIECE))
                if not piece:
                    raise tarfile.ReadError("unexpected end of data")
                file.write(piece)
                left -= len(piece)
        if member.mode & 0o100:
            os.fchmod(file.fileno(), 0o755)


def _new(path: Path) -> IO[bytes]:
    """A new file, in the place of one that is there."""
    try:
        return path.open("xb")
    except FileExistsError:
        path.unlink()
        return path.open("xb")
