"""What an archive was made of, kept from one build to the next: of one that hardly changed, little is looked at.

The archive of the kernel's source has 86,000 members, of which a patch changes one. Where a segment ends is decided by
its members' names (`builder.stages.members`), so where no name came or went, a segment whose lines in the journal are
the same is the same. That no name did is seen by listing the folders, for a journal has no empty ones.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from builder.stages import members
from builder.stages.journal import Entry, changed_paths, entries_of, parse
from builder.stages.members import chunks, end, file_member, folder_member, link_member
from builder.stages.squeeze import Squeeze, Squeezed, in_order

_MAX_CHANGED = 200
"""An archive of which more files than this changed is looked at whole."""


class Segment(NamedTuple):
    """A segment of an archive: its members' names, their bytes in the archive, how many chunks came of them."""

    names: Sequence[bytes]
    size: int
    chunks: int


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """What was kept of an archive.

    Attributes:
        journal: The journal of its folder.
        names: Of all members, in their order.
        ends: Where in them each segment ends.
        sizes: The bytes of each segment in the archive; `parts`: its chunks.
        folders: Those of the names that are of folders.
        listings: A checksum over the names in all folders.
    """

    journal: str
    names: list[bytes]
    folders: list[bytes]
    ends: list[int]
    sizes: list[int]
    parts: list[list[Squeezed]]
    listings: str

    def names_of(self, number: int) -> list[bytes]:
        """The names of a segment's members."""
        return self.names[self.ends[number - 1] if number else 0 : self.ends[number]]

    def as_bytes(self) -> bytes:
        parts = [[part.as_json() for part in each] for each in self.parts]
        texts = [self.journal.encode(), b"\0".join(self.names), b"\0".join(self.folders)]
        fields = {"ends": self.ends, "sizes": self.sizes, "parts": parts, "listings": self.listings}
        return b"\n".join([json.dumps({**fields, "texts": list(map(len, texts))}).encode(), b"".join(texts)])

    @classmethod
    def from_bytes(cls, data: bytes) -> _Kept:
        head, _, rest = data.partition(b"\n")
        fields = json.loads(head)
        journal, names, _ = fields.pop("texts")
        fields["parts"] = [[Squeezed(**part, reused=True) for part in each] for each in fields["parts"]]
        return cls(
            journal=rest[:journal].decode(),
            names=rest[journal : journal + names].split(b"\0"),
            folders=rest[journal + names :].split(b"\0"),
            **fields,
        )


class Memo:
    """The memory of one archive.

    Args:
        root: The folder that is packed.
        squeeze: Compresses its chunks; has the cache that the memory is kept in.
        epoch, top: As for `builder.stages.pack.pack`.
        journal: What the folder holds now.
    """

    def __init__(self, root: Path, squeeze: Squeeze, *, epoch: int, top: str, journal: str) -> None:
        self._root = os.fsencode(root)
        self._squeeze = squeeze
        self._epoch = epoch
        self._top = os.fsencode(top)
        self._journal = journal
        rules = [Path(file).read_bytes() for file in (__file__, members.__file__)]
        words = (members.CUT, members.CAP, members.PIECE, epoch, top, squeeze.compressor.identity)
        self._key = hashlib.sha256(b"".join([*rules, repr(words).encode()])).hexdigest()

    @cached_property
    def _known(self) -> Mapping[str, Entry]:
        return parse(self._journal)

    def keep(self, segments: Sequence[Segment], parts: Iterable[Squeezed]) -> None:
        """Keep what the archive is made of: its segments, and its chunks, the last of which is its end."""
        names = [name for segment in segments for name in segment.names]
        folders = [name for name in names if self._path(name) not in self._known]
        if not all(map(os.path.isdir, map(self._file, folders))):
            return  # what the journal lacks may change, and nothing would tell
        rest = iter(parts)
        self._put(
            _Kept(
                journal=self._journal,
                names=names,
                folders=folders,
                ends=list(itertools.accumulate(len(segment.names) for segment in segments)),
                sizes=[segment.size for segment in segments],
                parts=[list(itertools.islice(rest, segment.chunks)) for segment in segments],
                listings=self._listings(folders),
            )
        )

    def recall(self) -> Iterator[tuple[bytes, Squeezed]] | None:
        """The chunks of the archive as it is now, or None where it has to be looked at whole."""
        data = self._squeeze.cache.get(self._key)
        if data is None:
            return None
        kept = _Kept.from_bytes(data)
        changed = changed_paths(kept.journal, self._journal)
        if changed is None or len(changed) > _MAX_CHANGED or kept.listings != self._listings(kept.folders):
            return None
        wanted = {self._top + b"/" + os.fsencode(path) for path in changed}
        places = [place for place, name in enumerate(kept.names) if name in wanted]
        return self._chunks(kept, {bisect.bisect_right(kept.ends, place) for place in places})

    def _chunks(self, kept: _Kept, changed: set[int]) -> Iterator[tuple[bytes, Squeezed]]:
        """The chunks, of which those of the segments in `changed` are made of what is there now."""
        sizes, found = list(kept.sizes), list[list[Squeezed]]()
        paths = {self._path(name) for number in changed for name in kept.names_of(number)}
        known = entries_of(self._journal, paths)

        def segment(number: int) -> list[tuple[bytes, Squeezed]]:
            if number not in changed:
                data = [self._squeeze.cache.get(part.key) for part in kept.parts[number]]
                if None not in data:
                    return [
                        (each, part) for each, part in zip(data, kept.parts[number], strict=True) if each is not None
                    ]
            told = known if number in changed else self._known
            again = [self._member(name, told.get(self._path(name))) for name in kept.names_of(number)]
            sizes[number] = sum(member.size for member in again)
            return [self._squeeze(chunk) for chunk in chunks(again)]

        for made in in_order(segment, range(len(kept.ends))):
            found.append([part for _, part in made])
            yield from made
        yield self._squeeze(end(sum(sizes)))
        if kept.journal != self._journal:
            self._put(replace(kept, journal=self._journal, sizes=sizes, parts=found))

    def _member(self, name: bytes, entry: Entry | None) -> members.Member:
        if entry is None:
            return folder_member(name, self._epoch)
        if entry.link:
            return link_member(name, self._file(name), self._epoch)
        return file_member(name, self._file(name), self._epoch, entry)

    def _listings(self, folders: Iterable[bytes]) -> str:
        """A checksum over the names in all folders; empty where one is none any more."""
        digest = hashlib.sha256()
        try:
            for name in (self._top, *folders):
                digest.update(b"\0".join([name, *sorted(os.listdir(self._file(name))), b"\n"]))  # noqa: PTH208
        except OSError:
            return ""
        return digest.hexdigest()

    def _put(self, kept: _Kept) -> None:
        self._squeeze.cache.put(self._key, kept.as_bytes())

    def _path(self, name: bytes) -> str:
        """The path of a member under the folder."""
        return os.fsdecode(name[len(self._top) + 1 :])

    def _file(self, name: bytes) -> bytes:
        return self._root + name[len(self._top) :]
