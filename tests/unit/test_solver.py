"""What is done again when a solve fails, and what is not."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from rich.console import Console

from builder.buildlog import BuildLog
from builder.engine.base import BaseImage
from builder.engine.docker import SolveError
from builder.errors import EngineError
from builder.project import load_project
from builder.solver import Builder
from builder.view import QuietView
from tests.unit.projects import write_project

AT, LATER = "2026-01-01T00:00:01Z", "2026-01-01T00:00:09Z"
LATE = "failed to solve: DeadlineExceeded: context deadline exceeded"


class Engine:
    """Stands in for the engine: fails as it is told, one solve after the other."""

    build_cache: Any = None

    def __init__(self, *fails: str) -> None:
        self.left = list(fails)
        self.solves = 0
        self.targets: list[list[str]] = []
        self.plans: list[Mapping[str, Any]] = []

    def bake(self, plan: Mapping[str, Any], *, epoch: int, on_output: Callable[[str], None]) -> dict[str, Any]:
        self.solves += 1
        self.targets.append(sorted(plan["target"]))
        self.plans.append(plan)
        if self.left:
            raise SolveError(self.left.pop(0))
        return {"resolve": {"epoch": epoch}}


def solve(
    root: Path,
    engine: Engine,
    exported: Callable[[str], None] = lambda _target: None,
    targets: Sequence[str] = ("resolve",),
    more: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    with building(root, engine, exported) as builder:
        return builder.solve({"target": {name: dict(more) for name in targets}}, epoch=7)[1]


@contextmanager
def building(root: Path, engine: Engine, exported: Callable[[str], None] = lambda _target: None) -> Iterator[Builder]:
    """What solves, while its log is open."""
    project = load_project(write_project(root / "project"), arch="x86")
    project.dist.mkdir()
    with BuildLog(root / "writing.log", root / "build.log") as log:
        yield Builder(
            project=project,
            engine=engine,  # type: ignore[arg-type]
            base=BaseImage(ref="b", id="sha256:1", origin="local"),
            view=QuietView(Console(file=io.StringIO())),
            log=log,
            folder=root,
            exported=exported,
        )


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


@pytest.mark.parametrize(
    "what",
    [
        "failed to solve: not found",
        LATE,
        LATE.replace("context", "recordBuildHistory: context"),
        "could not lock /a cache/index.json.lock",
    ],
)
def test_what_is_gone_when_it_is_done_again(tmp_path: Path, what: str) -> None:
    engine = Engine(what)
    assert solve(tmp_path, engine) == {"resolve": {"epoch": 7}}
    assert engine.solves == 2
    assert f"solved once more: {what}" in (tmp_path / "build.log").read_text()


def test_what_targets_share_is_done_one_by_one_before_it_is_done_again(tmp_path: Path) -> None:
    engine = Engine("failed to get state for index 0 on [compile 3/3] RUN make", "not found")
    solve(tmp_path, engine, targets=("a", "b"))
    assert engine.targets == [["a", "b"], ["a"], ["a", "b"]]
    engine = Engine("failed to get state for index 0 on [compile 3/3] RUN make")
    solve(tmp_path / "other", engine, targets=("a", "b"))
    assert engine.targets == [["a", "b"], ["a"], ["b"], ["a", "b"]]


GONE = "failed to solve: snapshot a does not exist: not found"
RACE = "failed to solve: failed to get edge: inconsistent graph state"


def test_a_mended_bake_file_is_solved_once(tmp_path: Path) -> None:
    """What it made anew is in the cache then: a race after it is a race of the plan as it was."""
    engine = Engine(GONE, GONE, RACE)
    solve(tmp_path, engine, targets=("a", "b"))
    plain: dict[str, Any] = {}
    plans = [list(plan["target"].values()) for plan in engine.plans]
    assert plans[:3] == [[plain] * 2, [plain] * 2, [{"no-cache": True}] * 2]
    assert [[target.get("no-cache") for target in plan] for plan in plans[3:]] == [[None], [None], [None, None]]
    log = (tmp_path / "build.log").read_text()
    assert "warning: the engine's build cache is damaged: all stages" in log


def test_a_shared_cache_that_fails_is_done_without(tmp_path: Path) -> None:
    failed = "failed to solve: failed to compute cache key: failed to copy: httpReadSeeker: not found"
    engine = Engine(failed)
    assert solve(tmp_path, engine, more={"cache-from": ["type=registry,ref=a"]}) == {"resolve": {"epoch": 7}}
    assert [target["cache-from"] for plan in engine.plans for target in plan["target"].values()] == [
        ["type=registry,ref=a"],
        [],
    ]
    assert "warning: the build goes on without the shared caches" in (tmp_path / "build.log").read_text()
    for what, more in ((failed, {}), ("process did not complete successfully: 1", {"cache-from": ["a"]})):
        engine = Engine(what)
        with pytest.raises(EngineError):
            solve(tmp_path / what[-1], engine, more=more)
        assert engine.solves == 1


WRITES = "type=local,dest=/a cache,tag=b"
INDEX = 'could not unmarshal /a cache/index.json ("{"): unexpected end of JSON input'


UNASKED = "failed to solve: failed to configure azblob cache exporter: dial tcp 192.0.2.1:443: i/o timeout"
UNKNOWN = "failed to solve: unknown cache exporter: s3"


@pytest.mark.parametrize("what", [INDEX, UNASKED, UNKNOWN])
def test_a_shared_cache_that_cannot_be_written_fails_no_build(tmp_path: Path, what: str) -> None:
    engine = Engine(what)
    more = {"cache-from": ["a"], "cache-to": [f"{WRITES},ignore-error=true"]}
    assert solve(tmp_path, engine, more=more) == {"resolve": {"epoch": 7}}
    assert [plan["target"]["resolve"] for plan in engine.plans] == [more, {"cache-from": ["a"]}]
    assert f"warning: no shared cache is written: {what}" in (tmp_path / "build.log").read_text()
    for number, more in enumerate(({"cache-to": [WRITES]}, {})):
        with pytest.raises(EngineError):
            solve(tmp_path / str(number), Engine(what), more=more)


def test_what_was_done_before_a_shared_cache_failed(tmp_path: Path) -> None:
    """The next solve finds it cached; it ran nevertheless, and what was said of caches was said."""

    class Compiling(Engine):
        def bake(self, plan: Mapping[str, Any], *, epoch: int, on_output: Callable[[str], None]) -> dict[str, Any]:
            step = {"digest": "a", "name": "[compile 3/3] RUN make", "inputs": ["b"], "cached": self.solves > 0}
            on_output(json.dumps({"vertexes": [{**step, "started": AT, "completed": LATER}]}) + "\n")
            if not self.solves:
                dead = {"digest": "b", "name": "importing cache manifest from r.example/c", "started": AT}
                on_output(json.dumps({"vertexes": [{**dead, "completed": AT, "error": "no such host"}]}) + "\n")
            return super().bake(plan, epoch=epoch, on_output=on_output)

    with building(tmp_path, Compiling("failed to solve: failed to copy: not whole")) as builder:
        state, _ = builder.solve({"target": {"a": {"cache-from": ["b"]}}})
    assert "compile" in state.result.ran
    assert any("no such host" in warning for warning in builder.warnings)


def test_a_cache_that_is_needed(tmp_path: Path) -> None:
    engine = Engine("failed to solve: failed to copy: not whole")
    with building(tmp_path, engine) as builder, pytest.raises(EngineError):
        replace(builder, needs_sources=True).solve({"target": {"a": {"cache-from": ["b"]}}})
    assert engine.solves == 1


@pytest.mark.parametrize(
    ("fails", "solves", "hint"),
    [
        ([LATE] * 5, 5, "rosk cache prune --all"),
        ([GONE] * 5, 5, "docker buildx prune --all"),
        ([RACE] * 5, 5, "build again"),
        (["failed to solve: denied", LATE], 1, "rosk doctor"),
    ],
)
def test_what_is_not(tmp_path: Path, fails: list[str], solves: int, hint: str) -> None:
    """It is an error with a next step, also where it had been tried again."""
    engine = Engine(*fails)
    with pytest.raises(EngineError) as caught:
        solve(tmp_path, engine)
    assert engine.solves == solves
    assert fails[0] in (caught.value.what, *caught.value.details)
    assert caught.value.hint and hint in caught.value.hint


def test_an_archive_is_told_of_while_the_solve_goes_on(tmp_path: Path) -> None:
    told: list[str] = []

    class Exporting(Engine):
        def bake(self, plan: Mapping[str, Any], *, epoch: int, on_output: Callable[[str], None]) -> dict[str, Any]:
            name, times = "[release] exporting to client tarball", {"started": AT, "completed": AT}
            on_output(json.dumps({"vertexes": [{"digest": "a", "name": name, **times}]}) + "\n")
            assert told.pop() == "release"
            return super().bake(plan, epoch=epoch, on_output=on_output)

    engine = Exporting(LATE)
    solve(tmp_path, engine, told.append)
    assert (engine.solves, told) == (2, [])
