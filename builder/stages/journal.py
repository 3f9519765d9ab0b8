"""What a source tree holds, by content, and since when: times that kbuild can go by.

kbuild compares times (make's rule: a target is stale when something it is made from is newer). In a build step times
say little: a patch that is taken back leaves a file with its old time, a patch that is applied again gives the same
content a new one. So the journal keeps, for every file, the checksum of what the last build saw, and the moment since
which the object tree has known this content.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SECOND = 1_000_000_000
_MENTION = b"__has_include"

State = tuple[int, int, int, int]
"""Size, mtime and ctime in nanoseconds, and mode: while these are equal, so is the content. ctime cannot be set."""


@dataclass(frozen=True)
class Entry:
    """A file or a symbolic link.

    Attributes:
        state: As it was when it was read.
        digest: SHA-256 of the content (of a link's target), hexadecimal.
        link: It is a symbolic link.
        asks: The content has `__has_include`: what it means depends on which files there are.
        since: Nanoseconds since 1970 when the content got what it is; 0 when the object tree knows no other.
    """

    state: State
    digest: str
    link: bool = False
    asks: bool = False
    since: int = 0

    def same(self, other: Entry) -> bool:
        """Whether both have the same content and may be executed alike."""
        return (
            self.digest == other.digest and self.link == other.link and self.state[3] & 0o111 == other.state[3] & 0o111
        )


Journal = Mapping[str, Entry]
"""Path under the tree to its entry."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Paths that differ between two journals."""

    added: frozenset[str] = field(default_factory=frozenset)
    removed: frozenset[str] = field(default_factory=frozenset)
    changed: frozenset[str] = field(default_factory=frozenset)

    @property
    def all(self) -> frozenset[str]:
        return self.added | self.removed | self.changed


def read_tree(tree: Path, known: Journal) -> dict[str, Entry]:
    """The journal of a tree as it is now; files in a known state are not read again.

    Raises:
        OSError: A file cannot be read.
    """
    journal: dict[str, Entry] = {}
    unread: list[tuple[str, State, bool]] = []
    for path, state, link in _walk(str(tree), ""):
        before = known.get(path)
        if before is not None and before.state == state and before.link == link:
            journal[path] = Entry(state, before.digest, link, before.asks)
        else:
            unread.append((path, state, link))
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = pool.map(lambda item: _read(tree, *item), unread, chunksize=64)
        journal.update(zip((path for path, _, _ in unread), found, strict=True))
    return journal


def _walk(folder: str, below: str) -> Iterator[tuple[str, State, bool]]:
    with os.scandir(folder) as found:
        entries = list(found)
    for entry in entries:
        path = below + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{path}/")
        else:
            stat = entry.stat(follow_symlinks=False)
            state = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_mode)
            yield path, state, entry.is_symlink()


def _read(tree: Path, path: str, state: State, link: bool) -> Entry:
    full = f"{tree}/{path}"
    content = os.fsencode(os.readlink(full)) if link else _content(full)  # noqa: PTH115 (many: strings are faster)
    return Entry(state, hashlib.sha256(content).hexdigest(), link, not link and _MENTION in content)


def _content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return file.read()


def compare(before: Journal, now: Journal) -> Changes:
    """What is different by content."""
    return Changes(
        added=frozenset(now.keys() - before.keys()),
        removed=frozenset(before.keys() - now.keys()),
        changed=frozenset(path for path in now.keys() & before.keys() if not now[path].same(before[path])),
    )


def dated(before: Journal, now: Journal, changes: Changes, moment: int) -> dict[str, Entry]:
    """The journal `now` with the moments of change: `moment` for what has just changed, else what `before` says."""
    fresh = changes.added | changes.changed
    return {
        path: Entry(entry.state, entry.digest, entry.link, entry.asks, moment if path in fresh else before[path].since)
        for path, entry in now.items()
    }


def set_times(tree: Path, journal: Journal, floor: int) -> int:
    """Give the files times that agree with the journal; returns how many had to be set.

    Args:
        floor: Nanoseconds since 1970, older than every file of the object tree: what never changed is older still.
    """
    count = 0
    for path, entry in journal.items():
        if entry.link:
            continue
        mtime = entry.state[1]
        wanted = entry.since or (mtime if mtime < floor else floor - _SECOND)
        if mtime != wanted:
            os.utime(f"{tree}/{path}", ns=(wanted, wanted))
            count += 1
    return count


def dump(journal: Journal) -> dict[str, list[Any]]:
    """The journal as JSON takes it."""
    return {path: [*entry.state, entry.digest, entry.link, entry.asks, entry.since] for path, entry in journal.items()}


def parse(data: Mapping[str, list[Any]]) -> dict[str, Entry]:
    """The journal that `dump` made."""
    return {path: Entry((row[0], row[1], row[2], row[3]), *row[4:]) for path, row in data.items()}


def asked_for(tree: Path, journal: Journal, paths: Iterable[str]) -> list[str]:
    """Those of the paths that a file which asks for other files (`__has_include`) names by their last part."""
    texts = [_content(f"{tree}/{path}") for path, entry in journal.items() if entry.asks]
    named = ((path, os.fsencode(path.rpartition("/")[2])) for path in paths)
    return sorted(path for path, name in named if any(name in text for text in texts))
