"""Module and firmware lists of os-kernel as lists of rosk: the same bytes where rosk takes them.

Their scripts read a list with the shell's `$(<file)`: words, not lines, and one that comes twice does no harm. A line
that rosk refuses is mended where that is safe (`a.ko.zst` is `a.ko`), and else becomes a comment that says why.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from dataclasses import dataclass

from builder.stages.lists import COMMENT, Kind, problem

_PACKED = re.compile(r"\.ko\.(gz|xz|zst)$")


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A line that is not as it was: its number in the original, and what became of it (the same words for the same)."""

    line: int
    what: str


@dataclass(frozen=True, kw_only=True)
class List:
    """A list for a project.

    Attributes:
        data: Its content.
        paths: What it lists.
        edits: Which lines are not as they were.
    """

    data: bytes
    paths: tuple[str, ...]
    edits: tuple[Edit, ...]

    def said(self) -> list[tuple[str, list[int]]]:
        """What became of lines, and of which."""
        lines: dict[str, list[int]] = {}
        for edit in self.edits:
            lines.setdefault(edit.what, []).append(edit.line)
        return list(lines.items())


def adapt(data: bytes, kind: Kind, other: Collection[str] = ()) -> List:
    """Make a list that rosk's reader takes.

    Args:
        data: The original.
        kind: Whether it lists modules or firmware.
        other: What the list of the kernel package has, for the list of the extras package: that wins, as it did.

    Raises:
        ValueError: It is no text.
    """
    text = data.decode("utf-8-sig")
    if "\0" in text:
        raise ValueError("it has a NUL byte")
    rows, edits = [], []
    first: dict[str, int] = {}
    for number, row in enumerate(text.splitlines(keepends=True), 1):
        written = COMMENT.sub("", row).strip()
        words = written.split()
        if not words:
            rows.append(row)
            continue
        if len(words) > 1:
            edits.append(Edit(line=number, what="has several paths, each on a line of its own now"))
        done = [_line(word, number, kind, first, other) for word in words]
        edits += [edit for _, edit in done if edit]
        if len(words) == 1 and done[0][0] == written:
            rows.append(row)
        else:
            rows += [f"{line}\n" for line, _ in done]
    out = "".join(rows).encode() if edits else data
    return List(data=out, paths=tuple(first), edits=tuple(edits))


def _line(word: str, number: int, kind: Kind, first: dict[str, int], other: Collection[str]) -> tuple[str, Edit | None]:
    """The line for one path, and what became of it if it is another; `first` learns of a path that is listed."""
    path, what = _mended(word, kind)
    why = problem(path, kind) or (("it would be a comment",) if COMMENT.sub("", path) != path else None)
    if why:
        return _comment(word, why[0]), Edit(line=number, what="is refused by rosk, and a comment now that says why")
    if path in first:
        return _comment(word, f"listed in line {first[path]} already"), Edit(
            line=number, what="is listed twice, and a comment now"
        )
    if path in other:
        return _comment(word, "in modules.list too, which wins"), Edit(
            line=number, what="is in modules.list too, which wins as it did, and a comment now"
        )
    first[path] = number
    return path, Edit(line=number, what=what) if what else None


def _mended(word: str, kind: Kind) -> tuple[str, str]:
    """The path that a refused one stands for, and what was done to it; the word itself when it needs nothing."""
    if problem(word, kind) is None:
        return word, ""
    if kind.suffix and _PACKED.search(word):
        return _PACKED.sub(".ko", word), "named a compressed module: rosk packs plain .ko files"
    if word.endswith("/") and not word.startswith("/"):
        return f"{posixpath.normpath(word)}/**", "named a folder: a pattern for all in it now"
    return posixpath.normpath(word), "was not in its plain form"


def _comment(word: str, why: str) -> str:
    return f"# {word} # rosk import: {why}"
