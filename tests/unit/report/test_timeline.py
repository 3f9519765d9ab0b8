"""Stages on a time line, from streams recorded of real solves (see tests/unit/engine)."""

from __future__ import annotations

import pytest

from builder.engine.events import EXPORT, BuildState
from builder.report.timeline import StageTime, merged, timeline
from builder.stagenames import STAGES
from tests.unit.engine.test_events import recorded


def times(*names: str) -> dict[str, StageTime]:
    return {stage.name: stage for stage in timeline([recorded(name)[0] for name in names])}


def spent(stage: StageTime) -> float:
    return sum(end - start for start, end in stage.busy)


def test_everything_runs() -> None:
    found = times("built")
    assert {stage.state for stage in found.values()} == {"ran"}
    assert list(found) == [*(name for name in STAGES if name in found), EXPORT]
    assert min(stage.started for stage in found.values() if stage.started is not None) == 0
    for stage in found.values():
        assert stage.started is not None and stage.ended is not None
        assert (stage.started, stage.ended) == (stage.busy[0][0], stage.busy[-1][1])
    assert found["compile"].started >= found["source"].ended  # type: ignore[operator]


def test_a_step_of_two_targets_counts_once() -> None:
    """The recorded compile took 1.78 s of its own, and both targets report it."""
    compiled = times("built")["compile"]
    assert 1.7 < spent(compiled) < 1.8


def test_everything_is_cached() -> None:
    found = times("cached")
    export = found.pop(EXPORT)
    assert export.state == "ran"
    assert {(stage.state, stage.started, stage.busy) for stage in found.values()} == {("cached", None, ())}


def test_a_list_edit() -> None:
    ran = {name for name, stage in times("list-edited").items() if stage.state == "ran"}
    assert ran == {"split", "kernel-package", EXPORT}


def test_what_one_solve_ran_another_finds_cached() -> None:
    once, twice = times("built"), times("built", "cached")
    assert {name: stage for name, stage in twice.items() if name != EXPORT} == {
        name: stage for name, stage in once.items() if name != EXPORT
    }
    assert len(twice[EXPORT].busy) == len(once[EXPORT].busy) + 1


@pytest.mark.parametrize(("name", "state"), [("failed", "stopped"), ("cancelled", "stopped")])
def test_stopped(name: str, state: str) -> None:
    assert times(name)["firmware"].state == state


def test_nothing() -> None:
    assert timeline([]) == timeline([BuildState()]) == ()


def test_merged() -> None:
    assert merged([(5, 6), (1, 2), (1.5, 3), (3, 4)]) == [(1, 4), (5, 6)]
