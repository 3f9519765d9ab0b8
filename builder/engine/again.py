"""What is done again when a solve fails: BuildKit has failures of its own that are gone then."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from builder.cachespec import is_race
from builder.engine.docker import SolveError

Result = TypeVar("Result")


def once_more(solve: Callable[[], Result], say: Callable[[str], None] = lambda _: None) -> Result:
    """What a solve gives; one that failed by no fault of its own is done a second time, and no third.

    Args:
        say: Told what BuildKit said of the first one, when there is a second.

    Raises:
        SolveError: It failed.
    """
    try:
        return solve()
    except SolveError as error:
        if not (is_race(error.what) or is_late(error.what)):
            raise
        say(error.what)
    return solve()


def is_late(what: str) -> bool:
    """Whether BuildKit took too long for what it does beside a solve, on a busy machine (moby/buildkit#3966).

    It gives the record of a build 20 seconds, for example, and fails a build that has succeeded when they are over.
    """
    return what.removeprefix("failed to solve: ").startswith("DeadlineExceeded: ")
