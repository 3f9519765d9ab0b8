"""Packs a folder as a tar archive whose bytes depend on nothing but the files' names, contents and executable bits.

Members are sorted, belong to root, and have one time. The archive is cut into chunks that are compressed each by
itself, several at once, and put one after the other. Where it is cut is decided by the members' names (see `chunks`),
so that an edit changes the chunk that the file is in and no other; with a cache, only that one is compressed again.
Neither memory nor disk holds the archive whole.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import operator
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, Union

from builder.stages.chunkcache import ChunkCache
from builder.stages.common import StageError, stage_main, write_json
from builder.stages.compressor import Compressor, compressor, format_of
from builder.stages.fixedtimes import finish
from builder.stages.journal import Entry, Journal, parse, read

CUT = 256
"""One in so many names ends a chunk. A chunk of the kernel's source is 4 MB then, compressed in a fifth of a second."""
CAP = 16 << 20
"""Bytes of a chunk that are not exceeded where files can be kept whole."""
PIECE = 4 << 20
"""Bytes of a file that are read at once."""
MAX_WORKERS = 8

_BLOCK = 512
_RECORD = 20 * _BLOCK
_FILE, _SYMLINK, _FOLDER, _LONG_NAME, _LONG_LINK = b"0", b"2", b"5", b"L", b"K"
# Name, mode, owner, group, size, time, checksum, type, link, magic, owner's name, group's name.
_HEADER = struct.Struct("100s8s8s8s12s12s8ss100s8s32s32s183x")

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Packed:
    """An archive that was written.

    Attributes:
        size: Its bytes.
        sha256: Its checksum, hexadecimal.
        parts: Its chunks.
    """

    size: int
    sha256: str
    parts: tuple[Squeezed, ...]

    @property
    def reused(self) -> int:
        """How many of its chunks were in the cache."""
        return sum(part.reused for part in self.parts)


@dataclass(frozen=True)
class Squeezed:
    """A chunk that was compressed.

    Attributes:
        key: Where it is in the cache; empty without one.
        size: Its bytes; `sha256`, their checksum, hexadecimal.
        reused: It was in the cache.
    """

    key: str
    size: int
    sha256: str
    reused: bool

    def as_json(self) -> dict[str, Any]:
        return {"key": self.key, "size": self.size, "sha256": self.sha256}


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


def pack(
    root: Path,
    out: Path | None,
    *,
    epoch: int,
    top: str = ".",
    compression: str | None = None,
    cache: Path | None = None,
    journal: Journal | None = None,
) -> Packed:
    """Write the folder `root` as the archive `out`.

    Args:
        out: Without it, nothing is written; what the archive would be is returned.
        epoch: The time of every member, in seconds since 1970.
        top: What the members' names start with, a path without `/` at its ends; `.` itself is no member.
        compression: One of `FORMATS`; without it, what the name of `out` says, which there has to be then.
        cache: A folder to keep compressed chunks in; what is in it does not change the archive.
        journal: What the folder holds: of a chunk that is in the cache nothing is read then.

    Raises:
        StageError: There is something else than folders, files and links, or a compressor failed.
    """
    kind = compression or format_of(out.name if out else "")
    kept = ChunkCache(cache)
    plain = chunks(members(root, epoch=epoch, top=top, journal=journal))
    parts = _as_is(plain) if kind == "none" else in_order(Squeeze(compressor(kind), kept), plain)
    digest = hashlib.sha256()
    found = []
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") if out else nullcontext() as file, closing(parts):
        for data, part in parts:
            if file:
                file.write(data)
            digest.update(data)
            found.append(part)
    kept.trim()
    return Packed(sum(part.size for part in found), digest.hexdigest(), tuple(found))


class Squeeze:
    """Compresses a chunk, or takes from the cache what came of the same bytes before."""

    def __init__(self, compressor: Compressor, cache: ChunkCache) -> None:
        self.compressor = compressor
        self.cache = cache

    def __call__(self, chunk: Chunk) -> tuple[bytes, Squeezed]:
        if self.cache.folder is None:
            return _described(self.compressor.compress(plain_bytes(chunk)))
        known = all(part.digest for part in chunk if isinstance(part, Piece))
        plain = None if known else plain_bytes(chunk)
        key = self._key(chunk, plain)
        found = self.cache.get(key)
        if found is not None:
            return _described(found, key, reused=True)
        data = self.compressor.compress(plain_bytes(chunk) if plain is None else plain)
        self.cache.put(key, data)
        return _described(data, key)

    def _key(self, chunk: Chunk, plain: bytes | None) -> str:
        """The key of a chunk: a checksum over its bytes, or over what stands for them where they were not read."""
        digest = hashlib.sha256(self.compressor.identity)
        if plain is not None:
            digest.update(plain)
        else:
            digest.update(b"by content\0")
            for part in chunk:
                digest.update(part.name if isinstance(part, Piece) else part)
        return digest.hexdigest()


def _described(data: bytes, key: str = "", *, reused: bool = False) -> tuple[bytes, Squeezed]:
    return data, Squeezed(key, len(data), hashlib.sha256(data).hexdigest(), reused)


def plain_bytes(chunk: Chunk) -> bytes:
    """The bytes of a chunk."""
    return b"".join(part.read() if isinstance(part, Piece) else part for part in chunk)


def _as_is(plain: Iterable[Chunk]) -> Generator[tuple[bytes, Squeezed], None, None]:
    for chunk in plain:
        yield _described(plain_bytes(chunk))


