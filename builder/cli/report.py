"""`rosk report`."""

from __future__ import annotations

from pathlib import Path

from builder.cli.app import app
from builder.cli.options import ArchOption, DistArgument, FlavourOption, ProjectOption, release_folder


@app.command()
def report(
    dist: DistArgument = None,
    project: ProjectOption = Path(),
    arch: ArchOption = None,
    flavour: FlavourOption = None,
) -> None:
    """Write the page report.html into a release's folder again: what it is, how it was built, what was proved of it."""
    from builder.release import shown_path  # noqa: PLC0415
    from builder.report.run import write_report  # noqa: PLC0415

    folder = release_folder(dist, project, arch=arch, flavour=flavour)
    print(shown_path(write_report(folder).resolve()))
