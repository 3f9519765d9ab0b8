"""`rosk build`, `plan`, `setup`, `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from builder.cli.app import app
from builder.cli.options import (
    ArchOption,
    BuilderOption,
    CacheFromOption,
    CacheToOption,
    EngineName,
    EngineOption,
    FlavourOption,
    KernelOption,
    NoInstallOption,
    ProjectOption,
    RegistryOption,
    ScopeOption,
    StrictOption,
    check_scope,
    reproducer,
)
from builder.engine.probe import probe, probe_ahead
from builder.errors import EngineError
from builder.project import Project, load_all, load_project

_PUSH = "Push to the registries when all is built: the images, the release's files, and what is attached to them."


@app.command()
def build(
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    every: Annotated[
        bool, typer.Option("--all", help="Build every flavour for every architecture of the settings.")
    ] = False,
    push: Annotated[bool, typer.Option("--push", help=_PUSH)] = False,
    registry: RegistryOption = None,
    strict: StrictOption = False,
    no_install: NoInstallOption = False,
    engine: EngineOption = EngineName.DOCKER,
    builder: BuilderOption = None,
    cache_scope: ScopeOption = "",
    cache_from: CacheFromOption = None,
    cache_to: CacheToOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON instead of a summary.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print the whole log.")] = False,
) -> None:
    """Build the kernel: packages to dist/kernel, images to the engine, and with --push to the registries.

    The first flavour and this machine's architecture go to dist, any other to dist/FLAVOUR-ARCH (dist/ARCH in a project
    without flavours). With --all, what the kernels have in common runs once, and no release is replaced before all of
    them are built and checked; --arch and --flavour then leave out the others.
    """
    look = probe if engine is EngineName.BUILDAH else probe_ahead()
    from builder.run import BuildOptions, run_build  # noqa: PLC0415 - the engine's client is slow to import

    registries = registry or ()
    loaded: tuple[Project, ...]
    if every:
        loaded = load_all(project, kernel=kernel, arch=arch, flavour=flavour, registries=registries, strict=strict)
    else:
        loaded = (
            load_project(project, kernel=kernel, arch=arch, flavour=flavour, registries=registries, strict=strict),
        )
    options = BuildOptions(
        push=push,
        allow_install=not no_install,
        builder=builder,
        buildah=engine is EngineName.BUILDAH,
        scope=check_scope(cache_scope),
        cache_from=tuple(cache_from or ()),
        cache_to=tuple(cache_to or ()),
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
        every=every,
        commands=tuple(reproducer(each, strict=strict) for each in loaded),
    )
    run_build(loaded, options, look=look)


@app.command()
def plan(
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    registry: RegistryOption = None,
    strict: StrictOption = False,
    bake: Annotated[bool, typer.Option("--bake", help="Print the bake file for `docker buildx bake`.")] = False,
) -> None:
    """Print the graph and the settings as resolved, without building and without an engine."""
    from builder.plan import bake_text, plan_text  # noqa: PLC0415

    loaded = load_project(project, kernel=kernel, arch=arch, flavour=flavour, registries=registry or (), strict=strict)
    if bake:
        print(bake_text(loaded))
    else:
        Console(highlight=False, soft_wrap=True, emoji=False).print(plan_text(loaded))


@app.command()
def setup(project: ProjectOption = Path(), no_install: NoInstallOption = False) -> None:
    """Get what building needs: an engine that answers, and the base image. `rosk build` does this by itself."""
    from builder.run import prepare_for  # noqa: PLC0415

    _, base = prepare_for(load_project(project), allow_install=not no_install, note=print)
    print(f"ready: base image {base.ref} ({base.origin})")


@app.command()
def doctor(project: ProjectOption = Path(), arch: ArchOption = None, flavour: FlavourOption = None) -> None:
    """Say what this machine lacks for building, and how to get it; in a project also what compiles its kernel."""
    from builder.doctor import examine  # noqa: PLC0415

    findings = examine(project, arch=arch, flavour=flavour)
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    for finding in findings:
        console.print(finding.text, markup=False)
    if any(finding.fatal for finding in findings):
        raise typer.Exit(EngineError.exit_code)
