"""What the views print, for a recorded solve and for events made up here; time is what the test says it is."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from builder.engine.events import (
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
from builder.engine.stage import Progress
from builder.questionview import SLOW_SECONDS, QuestionView
from builder.view import LiveView, PlainView, QuietView, StageView, View, clean, duration, make_view

RECORDED = Path(__file__).parent / "engine" / "recorded"
TITLES = {"source": "kernel source", "compile": "compile", "split": "module split", "os-headers": "headers image"}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def console(width: int = 80, height: int = 24, *, terminal: bool = False) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=terminal,
        _environ={"TERM": "xterm", "NO_COLOR": "1"},
    )


def printed(view: View) -> list[str]:
    assert isinstance(view.console.file, io.StringIO)
    return [line.rstrip() for line in view.console.file.getvalue().splitlines()]


def recorded(name: str) -> list[Event]:
    state = BuildState()
    return state.feed((RECORDED / f"{name}.rawjson").read_bytes()) + state.finish()


def show(view: View, *events: Event) -> list[str]:
    for event in events:
        view.show(event)
    return printed(view)


def at(done: int, total: int = 100, text: str = "") -> Progress:
    return Progress(stage="compile", done=done, total=total, text=text)


def plain(*, verbose: bool = False) -> tuple[PlainView, Clock]:
    clock = Clock()
    return PlainView(TITLES, console(), verbose=verbose, clock=clock), clock


class TestPlain:
    def test_a_line_per_change(self) -> None:
        view, _ = plain()
        assert show(
            view,
            StageCached(stage="source"),
            StageStarted(stage="compile"),
            LogLine(stage="compile", text="warning: x"),
            StageDone(stage="compile", seconds=754.2),
            StageStarted(stage="split"),
            StageFailed(stage="split", seconds=1.21, error="process did not complete"),
            StageStopped(stage="os-headers", seconds=3),
            PlainLine(text="ERROR: failed to solve"),
        ) == [
            "kernel source: cached",
            "compile: running",
            "compile: done 12m34s",
            "module split: running",
            "module split: failed 1.2s",
            "headers image: stopped 3.0s",
        ]

    def test_verbose_adds_the_log(self) -> None:
        view, _ = plain(verbose=True)
        events = (
            LogLine(stage="split", text="a \x1b[31mred\x1b[0m\tline"),
            LogLine(stage="", text="b"),
            PlainLine(text="c"),
        )
        assert show(view, *events) == ["module split | a red    line", "b", "c"]

    def test_progress_every_tenth(self) -> None:
        view, clock = plain()
        view.show(StageStarted(stage="compile"))
        for done in range(0, 101, 2):
            view.show(at(done, text=f"fs/f{done}.o"))
            clock.now += 1
        lines = printed(view)[1:]
        assert [line.split()[1] for line in lines] == [f"{done}/100" for done in range(10, 101, 10)]
        assert lines[0] == "compile: 10/100 10% ETA 45s fs/f10.o"

    def test_progress_every_half_minute(self) -> None:
        view, clock = plain()
        view.show(StageStarted(stage="compile"))
        for done in range(70):
            view.show(at(done, 10_000))
            clock.now += 1
        assert [line.split()[1] for line in printed(view)[1:]] == ["30/10000", "60/10000"]

    def test_the_time_left_follows_the_last_minute(self) -> None:
        view, clock = plain()
        view.show(StageStarted(stage="compile"))
        for done in range(0, 40):  # a warm cache: 10 per second
            view.show(at(10 * done, 1000))
            clock.now += 1
        for done in range(400, 501):  # then one per second
            view.show(at(done, 1000))
            clock.now += 1
        assert printed(view)[-1].startswith("compile: 500/1000 50% ETA 8m")

    def test_more_than_estimated(self) -> None:
        view, _ = plain()
        assert show(view, at(120, 100))[-1] == "compile: 120 (estimated 100)"

    def test_an_unknown_total(self) -> None:
        view, clock = plain()
        clock.now = 0.0
        view.show(StageStarted(stage="compile"))
        clock.now = 31.0
        assert show(view, at(5, 0))[-1] == "compile: 5"

    def test_stages_that_nobody_announced(self) -> None:
        view, _ = plain()
        assert show(view, StageStarted(stage="novel"), Progress(stage="other", done=1, total=2, text="")) == [
            "novel: running",
            "other: 1/2 50%",
        ]

    def test_stages_of_the_dockerfile_that_are_one_to_the_user(self) -> None:
        clock = Clock()
        view = PlainView(TITLES, console(), shown=lambda stage: stage.removesuffix("-root"), clock=clock)
        assert show(
            view,
            StageCached(stage="os-headers-root"),
            StageCached(stage="os-headers"),
            StageStarted(stage="split-root"),
            StageDone(stage="split-root", seconds=2),
            StageStarted(stage="split"),
            StageDone(stage="split", seconds=3),
        ) == [
            "headers image: cached",
            "module split: running",
            "module split: done 2.0s",
            "module split: running",
            "module split: done 5.0s",
        ]

    def test_a_stage_that_an_earlier_solve_ran_stays_done(self) -> None:
        view, _ = plain()
        lines = show(
            view, StageStarted(stage="source"), StageDone(stage="source", seconds=1), StageCached(stage="source")
        )
        assert lines == ["kernel source: running", "kernel source: done 1.0s"]

    def test_a_narrow_encoding(self) -> None:
        buffer = io.BytesIO()
        view = PlainView(
            TITLES, Console(file=io.TextIOWrapper(buffer, encoding="ascii", write_through=True)), verbose=True
        )
        view.show(LogLine(stage="", text="caf\u00e9"))
        assert buffer.getvalue() == b"caf?\n"

    def test_long_lines_are_not_wrapped(self) -> None:
        view, _ = plain(verbose=True)
        assert show(view, PlainLine(text="x" * 500)) == ["x" * 500]


class TestQuiet:
    def test_only_warnings(self) -> None:
        view = QuietView(console())
        view.note("a fact")
        view.warn("a warning")
        assert show(view, *recorded("failed")) == ["warning: a warning"]


class TestQuestion:
    def test_what_is_quick_is_not_said(self) -> None:
        clock = Clock()
        view = QuestionView(TITLES, console(), clock=clock)
        view.note("a fact")
        shown = show(
            view, StageCached(stage="source"), StageStarted(stage="compile"), LogLine(stage="compile", text="x")
        )
        clock.now += SLOW_SECONDS - 1
        view.look()
        assert show(view, LogLine(stage="compile", text="y"), StageDone(stage="compile", seconds=4.0)) == shown == []

    def test_what_it_waits_for_is_said_once(self) -> None:
        clock = Clock()
        view = QuestionView(TITLES, console(), clock=clock)
        show(view, StageStarted(stage="source"), StageStarted(stage="compile"), StageDone(stage="source", seconds=1.0))
        clock.now += SLOW_SECONDS
        for _ in range(3):
            view.look()
            show(view, LogLine(stage="compile", text="x"))
        assert show(view, PlainLine(text="y"), StageDone(stage="compile", seconds=62.0)) == [
            "compile: running",
            "compile: done 1m02s",
        ]

    def test_a_stage_that_prints_nothing_is_said_as_well(self) -> None:
        clock = Clock()
        with QuestionView(TITLES, console(), clock=clock) as view:
            view.show(StageStarted(stage="compile"))
            clock.now += SLOW_SECONDS
            while not printed(view):
                time.sleep(0.01)
        assert printed(view) == ["compile: running"]


def frame(view: LiveView, width: int, height: int = 24) -> list[str]:
    """What the live view draws on a terminal of this size now."""
    screen = console(width, height)
    screen.print(view)
    assert isinstance(screen.file, io.StringIO)
    return [line.rstrip() for line in screen.file.getvalue().splitlines()]


def compiling(clock: Clock) -> LiveView:
    view = LiveView(TITLES, console(terminal=True), clock=clock)
    show(view, StageCached(stage="source"), StageStarted(stage="compile"), at(0, 400))
    clock.now += 60
    show(view, at(100, 400, "drivers/net/ethernet/intel/e1000/e1000_main.o"))
    return view


class TestLive:
    def test_rows_with_a_bar(self) -> None:
        rows = frame(compiling(Clock()), 80)
        assert rows[0] == "cached  kernel source"
        assert re.fullmatch(r"running compile\s+1m00s .{13} 100/400 25% ETA 3m00s e1000_main.o", rows[1])
        assert rows[2:4] == ["waiting module split", "waiting headers image"]
        assert rows[4] == "1m00s · 2 waiting · 1 running · 1 cached"

    @pytest.mark.parametrize("width", [200, 80, 72, 60, 50, 40, 25])
    def test_no_row_is_wider_than_the_terminal(self, width: int) -> None:
        rows = frame(compiling(Clock()), width)
        assert len(rows) == 5
        assert all(len(row) <= width for row in rows)
        assert rows[1].startswith("running compile")

    def test_fifty_columns_still_tell_the_time_left(self) -> None:
        assert "100/400 25% ETA 3m00s" in frame(compiling(Clock()), 50)[1]

    def test_a_low_terminal_shows_what_runs(self) -> None:
        rows = frame(compiling(Clock()), 80, height=4)
        assert [row.split()[0] for row in rows] == ["cached", "running", "1m00s"]

    def test_the_last_line_of_a_stage_without_progress(self) -> None:
        view = LiveView(TITLES, console(), clock=Clock())
        show(view, StageStarted(stage="split"), LogLine(stage="split", text="reading \x1b[1m4023\x1b[0m modules"))
        assert frame(view, 80)[2] == "running module split    0.0s reading 4023 modules"

    @pytest.mark.parametrize("name", ["built", "cached", "failed", "missing", "push", "cancelled"])
    def test_a_recorded_solve_leaves_a_table_behind(self, name: str) -> None:
        view = LiveView(TITLES, console(), clock=Clock())
        with view:
            show(view, *recorded(name))
        words = {"cached", "done", "failed", "stopped", "skipped"}
        assert {line.split()[0] for line in printed(view) if line} <= words
        assert any(line.startswith("skipped module split") for line in printed(view)) == (
            name not in {"built", "cached"}
        )

    def test_no_table_is_left_where_nothing_was_solved(self) -> None:
        view = LiveView(TITLES, console(), clock=Clock())
        with view:
            view.note("nothing changed")
        assert [line for line in printed(view) if line] == ["nothing changed"]

    def test_it_cleans_up_after_an_interrupt(self) -> None:
        view = LiveView(TITLES, console(terminal=True))
        with pytest.raises(KeyboardInterrupt), view:
            show(view, StageStarted(stage="compile"))
            raise KeyboardInterrupt
        assert isinstance(view.console.file, io.StringIO)
        shown = view.console.file.getvalue()
        assert shown.index("\x1b[?25l") < shown.rindex("\x1b[?25h"), "the cursor is back"
        assert re.search(r"stopped\S* compile .*\n.*skipped\S* module split .*\n.*skipped\S* headers image\s*$", shown)

    def test_verbose_prints_above(self) -> None:
        view = LiveView(TITLES, console(), verbose=True)
        with view:
            show(view, LogLine(stage="split", text="a line"))
        assert printed(view)[0] == "module split | a line"


@pytest.mark.parametrize(
    ("terminal", "environment", "quiet", "kind"),
    [
        (True, {"TERM": "xterm"}, False, LiveView),
        (True, {"TERM": "dumb"}, False, PlainView),
        (False, {"TERM": "xterm"}, False, PlainView),
        (True, {"TERM": "xterm"}, True, QuietView),
    ],
)
def test_the_view_fits(terminal: bool, environment: dict[str, str], quiet: bool, kind: type[View]) -> None:
    view = make_view(TITLES, Console(force_terminal=terminal, _environ=environment), quiet=quiet, verbose=True)
    assert type(view) is kind
    assert not isinstance(view, StageView) or view.verbose


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (12.4, "12s"),
        (59.7, "1m00s"),
        (185, "3m05s"),
        (3599.6, "1h00m"),
        (7380, "2h03m"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_clean() -> None:
    assert clean("\x1b[01;31m\x1b[Kerror:\x1b[m\x07 a\tb\x9b") == "error: a        b"
