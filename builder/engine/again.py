"""What is done again when a solve fails: BuildKit has failures of its own that are gone then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from builder.cachespec import is_race
from builder.engine.docker import SolveError

Result = TypeVar("Result")

PAUSES = (0.0, 0.0, 1.0, 2.0, 5.0, 20.0)
"""Seconds before the second try and those after it: each time BuildKit keeps what it has finished, and has less
to do; and another solve, which this one got in the way of, has time to end. After a cache mount was removed it can
take one try for each of several stages."""


def once_more(solve: Callable[[], Result], say: Callable[[str], None] = lambda _: None) -> Result:
    """What a solve gives; one that failed by no fault of its own is done again, as often as `PAUSES` says.

    Args:
        say: Told what BuildKit said of one that failed, when there is a next one.

    Raises:
        SolveError: It failed.
    """
    for pause in PAUSES:
        try:
            return solve()
        except SolveError as error:
            if not (is_late(error.what) or is_race(error.what)):
                raise
            say(error.what)
        time.sleep(pause)
    return solve()


def is_late(what: str) -> bool:
    """Whether BuildKit took too long for what it does beside a solve, on a busy machine (moby/buildkit#3966).

    It gives the record of a build 20 seconds, for example, and fails a build that has succeeded when they are over.
    """
    return what.removeprefix("failed to solve: ").startswith("DeadlineExceeded: ")
