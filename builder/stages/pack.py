"""Packs folders as a tar archive whose bytes depend on nothing but the files' names, contents and executable bits.

Members are sorted, belong to root, and have one time (`builder.stages.members`). The archive is cut into chunks, which
are compressed each by itself, several at once, and put one after the other. Where it is cut is decided by the members'
names, so that an edit changes the chunk that the file is in and no other; with a cache, only that one is compressed
again. Neither memory nor disk holds the archive whole.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from builder.stages.chunkcache import ChunkCache
from builder.stages.common import stage_main, write_json
from builder.stages.compressor import compressor, format_of
from builder.stages.fixedtimes import finish
from builder.stages.journal import parse, read
from builder.stages.members import Chunk, Member, chunks, end, members, segments
from builder.stages.packmemo import Memo, Segment
from builder.stages.squeeze import Squeeze, Squeezed, described, in_order, plain_bytes


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


def pack(
    roots: Sequence[Path],
    out: Path | None,
    *,
    epoch: int,
    top: str = ".",
    compression: str | None = None,
    cache: Path | None = None,
    journal: str | None = None,
) -> Packed:
    """Write folders as one archive.

    Args:
        roots: The folders, each of which has a part of what is in the archive.
        out: Without it, nothing is written; what the archive would be is returned.
        epoch: The time of every member, in seconds since 1970.
        top: What the members' names start with, a path without `/` at its ends; `.` itself is no member.
        compression: One of `FORMATS`; without it, what the name of `out` says, which there has to be then.
        cache: A folder to keep compressed chunks in; what is in it does not change the archive.
        journal: What the one folder holds, as text: of a chunk that is in the cache nothing is read then.

    Raises:
        StageError: There is something else than folders, files and links, two folders have a file of one name, or a
            compressor failed.
    """
    kind = compression or format_of(out.name if out else "")
    kept = ChunkCache(cache)
    squeeze = None if kind == "none" else Squeeze(compressor(kind), kept)
    memo = None
    if squeeze and journal is not None and out is None:
        (root,) = roots
        memo = Memo(root, squeeze, epoch=epoch, top=top, journal=journal)
        if recalled := memo.recall():
            packed = _packed(recalled)
            kept.trim()
            return packed
    noted: list[Segment] = []
    known = parse(journal) if journal is not None else None
    plain = _plain(members(roots, epoch=epoch, top=top, journal=known), noted if memo else None)
    parts = in_order(squeeze, plain) if squeeze else (described(plain_bytes(chunk)) for chunk in plain)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") if out else nullcontext() as file, closing(parts):
        packed = _packed(_written(parts, file))
    if memo:
        memo.keep(noted, packed.parts)
    kept.trim()
    return packed


def _plain(found: Iterable[Member], noted: list[Segment] | None) -> Iterator[Chunk]:
    """The chunks of an archive; what its segments were is noted once they are through."""
    total = 0
    for segment in segments(found):
        size, count = sum(member.size for member in segment), 0
        total += size
        for chunk in chunks(segment):
            count += 1
            yield chunk
        if noted is not None:
            noted.append(Segment([member.name for member in segment], size, count))
    yield end(total)


def _written(parts: Iterable[tuple[bytes, Squeezed]], file: BinaryIO | None) -> Iterator[tuple[bytes, Squeezed]]:
    for data, part in parts:
        if file:
            file.write(data)
        yield data, part


def _packed(parts: Iterable[tuple[bytes, Squeezed]]) -> Packed:
    digest = hashlib.sha256()
    found = []
    for data, part in parts:
        digest.update(data)
        found.append(part)
    return Packed(sum(part.size for part in found), digest.hexdigest(), tuple(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, action="append", required=True, help="a folder to pack; can be repeated")
    parser.add_argument("--image", type=Path, help="the archive, in a folder that becomes a layer of an image")
    parser.add_argument("--deliver", type=Path, help="the archive that leaves the build, or a link to --image")
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
    for archive in filter(None, (options.plain, options.image)):
        finish(archive.parent, options.epoch)


def _pack_plain(options: argparse.Namespace) -> None:
    pack(options.root, options.plain, epoch=options.epoch, top=options.plain_top, compression="none")


def _pack(options: argparse.Namespace) -> None:
    journal = read(options.journal) if options.journal else None
    packed: Packed | None = None
    for archive in filter(None, (options.image, options.deliver, options.nothing and Path(options.nothing))):
        if packed is None or format_of(archive.name) != format_of(options.image.name):
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
            archive.hardlink_to(options.image)
    if options.parts and packed:
        write_json(options.parts, [part.as_json() for part in packed.parts])
    if options.sums and packed:
        write_json(options.sums, {"name": archive.name, "size": packed.size, "sha256": packed.sha256})


if __name__ == "__main__":
    stage_main(main)
