"""The command `rosk`: the one place that catches errors."""

from __future__ import annotations

import gc
import signal
import sys
from types import FrameType
from typing import NoReturn

from builder.errors import STOP_SIGNALS, InterruptedBuild, RoskError

_OBJECTS = 100_000
"""So many more objects are made before garbage is looked for; by default it is 700."""


def main() -> None:
    """Run the command line and exit: with an error's own code and message, never with a traceback for it."""
    for number in STOP_SIGNALS:
        signal.signal(number, _interrupt)
    # Most of what a command makes it needs to its end: looking through that for garbage, again and again, finds none.
    gc.set_threshold(_OBJECTS)
    try:
        from builder.cli import app, only  # noqa: PLC0415 - takes a while, in which Ctrl-C is to work as well

        only(sys.argv[1] if len(sys.argv) > 1 else "")
        app()
    except RoskError as error:
        show(error)
        sys.exit(error.exit_code)
    except OSError as error:
        # What rosk reads and writes has errors of its own; what is left is a standard output that is closed or full.
        show(RoskError(f"cannot go on: {error}", hint="see that standard output can be written"))
        sys.exit(RoskError.exit_code)
    finally:
        gc.freeze()  # nor is there a need to when all goes at once: as it ends, Python does it more than once


def show(error: RoskError) -> None:
    """Print an error on standard error: where and what, its details, and the next step."""
    from rich.console import Console  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415

    console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
    console.print(f"[bold red]error:[/] {escape(str(error))}")
    for line in error.details:
        console.print(f"  {escape(line)}")
    if error.hint:
        console.print(f"[bold]  next:[/] {escape(error.hint)}")


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """Stop where the program is, once: what follows is cleaning up, which is bounded in time."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise InterruptedBuild("stopped", hint="the release before is as it was; run the same command to go on")


if __name__ == "__main__":
    main()
