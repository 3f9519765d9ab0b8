"""The command line. It reads options and calls; what happens is elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from builder import __version__
from builder.errors import EngineError, InputError
from builder.project import Project, load_project

app = typer.Typer(
    name="rosk",
    help="Builds, proves and publishes custom Linux kernels for container operating systems.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

ProjectOption = Annotated[
    Path, typer.Option("--project", "-C", help="The project's folder.", file_okay=False, show_default="this folder")
]
KernelOption = Annotated[
    str | None,
    typer.Option(
        "--kernel",
        envvar="KERNEL_TAG",
        metavar="VERSION",
        help="Build this kernel.org version instead of the settings' kernel.",
    ),
]
ArchOption = Annotated[
    str | None, typer.Option("--arch", help="Package architecture: x86 or arm64.", show_default="this machine's")
]
RegistryOption = Annotated[
    list[str] | None,
    typer.Option("--registry", metavar="HOST[:PORT][/PREFIX]", help="Push there instead; may be given several times."),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Fail when an option of a full config did not survive, too.")
]
NoInstallOption = Annotated[
    bool,
    typer.Option("--no-install", envvar="ROSK_NO_INSTALL", help="Never install or start anything on this machine."),
]


BuilderOption = Annotated[
    str | None,
    typer.Option(
        "--builder",
        envvar="ROSK_BUILDER",
        metavar="NAME",
        help="Solve with this builder of buildx, remote or clustered ones included.",
        show_default="the engine's own",
    ),
]
CacheFromOption = Annotated[
    list[str] | None,
    typer.Option(
        "--cache-from",
        metavar="CACHE",
        help="Take finished stages from there: a reference in a registry, a folder (./path), or BuildKit's type=….",
    ),
]
CacheToOption = Annotated[
    list[str] | None, typer.Option("--cache-to", metavar="CACHE", help="Put finished stages there, in the same forms.")
]
ScopeOption = Annotated[
    str,
    typer.Option(
        "--cache-scope",
        envvar="ROSK_CACHE_SCOPE",
        metavar="WORD",
        help="Keep object trees and compiler results apart from builds of another scope.",
        show_default=False,
    ),
]


@app.callback(invoke_without_command=True)
def rosk(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Builds, proves and publishes custom Linux kernels for container operating systems."""
    if version:
        print(f"rosk {__version__}")
        raise typer.Exit


@app.command()
def build(
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    push: Annotated[bool, typer.Option("--push", help="Push the images when all is built.")] = False,
    registry: RegistryOption = None,
    strict: StrictOption = False,
    no_install: NoInstallOption = False,
    builder: BuilderOption = None,
    cache_scope: ScopeOption = "",
    cache_from: CacheFromOption = None,
    cache_to: CacheToOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON instead of a summary.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print the whole log.")] = False,
) -> None:
    """Build the kernel: packages to dist/kernel, images to the engine, and with --push to the registries."""
    from builder.run import BuildOptions, run_build  # noqa: PLC0415 - the engine's client is slow to import

    loaded = load_project(project, kernel=kernel, arch=arch, registries=registry or (), strict=strict)
    options = BuildOptions(
        push=push,
        allow_install=not no_install,
        builder=builder,
        scope=check_scope(cache_scope),
        cache_from=tuple(cache_from or ()),
        cache_to=tuple(cache_to or ()),
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
        command=reproducer(loaded, strict=strict),
    )
    run_build(loaded, options)


@app.command()
def repro(
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
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
    from builder.repro import ReproOptions, run_repro  # noqa: PLC0415

    loaded = load_project(project, kernel=kernel, arch=arch)
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


@app.command()
def plan(
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    registry: RegistryOption = None,
    strict: StrictOption = False,
    bake: Annotated[bool, typer.Option("--bake", help="Print the bake file for `docker buildx bake`.")] = False,
) -> None:
    """Print the graph and the settings as resolved, without building and without an engine."""
    from builder.plan import bake_text, plan_text  # noqa: PLC0415

    loaded = load_project(project, kernel=kernel, arch=arch, registries=registry or (), strict=strict)
    if bake:
        print(bake_text(loaded))
    else:
        Console(highlight=False, soft_wrap=True, emoji=False).print(plan_text(loaded))


@app.command()
def setup(project: ProjectOption = Path(), no_install: NoInstallOption = False) -> None:
    """Get what building needs: an engine that answers, and the base image. `rosk build` does this by itself."""
    from builder.run import prepare  # noqa: PLC0415

    toolchain = load_project(project).settings.toolchain
    _, base = prepare(toolchain.suite, toolchain.base, allow_install=not no_install, note=print)
    print(f"ready: base image {base.ref} ({base.origin})")


@app.command()
def doctor() -> None:
    """Say what this machine lacks for building, and how to get it."""
    from builder.doctor import examine  # noqa: PLC0415

    findings = examine()
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    for finding in findings:
        console.print(finding.text)
    if any(finding.fatal for finding in findings):
        raise typer.Exit(EngineError.exit_code)


cache_app = typer.Typer(
    help="What is kept for the next build: show it, make room, and hand it to other machines.",
    invoke_without_command=True,
)
app.add_typer(cache_app, name="cache")

JsonOption = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@cache_app.callback()
def cache(context: typer.Context, builder: BuilderOption = None, as_json: JsonOption = False) -> None:
    """Show what is kept, how large it is, and what losing it would cost; see also the commands below."""
    if context.invoked_subcommand is None:
        cache_show(builder=builder, as_json=as_json)


@cache_app.command("show")
def cache_show(builder: BuilderOption = None, as_json: JsonOption = False) -> None:
    """Show what is kept, how large it is, when it was used, and what losing it would cost."""
    from builder.cacherun import print_cache  # noqa: PLC0415

    print_cache(builder=builder, as_json=as_json)


@cache_app.command("prune")
def cache_prune(
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="AGE", help="Unused for so long: 14d, 36h.", show_default="14d"),
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
    builder: BuilderOption = None,
    no_install: NoInstallOption = False,
) -> None:
    """Write the project's finished stages to a folder or a registry."""
    from builder.cacherun import run_export  # noqa: PLC0415

    loaded = load_project(project, kernel=kernel, arch=arch)
    run_export(loaded, dest, builder=builder, allow_install=not no_install)


@cache_app.command("import")
def cache_import(
    source: Annotated[str, typer.Argument(metavar="CACHE", help="What `rosk cache export` has written.")],
    project: ProjectOption = Path(),
    kernel: KernelOption = None,
    arch: ArchOption = None,
    builder: BuilderOption = None,
    no_install: NoInstallOption = False,
) -> None:
    """Bring the project's finished stages from a folder or a registry into the engine."""
    from builder.cacherun import run_import  # noqa: PLC0415

    loaded = load_project(project, kernel=kernel, arch=arch)
    run_import(loaded, source, builder=builder, allow_install=not no_install)


def check_scope(word: str) -> str:
    """The scope, once it can be part of a cache mount's name.

    Raises:
        InputError: It cannot.
    """
    if not re.fullmatch(r"[a-z0-9]*(?:-[a-z0-9]+)*", word) or len(word) > 40:
        raise InputError(
            f"{word!r} is no cache scope", hint="give --cache-scope a word of a-z, 0-9 and single -, at most 40 long"
        )
    return word


def reproducer(project: Project, *, strict: bool) -> tuple[str, ...]:
    """The command that builds the same again, from the project's folder."""
    command = ["rosk", "build", "--arch", project.arch.name]
    if project.source.version is not None:
        command += ["--kernel", project.source.version]
    return tuple([*command, "--strict"] if strict else command)
