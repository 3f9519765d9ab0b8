"""When each stage of a build ran, from what its solves reported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from builder import stagenames
from builder.engine.events import EXPORT, BuildState
from builder.engine.stage import Stage, StageState

State = Literal["ran", "cached", "failed", "stopped"]

EXPORT_TITLE = "results to the engine and to dist"


@dataclass(frozen=True, kw_only=True)
class StageTime:
    """One stage of `builder.stagenames.STAGES`, or the export of results. Times are seconds since the first step began.

    Attributes:
        state: `cached` when nothing of it ran, in any solve.
        started: When its first step began; None when none did. `ended`: when its last step was done.
        busy: The spans in which a step ran, in order and apart; between them the stage waited for others.
    """

    name: str
    title: str
    state: State
    started: float | None = None
    ended: float | None = None
    busy: tuple[tuple[float, float], ...] = ()


def timeline(states: Sequence[BuildState], name: str = "") -> tuple[StageTime, ...]:
    """The stages that the solves of one build heard of, in the order of the graph; the export comes last.

    Args:
        name: Of several builds in these solves, the one that is meant; see `builder.stagenames.stage_of`.

    A step that two solves or two targets report is one step: spans that overlap count once. A stage that one solve ran
    and another found in the cache ran.
    """
    parts: dict[str, list[Stage]] = {}
    for state in states:
        for stage in state.stages.values():
            if shown := EXPORT if stage.name == EXPORT else stagenames.stage_of(name, stage.name):
                parts.setdefault(shown, []).append(stage)
    spans = {name: merged(_executed(stages)) for name, stages in parts.items()}
    zero = min((found[0][0] for found in spans.values() if found), default=0.0)
    titles = {**stagenames.STAGES, EXPORT: EXPORT_TITLE}
    return tuple(
        _stage_time(name, title, parts[name], [(start - zero, end - zero) for start, end in spans[name]])
        for name, title in titles.items()
        if name in parts
    )


def merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans (start, end) in order, with those that touch or overlap made one."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def _executed(stages: Iterable[Stage]) -> list[tuple[float, float]]:
    """The spans of the steps that really ran, of the stages that did: a COPY that only looked is none."""
    return [
        (vertex.started, vertex.completed)
        for stage in stages
        if stage.ran
        for vertex in stage.vertexes
        if vertex.executed and vertex.started and vertex.completed and vertex.completed > vertex.started
    ]


def _stage_time(name: str, title: str, stages: Sequence[Stage], busy: Sequence[tuple[float, float]]) -> StageTime:
    rounded = tuple((round(start, 3), round(end, 3)) for start, end in busy)
    return StageTime(
        name=name,
        title=title,
        state=_state(stages),
        started=rounded[0][0] if rounded else None,
        ended=rounded[-1][1] if rounded else None,
        busy=rounded,
    )


def _state(stages: Sequence[Stage]) -> State:
    seen = {stage.state for stage in stages}
    if StageState.FAILED in seen:
        return "failed"
    if StageState.STOPPED in seen:
        return "stopped"
    return "ran" if any(stage.ran for stage in stages) else "cached"
