"""The commands that prove something of a release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from builder.cli.app import app
from builder.cli.options import ArchOption, BuilderOption, FlavourOption, KernelOption, NoInstallOption, ProjectOption
from builder.project import load_project


@app.command()
def repro(
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    toolchain: Annotated[
        bool, typer.Option("--toolchain", help="Take the toolchain's packages and the source anew too.")
    ] = False,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="FOLDER", help="Keep the second build's files in this folder.")
    ] = None,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors, warnings and the result only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print the whole log.")] = False,
) -> None:
    """Prove that the release in dist is reproducible: build it again from nothing, and compare."""
    from builder.repro.model import ReproOptions  # noqa: PLC0415
    from builder.repro.run import run_repro  # noqa: PLC0415

    loaded = load_project(project, kernel=kernel, arch=arch, flavour=flavour)
    options = ReproOptions(
        toolchain=toolchain,
        keep=keep,
        allow_install=not no_install,
        builder=builder,
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
    )
    run_repro(loaded, options)
