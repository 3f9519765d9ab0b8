"""What a source tree holds, by content: what the stages after the source go by instead of reading a tree of 1.6 GB.

The journal of a tree is made once with the tree, and brought up to date by the stage that patches it. It is text: a
line for each file and symbolic link, sorted by path, so that what differs between two of them is found by comparing
lines. kbuild goes by times (make's rule: a target is stale when something it is made from is newer), and in a build
step times say little: a patch that is taken back leaves a file with its old time, a patch that is applied again gives
the same content a new one. A journal says what is really different; `set_times` then makes times agree with it.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from builder.stages.common import stage_main

_SECOND = 1_000_000_000
_MENTION = b"__has_include"
_INCLUDED = (b'.c"', b".c>", b'.S"', b".S>")
_INCLUDE = re.compile(rb"^[ \t]*#[ \t]*include[ \t]*[<\"]([^>\"\n]+\.[cS])[>\"]", re.MULTILINE)
_WORD = re.compile(rb"[^\s/<>\"()]+")
"""What can be the last part of a path in C's text."""
_BATCH = 256


class Entry(NamedTuple):
    """A file or a symbolic link.

    Attributes:
        digest: SHA-256 of the content (of a link's target), hexadecimal.
        mode: As in `stat`, without the type of the file.
        size: In bytes.
        mtime: When it was last written, nanoseconds since 1970.
        link: It is a symbolic link.
        asks: The content has `__has_include`: what it means depends on which files there are.
        takes: It includes a source (`#include "table.c"`).
    """

    digest: str
    mode: int
    size: int
    mtime: int
    link: bool = False
    asks: bool = False
    takes: bool = False

    def same(self, other: Entry) -> bool:
        """Whether both have the same content and may be executed alike."""
        return self.digest == other.digest and self.link == other.link and self.mode & 0o111 == other.mode & 0o111


Journal = Mapping[str, Entry]
"""Path under the tree to its entry, sorted by path."""


@dataclass(frozen=True)
class Changes:
    """Paths that differ between two journals."""

    added: frozenset[str] = field(default_factory=frozenset)
    removed: frozenset[str] = field(default_factory=frozenset)
    changed: frozenset[str] = field(default_factory=frozenset)

    @property
    def all(self) -> frozenset[str]:
        return self.added | self.removed | self.changed


def read_tree(tree: Path) -> dict[str, Entry]:
    """The journal of a tree, all of which is read.

    Raises:
        OSError: A file cannot be read.
    """
    return _read_all(tree, sorted(_walk(str(tree), "")))


def update(tree: Path, journal: str, paths: Iterable[str]) -> str:
    """The text of the journal of a tree in which none but these files were written, made or removed.

    Args:
        journal: The text as the tree was before.
        paths: As under the tree; there may be others among them.

    Raises:
        OSError: A file cannot be read.
    """
    known = {_path(line): line for line in _lines(journal)}
    touched = set(paths)
    for path in touched:
        known.pop(path, None)
    there = sorted(path for path in touched if _is_entry(tree / path))
    known |= {path: _line(path, entry) for path, entry in _read_all(tree, there).items()}
    return "".join(f"{line}\n" for _, line in sorted(known.items()))


def _is_entry(path: Path) -> bool:
    """Whether a file or a symbolic link has this name."""
    return path.is_symlink() or path.is_file()


def _walk(folder: str, below: str) -> Iterator[str]:
    with os.scandir(folder) as found:
        entries = list(found)
    for entry in entries:
        path = below + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{path}/")
        elif entry.is_symlink() or entry.is_file(follow_symlinks=False):
            yield path


