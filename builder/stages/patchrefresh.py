"""Write a patch again with the line numbers and the context of the tree that it applies to, and change nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from builder.stages.patchtry import Hunk, Outcome, Patch, State

_HEAD = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)", re.DOTALL)


@dataclass
class _Text:
    """A hunk as it is being rewritten.

    Attributes:
        first: The line of the old file at which it starts, also where it takes no line from there.
        body: Its lines, each with its mark; one that says that a newline is missing follows its line.
        rest: What follows the second `@@`.
    """

    first: int
    body: list[bytes]
    rest: bytes

    def count(self, marks: bytes) -> int:
        return sum(1 for line in self.body if (line[:1] or b" ") in (bytes((mark,)) for mark in marks))

    def head(self, shift: int) -> bytes:
        """Its `@@` line, where the hunks before it make the file `shift` lines longer."""
        old, new = self.count(b" -\r"), self.count(b" +\r")
        start = self.first + shift
        return b"@@ -%s +%s @@%s" % (_range(self.first, old), _range(start, new), self.rest)


def _range(first: int, count: int) -> bytes:
    """A range of lines as in the unified format: without a count when it is 1, the line before when it is 0."""
    return b"%d" % first if count == 1 else b"%d,%d" % (first if count else first - 1, count)


def refreshed(patch: Patch, before: State, outcome: Outcome) -> bytes:
    """The patch with the lines at which its hunks stand.

    Whether it then does the same is for the caller to try.

    Args:
        before: The tree that it applies to.
        outcome: How it did.
    """
    lines = patch.content.split(b"\n")
    moved = {hunk.line: hunk for hunk in outcome.hunks}
    replaced: dict[int, tuple[int, list[bytes]]] = {}
    for part, source in zip(patch.parts, patch.sources, strict=True):
        shift = 0
        content = before.content(source)
        file = content.split(b"\n") if content is not None else []
        for number in part.hunks:
            text, end = _read(lines, number)
            _settle(text, moved.get(number), file)
            replaced[number - 1] = (end, [text.head(shift), *text.body])
            shift += text.count(b"+") - text.count(b"-")
    return b"\n".join(_put(lines, replaced))


def _read(lines: Sequence[bytes], number: int) -> tuple[_Text, int]:
    """The hunk whose `@@` line is the patch's line `number`, and the index behind it."""
    match = _HEAD.match(lines[number - 1])
    assert match
    old, new = (1 if count is None else int(count) for count in (match[2], match[4]))
    first = int(match[1]) + (old == 0)
    at = number
    while old > 0 or new > 0:
        mark = lines[at][:1] or b" "
        old -= mark in b" -\r"
        new -= mark in b" +\r"
        at += 1
    while at < len(lines) and lines[at].startswith(b"\\"):
        at += 1
    return _Text(first=first, body=list(lines[number:at]), rest=match[5]), at


def _settle(text: _Text, hunk: Hunk | None, file: Sequence[bytes]) -> None:
    """Put a hunk where it stands; context that did not fit becomes what the file has there."""
    if hunk is None:
        return
    text.first += hunk.offset
    if hunk.fuzz == 0:
        return
    body, at, first = [], text.first - 1, None
    for line in text.body:
        mark = line[:1] or b" "
        if mark in b" \r":
            # Context beyond the file's beginning or its end (an empty item follows its last newline) is no context.
            if 0 <= at < len(file) - (file[-1:] == [b""]):
                body.append(b" " + file[at])
                first = at if first is None else first
            at += 1
        else:
            body.append(line)
            first = at if first is None else first
            at += mark == b"-"
    text.body, text.first = body, (first if first is not None else at) + 1


def _put(lines: Sequence[bytes], replaced: Mapping[int, tuple[int, list[bytes]]]) -> Iterator[bytes]:
    at = 0
    while at < len(lines):
        if at in replaced:
            at, new = replaced[at]
            yield from new
        else:
            yield lines[at]
            at += 1
