"""Mends the text of a list: pure functions, text in and text out.

What is there stays as it is, comments, blank lines and line ends included; nothing is sorted anew. A line is added
where its neighbours are: in the part of the list (the lines between two blank ones) that has most of its folder, at
its place in the order where that part is sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from builder.stages.lists import COMMENT

HEADING = "# Added by `rosk lists fix`"
"""Above lines that belong to no part of a list that has several."""

_NEAR = 3
"""Folders in common (`kernel/drivers/net`) from which on a line of a list is a neighbour."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change to a list.

    Attributes:
        path: The module to be listed.
        moved_from: The path of an existing line that names it by its former place.
        replace: Write the new path in that line, in place of a line below.
    """

    path: str
    moved_from: str | None = None
    replace: bool = False


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Lines of a list between two blank ones: indices of all lines, and (index, path) of those that have a path."""

    start: int
    end: int
    rows: tuple[tuple[int, str], ...]

    @property
    def sorted(self) -> bool:
        paths = [path for _, path in self.rows]
        return paths == sorted(paths)


def apply(text: str, changes: Sequence[Change], *, heading: str = HEADING) -> str:
    """The text of a list after some changes; of what is listed already, nothing changes.

    Args:
        text: With any line ends; those of the first line are what added lines get.
        heading: What is above lines that belong to no part of a list that has several.
    """
    lines = text.splitlines(keepends=True)
    for change in sorted(changes, key=lambda change: change.path):
        if change.path not in map(path_of, lines):
            _apply(lines, change, heading)
    return "".join(lines)


def _apply(lines: list[str], change: Change, heading: str) -> None:
    old = next((index for index, line in enumerate(lines) if path_of(line) == change.moved_from), None)
    if old is None or change.moved_from is None:
        _insert(lines, change.path, heading)
    elif change.replace:
        lines[old] = lines[old].replace(change.moved_from, change.path, 1)
    else:
        _put(lines, old + 1, change.path)


def _insert(lines: list[str], path: str, heading: str) -> None:
    parts = _parts(lines)
    part = _home(parts, lines, path, heading)
    if part is None:
        if parts:
            _put(lines, len(lines), "")
            _put(lines, len(lines), heading)
        _put(lines, len(lines), path)
    elif part.sorted:
        before = [index for index, other in part.rows if other < path]
        _put(lines, before[-1] + 1 if before else part.rows[0][0], path)
    else:
        _put(lines, max(part.rows, key=lambda row: (_common(row[1], path), row[0]))[0] + 1, path)


def _put(lines: list[str], index: int, content: str) -> None:
    """Add a line with the line end that the file has."""
    end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    if index and not lines[index - 1].endswith(("\n", "\r")):
        lines[index - 1] += end
    lines.insert(index, content + end)


def _parts(lines: Sequence[str]) -> list[_Part]:
    """The parts of a list that have a path."""
    parts, start = [], 0
    for index in range(len(lines) + 1):
        if index == len(lines) or not lines[index].strip():
            rows = [(at, path) for at in range(start, index) if (path := path_of(lines[at]))]
            if rows:
                parts.append(_Part(start=start, end=index, rows=tuple(rows)))
            start = index + 1
    return parts


def _home(parts: Sequence[_Part], lines: Sequence[str], path: str, heading: str) -> _Part | None:
    """The part that a new path belongs to: the only one, the one with its neighbours, or the one of such additions."""
    if len(parts) == 1:
        return parts[0]
    wanted = min(_NEAR, len(PurePosixPath(path).parent.parts))
    if not wanted:  # beside others that are in no folder
        parts = [part for part in parts if any("/" not in other for _, other in part.rows)]
    best: tuple[int, int] | None = None
    home = None
    for part in parts:
        common = [_common(other, path) for _, other in part.rows]
        score = (max(common), common.count(max(common)))
        if score[0] >= wanted and (best is None or score > best):
            best, home = score, part
    if home is None:
        home = next((part for part in parts if lines[part.start].strip() == heading), None)
    return home


def _common(path: str, other: str) -> int:
    """How many folders two paths start with alike."""
    count = 0
    for one, two in zip(PurePosixPath(path).parent.parts, PurePosixPath(other).parent.parts, strict=False):
        if one != two:
            break
        count += 1
    return count


def without_duplicates(text: str) -> str:
    """A list without the lines that name again what an earlier line names.

    A line with a comment of its own stays in place of one with none; where both have one, and not the same, both stay.
    """
    lines = text.splitlines(keepends=True)
    first: dict[str, int] = {}
    drop: set[int] = set()
    for index, line in enumerate(lines):
        path = path_of(line)
        if not path:
            continue
        kept = first.setdefault(path, index)
        if kept == index:
            continue
        if _comment(line) in ("", _comment(lines[kept])):
            drop.add(index)
        elif not _comment(lines[kept]):
            drop.add(kept)
            first[path] = index
    return "".join(line for index, line in enumerate(lines) if index not in drop)


def path_of(line: str) -> str:
    """What a line names; empty for a comment and a blank line."""
    return COMMENT.sub("", line.strip().lstrip("\ufeff")).strip()


def _comment(line: str) -> str:
    found = COMMENT.search(line.strip())
    return found[0].strip() if found else ""
