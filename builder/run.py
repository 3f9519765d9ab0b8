"""`rosk build` from its first look at the machine to its summary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from builder import stagenames
from builder.build import Built, Order, build_all
from builder.cachespec import NONE, Caches, without_exports
from builder.cachetransfer import exports, project_caches
from builder.engine.base import BaseImage, Engine, resolve_base
from builder.engine.buildah import CANNOT, Buildah
from builder.engine.docker import Docker
from builder.engine.install import Say, ensure_engine
from builder.engine.probe import EngineState, probe
from builder.errors import InputError
from builder.project import Project
from builder.release import REPORT, SIGNATURES, VERIFY, file_names, human_size, shown_path
from builder.stagenames import STAGES
from builder.trust.signing import sign_when_wanted
from builder.view import View, make_view

if TYPE_CHECKING:
    from builder.publish.spots import Spots
    from builder.publish.transfer import Outcome

SHOWN_NOTICES = 40


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How to build, beside what the project says to build.

    Attributes:
        push: Publish the release to the project's registries.
        everywhere: With `push`, to the other places of the settings, too.
        allow_unchecked: With `push`, a check that could not be done, for want of a program, is no reason not to.
        allow_install: What is missing on this machine may be installed and started.
        builder: A builder of buildx to solve with; the engine's own when None.
        buildah: Build with buildah, and no engine.
        scope: Which cache mounts to work with; see `builder.build.build`.
        cache_from, cache_to: Shared caches beside those of the settings, in the same forms.
        as_json: Print what was done as one JSON object, and nothing else on standard output.
        every: All kernels of a project were asked for: what is printed as JSON is a list, also where that is one.
        commands: The command lines that reproduce the builds, in the order of the projects.
    """

    push: bool = False
    everywhere: bool = False
    allow_unchecked: bool = False
    allow_install: bool = True
    builder: str | None = None
    buildah: bool = False
    scope: str = ""
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    every: bool = False
    commands: tuple[tuple[str, ...], ...] = ()


def run_build(
    projects: Sequence[Project],
    options: BuildOptions,
    *,
    prove: Callable[[Project], Mapping[str, Any]] | None = None,
    look: Callable[[], EngineState] = probe,
) -> list[Built]:
    """Build, push when asked to, and print the summary on standard output.

    Args:
        projects: Kernels of one project.
        prove: Called with each project once its release is in dist, and before anything is pushed; what it raises stops
            that. What it returns is said with the rest for programs.
        look: Gives what a first look at the engine finds.

    Raises:
        RoskError: See `builder.errors`; each `dist` has either the new release or the one before.
    """
    spots = spots_of(projects[0], everywhere=options.everywhere) if options.push else None
    console = Console(highlight=False, emoji=False, stderr=options.as_json)
    titles = stagenames.titles([project.name for project in projects])
    view = make_view(titles, console, shown=stagenames.shown_stage, quiet=options.quiet, verbose=options.verbose)
    note = machine_note(view, quiet=options.quiet)
    caches = [
        project_caches(project, sources=options.cache_from, targets=options.cache_to, warn=view.warn)
        for project in projects
    ]
    engine: Engine
    if options.buildah:
        engine, base = prepare_buildah(projects[0], options, note)
        if any(each != NONE for each in caches):
            view.warn(f"cache.from and cache.to of the settings are not used: {CANNOT}")
            caches = [NONE for _ in projects]
    else:
        engine, base = prepare_for(
            projects[0], allow_install=options.allow_install, note=note, builder=options.builder, look=look
        )
        caches = _writable(caches, engine, view.warn)
    orders = [
        Order(project=project, command=command, caches=own)
        for project, command, own in zip(projects, options.commands, caches, strict=True)
    ]
    with view:
        done = build_all(orders, engine, base, view=view, scope=options.scope)
    for project, built in zip(projects, done, strict=True):
        _print_notices(view, project, built, named=len(projects) > 1)
    signatures = [sign_when_wanted(project.settings.sign, project.root, project.dist) for project in projects]
    summary = not options.quiet and not options.as_json
    if summary:
        for project, built in zip(projects, done, strict=True):
            _print_files(console, project, built)
    proofs = [prove(project) if prove is not None else {} for project in projects]
    pushed: list[Outcome] = []
    if spots:
        pushed = _push(projects, spots, options, engine, console, view)
    if summary:
        _print_images(console, done, pushed)
        console.print("\n`rosk cache` shows what is kept for the next build")
    if options.as_json:
        found = [
            {**_as_json(project, built, pushed, signature), **proof}
            for project, built, signature, proof in zip(projects, done, signatures, proofs, strict=True)
        ]
        print(json.dumps(found if options.every else found[0], indent=1))
    if options.push:
        from builder.publish.run import check  # noqa: PLC0415 - see spots_of

        check(pushed)
    return done


