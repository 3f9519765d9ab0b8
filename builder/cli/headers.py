"""`rosk headers`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from builder.cli.app import app
from builder.cli.options import (
    ArchOption,
    DistArgument,
    FlavourOption,
    JsonOption,
    NoInstallOption,
    ProjectOption,
    release_folder,
)

headers_app = typer.Typer(help="The headers package: what building modules for the kernel needs.", no_args_is_help=True)
app.add_typer(headers_app, name="headers")


@headers_app.callback()
def headers() -> None:
    """The headers package: what building modules for the kernel needs."""


@headers_app.command("test")
def headers_test(
    dist: DistArgument = None,
    project: ProjectOption = Path(),
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            "--suite",
            metavar="NAME",
            help="Build there: a Debian suite, or musl; may be given several times.",
            show_default="bullseye, bookworm, trixie, musl",
        ),
    ] = None,
    module: Annotated[
        Path | None,
        typer.Option("--module", metavar="FOLDER", help="Build this module.", show_default="a small one of rosk's own"),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="FOLDER", help="Keep the modules and make's logs in this folder.")
    ] = None,
    boot: Annotated[
        bool, typer.Option("--boot", help="Load what was built into the release's kernel, as `rosk boot` runs it.")
    ] = False,
    no_install: NoInstallOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build a module against the release's headers in clean consoles that have no kernel source, warnings forbidden."""
    from builder.headerstest.run import HeadersOptions, run_headers_test  # noqa: PLC0415

    options = HeadersOptions(
        consoles=tuple(suite or ()),
        module=module,
        keep=keep,
        boot=boot,
        allow_install=not no_install,
        as_json=as_json,
    )
    run_headers_test(release_folder(dist, project, arch=arch, flavour=flavour), options)
