"""For which kernel versions a patch is meant: the line `X-Rosk-Kernel: >=6.6 <6.13` in the text before its diff.

Mail programs and `git am` pass over a header that they do not know, and `patch` over all text, so the patch is as
usable elsewhere. A limit compares as many numbers as it names: 6.12.64 is `<=6.12` and `==6.12`, and is not `>6.12`. A
release candidate counts as the release that it leads to: what was merged for 6.13 is in 6.13-rc1.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from builder.stages.common import StageError

HEADER = "X-Rosk-Kernel"

_LINE = re.compile(rb"X-Rosk-Kernel[ \t]*:[ \t]*(.*?)\s*", re.IGNORECASE)
_DIFF = re.compile(rb"diff --git |--- \S|Index: ")
_LIMIT = re.compile(r"(>=|<=|==|>|<)\s*(\d+(?:\.\d+){0,2})")
_COMPARE: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a patch says of kernel versions.

    Attributes:
        text: As the patch has it (`>=6.6 <6.13`); empty when it says nothing.
        each: Comparison and version; all of them have to hold.
    """

    text: str = ""
    each: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def admit(self, version: str) -> bool:
        """Whether the patch is meant for a kernel version (`6.12.64`, `6.13.0-rc1`)."""
        numbers = _numbers(re.match(r"[\d.]*", version)[0])  # type: ignore[index]  # it can match nothing
        padded = (*numbers, 0, 0, 0)[:3]
        return all(_COMPARE[how](padded[: len(limit)], limit) for how, limit in self.each)


def read_limits(content: bytes, name: str) -> Limits:
    """The limits that a patch states.

    Args:
        content: The patch file's bytes.
        name: Its name, for errors.

    Raises:
        StageError: (with the line) They cannot be understood, or stand there twice.
    """
    found: Limits | None = None
    for number, line in enumerate(content.split(b"\n"), 1):
        if _DIFF.match(line):
            break
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        if found is not None:
            raise StageError(
                f"{HEADER} stands there twice", hint="write all limits in one line", where=name, line=number
            )
        found = parse_limits(match[1].decode(errors="replace"), name, number)
    return found or Limits()


def parse_limits(text: str, name: str, line: int | None, what: str = HEADER) -> Limits:
    """The limits that a text states (`>=6.6 <6.13`).

    Args:
        name, line: Where it stands, for errors.
        what: What it is called there.

    Raises:
        StageError: They cannot be understood.
    """
    words = re.split(r"(?<=\d)[\s,]+", text)
    matches = [_LIMIT.fullmatch(word) for word in words]
    if not all(matches):
        raise StageError(
            f"{what} is not understood: {text!r}",
            hint=f"write comparisons (>=, <=, ==, >, <) with a version each, as in `{what}: >=6.6 <6.13`",
            where=name,
            line=line,
        )
    return Limits(text=text, each=tuple((match[1], _numbers(match[2])) for match in matches if match))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".") if number)