def _writable(caches: list[Caches], engine: Engine, warn: Say) -> list[Caches]:
    """The caches without those that this engine cannot write: its client would fail the whole solve."""
    if not any(each.targets for each in caches) or exports(engine):
        return caches
    left = [without_exports(each) for each in caches]
    if left != caches:
        warn("no cache is written: this engine keeps images in its classic store (`rosk doctor` says how to switch)")
    return left


def machine_note(view: View, *, quiet: bool) -> Say:
    """What tells of changes to this machine, whatever the view: quiet is about the build."""
    told = Console(stderr=True, highlight=False, emoji=False)
    return partial(told.print, markup=False) if quiet else view.note


def _print_notices(view: View, project: Project, built: Built, *, named: bool) -> None:
    """Show what a build noticed; with the kernel's name where others were built too."""
    kernel = f"{project.name}: " if named else ""
    for notice in built.notices[:SHOWN_NOTICES]:
        view.warn(f"{kernel}{notice}")
    if len(built.notices) > SHOWN_NOTICES:
        more = len(built.notices) - SHOWN_NOTICES
        view.warn(f"{kernel}{more} more are in {shown_path(project.dist / 'build.log')}")


def spots_of(project: Project, *, everywhere: bool) -> Spots:
    """Where a build publishes to: the project's registries, or every place of its settings.

    Raises:
        InputError: There is none.
    """
    # A build that pushes nothing is not to wait for this.
    from builder.publish.spots import Spots, of_settings  # noqa: PLC0415

    if everywhere:
        found, what = of_settings(project.settings, project.root), "place to publish to"
    else:
        found, what = Spots(root=project.root, registries=project.registries), "registry to push to"
    if not found:
        also = ", and other places under publish:" if everywhere else ""
        raise InputError(
            f"there is no {what}",
            hint=f"name one with --registry, or list them under registries: in the settings{also}",
        )
    return found


def _push(
    projects: Sequence[Project], spots: Spots, options: BuildOptions, engine: Engine, console: Console, view: View
) -> list[Outcome]:
    """Publish what was built, on the terms of `rosk verify`."""
    from builder.publish.gate import Terms  # noqa: PLC0415 - see spots_of
    from builder.publish.render import make_watch  # noqa: PLC0415
    from builder.publish.run import PublishOptions, publish_folders  # noqa: PLC0415
    from builder.releasefolder import find_release  # noqa: PLC0415
    from builder.trust.run import trusted_keys  # noqa: PLC0415

    terms = Terms(keys=trusted_keys(projects[0].root, ()), allow_unchecked=options.allow_unchecked)
    how = PublishOptions(terms=terms)
    folders = [find_release(project.dist) for project in projects]
    with make_watch(console, quiet=options.quiet or options.as_json, say=view.note) as watch:
        return publish_folders(folders, spots, how, engine=lambda: engine, watch=watch, note=view.note)


