"""`dist/build.log`: everything that a build printed, kept also of a build that failed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

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
from builder.engine.stage import Progress
from builder.stagenames import stage_of


class Log(Protocol):
    """Where a solve is written down."""

    def line(self, text: str) -> None:
        """Write one line, at once."""

    def event(self, event: Event) -> None:
        """Write what happened."""

    def append(self, file: Path) -> None:
        """Write the whole of another log."""


class BuildLog:
    """The log of one build, which takes the place of the one before when the build ends.

    Args:
        writing: Where it is written until then, on the same file system as `path`.
        path: `dist/build.log`.

    Attributes:
        needless: Nothing was built: the log before is the one to keep.
    """

    def __init__(self, writing: Path, path: Path) -> None:
        self._writing = writing
        self._path = path
        self._file: BinaryIO
        self.needless = False

    def __enter__(self) -> Self:
        self._file = self._writing.open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if not (self.needless and self._path.exists()):
            self._writing.replace(self._path)

    def line(self, text: str) -> None:
        """Write one line, at once."""
        self._file.write(text.encode(errors="replace") + b"\n")
        self._file.flush()

    def event(self, event: Event) -> None:
        """Write what happened; progress is left out, since the compile's own log has every object."""
        match event:
            case LogLine(stage=stage, text=text):
                self.line(f"[{stage}] {text}")
            case PlainLine(text=text):
                self.line(text)
            case StageStarted(stage=stage):
                self.line(f"[{stage}] started")
            case StageCached(stage=stage):
                self.line(f"[{stage}] cached")
            case StageDone(stage=stage, seconds=seconds):
                self.line(f"[{stage}] done in {seconds:.1f} s")
            case StageFailed(stage=stage, error=error):
                self.line(f"[{stage}] failed: {error}")
            case StageStopped(stage=stage):
                self.line(f"[{stage}] stopped")
            case Progress():
                pass

    def append(self, file: Path) -> None:
        """Write the whole of another log, under its name."""
        self.line(f"--- {file.name}")
        with file.open("rb") as source:
            shutil.copyfileobj(source, self._file)


class JointLog:
    """The logs of several builds that are solved together: each has what is its own, and what is of no one alone.

    Args:
        logs: The name of each build to its log.
    """

    def __init__(self, logs: Mapping[str, BuildLog]) -> None:
        self._logs = logs

    def line(self, text: str) -> None:
        """Write one line to all of them."""
        for log in self._logs.values():
            log.line(text)

    def event(self, event: Event) -> None:
        """Write what happened, without the other builds' own stages."""
        stage = "" if isinstance(event, PlainLine) else event.stage
        for name, log in self._logs.items():
            if stage_of(name, stage) is not None:
                log.event(event)

    def append(self, file: Path) -> None:
        """Write the whole of another log to all of them."""
        for log in self._logs.values():
            log.append(file)
