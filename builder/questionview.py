"""What a question to the engine shows: nothing, unless it has to wait."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from builder.engine.events import Event, LogLine, PlainLine
from builder.engine.stage import StageState
from builder.stagenames import STAGES
from builder.view import PlainView

TITLES: Mapping[str, str] = {
    **STAGES,
    **dict.fromkeys(("config", "lists", "firmware-known"), "answer"),
    "config-facts": "options of the kernel",
    "config-asked": "config as asked for",
    "config-menu": "kconfig's menus",
    "foreseen": "modules of the config",
    "asked": "firmware that drivers name",
    **{f"offered-{kind}": "firmware of the source" for kind in ("base", "none", "debian", "archive", "folder")},
}
"""The stages of a build, and those that only answer questions, with what they are to people."""
SLOW_SECONDS = 5.0
"""After so long it is said what it waits for."""


class QuestionView(PlainView):
    """The lines of what takes longer than a question should, such as a toolchain that is made first; else nothing."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._lock = threading.Lock()
        self._over = threading.Event()
        # A stage may print nothing for minutes, so that no event tells that it is slow.
        self._watch = threading.Thread(target=self._look_often, daemon=True)

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watch.join()

    def _look_often(self) -> None:
        while not self._over.wait(1.0):
            self.look()

    def look(self) -> None:
        """Say which stages have become slow."""
        with self._lock:
            now = self.board.clock()
            for row in self.board.rows.values():
                slow = row.state is StageState.RUNNING and now - row.began >= SLOW_SECONDS
                if slow and row.title not in self._states:
                    self._states[row.title] = row.state
                    self._print(f"{row.title}: {row.state}", "bold cyan")

    def show(self, event: Event) -> None:
        """Print the line of this event, if its stage is slow."""
        with self._lock:
            row = self.board.apply(event)
            if row and row.title in self._states and not isinstance(event, LogLine | PlainLine):
                self._tell(row, event)

    def note(self, line: str) -> None:
        """Nothing is shown."""
