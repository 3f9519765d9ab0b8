"""Progress streams recorded from real solves (buildx 0.13.1, Docker Engine 26.1.5; see recorded/Dockerfile)."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from builder.cachespec import told
from builder.engine.events import (
    EXPORT,
    BuildResult,
    BuildState,
    Event,
    LogLine,
    PlainLine,
    StageCached,
    StageDone,
    StageFailed,
    StageStarted,
    StageStopped,
)
from builder.engine.stage import Progress, StageState

RECORDED = Path(__file__).parent / "recorded"
STAGES = frozenset({"toolchain", "source", "compile", "split", "headers", "kernel-package", "os-headers"})


def replay(stream: bytes, *, piece: int = 4096) -> tuple[BuildState, list[Event]]:
    state = BuildState()
    events = [event for at in range(0, len(stream), piece) for event in state.feed(stream[at : at + piece])]
    return state, events + state.finish()


def recorded(name: str) -> tuple[BuildState, list[Event]]:
    return replay((RECORDED / f"{name}.rawjson").read_bytes())


def of(events: list[Event], stage: str) -> list[Event]:
    return [event for event in events if not isinstance(event, PlainLine) and event.stage == stage]


def kinds(events: list[Event], stage: str) -> list[type[Event]]:
    return [type(event) for event in of(events, stage) if not isinstance(event, LogLine | Progress)]


def at(second: float) -> str:
    return f"2026-01-01T00:00:{second:012.9f}Z"


def vertex(name: str, digest: str = "", **report: Any) -> dict[str, Any]:
    return {"digest": digest or name, "inputs": ["sha256:0"], "name": name, **report}


def update(*vertexes: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"vertexes": vertexes, **more}).encode() + b"\n"


BEGIN = update(vertex("[internal] load build definition from Dockerfile", inputs=[], started=at(0), completed=at(0.1)))


class TestRecorded:
    def test_everything_runs(self) -> None:
        state, events = recorded("built")
        assert state.result.ran == STAGES
        assert state.result.cached == state.result.failed == frozenset()
        for stage in {*STAGES, EXPORT}:
            assert kinds(events, stage) == [StageStarted, StageDone]
        assert state.failure is None
        assert not state.no_space
        assert state.warnings == state.text == []

    def test_logs_and_progress(self) -> None:
        _, events = recorded("built")
        assert of(events, "compile")[1:-1] == [
            LogLine(stage="compile", text="make: 6"),
            *(
                event
                for number in (1, 2, 3)
                for event in (
                    Progress(stage="compile", done=number, total=3, text=f"fs/ext4/f{number}.o"),
                    LogLine(stage="compile", text=f"  CC      fs/ext4/f{number}.o"),
                )
            ),
            LogLine(stage="compile", text="half a line \ufffd"),
            Progress(stage="compile", done=4, total=3, text="vmlinux"),
            LogLine(stage="compile", text="no line end"),
        ]

    def test_everything_is_cached(self) -> None:
        state, events = recorded("cached")
        assert state.result.cached == STAGES
        assert state.result.ran == frozenset()
        for stage in STAGES:
            assert kinds(events, stage) == [StageCached]
        assert kinds(events, EXPORT) == [StageStarted, StageDone]

    def test_a_list_edit_never_compiles(self) -> None:
        state, events = recorded("list-edited")
        assert state.result.ran == {"split", "kernel-package"}
        assert state.result.cached == STAGES - state.result.ran
        assert kinds(events, "compile") == [StageCached]
        assert kinds(events, "split") == [StageStarted, StageDone]

    def test_a_stage_program_fails_and_stops_the_others(self) -> None:
        state, events = recorded("failed")
        assert state.result.failed == {"fails"}
        assert kinds(events, "fails") == [StageStarted, StageFailed]
        assert kinds(events, "firmware") == [StageStarted, StageStopped]
        assert state.errors == [
            {
                "event": "error",
                "stage": "fails",
                "what": "modules.list:3: listed twice",
                "hint": "remove it",
                "where": "lists/modules.list",
                "line": 3,
                "details": ["a.ko"],
            }
        ]
        assert state.failure is not None
        assert state.failure.name == "fails"
        assert state.failure.error.endswith("did not complete successfully: exit code: 1")
        assert list(state.failure.tail) == ["plain"]
        assert state.text[0] == "Dockerfile:31"
        assert state.text[-1].startswith("ERROR: failed to solve: process ")

    def test_a_copy_of_nothing(self) -> None:
        state, events = recorded("missing")
        assert kinds(events, "missing") == [StageFailed]
        assert state.failure is not None
        assert '"/no-such-file": not found' in state.failure.error
        assert state.errors == []

    @pytest.mark.parametrize(("name", "stage"), [("full", "full"), ("output-full", EXPORT)])
    def test_no_space_left(self, name: str, stage: str) -> None:
        state, events = recorded(name)
        assert state.no_space
        assert state.failure is not None
        assert state.failure.name == stage
        assert kinds(events, stage) == [StageStarted, StageFailed]

    def test_a_registry_that_is_not_there(self) -> None:
        state, events = recorded("push")
        assert kinds(events, EXPORT) == [StageStarted, StageFailed]
        assert state.failure is not None
        assert "failed to push localhost:5999/rosk/os-headers:1" in state.failure.error
        assert state.result.failed == frozenset()

    def test_stopped_by_the_user(self) -> None:
        state, events = recorded("cancelled")
        assert kinds(events, "firmware") == [StageStarted, StageStopped]
        assert state.failure is None
        assert state.text == ["ERROR: failed to solve: Canceled: context canceled"]

    def test_a_result_fetched_from_a_shared_cache(self) -> None:
        """Fetching and unpacking it are spans of their own, which end as if the step had run."""
        state, events = recorded("imported")
        assert kinds(events, "one") == [StageCached]
        assert (state.result.ran, state.result.cached) == (frozenset({"imported"}), frozenset({"one"}))

    def test_dead_caches(self) -> None:
        """A registry that refuses connections, to read from and to write to: said, and nothing failed."""
        state, _ = recorded("dead-caches")
        refused = "dial tcp 127.0.0.1:9: connect: connection refused"
        assert [line.partition(": ")[0] for line in state.warnings] == [
            "[release] importing cache manifest from 127.0.0.1:9/acme/cache:6",
            "[release] exporting cache to registry",
        ]
        assert all(line.endswith(refused) for line in state.warnings)
        assert state.failure is None
        assert state.stages[EXPORT].state is StageState.DONE
        assert told(state.warnings) == [
            f"nothing was taken from the cache 127.0.0.1:9/acme/cache:6: {refused}",
            f"the cache was not written to the registry: {refused}",
        ]


class TestStream:
    @pytest.mark.parametrize("piece", [1, 7, 100_000])
    def test_cut_anywhere(self, piece: int) -> None:
        for path in RECORDED.glob("*.rawjson"):
            stream = path.read_bytes()
            assert replay(stream, piece=piece)[1] == replay(stream)[1]

    def test_one_object_per_line(self) -> None:
        """The form of newer buildx; the recorded streams have one object over many lines."""
        for path in RECORDED.glob("*.rawjson"):
            text = path.read_text()
            lines, decoder, start = [], json.JSONDecoder(), 0
            while text.startswith("{", start):
                value, end = decoder.raw_decode(text, start)
                lines.append(json.dumps(value))
                start = end + 1
            assert len(lines) > 10
            assert replay("\n".join([*lines, text[start:]]).encode())[1] == replay(text.encode())[1]

    def test_what_is_no_json_is_plain(self) -> None:
        _, events = replay(b'{broken}\n\nERROR: x\r\n{\n "vertexes": [\n')
        assert events == [PlainLine(text=text) for text in ("{broken}", "ERROR: x", "{", ' "vertexes": [')]

    def test_a_line_of_a_program_that_is_no_event(self) -> None:
        data = base64.b64encode(b"##rosk not json\n##rosk [1]\n10%\r100%\r\n").decode()
        log = {"vertex": "v", "stream": 1, "data": data}
        _, events = replay(update(vertex("[split 1/1] RUN x", "v", started=at(1)), logs=[log]))
        assert [event.text for event in events if isinstance(event, LogLine)] == [
            "##rosk not json",
            "##rosk [1]",
            "100%",
        ]


class TestStages:
    @pytest.mark.parametrize(
        "name",
        [
            "[split 2/2] RUN x",
            "[kernel split 2/2] RUN x",
            "[linux/arm64 split 2/2] RUN x",
            "[kernel linux/amd64->arm64 split  2/2] RUN x",
        ],
    )
    def test_names(self, name: str) -> None:
        assert list(replay(update(vertex(name)))[0].stages) == ["split"]

    def test_spans_that_overlap_count_once_and_waiting_not_at_all(self) -> None:
        state, _ = replay(
            BEGIN
            + update(vertex("[split 1/3] COPY a /", started=at(1), completed=at(3)))
            + update(vertex("[other split 1/3] COPY a /", started=at(2), completed=at(4)))
            + update(vertex("[split 2/3] RUN x", started=at(10), completed=at(11)))
        )
        assert state.stages["split"].seconds == pytest.approx(4)

    def test_what_another_solve_ran_before_is_cached(self) -> None:
        stream = update(vertex("[internal] load build definition", inputs=[], started=at(10), completed=at(10.1)))
        stream += update(vertex("[compile 1/1] RUN make", started=at(1), completed=at(5)))
        state, events = replay(stream)
        assert kinds(events, "compile") == [StageCached]
        assert state.result.ran == frozenset()

    def test_two_targets_report_one_step(self) -> None:
        step = "[{} split 1/1] RUN x"
        state, events = replay(
            BEGIN
            + update(vertex(step.format("a"), "v", started=at(1)))
            + update(vertex(step.format("a"), "v", started=at(1), completed=at(2)))
            + update(vertex(step.format("b"), "v", started=at(1.1)))
            + update(vertex(step.format("b"), "v", started=at(1.1), completed=at(2.1)))
        )
        assert kinds(events, "split") == [StageStarted, StageDone]
        assert state.stages["split"].seconds == pytest.approx(1)

    def test_a_target_that_waits_for_another_takes_its_result(self) -> None:
        """Two targets' steps that turn out to be one: the second is cancelled, and then comes from the first."""
        cancelled = "failed to calculate checksum of ref x: context canceled: context canceled"
        _, events = replay(
            BEGIN
            + update(vertex("[a split 1/2] COPY x /", started=at(1), completed=at(2)))
            + update(vertex("[b split 1/2] COPY x /", started=at(1), completed=at(1.000001), error=cancelled))
            + update(vertex("[a split 2/2] RUN x", started=at(2)))
            + update(vertex("[a split 2/2] RUN x", started=at(2), completed=at(3)))
        )
        assert kinds(events, "split") == [StageStarted, StageDone]

    def test_a_base_image_under_its_place_in_another_dockerfile(self) -> None:
        _, events = replay(
            BEGIN
            + update(vertex("[tools 2/2] RUN x"))
            + update(vertex("[tools 1/1] FROM base", inputs=[], started=at(1), completed=at(1), cached=True))
            + update(vertex("[tools 2/2] RUN x", started=at(1)))
            + update(vertex("[tools 2/2] RUN x", started=at(1), completed=at(2)))
        )
        assert kinds(events, "tools") == [StageStarted, StageDone]

    def test_a_cache_out_of_reach_is_a_warning(self) -> None:
        name = "[a] importing cache manifest from localhost:1/cache"
        state, events = replay(BEGIN + update(vertex(name, inputs=[], started=at(1), completed=at(2), error="refused")))
        assert state.warnings == [f"{name}: refused"]
        assert state.failure is None
        assert events == []

    def test_a_cached_result_that_was_pruned(self) -> None:
        """BuildKit names a step failed whose result is gone, and goes on with another result or runs it."""
        lost = update(vertex("[a tools 2/2] RUN x", started=at(1), completed=at(1), error="not found"))
        state, events = replay(BEGIN + lost)
        assert (state.failure, kinds(events, "tools")) == (None, [StageCached])
        ran = update(vertex("[a tools 2/2] RUN x", started=at(2))) + update(
            vertex("[a tools 2/2] RUN x", started=at(2), completed=at(3))
        )
        state, events = replay(BEGIN + lost + ran)
        assert kinds(events, "tools") == [StageCached, StageStarted, StageDone]
        assert state.result.ran == {"tools"}

    def test_a_cached_result_that_was_pruned_and_is_made_again(self) -> None:
        """Targets that share a step tell of it one by one: one that is late does not take back that it runs."""
        cached = [
            update(vertex(f"[{target} tools 2/2] RUN x", started=at(1), completed=at(1), cached=True))
            for target in "ab"
        ]
        begins = update(vertex("[a tools 2/2] RUN x", started=at(2)))
        ends = update(vertex("[a tools 2/2] RUN x", started=at(2), completed=at(3)))
        state, events = replay(BEGIN + cached[0] + begins + cached[1] + ends)
        assert kinds(events, "tools") == [StageCached, StageStarted, StageDone]
        assert state.result.ran == {"tools"}

    def test_a_cached_result_that_is_fetched(self) -> None:
        """From a cache that was imported; it is reported as if the step ran."""
        name = "[a tools 2/2] RUN x"
        imported = update(vertex("[a] importing cache manifest from x", inputs=[], started=at(1), completed=at(1)))
        cached = update(vertex(name, started=at(1), completed=at(1), cached=True))
        fetched = update(vertex(name, started=at(2))) + update(vertex(name, started=at(2), completed=at(3)))
        state, events = replay(BEGIN + imported + cached + fetched)
        assert (kinds(events, "tools"), state.result.ran) == ([StageCached], frozenset())

    def test_a_cache_that_was_not_imported_brings_nothing(self) -> None:
        name, times = "[a tools 2/2] RUN x", {"started": at(1), "completed": at(1)}
        refused = update(vertex("[a] importing cache manifest from x", inputs=[], error="connection refused", **times))
        cached = update(vertex(name, cached=True, **times))
        ran = update(vertex(name, started=at(2))) + update(vertex(name, started=at(2), completed=at(3)))
        state, events = replay(BEGIN + refused + cached + ran)
        assert kinds(events, "tools")[-1] is StageDone
        assert state.result.ran == {"tools"}

    def test_a_stream_that_breaks_off(self) -> None:
        state, events = replay(BEGIN + update(vertex("[compile 1/1] RUN make", started=at(1))))
        assert kinds(events, "compile") == [StageStarted, StageStopped]
        assert state.stages["compile"].state is StageState.STOPPED


