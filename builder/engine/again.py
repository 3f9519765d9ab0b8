"""What is done again when a solve fails: BuildKit has failures of its own that are gone then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from builder.engine.docker import SolveError

Result = TypeVar("Result")

_RACES = ("failed to get state for index", "inconsistent graph state", "no access allowed to dir")
PAUSES = (0.0, 1.0, 5.0, 20.0)
"""Seconds before the second try and those after it: each time BuildKit keeps what it has finished, and has less
to do; and another solve, which this one got in the way of, has time to end."""


def once_more(
    solve: Callable[[], Result],
    say: Callable[[str], None] = lambda _: None,
    *,
    apart: Callable[[], None] = lambda: None,
) -> Result:
    """What a solve gives; one that failed by no fault of its own is done again, as often as `PAUSES` says.

    Args:
        say: Told what BuildKit said of one that failed, when there is a next one.
        apart: Called before each next one: does the work of the solve's targets, one after the other. BuildKit (0.13)
            loses a step that two targets share when the one that ran it is done before the other.

    Raises:
        SolveError: It failed.
    """
    for pause in PAUSES:
        with _by_its_own_fault(say):
            return solve()
        time.sleep(pause)
        with _by_its_own_fault(say):
            apart()
    return solve()


@contextmanager
def _by_its_own_fault(say: Callable[[str], None]) -> Iterator[None]:
    """Ends a block that fails by BuildKit's own fault, and says so; other failures go on."""
    try:
        yield
    except SolveError as error:
        if not (is_late(error.what) or is_race(error.what)):
            raise
        say(error.what)


def is_race(what: str) -> bool:
    """Whether BuildKit failed in its own bookkeeping (moby/buildkit#3635): the same solve, done again, works.

    Several targets that share steps can meet it; what they did is kept. That no access is allowed to a folder it says
    where the target that sends it was done before another had begun (`builder.engine.linked`).
    """
    what = what.removeprefix("failed to solve: ")
    return what == "not found" or any(words in what for words in _RACES)


def is_late(what: str) -> bool:
    """Whether BuildKit took too long for what it does beside a solve, on a busy machine (moby/buildkit#3966).

    It gives the record of a build 20 seconds, for example, and fails a build that has succeeded when they are over.
    """
    return what.removeprefix("failed to solve: ").startswith("DeadlineExceeded: ")
