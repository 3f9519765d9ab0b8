"""The command `rosk`: the one place that catches errors."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from builder.cli import app
from builder.errors import InterruptedBuild, RoskError


def main() -> None:
    """Run the command line and exit: with an error's own code and message, never with a traceback for it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app()
    except RoskError as error:
        show(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(1)


def show(error: RoskError) -> None:
    """Print an error on standard error: where and what, its details, and the next step."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]error:[/] {escape(str(error))}")
    for line in error.details:
        console.print(f"  {escape(line)}")
    if error.hint:
        console.print(f"[bold]  next:[/] {escape(error.hint)}")


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """Stop where the program is, once: what follows is cleaning up, which is bounded in time."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise InterruptedBuild("stopped", hint="the release before is as it was; run the same command to go on")


if __name__ == "__main__":
    main()
