"""What a build shows while it runs: live rows on a terminal, plain lines elsewhere, nothing when quiet.

A view is a context manager that takes the events of `builder.engine.events`. It decides nothing: errors are printed
by `builder.__main__`, the summary by its own module.
"""

from __future__ import annotations

import re
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from builder.engine.events import (
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

Clock = Callable[[], float]

PACE_WINDOW = 60.0
"""Seconds of the past from which the time left is estimated."""

PLAIN_EVERY_PERCENT = 10
PLAIN_EVERY_SECONDS = 30.0
WIDE = 72
"""Columns from which a progress bar has room."""

_UNPRINTABLE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_TELLING = (StageState.FAILED, StageState.STOPPED, StageState.RUNNING, StageState.DONE, StageState.CACHED)
_ENDED = {StageState.WAITING: "skipped", StageState.RUNNING: "stopped"}
_STYLES = {
    StageState.WAITING: "dim",
    StageState.RUNNING: "bold cyan",
    StageState.CACHED: "blue",
    StageState.DONE: "green",
    StageState.FAILED: "bold red",
    StageState.STOPPED: "yellow",
}


def duration(seconds: float) -> str:
    """Seconds as people read them: `0.4s`, `12s`, `3m05s`, `1h02m`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def clean(text: str) -> str:
    """A line of a log without what would move the cursor or change colours."""
    return _UNPRINTABLE.sub("", text).expandtabs(8)


@dataclass(kw_only=True)
class Row:
    """One line of the display: the stages of the Dockerfile that are one to the user.

    `parts` has their states and `spent` their seconds; `began` is the clock's time of the last start, `pace` holds
    (time, objects done).
    """

    title: str
    parts: dict[str, StageState] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)
    began: float = 0.0
    progress: Progress | None = None
    pace: deque[tuple[float, int]] = field(default_factory=deque)
    line: str = ""

    @property
    def state(self) -> StageState:
        """The state of all parts together: the first of these that one of them is in."""
        states = self.parts.values()
        return next((state for state in _TELLING if state in states), StageState.WAITING)

    def advance(self, progress: Progress, now: float) -> None:
        """Take a new position; positions older than the window no longer count for the pace."""
        self.progress = progress
        self.pace.append((now, progress.done))
        while len(self.pace) > 2 and self.pace[1][0] < now - PACE_WINDOW:
            self.pace.popleft()

    @property
    def left(self) -> float | None:
        """Seconds to the end at the present pace; None while unknown."""
        if self.progress is None or len(self.pace) < 2:
            return None
        (first, before), (last, done) = self.pace[0], self.pace[-1]
        if done <= before or last <= first:
            return None
        return max(0, self.progress.total - done) * (last - first) / (done - before)

    def position(self) -> str:
        """`120/480 25% ETA 1m30s`, as far as it is known; the total is an estimate and can turn out too low."""
        if self.progress is None:
            return ""
        done, total = self.progress.done, self.progress.total
        if done > total:
            return f"{done} (estimated {total})" if total else f"{done}"
        eta = f" ETA {duration(self.left)}" if self.left is not None else ""
        return f"{done}/{total} {100 * done // (total or 1)}%{eta}"


class Board:
    """The rows of all stages: those of the caller in its order, then any other in the order of appearance."""

    def __init__(self, titles: Mapping[str, str], shown: Callable[[str], str], clock: Clock) -> None:
        self.rows = {name: Row(title=title) for name, title in titles.items()}
        self.clock = clock
        self.began = clock()
        self._shown = shown

    def apply(self, event: Event) -> Row | None:
        """Take one event; returns the row that it belongs to, if any."""
        if isinstance(event, PlainLine) or not event.stage or not (name := self._shown(event.stage)):
            return None
        row = self.rows.setdefault(name, Row(title=name))
        match event:
            case StageStarted():
                row.parts[event.stage], row.began = StageState.RUNNING, self.clock()
            case StageCached():
                if row.parts.get(event.stage) is not StageState.DONE:  # else an earlier solve of this build ran it
                    row.parts[event.stage] = StageState.CACHED
            case StageDone():
                row.parts[event.stage], row.spent[event.stage] = StageState.DONE, event.seconds
            case StageFailed():
                row.parts[event.stage], row.spent[event.stage] = StageState.FAILED, event.seconds
            case StageStopped():
                row.parts[event.stage], row.spent[event.stage] = StageState.STOPPED, event.seconds
            case Progress():
                row.advance(event, self.clock())
            case LogLine():
                row.line = clean(event.text)
        return row

    def time(self, row: Row) -> str:
        """How long the stage has run, or ran."""
        if row.state is StageState.RUNNING:
            return duration(self.clock() - row.began)
        return duration(sum(row.spent.values())) if row.spent else ""


class View(ABC):
    """What every view can do; use it as a context manager around the build."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @abstractmethod
    def show(self, event: Event) -> None:
        """Show what happened."""

    def note(self, line: str) -> None:
        """Show a fact for the user, such as what is about to be installed."""
        self._print(line)

    def warn(self, line: str) -> None:
        """Show a warning: every view does."""
        self._print(f"warning: {line}", "yellow")

    def _print(self, line: str, style: str = "") -> None:
        encoding = self.console.encoding
        shown = clean(line).encode(encoding, "replace").decode(encoding)
        self.console.print(Text(shown, style=style), soft_wrap=True)


class QuietView(View):
    """Shows warnings only."""

    def show(self, event: Event) -> None:
        """Nothing is shown."""

    def note(self, line: str) -> None:
        """Nothing is shown."""


class StageView(View):
    """A view that follows the stages.

    Args:
        titles: Name and title of each stage, in the order to show them in; others may turn up and come after them.
        shown: From a stage of the Dockerfile to the name in `titles` that it belongs to.
        verbose: Print every line of the log.
    """

    def __init__(
        self,
        titles: Mapping[str, str],
        console: Console,
        *,
        shown: Callable[[str], str] = str,
        verbose: bool = False,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(console)
        self.board = Board(titles, shown, clock)
        self.verbose = verbose

    def log(self, row: Row | None, event: LogLine | PlainLine) -> None:
        """Print a line of the log if the user wants to see it."""
        if self.verbose:
            self._print(f"{row.title} | {event.text}" if row else event.text, "dim")


class PlainView(StageView):
    """One line when a stage starts, ends or was cached, and its progress now and then."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._states: dict[str, StageState] = {}
        self._told: dict[str, tuple[float, int]] = {}

    def show(self, event: Event) -> None:
        """Print the line of this event, if it has one."""
        row = self.board.apply(event)
        if isinstance(event, LogLine | PlainLine):
            self.log(row, event)
        elif row:
            self._tell(row, event)

    def _tell(self, row: Row, event: Event) -> None:
        if isinstance(event, Progress):
            if self._due(row, event):
                self._print(f"{row.title}: {row.position()} {event.text}".rstrip())
        elif self._states.get(row.title) is not row.state:
            self._states[row.title] = row.state
            spent = "" if row.state is StageState.RUNNING else self.board.time(row)
            self._print(f"{row.title}: {row.state} {spent}".rstrip(), _STYLES[row.state])

    def _due(self, row: Row, progress: Progress) -> bool:
        """Whether this position is far enough, in time or in percent, from the last that was printed."""
        now, tenth = self.board.clock(), 100 * progress.done // (progress.total or 1) // PLAIN_EVERY_PERCENT
        told, before = self._told.get(row.title, (row.began, 0))
        due = now - told >= PLAIN_EVERY_SECONDS or tenth > before
        if due:
            self._told[row.title] = (now, tenth)
        return due


class LiveView(StageView):
    """A row per stage, redrawn four times a second; it leaves a table of what every stage did behind."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lock = threading.Lock()
        self._live = Live(self, console=self.console, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        rows = list(self.board.rows.values())
        if any(row.state is not StageState.WAITING for row in rows):  # else nothing was solved
            self.console.print(self._table(rows, self.console.width, ended=True))

    def show(self, event: Event) -> None:
        """Bring the rows up to date; they are drawn by the display's own thread."""
        with self._lock:
            row = self.board.apply(event)
        if isinstance(event, LogLine | PlainLine):
            self.log(row, event)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self._lock:
            rows = list(self.board.rows.values())
            table = self._table(_nearest(rows, console.height - 2), options.max_width)
        counts = Counter(row.state for row in rows)
        facts = [f"{counts[state]} {state}" for state in StageState if counts[state]]
        elapsed = duration(self.board.clock() - self.board.began)
        yield table
        yield Text(" · ".join([elapsed, *facts]), style="dim", no_wrap=True, overflow="ellipsis")

    def _table(self, rows: Sequence[Row], width: int, *, ended: bool = False) -> RenderableType:
        table = Table.grid(padding=(0, 1), expand=not ended)
        table.add_column(no_wrap=True, min_width=7)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(12, width // 4))
        table.add_column(no_wrap=True, justify="right", min_width=6)
        if not ended:
            table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for row in rows:
            word = _ENDED.get(row.state, row.state) if ended else row.state
            cells: list[RenderableType] = [Text(word, style=_STYLES[row.state]), Text(row.title), self.board.time(row)]
            table.add_row(*cells, *([] if ended else [_detail(row, width)]))
        return table


def _detail(row: Row, width: int) -> RenderableType:
    """What a running stage is at: its progress, or the last line that it printed."""
    if row.state is not StageState.RUNNING:
        return ""
    if row.progress is None:
        return Text(row.line, style="dim")
    at = clean(row.progress.text).rpartition("/")[2]
    position = Text(f"{row.position()} {at}", no_wrap=True, overflow="ellipsis")
    if width < WIDE or not row.progress.total:
        return position
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=width // 6)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    grid.add_row(ProgressBar(total=row.progress.total, completed=row.progress.done), position)
    return grid


def _nearest(rows: Sequence[Row], room: int) -> list[Row]:
    """As many rows as there is room for, in their order: those that run, and what is next to them."""
    active = [at for at, row in enumerate(rows) if row.state in {StageState.RUNNING, StageState.FAILED}] or [0]
    order = sorted(range(len(rows)), key=lambda at: min(abs(at - other) for other in active))
    return [rows[at] for at in sorted(order[: max(1, room)])]


def make_view(
    titles: Mapping[str, str],
    console: Console,
    *,
    shown: Callable[[str], str] = str,
    quiet: bool = False,
    verbose: bool = False,
) -> View:
    """The view that fits: quiet when asked for, live on a terminal that can do it, else plain.

    Args:
        titles, shown, verbose: As for `StageView`.
        console: Where to; `NO_COLOR`, `TERM` and the terminal's size are honoured by it.
    """
    if quiet:
        return QuietView(console)
    able = console.is_terminal and not console.is_dumb_terminal and not console.options.ascii_only
    return (LiveView if able else PlainView)(titles, console, shown=shown, verbose=verbose)