def _as_json(project: Project, built: Built, pushed: list[Outcome], signature: Path | None) -> dict[str, Any]:
    """What a build did, for programs."""
    return {
        "release": built.manifest["release"],
        "arch": project.arch.name,
        "flavour": project.flavour,
        "dist": str(project.dist),
        "outputs": built.manifest["outputs"],
        "images": built.manifest["images"],
        "pushed": [push.reference for push in pushed if push.good],
        "signature": str(signature) if signature else None,
        "ran": [stage for stage in STAGES if stage in built.result.ran],
        "cached": [stage for stage in STAGES if stage in built.result.cached],
        "compiled": built.compiled,
        "notices": [asdict(notice) for notice in built.notices],
    }


def prepare(
    suite: str,
    wanted: str,
    *,
    allow_install: bool,
    note: Callable[[str], None],
    builder: str | None = None,
    look: Callable[[], EngineState] = probe,
) -> tuple[Docker, BaseImage]:
    """An engine that answers and the toolchain's base image, installed and made where that is allowed.

    Args:
        suite: The Debian suite of the base image.
        wanted: `auto`, or the reference of an image.
        allow_install: What is missing on this machine may be installed and started.
        note: Told what is done.
        builder: A builder of buildx to solve with; the engine's own when None.
        look: Gives what a first look at the engine finds.

    Raises:
        EngineError: One of them cannot be had.
    """
    state = ensure_engine(allow_install=allow_install, say=note, look=look)
    engine = Docker(builder, context=state.context)
    return engine, resolve_base(engine, suite, wanted, allow_install=allow_install, say=note)


def prepare_for(
    project: Project,
    *,
    allow_install: bool,
    note: Callable[[str], None],
    builder: str | None = None,
    look: Callable[[], EngineState] = probe,
) -> tuple[Docker, BaseImage]:
    """`prepare`, for a project's toolchain."""
    wanted = project.settings.toolchain
    return prepare(wanted.suite, wanted.base, allow_install=allow_install, note=note, builder=builder, look=look)


def prepare_buildah(project: Project, options: BuildOptions, note: Callable[[str], None]) -> tuple[Engine, BaseImage]:
    """Buildah, and the toolchain's base image among its images.

    Raises:
        InputError: What is asked for is beyond buildah.
        EngineError: It is not installed, or there is no base image to be had.
    """
    for name, given in (
        ("--builder", options.builder),
        ("--cache-from", options.cache_from),
        ("--cache-to", options.cache_to),
    ):
        if given:
            raise InputError(f"{name} does not go with --engine buildah", hint=f"{CANNOT}: leave one of them out")
    toolchain, engine = project.settings.toolchain, Buildah()
    return engine, resolve_base(engine, toolchain.suite, toolchain.base, allow_install=options.allow_install, say=note)


def _print_files(console: Console, project: Project, built: Built) -> None:
    release = str(built.manifest["release"])
    console.print(f"\n[bold]Kernel {escape(release)} for {project.arch.name}[/]")
    for name in file_names(project, release):
        path = project.dist / "kernel" / name
        console.print(f"  {human_size(path.stat().st_size):>8}  {escape(shown_path(path))}", soft_wrap=True)
    for name in ("build.log", REPORT, *(name for name in SIGNATURES.values() if (project.dist / name).is_file())):
        console.print(f"            {escape(shown_path(project.dist / name))}", soft_wrap=True)
    checks = json.loads((project.dist / VERIFY).read_text())["checks"]
    counted = Counter(check["status"] for check in checks)
    # Of a release that was there already `rosk verify` may have found more since.
    failed = f", [bold red]{counted['failed']} failed[/]" if counted["failed"] else ""
    console.print(f"{counted['ok']} checks passed{failed}; `rosk verify` does all, `rosk boot` boots it")


def _print_images(console: Console, done: Sequence[Built], pushed: Sequence[Outcome]) -> None:
    if pushed:
        from builder.publish.render import print_table  # noqa: PLC0415 - see spots_of

        console.print("\n[bold]Images pushed, and the release's files:[/]")
        print_table(console, pushed)
        return
    console.print("\n[bold]Images ready to push:[/]")
    for name in [image for built in done for image in built.images]:
        console.print(f"  {escape(name)}", soft_wrap=True)
