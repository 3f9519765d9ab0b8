"""`rosk cache`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from builder.cli.app import app
from builder.cli.options import (
    ArchOption,
    BuilderOption,
    FlavourOption,
    JsonOption,
    KernelOption,
    NoInstallOption,
    ProjectOption,
)
from builder.errors import InputError
from builder.project import load_project

cache_app = typer.Typer(
    help="What is kept for the next build: show it, make room, and hand it to other machines.",
    invoke_without_command=True,
)
app.add_typer(cache_app, name="cache")


@cache_app.callback()
def cache(context: typer.Context, builder: BuilderOption = None, as_json: JsonOption = False) -> None:
    """Show what is kept, how large it is, and what losing it would cost; see also the commands below."""
    command = context.invoked_subcommand
    if command is None:
        cache_show(builder=builder, as_json=as_json)
        return
    for name, option in (("builder", "--builder"), ("as_json", "--json")):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            how = f"write `rosk cache {command} …`, then the options; `rosk cache {command} --help` lists them"
            raise InputError(f"{option} stands before {command}, which does not see it there", hint=how)


@cache_app.command("show")
def cache_show(builder: BuilderOption = None, as_json: JsonOption = False) -> None:
    """Show what is kept, how large it is, when it was used, and what losing it would cost."""
    from builder.cacherun import print_cache  # noqa: PLC0415

    print_cache(builder=builder, as_json=as_json)


@cache_app.command("prune")
def cache_prune(
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", metavar="AGE", help="Unused for so long: 14d, 36h.", show_default="14d without --keep"
        ),
    ] = None,
    keep: Annotated[
        str | None, typer.Option("--keep", metavar="SIZE", help="Oldest first, until so much is left: 20GB.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that rosk keeps.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    builder: BuilderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make room, by age and size; only what rosk made goes."""
    from builder.cacherun import print_prune  # noqa: PLC0415

    print_prune(builder=builder, older_than=older_than, keep=keep, all=everything, dry_run=dry_run, as_json=as_json)


@cache_app.command("export")
def cache_export(
    dest: Annotated[str, typer.Argument(metavar="CACHE", help="A reference in a registry, a folder, or type=….")],
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    builder: BuilderOption = None,
    no_install: NoInstallOption = False,
) -> None:
    """Write the project's finished stages to a folder or a registry."""
    from builder.cacherun import run_export  # noqa: PLC0415

    loaded = load_project(project, kernel=kernel, arch=arch, flavour=flavour)
    run_export(loaded, dest, builder=builder, allow_install=not no_install)


@cache_app.command("import")
def cache_import(
    source: Annotated[str, typer.Argument(metavar="CACHE", help="What `rosk cache export` has written.")],
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    builder: BuilderOption = None,
    no_install: NoInstallOption = False,
) -> None:
    """Bring the project's finished stages from a folder or a registry into the engine."""
    from builder.cacherun import run_import  # noqa: PLC0415

    loaded = load_project(project, kernel=kernel, arch=arch, flavour=flavour)
    run_import(loaded, source, builder=builder, allow_install=not no_install)
