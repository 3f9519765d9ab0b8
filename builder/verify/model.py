"""What a check is, what it says, and what it looks at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from builder.verify.subject import Subject

Part = Literal["release", "packages", "headers"]


class Unreadable(Exception):
    """A package, or a file of it, cannot be read; the message says why. Checks that need it are skipped."""


class MissingProgram(Exception):
    """A program that a check needs is not on this machine; the message is its name. The check is not done."""


class Status(StrEnum):
    """What came of a check. `SKIPPED`: it does not apply. `UNCHECKED`: a program that it needs is not there."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check saw.

    Attributes:
        status: What came of it.
        saw: One line: what was looked at and found ("389 modules, all with vermagic 6.12.117-rosk").
        details: One line for each thing that is wrong.
    """

    status: Status
    saw: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    Attributes:
        name: Lower case with dashes; part of the interface: `--only`, `--json`, the docs.
        meaning: One line for people: what goes wrong on a machine when it fails.
        cheap: Runs in seconds with no engine: every build does it.
        ahead: Begins what it needs and what another processor can do while the checks before it run. What it raises,
            the check raises again.
        of: What it looks at: all of a release; its packages alone: when these are good, no file that comes to them
            changes that; or the headers package and the config alone.
        run: Looks at a release.
    """

    name: str
    meaning: str
    cheap: bool
    ahead: Callable[[Subject], None] | None = None
    of: Part = "release"
    run: Callable[[Subject], Finding]


CHECKS: dict[str, Check] = {}
"""Every check by name, in the order of their definition."""


def check(
    name: str,
    *,
    meaning: str,
    cheap: bool = True,
    ahead: Callable[[Subject], None] | None = None,
    of: Part = "release",
) -> Callable[[Callable[[Subject], Finding]], Callable[[Subject], Finding]]:
    """Make a function a check; see `Check` for the arguments."""

    def register(function: Callable[[Subject], Finding]) -> Callable[[Subject], Finding]:
        assert name not in CHECKS, name
        CHECKS[name] = Check(name=name, meaning=meaning, cheap=cheap, ahead=ahead, of=of, run=function)
        return function

    return register


def verdict(saw: str, wrong: Sequence[str] = ()) -> Finding:
    """A finding that is good unless something is wrong: then `saw` is followed by how many, and each is a detail."""
    if not wrong:
        return Finding(status=Status.OK, saw=shown(saw))
    return Finding(status=Status.FAILED, saw=f"{shown(saw)}; wrong: {len(wrong)}", details=tuple(map(shown, wrong)))


def skipped(why: str) -> Finding:
    """The check does not apply to this release."""
    return Finding(status=Status.SKIPPED, saw=shown(why))


def unchecked(program: str) -> Finding:
    """A program that the check needs is not on this machine."""
    return Finding(status=Status.UNCHECKED, saw=f"{program} is not installed")


def shown(text: str) -> str:
    """A line that a terminal can print: names in an archive can be of any bytes, also such that steer a terminal."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text
    )


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 module`, `389 modules`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