def _read_all(tree: Path, paths: Iterable[str]) -> dict[str, Entry]:
    wanted = list(paths)
    batches = [wanted[start : start + _BATCH] for start in range(0, len(wanted), _BATCH)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        read = pool.map(lambda batch: [_read(f"{tree}/{path}") for path in batch], batches)
        return dict(zip(wanted, itertools.chain.from_iterable(read), strict=True))


def _read(path: str) -> Entry:
    stat = os.lstat(path)
    mode = stat.st_mode & 0o7777
    if (stat.st_mode & 0o170000) == 0o120000:
        target = os.fsencode(os.readlink(path))  # noqa: PTH115 (many: strings are faster)
        return Entry(hashlib.sha256(target).hexdigest(), mode, len(target), stat.st_mtime_ns, link=True)
    text = content(path)
    digest = hashlib.sha256(text).hexdigest()
    takes = any(end in text for end in _INCLUDED) and _INCLUDE.search(text) is not None
    return Entry(digest, mode, len(text), stat.st_mtime_ns, asks=_MENTION in text, takes=takes)


def content(path: str) -> bytes:
    """What a file holds, read with as little ado as many of them want."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return file.read()


def compare(before: str, now: str) -> Changes:
    """What is different by content between two journals, as texts."""
    first, second = _lines(before), _lines(now)
    common = set(first) & set(second)
    old = _parsed(line for line in first if line not in common)
    new = _parsed(line for line in second if line not in common)
    return Changes(
        added=frozenset(new.keys() - old.keys()),
        removed=frozenset(old.keys() - new.keys()),
        changed=frozenset(path for path in new.keys() & old.keys() if not new[path].same(old[path])),
    )


def changed_paths(before: str, now: str) -> set[str] | None:
    """The paths whose lines differ between two journals, as texts, of the same paths; None where the paths differ."""
    first, second = set(_lines(before)), set(_lines(now))
    old, new = ({_path(line) for line in lines} for lines in (first - second, second - first))
    return new if old == new else None


def _path(line: str) -> str:
    return _unescaped(line.split(" ", 5)[5])


def set_times(tree: Path, journal: Journal, since: Mapping[str, int], floor: int) -> int:
    """Give the files times that agree with when their content changed; returns how many had to be set.

    Args:
        since: Path to nanoseconds since 1970, of files whose content changed after the object tree was begun.
        floor: Nanoseconds since 1970, older than every file of the object tree: what never changed is older still.
    """
    count = 0
    for path, entry in journal.items():
        changed = since.get(path)
        # The times of a layer that came from elsewhere may be whole seconds.
        if not entry.link and (changed or entry.mtime >= floor - 2 * _SECOND):
            wanted = changed or floor - 2 * _SECOND
            os.utime(f"{tree}/{path}", ns=(wanted, wanted))
            count += 1
    return count


def dump(journal: Journal) -> str:
    """The journal as text."""
    return "".join(f"{_line(path, entry)}\n" for path, entry in journal.items())


def _line(path: str, entry: Entry) -> str:
    flags = f"{entry.link:d}{entry.asks:d}{entry.takes:d}"
    return f"{entry.digest} {entry.mode:o} {entry.size} {entry.mtime} {flags} {_escaped(path)}"


def parse(text: str) -> dict[str, Entry]:
    """The journal that a text is of."""
    return _parsed(_lines(text))


def paths_of(text: str) -> set[str]:
    """The paths of the journal that a text is of."""
    return {_path(line) for line in _lines(text)}


def entries_of(text: str, paths: Collection[str]) -> dict[str, Entry]:
    """Of the journal that a text is of, the entries of some paths."""
    return _parsed(line for line in _lines(text) if _path(line) in paths)


def _lines(text: str) -> list[str]:
    return text.split("\n")[:-1]


def _parsed(lines: Iterable[str]) -> dict[str, Entry]:
    journal = {}
    for line in lines:
        digest, mode, size, mtime, flags, path = line.split(" ", 5)
        journal[_unescaped(path)] = Entry(digest, int(mode, 8), int(size), int(mtime), *(flag == "1" for flag in flags))
    return journal


def _escaped(path: str) -> str:
    """A path with no end of line in it."""
    return path if path.isprintable() and "\\" not in path else path.encode("unicode_escape", "surrogatepass").decode()


def _unescaped(path: str) -> str:
    return path.encode().decode("unicode_escape") if "\\" in path else path


def read(file: Path) -> str:
    """The text of a journal."""
    return file.read_text(encoding="utf-8")


def write(file: Path, text: str) -> None:
    """Write the text of a journal."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def asked_for(tree: Path, journal: Journal, paths: Iterable[str]) -> list[str]:
    """Those of the paths that a file which asks for other files (`__has_include`) names by their last part."""
    words: set[bytes] = set()
    for path, entry in journal.items():
        if entry.asks:
            words.update(_WORD.findall(content(f"{tree}/{path}")))
    return sorted(path for path in paths if os.fsencode(path.rpartition("/")[2]) in words)


def sources_from_elsewhere(tree: Path, journal: Journal, including: Iterable[str]) -> list[str]:
    """The paths of all files with the name of a source that one of `including` includes and that is not beside it.

    Where it is beside it, it comes before any other (GNU cpp, "Search Path").
    """
    names: set[str] = set()
    for path in including:
        words = map(os.fsdecode, _INCLUDE.findall(content(f"{tree}/{path}")))
        folder = posixpath.dirname(path)
        beside = {word: posixpath.normpath(posixpath.join(folder, word)) for word in words}
        names.update(posixpath.basename(word) for word, at in beside.items() if at not in journal)
    return [path for path in journal if path.endswith((".c", ".S")) and posixpath.basename(path) in names]


def main() -> None:
    """Command line: `--tree T --out FILE`."""
    parser = argparse.ArgumentParser(prog="journal", description=__doc__)
    for option in ("--tree", "--out"):
        parser.add_argument(option, type=Path, required=True)
    args = parser.parse_args()
    write(args.out, dump(read_tree(args.tree)))


if __name__ == "__main__":
    stage_main(main)
