"""`rosk diff`."""

from __future__ import annotations

from typing import Annotated

import typer

from builder.cli.app import app

_RELEASE = "A folder with a release (dist), or the reference of one of its images."


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="A", help=_RELEASE)],
    new: Annotated[str, typer.Argument(metavar="B", help="The release to compare it with, in the same forms.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the differences as JSON.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Print long lists as a whole.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when they differ.")] = False,
) -> None:
    """Say how two releases differ: config, modules, symbols and who must rebuild for them, firmware, patches, sizes."""
    from builder.diff.run import run_diff  # noqa: PLC0415 - quicker --help

    found = run_diff(old, new, json_wanted=as_json, full=full)
    if exit_code and not found.same:
        raise typer.Exit(1)
