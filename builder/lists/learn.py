"""What a `rosk lists` command learns of a project's kernel, and with what: the last release, and an engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from builder.errors import RoskError
from builder.lists.model import Kernel, Policy
from builder.lists.source import Foreseen, foresee, join, read_release
from builder.project import Project

_LOG = "dist/build.log"


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """What all three commands have.

    Attributes:
        root: The project's folder.
        kernel, arch, flavour: As of `builder.project.load_project`.
        engine: Ask the engine; else only the release in dist counts.
        allow_install: What is missing on this machine may be installed and started.
        builder: A builder of buildx to solve with.
        as_json: Print one JSON object, and nothing else on standard output.
        verbose: Print the log of what the engine does, on standard error.
    """

    root: Path
    kernel: str | None = None
    arch: str | None = None
    flavour: str | None = None
    engine: bool = True
    allow_install: bool = True
    builder: str | None = None
    as_json: bool = False
    verbose: bool = False


def policy_of(project: Project) -> Policy:
    """What a project's settings say of its lists."""
    lists = project.settings.lists
    return Policy(unlisted=lists.unlisted, softdeps=lists.softdeps, rules=lists.rules)


def learn(project: Project, options: ListOptions) -> Kernel:
    """What there is to know of the project's modules, without a compile.

    Raises:
        RoskError: See `builder.lists.source`.
    """
    released = read_release(project.dist, project.arch.name)
    foreseen = ask_engine(project, options) if options.engine else None
    return join(foreseen, released, project.dist)


def ask_engine(project: Project, options: ListOptions) -> Foreseen:
    """See `builder.lists.source.foresee`."""
    # With --no-engine, none of this has to be imported.
    from builder.buildlog import BuildLog  # noqa: PLC0415
    from builder.cachetransfer import project_caches  # noqa: PLC0415
    from builder.graph import STAGES, shown_stage  # noqa: PLC0415
    from builder.run import prepare  # noqa: PLC0415
    from builder.solver import Builder  # noqa: PLC0415
    from builder.view import make_view  # noqa: PLC0415

    console = Console(stderr=True, highlight=False, emoji=False)
    view = make_view(STAGES, console, shown=shown_stage, quiet=not options.verbose, verbose=options.verbose)
    toolchain = project.settings.toolchain
    engine, base = prepare(
        toolchain.suite,
        toolchain.base,
        allow_install=options.allow_install,
        note=console.print,
        builder=options.builder,
    )
    caches = project_caches(project, warn=view.warn)
    with TemporaryDirectory(prefix="rosk-lists-") as temp:
        folder = Path(temp)
        # What a failed solve says of the output folder is true of this one; dist stays as it is.
        with BuildLog(folder / "log.new", folder / "log") as log, view:
            builder = Builder(
                project=replace(project, dist=folder),
                engine=engine,
                base=base,
                view=view,
                log=log,
                folder=folder,
                caches=caches,
            )
            try:
                return foresee(builder)
            except RoskError as error:
                if _LOG in error.hint:  # this one is gone with its folder
                    error.hint = "give --verbose to see the whole log"
                raise
