"""What is done again when a solve fails: BuildKit has failures of its own that are gone then."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from builder.cachespec import is_race
from builder.engine.docker import SolveError

Result = TypeVar("Result")

_RACES = 3
"""So often BuildKit may lose track of what it does; each time it keeps what it has finished, and has less to do."""


def once_more(solve: Callable[[], Result], say: Callable[[str], None] = lambda _: None) -> Result:
    """What a solve gives; one that failed by no fault of its own is done again, as often as that helps.

    Args:
        say: Told what BuildKit said of one that failed, when there is a next one.

    Raises:
        SolveError: It failed.
    """
    races = 0
    while True:
        try:
            return solve()
        except SolveError as error:
            late = is_late(error.what)
            races += _RACES if late else 1
            if not (late or is_race(error.what)) or races > _RACES:
                raise
            say(error.what)


def is_late(what: str) -> bool:
    """Whether BuildKit took too long for what it does beside a solve, on a busy machine (moby/buildkit#3966).

    It gives the record of a build 20 seconds, for example, and fails a build that has succeeded when they are over.
    """
    return what.removeprefix("failed to solve: ").startswith("DeadlineExceeded: ")
