"""What a build reports while it runs: BuildKit's progress stream read into stages and typed events.

`BuildState.feed` takes the output of `docker buildx bake --progress rawjson` (JSON objects of BuildKit's
`client.SolveStatus`, spread over many lines by buildx 0.13 and one per line by newer ones, with plain text between
them when something fails) and returns what happened since. A Dockerfile stage is one row here, whatever number of
steps, targets and platforms it takes part in. Where one solve has several builds, whose targets are `NAME_TARGET`, each
has its own rows: `STAGE@NAME`, by the name of the build that BuildKit shows for a step.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from builder.engine.rawjson import Reader
from builder.engine.stage import MOMENT, Progress, Stage, StageState, Vertex
from builder.stages.common import MARK, NO_SPACE

EXPORT = "export"
"""The name under which everything that writes or pushes results is reported, as if it were one more stage."""

# `[target linux/arm64 compile 2/4] RUN …`: BuildKit's dockerfile2llb.prefixCommand, after buildx's own prefix.
_STEP = re.compile(r"\[(?P<words>[^\]]*?) *(?P<step>\d+)/(?P<steps>\d+)\] ")
_OF_SEVERAL = re.compile(r"(?P<member>[a-z0-9-]+)_")
"""What the targets of one of several builds in a solve start with."""
_OUTPUT = re.compile(r"(?:\[[^\]]+\] )?(?:exporting|pushing) ")
_TAR = re.compile(r"(?:\[(?P<target>[^\] ]+)\] )?exporting to client tarball")
_CACHE = re.compile(r"(?:\[[^\]]+\] )?(?:importing|exporting) cache ")
NAMING = "naming to "
_LOST = "not found"
"""The whole error of a step whose cached result was pruned: BuildKit then takes another result, or runs the step."""


@dataclass(frozen=True, kw_only=True)
class StageStarted:
    """The first step of a stage that is not in the cache began."""

    stage: str


@dataclass(frozen=True, kw_only=True)
class StageCached:
    """Every step of a stage was in the cache."""

    stage: str


@dataclass(frozen=True, kw_only=True)
class StageDone:
    """A stage ran to its end, in `seconds` of wall time (see `Stage.seconds`)."""

    stage: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class StageFailed:
    """A step of a stage failed with BuildKit's `error`."""

    stage: str
    seconds: float
    error: str


