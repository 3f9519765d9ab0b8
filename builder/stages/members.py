"""The members of the tar archive of a folder, and where the archive is cut.

Members are sorted, belong to root, and have one time. The cuts are decided by the members' names, so that an edit
changes the piece of the archive that the file is in and no other.
"""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Union

from builder.stages.common import StageError
from builder.stages.journal import Entry, Journal

CUT = 256
"""One in so many names ends a chunk. A chunk of the kernel's source is 4 MB then, compressed in a fifth of a second."""
CAP = 16 << 20
"""Bytes of a chunk that are not exceeded where files can be kept whole."""
PIECE = 4 << 20
"""Bytes of a file that are read at once."""

_BLOCK = 512
_RECORD = 20 * _BLOCK
_FILE, _SYMLINK, _FOLDER, _LONG_NAME, _LONG_LINK = b"0", b"2", b"5", b"L", b"K"
# Name, mode, owner, group, size, time, checksum, type, link, magic, owner's name, group's name.
_HEADER = struct.Struct("100s8s8s8s12s12s8ss100s8s32s32s183x")


class Piece(NamedTuple):
    """A part of a file, and the zeros that fill the last block.

    Attributes:
        path: The file.
        start: Where the part begins; `size` is its bytes, `zeros` how many come after it.
        digest: The checksum of the whole file, where that is known.
    """

    path: bytes
    start: int
    size: int
    zeros: int
    digest: str = ""

    def read(self) -> bytes:
        """The bytes.

        Raises:
            StageError: The file has become smaller.
        """
        with open(self.path, "rb") as file:  # noqa: PTH123 (many: strings are faster)
            file.seek(self.start)
            data = file.read(self.size)
        if len(data) < self.size:
            raise StageError(f"{os.fsdecode(self.path)} became smaller while it was packed", hint="build again")
        return data + bytes(self.zeros)

    @property
    def name(self) -> bytes:
        """What stands for the bytes, where the content is known."""
        return f"{self.digest} {self.start} {self.size} {self.zeros}\n".encode()


Chunk = list[Union[bytes, Piece]]  # noqa: UP007 (it is evaluated, also by Python 3.9)
"""Bytes of an archive that are compressed together: headers, and pieces of files."""


class Member(NamedTuple):
    """A member of a tar archive: its name, its header, the bytes of both header and content, the content in pieces."""

    name: bytes
    header: bytes
    size: int
    content: Sequence[Piece] = ()


def segments(found: Iterable[Member]) -> Iterator[list[Member]]:
    """Runs of members: each ends after one whose name has a checksum that `CUT` divides, whatever the others are."""
    held: list[Member] = []
    for member in found:
        held.append(member)
        if zlib.crc32(member.name) % CUT == 0:
            yield held
            held = []
    if held:
        yield held


def chunks(segment: Iterable[Member]) -> Iterator[Chunk]:
    """The bytes of a segment, in pieces that are cut by size.

    One ends before the member that would make it exceed `CAP`; a file that alone does has chunks of its own. So an edit
    changes one chunk, and when it changes a size, at most the cuts until the end of the segment.
    """
    held: Chunk = []
    size = 0
    for member in segment:
        if size and size + member.size > CAP:
            yield held
            held, size = [], 0
        held.append(member.header)
        size += len(member.header)
        for piece in member.content:
            held.append(piece)
            size += piece.size + piece.zeros
            if size >= CAP:
                yield held
                held, size = [], 0
        if size and member.size > CAP:
            yield held
            held, size = [], 0
    if held:
        yield held


def end(total: int) -> Chunk:
    """The end of an archive whose members have so many bytes, which depends on all of them."""
    length = 2 * _BLOCK
    return [bytes(length + -(total + length) % _RECORD)]


