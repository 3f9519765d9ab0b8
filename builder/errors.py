"""The errors rosk reports, one exit code each.

Every error says what is wrong (and where), and what to do next. They are raised anywhere and caught in one
place, `builder.__main__.main`, which prints them and exits with the code. A user's mistake (`InputError` and what
derives from it) and a failure of a machine or a service are different classes.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What stops a build with `InterruptedBuild`: Ctrl-C, `kill`, and a terminal that was closed."""


class RoskError(Exception):
    """A failure with a cause and a next step.

    Args:
        what: One line: what is wrong.
        hint: One line: what to do about it.
        where: The file the error is in, or a name of the place (`mirror`, `registry`), if there is one.
        line: The 1-based line in that file.
        details: Further lines to show under the message, for example one per dropped option.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        hint: str = "",
        where: Path | str | None = None,
        line: int | None = None,
        details: Sequence[str] = (),
    ) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.where = where
        self.line = line
        self.details = tuple(details)

    @property
    def location(self) -> str:
        """`file:line`, `file`, or an empty string."""
        if self.where is None:
            return ""
        return str(self.where) if self.line is None else f"{self.where}:{self.line}"

    def __str__(self) -> str:
        return f"{self.location}: {self.what}" if self.location else self.what


class InputError(RoskError):
    """A file or an option that the user wrote is wrong: settings, config, list, patch."""

    exit_code = 3


class FetchError(RoskError):
    """A source could not be fetched, or is not what its checksum or signature says."""

    exit_code = 4


class EngineError(RoskError):
    """The container engine is missing, too old, incomplete, or refused to work."""

    exit_code = 5


class BuildError(RoskError):
    """A stage of the build failed: a compile error, a wrong kernel release, a bug in a stage."""

    exit_code = 6


class PublishError(RoskError):
    """At least one registry, or another place, does not have all that should have been published there."""

    exit_code = 7


class NoSpaceError(RoskError):
    """A disk is full: the engine's, the cache's or the output folder's."""

    exit_code = 8


class ReproError(RoskError):
    """The release is not reproducible: a second build from nothing gave something else."""

    exit_code = 9


class VerifyError(RoskError):
    """A release does not pass `rosk verify`."""

    exit_code = 10


class BootError(RoskError):
    """A kernel did not boot, or failed a check when it ran."""

    exit_code = 11


class InterruptedBuild(RoskError):
    """The user stopped the build (Ctrl-C, SIGTERM or SIGHUP)."""

    exit_code = 130


EXIT_CODES: dict[int, str] = {
    0: "all that was asked for was done",
    1: "an error in rosk itself; please report it (of a command with `--exit-code`: what it looks for was found)",
    2: "wrong use of the command line",
    **{cls.exit_code: (cls.__doc__ or "").strip() for cls in RoskError.__subclasses__()},
}