@dataclass(frozen=True, kw_only=True)
class StageStopped:
    """A stage was cancelled before its end."""

    stage: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One whole line that a step printed, with no line end; `stage` is empty for what belongs to none."""

    stage: str
    text: str


@dataclass(frozen=True, kw_only=True)
class PlainLine:
    """One line of the client that is no JSON: its account of an error."""

    text: str


Event = StageStarted | StageCached | StageDone | StageFailed | StageStopped | Progress | LogLine | PlainLine


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """What a solve did: names of stages that ran (at least one step executed), were cached whole, or failed."""

    ran: frozenset[str]
    cached: frozenset[str]
    failed: frozenset[str]


class BuildState:
    """The state of one solve, fed with the client's output.

    Args:
        before: What an earlier try of the same solve did; this one finds that cached.

    Attributes:
        stages: Every stage heard of, by name, in the order of appearance (`EXPORT` among them).
        errors: The `error` events that stage programs sent (`builder.stages.common`), each with its `stage`.
        compile_log: The name that the compile gave its log, in an event `log`; None when none did.
        warnings: What went wrong without failing the build by itself: a cache that could not be read or written.
        text: The client's plain lines, in order.
        exported: The targets whose archives are whole on this machine, by their names in the bake file, in order; an
            empty name where the solve has one target only.
        named: The references that images are given in the engine, as it writes them (`docker.io/acme/os-kernel:6.12`),
            in order: from when it begins to.
    """

    def __init__(self, before: BuildResult | None = None) -> None:
        self._before = before
        self.stages: dict[str, Stage] = {}
        self.errors: list[dict[str, Any]] = []
        self.compile_log: str | None = None
        self.warnings: list[str] = []
        self.text: list[str] = []
        self.exported: list[str] = []
        self.named: list[str] = []
        self._named: set[str] = set()
        self._vertexes: dict[str, Vertex] = {}
        self._partial: dict[tuple[str, int], bytes] = {}
        self._reader = Reader()
        self._begun: float | None = None
        self._fetches = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes of the stream (any cut) and return what happened, in order."""
        return [event for item in self._reader.feed(chunk) for event in self._take(item)]

    def finish(self) -> list[Event]:
        """Say that the stream ended: half-read lines are given out, and no stage is left running."""
        events = [event for item in self._reader.finish() for event in self._take(item)]
        for key in list(self._partial):
            events += self._flush(key)
        for stage in self.stages.values():
            if stage.state is StageState.RUNNING:
                whole = stage.name == EXPORT and all(vertex.completed for vertex in stage.vertexes)
                events += _enter(stage, StageState.DONE if whole else StageState.STOPPED)
        return events

    @property
    def result(self) -> BuildResult:
        """Which stages ran, were cached and failed; the export is not among them."""
        stages = [stage for stage in self.stages.values() if stage.name != EXPORT]
        before = self._before.ran if self._before else frozenset()
        ran = before | frozenset(stage.name for stage in stages if stage.ran)
        return BuildResult(
            ran=ran,
            cached=frozenset(stage.name for stage in stages if stage.state is StageState.CACHED) - ran,
            failed=frozenset(stage.name for stage in stages if stage.state is StageState.FAILED),
        )

    @property
    def failure(self) -> Stage | None:
        """The stage that failed first (`EXPORT` when results could not be written or pushed)."""
        return next((stage for stage in self.stages.values() if stage.state is StageState.FAILED), None)

    @property
    def no_space(self) -> bool:
        """A disk is full: the engine's, the client's, or the one that a stage wrote to."""
        lines = [vertex.error for vertex in self._vertexes.values()] + self.text
        if self.failure:
            lines += self.failure.tail
        return any(map(NO_SPACE.search, lines))

    def _take(self, item: dict[str, Any] | str) -> Iterator[Event]:
        if isinstance(item, str):
            self.text.append(item)
            yield PlainLine(text=item)
            return
        touched: dict[str, Stage] = {}
        for report in item.get("vertexes") or ():
            touched.update({stage.name: stage for stage in self._update(report)})
            self._note_export(self._vertexes[report["digest"]])
        for stage in touched.values():
            if stage.busy:
                yield from _enter(stage, StageState.RUNNING)
        for status in item.get("statuses") or ():
            self._note_name(status["id"])
        for log in item.get("logs") or ():
            yield from self._log(log)
        for key in list(self._partial):
            if self._vertexes[key[0]].completed:
                yield from self._flush(key)
        for stage in touched.values():
            yield from _enter(stage, stage.observed())

    def _update(self, report: dict[str, Any]) -> list[Stage]:
        """Bring one vertex up to date; return the stages that it belongs to."""
        vertex = self._vertexes.setdefault(report["digest"], Vertex())
        vertex.name = report.get("name", vertex.name)
        started, completed = _time(report.get("started")), _time(report.get("completed"))
        if self._begun is None and "load build definition" in vertex.name:
            self._begun = started
        for name in _stages(vertex):
            stage = self.stages.setdefault(name, Stage(name=name))
            if name not in vertex.stages:
                vertex.stages.add(name)
                stage.vertexes.append(vertex)
        # Every target reports the steps that it shares with others, each at its own time: the first end counts.
        cached = bool(report.get("cached"))
        self._fetches |= "importing cache" in vertex.name and completed is not None and not report.get("error")
        if vertex.is_again(vertex.name.partition(" ")[0], started, cached=cached) and not self._fetches:
            vertex.lost = vertex.again = True
        vertex.cached = (vertex.cached or cached) and not vertex.again
        if (vertex.completed is None or vertex.lost) and not (vertex.again and cached):
            vertex.started, vertex.completed = started or vertex.started, completed
            vertex.error = report.get("error", "")
            vertex.lost = vertex.error == _LOST
            if vertex.lost:
                vertex.error, vertex.cached = "", False
            if vertex.error and _CACHE.match(vertex.name):
                self.warnings.append(f"{vertex.name}: {vertex.error}")
                vertex.error = ""
            if started and not vertex.lost and (report.get("inputs") or EXPORT in vertex.stages):
                vertex.executed = completed is None or self._took_time(started, completed)
        if vertex.cached:  # fetching it from a cache that was imported is reported as if it ran
            vertex.executed = False
        return [self.stages[name] for name in vertex.stages]

    def _note_export(self, vertex: Vertex) -> None:
        """BuildKit ends this step when the client has closed the file."""
        if vertex.completed and not vertex.error and not vertex.exported and (tar := _TAR.fullmatch(vertex.name)):
            vertex.exported = True
            self.exported.append(tar["target"] or "")

    def _note_name(self, what: str) -> None:
        """BuildKit shows the naming of an image as a part of its export, when it begins and when it is done."""
        if what.startswith(NAMING) and (reference := what.removeprefix(NAMING)) not in self._named:
            self._named.add(reference)
            self.named.append(reference)

    def _took_time(self, started: float, completed: float) -> bool:
        """Whether a step really ran in this solve: not in an earlier one, and not only in name. A step that turns out
        to be equal to a cached one only when its inputs are there is reported as if it ran, for some microseconds."""
        return completed >= (self._begun or 0.0) and completed - started > MOMENT

    def _log(self, log: dict[str, Any]) -> Iterator[Event]:
        digest, stream = log["vertex"], int(log.get("stream", 1))
        self._vertexes.setdefault(digest, Vertex())
        try:
            data = base64.b64decode(log.get("data") or "")
        except binascii.Error:
            return
        *lines, rest = (self._partial.pop((digest, stream), b"") + data).split(b"\n")
        if rest:
            self._partial[digest, stream] = rest
        for line in lines:
            yield from self._line(digest, line)

    def _flush(self, key: tuple[str, int]) -> Iterator[Event]:
        yield from self._line(key[0], self._partial.pop(key))

    def _line(self, digest: str, raw: bytes) -> Iterator[Event]:
        text = raw.decode(errors="replace").rstrip("\r").rpartition("\r")[2]
        names = self._vertexes[digest].stages
        stage = self.stages[min(names)] if names else Stage(name="")
        match message := _message(text):
            case {"event": "progress", "done": int(done), "total": int(total), "text": str(at)}:
                stage.progress = Progress(stage=stage.name, done=done, total=total, text=at)
                yield stage.progress
            case {"event": "error", "what": str()}:
                self.errors.append({**message, "stage": stage.name})
            case {"event": "log", "name": str(name)}:
                self.compile_log = name
            case _:
                stage.tail.append(text)
                yield LogLine(stage=stage.name, text=text)


