"""`rosk build`: project → context → one solve → release. What each step does is in the module that it calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from builder import graph, release
from builder.buildlog import BuildLog
from builder.cachespec import NONE, Caches, told
from builder.ccache import ccache_config
from builder.current import find_current
from builder.engine.base import BaseImage
from builder.engine.docker import Docker
from builder.engine.events import BuildResult
from builder.errors import RoskError
from builder.external.sources import module_sources
from builder.project import Project
from builder.recall import recall
from builder.release import shown_path
from builder.reports import Notice, read_reports
from builder.signing.key import SigningKey, read_key
from builder.solver import Builder
from builder.view import View


@dataclass(frozen=True, kw_only=True)
class Built:
    """A finished build.

    Attributes:
        manifest: As in `dist/manifest.json`.
        images: The local tags, in the order of `dist/images`.
        notices: What the stages noticed, also those that came from the cache.
        result: Which stages ran and which were cached.
        compiled: What the compile did (`objects`, `compiler_cache`, `object_tree`); empty when it was cached.
    """

    manifest: Mapping[str, Any]
    images: tuple[str, ...]
    notices: tuple[Notice, ...]
    result: BuildResult
    compiled: Mapping[str, Any]


def build(
    project: Project,
    engine: Docker,
    base: BaseImage,
    *,
    view: View,
    command: tuple[str, ...],
    scope: str = "",
    fresh: bool = False,
    caches: Caches = NONE,
) -> Built:
    """Build the project's release into `project.dist` and its images into the engine.

    Args:
        base: The image that the toolchain is installed in.
        view: Shown what happens.
        command: The command line that reproduces the build, for the manifest.
        scope: A word; builds of another one share no cache mount with this one.
        fresh: Take nothing but the toolchain and the source from the cache; for a scope that is new.
        caches: Caches that machines share, to read from and to write to.

    Raises:
        VerifyError: It does not pass the fast checks of `rosk verify`; it is in `rejected` of `project.dist`.
        RoskError: It failed; `project.dist` is as it was, except for `build.log`.
    """
    with (
        release.staging(project.dist) as folder,
        BuildLog(folder / "build.log", project.dist / "build.log") as log,
    ):
        builder = Builder(
            project=project,
            engine=engine,
            base=base,
            view=view,
            log=log,
            folder=folder,
            scope=scope,
            fresh=fresh,
            caches=caches,
        )
        try:
            key = read_key(project, warn=view.warn)
            with ccache_config(project, folder, engine.gateway) as ccache:
                context = builder.context(ccache, key, module_sources(project, view.note))
                return _current(builder, context, command) or _build(builder, context, command, key)
        except RoskError as error:
            log.line(f"error: {error}")
            raise


def _current(builder: Builder, context: graph.Context, command: tuple[str, ...]) -> Built | None:
    """The release in `dist`, when a build would give it again, and does nothing else."""
    project = builder.project
    resolved = recall(project, context, builder.base)
    if resolved is None or builder.fresh or builder.caches.targets:
        return None
    builder.limit_patches(context, resolved)
    key = builder.key(context, resolved, command)
    current = find_current(project, builder.engine, key) if key else None
    if current is None:
        return None
    builder.log.needless = True
    builder.view.note(f"nothing changed since {shown_path(project.dist)} was built")
    return Built(
        manifest=current.manifest,
        images=tuple(current.manifest["images"]),
        notices=current.notices,
        result=BuildResult(ran=frozenset(), cached=frozenset(graph.STAGES), failed=frozenset()),
        compiled={},
    )


def _build(builder: Builder, context: graph.Context, command: tuple[str, ...], key: SigningKey | None) -> Built:
    """Solve the graph, bring what is new of it into the staging folder, prove it, and make that the release."""
    # A build with nothing to do is not to wait for these.
    from builder.proof import check_release  # noqa: PLC0415
    from builder.report.kept import write_kept  # noqa: PLC0415
    from builder.report.record import build_facts  # noqa: PLC0415

    project, folder = builder.project, builder.folder
    solved = builder.release(context)
    sums = release.read_sums(folder / "reports/sums")
    wanted = {name: sum for name, sum in sums.items() if not release.keep(project.dist, folder, sum)}
    fetched = [builder.fetch(context, solved.resolved, wanted)] if wanted else []
    result = shown_result(solved.result, *fetched)
    compiled = json.loads((folder / "reports/compile.json").read_text()) if "compile" in result.ran else {}
    builder.log.append(folder / "reports" / "compile.log")
    lasting, firmware = read_reports(project, folder / "reports")
    # What a compile and a solve noticed of their caches is of that day.
    passing = [Notice(kind="cache", what=what) for what in told(builder.warnings)]
    passing += [Notice(kind=entry["kind"], what=entry["what"]) for entry in compiled.get("warnings", ())]
    notices = passing + lasting
    for notice in notices:
        builder.log.line(f"warning: {notice}")
    manifest = release.describe_release(
        project,
        solved.resolved,
        folder,
        sums=sums,
        images=solved.images,
        command=command,
        archives=context.archives(project),
        firmware=firmware,
        signing=key.as_json() if key else None,
        modules=[module.as_json() for module in context.modules],
    )
    record = build_facts(project, folder / "reports", states=builder.states, notices=lasting, compiled=compiled)
    write_kept(folder, release.BUILD, {"key": builder.key(context, solved.resolved, command), **record})
    check_release(folder, project.dist)
    release.commit(project.dist, folder)
    return Built(
        manifest=manifest, images=tuple(solved.images), notices=tuple(notices), result=result, compiled=compiled
    )


def shown_result(*results: BuildResult) -> BuildResult:
    """Which stages of `graph.STAGES` ran, were cached whole, and failed: one that ran in part ran."""
    ran, cached, failed = (
        frozenset(map(graph.shown_stage, chain.from_iterable(lists))) & set(graph.STAGES)
        for lists in zip(*((result.ran, result.cached, result.failed) for result in results), strict=True)
    )
    return BuildResult(ran=ran, cached=cached - ran, failed=failed)