def test_what_an_earlier_try_ran_counts_when_the_next_one_finds_it_cached() -> None:
    nothing: frozenset[str] = frozenset()
    first = BuildResult(ran=frozenset({"compile"}), cached=nothing, failed=nothing)
    state = BuildState(before=first)
    vertex = {"digest": "sha256:1", "name": "[t compile 1/1] RUN make", "started": "2026-01-01T00:00:00Z"}
    done = {**vertex, "completed": "2026-01-01T00:00:00Z", "cached": True}
    state.feed(f"{json.dumps({'vertexes': [done]})}\n".encode())
    assert state.stages["compile"].state is StageState.CACHED
    assert (state.result.ran, state.result.cached) == (first.ran, nothing)


@pytest.mark.parametrize(
    ("line", "full"),
    [
        ("OSError: [Errno 28] No space left on device", True),
        ("OSError: [Errno 122] Disk quota exceeded", True),
        ("x.c:4:5: error: 'ENOSPC' undeclared", False),
    ],
)
def test_what_tells_of_a_full_disk(line: str, full: bool) -> None:
    state, name = BuildState(), "[compile 2/2] RUN make"
    state.feed(update(vertex(name, started=at(0)), logs=[log(name, line)]))
    state.feed(update(vertex(name, started=at(0), completed=at(1), error="exit code: 2")))
    assert state.failure is not None and list(state.failure.tail) == [line]
    assert state.no_space == full