def _enter(stage: Stage, state: StageState) -> Iterator[Event]:
    """Change the state of a stage, and say so if it is another one than before."""
    if state is stage.state:
        return
    stage.state = state
    match state:
        case StageState.RUNNING:
            yield StageStarted(stage=stage.name)
        case StageState.CACHED:
            yield StageCached(stage=stage.name)
        case StageState.DONE:
            yield StageDone(stage=stage.name, seconds=stage.seconds)
        case StageState.FAILED:
            yield StageFailed(stage=stage.name, seconds=stage.seconds, error=stage.error)
        case StageState.STOPPED:
            yield StageStopped(stage=stage.name, seconds=stage.seconds)


def _stages(vertex: Vertex) -> list[str]:
    """The stage that the vertex's name tells, if any; its place in the stage is noted on the way."""
    if step := _STEP.match(vertex.name):
        vertex.step, vertex.steps = int(step["step"]), int(step["steps"])
        words = step["words"].split() or ["stage-0"]
        several = _OF_SEVERAL.match(words[0]) if len(words) > 1 else None
        return [f"{words[-1]}@{several['member']}" if several else words[-1]]
    return [EXPORT] if _OUTPUT.match(vertex.name) else []


def _message(text: str) -> dict[str, Any]:
    """The JSON object of a stage program's line (`builder.stages.common.emit`); empty for any other line."""
    if not text.startswith(MARK):
        return {}
    try:
        message = json.loads(text[len(MARK) :])
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _time(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
