"""The stages of a solve and their steps, as BuildKit has last reported them (`builder.engine.events`)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

TAIL_LINES = 200
MOMENT = 0.002
"""Seconds in which no step can run: a COPY of one small file takes ten times as long."""


class StageState(StrEnum):
    """Where a stage stands; `stopped` is one that was cancelled because another failed or the user asked for it."""

    WAITING = "waiting"
    RUNNING = "running"
    CACHED = "cached"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A stage program says how far it is: `done` of `total` (0: unknown), now at `text`."""

    stage: str
    done: int
    total: int
    text: str


@dataclass(kw_only=True)
class Vertex:
    """One node of the solve, as last reported; times are seconds since 1970.

    `step` of `steps` is its place in its stage, 0 when it has none. `executed` means that this solve really ran it: it
    was not in the cache, is no base image, and was not finished earlier by another solve of the same engine. `cached`
    means that its result is in a cache, and `cached_at` when each target said so; `lost`, that it had been pruned: what
    is reported after that counts; `again`, that it had, and ran. `exported`: it wrote an archive, which
    `BuildState.exported` had.
    """

    name: str = ""
    stages: set[str] = field(default_factory=set)
    step: int = 0
    steps: int = 0
    executed: bool = False
    started: float | None = None
    completed: float | None = None
    error: str = ""
    cached: bool = False
    cached_at: dict[str, float] = field(default_factory=dict)
    lost: bool = False
    again: bool = False
    exported: bool = False

    def is_again(self, target: str, started: float | None, *, cached: bool) -> bool:
        """Whether a target says that the step begins of which it has said that it is cached; it was pruned then."""
        if cached and started:
            self.cached_at[target] = started
        return not cached and started is not None and started > self.cached_at.pop(target, started)

    @property
    def cancelled(self) -> bool:
        return "context canceled" in self.error


@dataclass(kw_only=True)
class Stage:
    """One Dockerfile stage; `state`, `progress` and `tail` (its last log lines) are current at any time."""

    name: str
    state: StageState = StageState.WAITING
    vertexes: list[Vertex] = field(default_factory=list)
    progress: Progress | None = None
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))

    @property
    def seconds(self) -> float:
        """Wall seconds in which at least one step ran: spans that overlap count once, waiting between them not."""
        total, end = 0.0, 0.0
        spans = sorted((v.started, v.completed) for v in self.vertexes if v.executed and v.started and v.completed)
        for begin, finish in spans:
            total += max(0.0, finish - max(begin, end))
            end = max(end, finish)
        return total

    @property
    def error(self) -> str:
        """BuildKit's error of the step that failed, or an empty string."""
        return next((vertex.error for vertex in self.vertexes if vertex.error and not vertex.cancelled), "")

    @property
    def ran(self) -> bool:
        """At least one step was executed. Where there are RUN steps, they tell: a COPY of equal content is executed
        now and then only to find that out, and what follows it comes from the cache."""
        runs = [vertex for vertex in self.vertexes if "] RUN " in vertex.name]
        return any(vertex.executed for vertex in runs or self.vertexes)

    @property
    def last(self) -> list[Vertex]:
        """The stage's last step, as each target has it. A base image can go by its place in another Dockerfile, of
        another solve that uses it at the same time: the highest number counts."""
        steps = max((vertex.steps for vertex in self.vertexes), default=0)
        return [vertex for vertex in self.vertexes if vertex.step == steps > 0]

    @property
    def busy(self) -> bool:
        """A step is being executed now."""
        return any(vertex.executed and vertex.completed is None for vertex in self.vertexes)

    def observed(self) -> StageState:
        """The state that the vertexes tell."""
        if self.error:
            return StageState.FAILED
        if not self.busy and any(vertex.completed and not vertex.error for vertex in self.last):
            return StageState.DONE if self.ran else StageState.CACHED
        if any(vertex.cancelled and vertex.executed for vertex in self.vertexes):
            return StageState.STOPPED
        return StageState.RUNNING if self.ran or self.busy else self.state