def workers() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def in_order(function: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
    """What a function makes of each item, in their order, for several at once; few are held at any time."""
    count = min(MAX_WORKERS, workers())
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(count) as pool:
        try:
            for item in items:
                if len(waiting) >= 2 * count:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(function, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def chunks(found: Iterable[Member]) -> Iterator[Chunk]:
    """The bytes of a tar archive in pieces, cut where the names of the members say, and by size between such places.

    A chunk ends after a member whose name has a checksum that `CUT` divides. Between two of these, one ends before
    the member that would make it exceed `CAP`; a file that alone does has chunks of its own. So an edit changes one
    chunk, and when it changes a size, at most the cuts until the next such name. The end of the archive is a chunk of
    its own, since its length depends on that of all the rest.
    """
    held: Chunk = []
    size = total = 0
    for member in found:
        total += member.size
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
        if size and (member.size > CAP or zlib.crc32(member.name) % CUT == 0):
            yield held
            held, size = [], 0
    if held:
        yield held
    end = 2 * _BLOCK
    yield [bytes(end + -(total + end) % _RECORD)]


def members(root: Path, *, epoch: int, top: str, journal: Journal | None = None) -> Iterator[Member]:
    """The members of the archive of a folder.

    Args:
        journal: What the folder holds; files that it does not have are looked at.

    Raises:
        StageError: There is something else than folders, files and links.
    """

    def short(name: bytes, kind: bytes, mode: int, link: bytes = b"") -> Member:
        header = tar_header(name + b"/" if kind == _FOLDER else name, kind, mode, 0, epoch, link)
        return Member(name, header, len(header))

    known = journal or {}
    start = len(os.fsencode(top)) + 1
    if top != ".":
        for parent in itertools.accumulate(os.fsencode(top).split(b"/"), lambda above, name: above + b"/" + name):
            yield short(parent, _FOLDER, 0o755)
    for name, entry in _walk(os.fsencode(root), os.fsencode(top)):
        if entry.is_symlink():
            yield short(name, _SYMLINK, 0o777, os.readlink(entry.path))  # noqa: PTH115 (it is bytes)
        elif entry.is_dir():
            yield short(name, _FOLDER, 0o755)
        elif entry.is_file():
            yield _file(name, entry, epoch, known.get(os.fsdecode(name[start:])))
        else:
            hint = "remove it from what is packed"
            raise StageError(f"{os.fsdecode(entry.path)} is neither a folder nor a file nor a symbolic link", hint=hint)


def _file(name: bytes, entry: os.DirEntry[bytes], epoch: int, known: Entry | None) -> Member:
    """The member of a file, in pieces of one size."""
    mode, size = (known.mode, known.size) if known else (entry.stat().st_mode, entry.stat().st_size)
    header = tar_header(name, _FILE, 0o755 if mode & 0o100 else 0o644, size, epoch)
    digest, zeros = known.digest if known else "", -size % _BLOCK
    whole = [Piece(entry.path, at, PIECE, 0, digest) for at in range(0, size - PIECE, PIECE)]
    end = PIECE * len(whole)
    last = [Piece(entry.path, end, size - end, zeros, digest)] if size else []
    return Member(name, header, len(header) + size + zeros, [*whole, *last])


def _walk(folder: bytes, name: bytes) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
    """All below a folder, sorted within each folder, with the members' names."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=operator.attrgetter("name"))
    for entry in entries:
        below = name + b"/" + entry.name
        yield below, entry
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, below)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the folder to pack")
    parser.add_argument("--out", type=Path, help="the archive, in the format of its name")
    parser.add_argument("--deliver", type=Path, help="the archive that leaves the build; a link when --out is the same")
    parser.add_argument("--nothing", metavar="NAME", help="write no archive, but sums and parts of one of this name")
    parser.add_argument("--parts", type=Path, help="a JSON file for the chunks of what leaves the build")
    parser.add_argument("--top", default=".", help="what members' names start with (default: .)")
    parser.add_argument("--plain", type=Path, help="the archive without compression, in a folder for an image")
    parser.add_argument("--plain-top", default=".", help="what the names of its members start with (default: .)")
    parser.add_argument("--epoch", type=int, required=True, help="the time of all members, seconds since 1970")
    parser.add_argument("--cache", type=Path, help="a folder that keeps compressed chunks from one build to the next")
    parser.add_argument("--journal", type=Path, help="the journal of the folder (builder.stages.journal)")
    parser.add_argument("--sums", type=Path, help="a JSON file for name, size and sha256 of what leaves the build")
    options = parser.parse_args()
    with ThreadPoolExecutor(1) as beside:
        plain = beside.submit(_pack_plain, options) if options.plain else None
        _pack(options)
        if plain is not None:
            plain.result()


def _pack_plain(options: argparse.Namespace) -> None:
    pack(options.root, options.plain, epoch=options.epoch, top=options.plain_top, compression="none")
    finish(options.plain.parent, options.epoch)


def _pack(options: argparse.Namespace) -> None:
    journal = parse(read(options.journal)) if options.journal else None
    packed: Packed | None = None
    for archive in filter(None, (options.out, options.deliver, options.nothing and Path(options.nothing))):
        if packed is None or format_of(archive.name) != format_of(options.out.name):
            packed = pack(
                options.root,
                None if options.nothing else archive,
                epoch=options.epoch,
                top=options.top,
                compression=format_of(archive.name),
                cache=options.cache,
                journal=journal,
            )
            print(f"{archive.name}: {packed.size} bytes, {len(packed.parts)} chunks, {packed.reused} from the cache")
        else:
            archive.parent.mkdir(parents=True, exist_ok=True)
            archive.hardlink_to(options.out)
    if options.parts and packed:
        write_json(options.parts, [part.as_json() for part in packed.parts])
    if options.sums and packed:
        write_json(options.sums, {"name": archive.name, "size": packed.size, "sha256": packed.sha256})


if __name__ == "__main__":
    stage_main(main)
