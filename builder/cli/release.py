"""`rosk release`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from builder.cli.app import app
from builder.cli.options import (
    ArchOption,
    BuilderOption,
    CacheFromOption,
    CacheToOption,
    FlavourOption,
    JsonOption,
    NoInstallOption,
    ProjectOption,
    RegistryOption,
    StrictOption,
    reproducer,
)
from builder.project import load_project

_PUBLISH = (
    "Publish images and files when all is proved, as `rosk publish` does: to every place of the settings, or to the "
    "registries of --registry alone."
)


@app.command()
def release(
    kernel: Annotated[
        str | None,
        typer.Argument(
            metavar="KERNEL_TAG",
            envvar="KERNEL_TAG",
            help="The kernel.org version to release (6.12.64, v6.12.64).",
            show_default="the settings' kernel",
        ),
    ] = None,
    project: ProjectOption = Path(),
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    boot: Annotated[
        bool, typer.Option("--boot", help="Boot it in qemu as well, before anything is published.")
    ] = False,
    publish: Annotated[bool, typer.Option("--publish", help=_PUBLISH)] = False,
    registry: RegistryOption = None,
    strict: StrictOption = False,
    allow_unchecked: Annotated[
        bool,
        typer.Option("--allow-unchecked", help="Go on when a check could not be done, for want of a program."),
    ] = False,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    cache_from: CacheFromOption = None,
    cache_to: CacheToOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors, warnings and proofs only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print the whole log.")] = False,
) -> None:
    """Make a release, as os-kernel's `make release` does: build, do all checks, and publish when asked to.

    Nothing is published that fails a check; the release is in dist then, to be looked at.
    """
    from builder.releaserun import ReleaseOptions, run_release  # noqa: PLC0415 - the engine's client is slow to import
    from builder.run import BuildOptions  # noqa: PLC0415

    loaded = load_project(
        project, kernel=kernel or None, arch=arch, flavour=flavour, registries=registry or (), strict=strict
    )
    build = BuildOptions(
        push=publish,
        everywhere=not registry,
        allow_install=not no_install,
        builder=builder,
        cache_from=tuple(cache_from or ()),
        cache_to=tuple(cache_to or ()),
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
        commands=(reproducer(loaded, strict=strict),),
    )
    run_release(loaded, ReleaseOptions(build=build, boot=boot, allow_unchecked=allow_unchecked))