def log(vertex: str, line: str) -> dict[str, Any]:
    return {"vertex": vertex, "data": base64.b64encode(f"{line}\n".encode()).decode()}


def test_an_archive_that_is_there_is_noted_once() -> None:
    state = BuildState()
    whole = {"started": at(1), "completed": at(2)}
    for report in (
        vertex("[release] exporting to client tarball", "a", started=at(1)),
        vertex("[release] exporting to client tarball", "a", **whole),
        vertex("[release] exporting to client tarball", "a", **whole),
        vertex("exporting to client tarball", "b", **whole),
        vertex("[source-file] exporting to client tarball", "c", **whole, error="no space left on device"),
        vertex("[os-kernel] exporting to image", "d", **whole),
    ):
        state.feed(update(report))
    assert state.exported == ["release", ""]


@pytest.mark.parametrize("piece", [7, 4096])
def test_images_are_named(piece: int) -> None:
    """Told when it begins, once, however often it is reported."""
    naming = {"id": "naming to docker.io/acme/os-kernel:1", "vertex": "e", "started": at(1)}
    stream = update(vertex("exporting to image", "e", started=at(0)), statuses=[{"id": "exporting layers"}, naming])
    stream += update(statuses=[{**naming, "completed": at(2)}])
    state, _ = replay(stream, piece=piece)
    assert state.named == ["docker.io/acme/os-kernel:1"]
