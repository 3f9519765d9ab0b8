"""What is solved again when BuildKit fails by no fault of the solve, and what is not."""

from __future__ import annotations

import pytest

from builder.engine.again import PAUSES, once_more
from builder.engine.docker import SolveError

RACE = "failed to solve: failed to get edge: inconsistent graph state"
CLOSING = "failed to solve: Canceled: grpc: the client connection is closing"
SESSION = "failed to solve: no active sessions"
LATE = "failed to solve: DeadlineExceeded: context deadline exceeded"
GONE = "failed to solve: snapshot z4dwir2wz70ul7xj7z2u1bwxc does not exist: not found"
UNPACKING = (
    'failed to solve: failed to prepare extraction snapshot "extract-5 sha256:e3": parent snapshot sha256:af does not '
    "exist: not found"
)
BROKEN = [
    GONE,
    "failed to solve: failed to finalize upper parent during diff: failed to commit a to b during finalize: failed to "
    "stat active key during commit: snapshot a does not exist: not found",
    "failed to solve: failed to calculate checksum of ref dqq4::gnwc: failed to mount /tmp/buildkit-mount37: "
    "[{Type:overlay Source:overlay Target: Options:[index=off lowerdir=/s/1053/fs]}]: no such file or directory",
]


class Solve:
    """Fails with these words, in turn, and then gives 7."""

    def __init__(self, *fails: str) -> None:
        self.fails = list(fails)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.fails:
            raise SolveError(self.fails.pop(0))
        return 7


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited."""
    found: list[float] = []
    monkeypatch.setattr("time.sleep", found.append)
    return found


@pytest.mark.parametrize("fails", [(), (RACE,), (LATE,), (RACE, LATE), (RACE, RACE, RACE), (CLOSING,), (SESSION,)])
def test_a_fault_of_its_own_is_gone_with_another_try(fails: tuple[str, ...], paused: list[float]) -> None:
    solve, said, apart = Solve(*fails), list[str](), list[int]()
    assert once_more(solve, said.append, apart=lambda: apart.append(solve.calls)) == 7
    assert apart == [number for number, what in enumerate(fails, 1) if what != LATE]
    assert solve.calls == len(fails) + 1
    assert (tuple(said), tuple(paused)) == (fails, PAUSES[: len(fails)])


def test_what_fails_always_fails(paused: list[float]) -> None:
    solve = Solve(*[RACE] * (len(PAUSES) + 1))
    with pytest.raises(SolveError, match="inconsistent graph state"):
        once_more(solve)
    assert solve.calls == len(PAUSES) + 1


def test_the_targets_one_by_one_can_fail_so_too(paused: list[float]) -> None:
    solve, said, apart = Solve(RACE), list[str](), Solve(LATE)
    assert once_more(solve, said.append, apart=apart) == 7  # type: ignore[arg-type]
    assert (solve.calls, apart.calls, said) == (2, 1, [RACE, LATE])


def test_a_step_that_fails_in_a_target_alone_is_the_end(paused: list[float]) -> None:
    solve, apart = Solve(RACE), Solve("failed to solve: process did not complete successfully")
    with pytest.raises(SolveError, match="did not complete"):
        once_more(solve, apart=apart)  # type: ignore[arg-type]
    assert solve.calls == 1


def test_another_failure_is_not_tried_again(paused: list[float]) -> None:
    solve = Solve("failed to solve: process did not complete successfully", RACE)
    with pytest.raises(SolveError, match="did not complete"):
        once_more(solve)
    assert (solve.calls, paused) == (1, [])


@pytest.mark.parametrize("what", BROKEN)
def test_a_damaged_cache_is_mended_when_another_try_does_not_help(paused: list[float], what: str) -> None:
    mended: list[tuple[str, int]] = []

    def run(solve: Solve) -> int:
        mended.clear()
        return once_more(
            solve, apart=lambda: pytest.fail("apart"), mend=lambda what: mended.append((what, solve.calls))
        )

    assert (run(Solve(what)), mended) == (7, [])
    assert (run(Solve(what, what)), mended) == (7, [(what, 2)])
    assert (run(Solve(what, GONE, what)), mended) == (7, [(GONE, 2), (what, 3)])


def test_a_layer_lost_as_an_image_is_unpacked_is_no_damage_of_the_cache(paused: list[float]) -> None:
    solve, mended = Solve(UNPACKING, UNPACKING, UNPACKING), list[str]()
    assert once_more(solve, apart=lambda: pytest.fail("apart"), mend=mended.append) == 7
    assert (solve.calls, mended, sum(paused) >= 1) == (4, [], True)
    solve = Solve(*[UNPACKING] * len(PAUSES))
    assert once_more(solve, mend=mended.append) == 7
    assert mended == [UNPACKING]


def test_another_fault_between_is_a_new_beginning(paused: list[float]) -> None:
    solve, mended = Solve(GONE, RACE, GONE), list[str]()
    assert once_more(solve, mend=mended.append) == 7
    assert mended == []
