"""`rosk report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from builder.cli.app import app


@app.command()
def report(
    dist: Annotated[Path, typer.Argument(metavar="DIST", help="The folder of a release.", file_okay=False)] = Path(
        "dist"
    ),
) -> None:
    """Write the page report.html into a release's folder again: what it is, how it was built, what was proved of it."""
    from builder.release import shown_path  # noqa: PLC0415
    from builder.report.run import write_report  # noqa: PLC0415

    print(shown_path(write_report(dist).resolve()))
