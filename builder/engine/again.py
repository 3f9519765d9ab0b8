"""What is done again when a solve fails: BuildKit has failures of its own that are gone then."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

from builder.engine.docker import SolveError

Result = TypeVar("Result")

_RACES = (
    "failed to get state for index",
    "inconsistent graph state",
    "no access allowed to dir",
    "grpc: the client connection is closing",
    "no active sessions",
    "index.json.lock",
)
_BROKEN = re.compile(
    r"snapshot \S+ does not exist|failed to stat active key|failed to mount \S+: \[.*\]: no such file or directory"
)
PAUSES = (0.0, 1.0, 5.0, 20.0)
"""Seconds before the second try and those after it: each time BuildKit keeps what it has finished, and has less
to do; and another solve, which this one got in the way of, has time to end."""

_UNPACKED = 3
"""How often an image is unpacked anew before its stages are taken for lost."""


def once_more(
    solve: Callable[[], Result],
    say: Callable[[str], None] = lambda _: None,
    *,
    apart: Callable[[], None] = lambda: None,
    mend: Callable[[str], None] = lambda _what: None,
) -> Result:
    """What a solve gives; one that failed by no fault of its own is done again, as often as `PAUSES` says.

    Args:
        say: Told what BuildKit said of one that failed, when there is a next one.
        apart: Called before the next one where a step was lost: does the work of the solve's targets, one after the
            other. BuildKit (0.13) loses a step that two targets share when the one that ran it is done before the
            other.
        mend: Called before the next one where the build cache is damaged and another try has not helped, or none of
            several where an image was not unpacked: sees that it does without what is lost. Told what BuildKit said.

    Raises:
        SolveError: It failed.
    """
    broken = 0
    for pause in PAUSES:
        try:
            return solve()
        except SolveError as error:
            _say_own_fault(error, say)
            what = error.what
        broken = broken + 1 if is_broken(what) else 0
        time.sleep(pause)
        if broken > (_UNPACKED if is_unpacking(what) else 1):
            mend(what)
        elif is_race(what):
            try:
                apart()
            except SolveError as error:
                _say_own_fault(error, say)
    return solve()


def _say_own_fault(error: SolveError, say: Callable[[str], None]) -> None:
    """Say what failed by BuildKit's own fault; any other failure is raised again."""
    if not (is_late(error.what) or is_race(error.what) or is_broken(error.what)):
        raise error
    say(error.what)


def is_race(what: str) -> bool:
    """Whether BuildKit failed in its own bookkeeping (moby/buildkit#3635): the same solve, done again, works.

    Several targets that share steps can meet it; what they did is kept. That no access is allowed to a folder it says
    where the target that sends it was done before another had begun (`builder.engine.linked`); that a connection is
    closing, or no session active, where one that reads a cache of this machine was (docker/buildx#1325). And it does
    not wait for another client that has the index of a cache's folder ("could not lock …/index.json.lock").
    """
    what = what.removeprefix("failed to solve: ")
    return what == "not found" or any(words in what for words in _RACES)


def is_late(what: str) -> bool:
    """Whether BuildKit took too long for what it does beside a solve, on a busy machine (moby/buildkit#3966).

    It gives the record of a build 20 seconds, for example, and fails a build that has succeeded when they are over.
    """
    return what.removeprefix("failed to solve: ").startswith("DeadlineExceeded: ")


def is_broken(what: str) -> bool:
    """Whether the engine lacks a result that its build cache has a record of, or the layer that another lies on.

    BuildKit loses one for a moment as it unpacks an image (`is_unpacking`), and before 0.31 for good where a step had
    read it that failed (moby/buildkit#6820). Then no other try may help while the record is there.
    """
    return _BROKEN.search(what) is not None


def is_unpacking(what: str) -> bool:
    """Whether the engine lost a layer of an image as it unpacked the image (moby/buildkit#6521).

    A tag is taken from an image before the next one that gets it is unpacked: what they have in common belongs to
    neither for a moment, and goes where containerd clears up in it. No result of a build is lost with it.
    """
    return "extraction snapshot" in what
