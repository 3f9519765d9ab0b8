"""What is shown of a publication: progress for each target, and in the end what is where."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.text import Text

from builder.publish.transfer import Outcome, State
from builder.release import human_size
from builder.view import clean

_STYLES = {
    State.SENT: "green",
    State.THERE: "blue",
    State.WOULD: "cyan",
    State.REFUSED: "bold red",
    State.FAILED: "bold red",
    State.LEFT: "yellow",
}
_TENTHS = 10


class PlainWatch:
    """A line when a target begins, at each tenth of what goes there, and for each note."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._total: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._told: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def begin(self, target: str, total: int, what: str) -> None:
        """A target lacks so many bytes."""
        with self._lock:
            self._total[target], self._done[target], self._told[target] = total, 0, 0
        self._say(f"{target}: {what} to send, {human_size(total)}" if total else f"{target}: nothing to send")

    def advance(self, target: str, size: int) -> None:
        """So many bytes went, or (negative) did not arrive."""
        with self._lock:
            self._done[target] = self._done.get(target, 0) + size
            total = self._total.get(target, 0)
            tenth = _TENTHS * self._done[target] // total if total else 0
            due = tenth > self._told.get(target, 0)
            if due:
                self._told[target] = tenth
        if due:
            self._say(f"{target}: {human_size(min(self._done[target], total))} of {human_size(total)}")

    def note(self, target: str, line: str) -> None:
        """Something is there."""
        self._say(line)


class LiveWatch(PlainWatch):
    """A row with a bar for each target, gone in the end; notes are printed above."""

    def __init__(self, console: Console) -> None:
        super().__init__(lambda _: None)
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
            transient=True,
        )
        self._rows: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, target: str, total: int, what: str) -> None:
        with self._lock:
            if target in self._rows:
                self._progress.reset(self._rows[target], total=total)
            else:
                self._rows[target] = self._progress.add_task(clean(target), total=total)

    def advance(self, target: str, size: int) -> None:
        with self._lock:
            if target in self._rows:
                self._progress.advance(self._rows[target], size)

    def note(self, target: str, line: str) -> None:
        self._console.print(Text(clean(line)), soft_wrap=True)


def make_watch(console: Console, *, quiet: bool = False, say: Callable[[str], None] | None = None) -> PlainWatch:
    """What fits: nothing when quiet, bars on a terminal that can do it, else lines (by `say` where that is given)."""
    if quiet:
        return PlainWatch(lambda _: None)
    if console.is_terminal and not console.is_dumb_terminal and not console.options.ascii_only:
        return LiveWatch(console)
    return PlainWatch(say or (lambda line: console.print(Text(clean(line)), soft_wrap=True)))


def table(outcomes: Sequence[Outcome]) -> list[Text]:
    """What is where, a line each: the reference, its digest, and how it came there or why not."""
    wide = max((len(clean(each.reference)) for each in outcomes), default=0)
    lines = []
    for outcome in outcomes:
        state = f"{outcome.state}: {outcome.why}" if outcome.why else str(outcome.state)
        line = Text(f"{clean(outcome.reference):{wide}}  ")
        if outcome.good:
            line.append(f"{outcome.digest:71}  ", style="dim")
        line.append(clean(state), style=_STYLES[outcome.state])
        lines.append(line)
    return lines


def print_table(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print the table, each row in one line however narrow the terminal is: it is to be copied from."""
    for line in table(outcomes):
        console.print(line, soft_wrap=True)


def as_json(outcomes: Sequence[Outcome], *, dry_run: bool) -> dict[str, Any]:
    """The same for programs."""
    return {
        "complete": all(outcome.good for outcome in outcomes) and not dry_run,
        "dry_run": dry_run,
        "references": [
            {
                "target": each.target,
                "reference": each.reference,
                "digest": each.digest if each.good else None,
                "state": str(each.state),
                "why": each.why,
            }
            for each in outcomes
        ],
    }
