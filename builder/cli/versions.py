"""`rosk versions`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from builder.cli.app import app
from builder.cli.options import ArchOption, FlavourOption, JsonOption, KernelOption, ProjectOption


@app.command()
def versions(
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--from",
            envvar="ROSK_RELEASES_URL",
            metavar="URL",
            help="Where the list of releases is.",
            show_default="kernel.org's releases.json",
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Use the list that the cache has.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 when the project is behind, or at its series' end of life.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the newest release of each series of kernel.org, what the project uses, and how far behind that is.

    Without a network the list comes from the cache, and its age is said. Exits with 4 when there is none.
    """
    from builder.versions import RELEASES_URL, run_versions  # noqa: PLC0415

    used = run_versions(
        project,
        kernel=kernel,
        arch=arch,
        flavour=flavour,
        url=url or RELEASES_URL,
        offline=offline,
        json_wanted=as_json,
    )
    if exit_code and used is not None and not used.current:
        raise typer.Exit(1)