def members(roots: Sequence[Path], *, epoch: int, top: str, journal: Journal | None = None) -> Iterator[Member]:
    """The members of the archive of folders, as if all that is in them were in one.

    Args:
        journal: What a single folder holds; files that it does not have are looked at.

    Raises:
        StageError: There is something else than folders, files and links, or two folders have a file of one name.
    """
    known = journal or {}
    start = len(os.fsencode(top)) + 1
    if top != ".":
        for parent in itertools.accumulate(os.fsencode(top).split(b"/"), lambda above, name: above + b"/" + name):
            yield folder_member(parent, epoch)
    for name, entry in _walk([os.fsencode(root) for root in roots], os.fsencode(top)):
        if entry.is_symlink():
            yield link_member(name, entry.path, epoch)
        elif entry.is_dir():
            yield folder_member(name, epoch)
        elif entry.is_file():
            told = known.get(os.fsdecode(name[start:]))
            yield file_member(name, entry.path, epoch, told or _looked_at(entry))
        else:
            hint = "remove it from what is packed"
            raise StageError(f"{os.fsdecode(entry.path)} is neither a folder nor a file nor a symbolic link", hint=hint)


def folder_member(name: bytes, epoch: int) -> Member:
    """The member of a folder."""
    header = tar_header(name + b"/", _FOLDER, 0o755, 0, epoch)
    return Member(name, header, len(header))


def link_member(name: bytes, path: bytes, epoch: int) -> Member:
    """The member of a symbolic link, which is read."""
    header = tar_header(name, _SYMLINK, 0o777, 0, epoch, os.readlink(path))  # noqa: PTH115 (it is bytes)
    return Member(name, header, len(header))


def file_member(name: bytes, path: bytes, epoch: int, known: Entry) -> Member:
    """The member of a file, in pieces of one size."""
    header = tar_header(name, _FILE, 0o755 if known.mode & 0o100 else 0o644, known.size, epoch)
    size, zeros = known.size, -known.size % _BLOCK
    whole = [Piece(path, at, PIECE, 0, known.digest) for at in range(0, size - PIECE, PIECE)]
    at = PIECE * len(whole)
    last = [Piece(path, at, size - at, zeros, known.digest)] if size else []
    return Member(name, header, len(header) + size + zeros, [*whole, *last])


def _looked_at(entry: os.DirEntry[bytes]) -> Entry:
    """A file that no journal has: its content is not known."""
    stat = entry.stat()
    return Entry("", stat.st_mode, stat.st_size, stat.st_mtime_ns)


def _walk(folders: Sequence[bytes], name: bytes) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
    """All below the folders, sorted by name within each, with the members' names."""
    found: dict[bytes, list[os.DirEntry[bytes]]] = {}
    for folder in folders:
        with os.scandir(folder) as entries:
            for entry in entries:
                found.setdefault(entry.name, []).append(entry)
    for own, same in sorted(found.items()):
        below = name + b"/" + own
        yield below, same[0]
        inner = [entry.path for entry in same if entry.is_dir(follow_symlinks=False)]
        if len(same) > max(1, len(inner)):
            raise StageError(f"{os.fsdecode(below)} would be in the archive twice", hint="remove one of the two")
        if inner:
            yield from _walk(inner, below)


def tar_header(name: bytes, kind: bytes, mode: int, size: int, time: int, link: bytes = b"") -> bytes:
    """The header of a member, in GNU's format: any length of names, and no headers that vary.

    It is what `tarfile` makes of the same, in a fifth of the time, which is seconds for the kernel's source.
    """
    long = b""
    if len(link) > 100:
        long += _long(_LONG_LINK, link)
    if len(name) > 100:
        long += _long(_LONG_NAME, name)
    return long + _block(name, kind, mode, size, time, link, b"root")


def _long(kind: bytes, name: bytes) -> bytes:
    """A member that holds the name of the next one."""
    size = len(name) + 1
    return _block(b"././@LongLink", kind, 0, size, 0, b"", b"") + name + bytes(1 + -size % _BLOCK)


def _block(name: bytes, kind: bytes, mode: int, size: int, time: int, link: bytes, owner: bytes) -> bytes:
    octal = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    fields = (b"%07o\0" % mode, b"0000000\0", b"0000000\0", octal, b"%011o\0" % time)
    block = _HEADER.pack(name, *fields, b" " * 8, kind, link, b"ustar  \0", owner, owner)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
