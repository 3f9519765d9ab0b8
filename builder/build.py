"""`rosk build`: projects → contexts → solves → releases. What each step does is in the module that it calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from builder import release, stagenames
from builder.buildlog import BuildLog, JointLog
from builder.cachespec import NONE, Caches, told
from builder.ccache import ccache_config, compile_notices
from builder.current import find_current
from builder.engine.base import BaseImage, Engine
from builder.engine.events import BuildResult, BuildState
from builder.errors import RoskError
from builder.external.sources import module_sources
from builder.foresight import foreseen, lasting
from builder.hostcache import in_use
from builder.inputs.fetch import default_cache
from builder.joint import JointBuilder, Member, Solved, merged
from builder.lookout import Lookout
from builder.project import Project
from builder.recall import recall
from builder.release import Sum, shown_path
from builder.reports import Notice, read_reports
from builder.signing.key import SigningKey, read_key
from builder.solver import Builder
from builder.sourceparts import PARTS, REPORT, read_parts
from builder.summing import Sums, summed_ahead
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
    engine: Engine,
    base: BaseImage,
    *,
    view: View,
    command: tuple[str, ...],
    scope: str = "",
    fresh: bool = False,
    caches: Caches = NONE,
) -> Built:
    """Build one kernel; see `build_all`."""
    order = Order(project=project, command=command, caches=caches)
    return build_all([order], engine, base, view=view, scope=scope, fresh=fresh)[0]


@dataclass(frozen=True, kw_only=True)
class Order:
    """One kernel to build.

    Attributes:
        command: The command line that reproduces the build, for the manifest.
        caches: Caches that machines share, to read from and to write to.
    """

    project: Project
    command: tuple[str, ...]
    caches: Caches = NONE


def build_all(
    orders: Sequence[Order],
    engine: Engine,
    base: BaseImage,
    *,
    view: View,
    scope: str = "",
    fresh: bool = False,
) -> list[Built]:
    """Build releases, each into the `dist` of its project, and their images into the engine.

    Those that a build would give again are left as they are; the others are built, and take their places when all of
    them have passed their checks.

    Args:
        orders: Kernels of one project: their source and their toolchain are the same.
        base: The image that the toolchain is installed in.
        view: Shown what happens.
        scope: A word; builds of another one share no cache mount with this one.
        fresh: Take nothing but the toolchain and the source from the cache; for a scope that is new.

    Raises:
        VerifyError: One does not pass the fast checks of `rosk verify`; it is in `rejected` of its `dist`.
        RoskError: It failed; every `dist` is as it was, except for `build.log`.
    """
    with ExitStack() as stack:
        stack.enter_context(in_use(default_cache()))
        shared = Shared(engine=engine, base=base, view=view, scope=scope, fresh=fresh)
        works = [_open(stack, order, shared) for order in orders]
        logs = JointLog({work.name: work.log for work in works})
        try:
            found = {work.name: _current(work) for work in works}
            stale = [work for work in works if found[work.name] is None]
            found |= _build(stale, logs) if stale else {}
        except RoskError as error:
            logs.line(f"error: {error}")
            raise
        return [built for work in works if (built := found[work.name])]


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What the builders of one build have in common; see `builder.solver.Builder`."""

    engine: Engine
    base: BaseImage
    view: View
    scope: str
    fresh: bool
    warnings: list[str] = field(default_factory=list)
    states: list[BuildState] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Work:
    """One kernel in the making: what was ordered, its solves, its own log, and whose key signs its modules."""

    order: Order
    member: Member
    log: BuildLog
    signing: SigningKey | None

    @property
    def name(self) -> str:
        return self.member.name

    @property
    def project(self) -> Project:
        return self.order.project

    @property
    def folder(self) -> Path:
        """The staging folder."""
        return self.member.builder.folder

    @property
    def reports(self) -> Path:
        return self.folder / "reports"


def _open(stack: ExitStack, order: Order, shared: Shared) -> Work:
    """Have a staging folder, a log and a build context for one kernel, until the stack is closed."""
    project = order.project
    folder = stack.enter_context(release.staging(project.dist))
    log = stack.enter_context(BuildLog(folder / "build.log", project.dist / "build.log"))
    builder = Builder(
        project=project,
        engine=shared.engine,
        base=shared.base,
        view=shared.view,
        log=log,
        folder=folder,
        scope=shared.scope,
        fresh=shared.fresh,
        caches=order.caches,
        warnings=shared.warnings,
        states=shared.states,
    )
    try:
        signing = read_key(project, warn=shared.view.warn)
        ccache = stack.enter_context(ccache_config(project, folder, shared.engine.gateway))
        context = builder.context(ccache, signing, module_sources(project, shared.view.note))
        return Work(order=order, member=Member(builder=builder, context=context), log=log, signing=signing)
    except RoskError as error:
        log.line(f"error: {error}")
        raise


def _current(work: Work) -> Built | None:
    """The release in `dist`, when a build would give it again, and does nothing else."""
    project, builder, context = work.project, work.member.builder, work.member.context
    resolved = recall(project, context, builder.base)
    if resolved is None or builder.fresh or builder.caches.targets:
        return None
    builder.limit_patches(context, resolved)
    key = builder.key(context, resolved, work.order.command)
    current = find_current(project, builder.engine, key) if key else None
    if current is None:
        return None
    work.log.needless = True
    builder.view.note(f"nothing changed since {shown_path(project.dist)} was built")
    if release.forget_rejected(project.dist):
        left = shown_path(project.dist / release.REJECTED)
        builder.view.note(f"{left} is removed: it was of other inputs, and did not pass its checks")
    return Built(
        manifest=current.manifest,
        images=tuple(current.manifest["images"]),
        notices=current.notices,
        result=BuildResult(ran=frozenset(), cached=frozenset(stagenames.STAGES), failed=frozenset()),
        compiled={},
    )


def _build(works: Sequence[Work], logs: JointLog) -> dict[str, Built | None]:
    """Solve the graph, bring what is new of it into the staging folders, prove it, and make that the releases."""
    lead = works[0].member.builder
    if len(works) > 1:
        lead = replace(lead, log=logs, others={work.name: work.project for work in works})
    fetch = {work.name: foreseen(work.project, work.member.context) for work in works}
    with ExitStack() as stack:
        kept = chain.from_iterable(lasting(work.project.dist, fetch[work.name]) for work in works)
        known = stack.enter_context(summed_ahead(kept))
        # A build with nothing to do is not to wait for these, and no other one either.
        stack.enter_context(ThreadPoolExecutor(1)).map(import_module, ("builder.proof", "builder.trust.documents"))
        ends = {work.name: stack.enter_context(ExitStack()) for work in works}
        joint = JointBuilder(members=[work.member for work in works], lead=lead, sums=known, until=ends)
        lookout: Lookout | None = None
        if len(works) == 1:  # a release is large once it is unpacked
            lookout = own = stack.enter_context(Lookout(works[0].project.dist, works[0].folder, known, lead.code))
            joint = replace(joint, arrived=lambda _name: own.look())
        built = _solve(works, joint, fetch, known)
        from builder.proof import check_release  # noqa: PLC0415 - see above

        for work in works:
            check_release(work.folder, work.project.dist, code=lead.code, ahead=lookout.subject if lookout else None)
        for work in works:
            release.commit(work.project.dist, work.folder, then=ends[work.name].close)
    return built


def _solve(
    works: Sequence[Work], joint: JointBuilder, fetch: Mapping[str, Sequence[str]], known: Sums
) -> dict[str, Built | None]:
    """Solve the graph, and make whole releases of what comes of it, in the staging folders.

    Args:
        fetch: See `JointBuilder.release`.
        known: The checksums of files of the releases before.
    """
    solved = joint.release(fetch)
    sums = [release.read_sums(work.reports / "sums") for work in works]
    wanted = {
        work.name: {
            name: sum for name, sum in own.items() if not release.has(work.project.dist, work.folder, sum, known)
        }
        for work, own in zip(works, sums, strict=True)
    }
    fetched = [joint.fetch(solved[0].resolved, wanted)] if any(wanted.values()) else []
    built: dict[str, Built | None] = {}
    for work, each, own in zip(works, solved, sums, strict=True):
        result = shown_result(each.result, *fetched, name=work.name)
        built[work.name] = _stage(work, each, own, result)
    return built


def _stage(work: Work, solved: Solved, sums: Mapping[str, Sum], result: BuildResult) -> Built:
    """Make a whole release of what was solved of one kernel, in its staging folder."""
    from builder.report.kept import write_kept  # noqa: PLC0415
    from builder.report.record import build_facts  # noqa: PLC0415

    project, folder, builder, context = work.project, work.folder, work.member.builder, work.member.context
    compiled = json.loads((work.reports / "compile.json").read_text()) if "compile" in result.ran else {}
    work.log.append(work.reports / "compile.log")
    lasting, firmware = read_reports(project, work.reports)
    # What a compile and a solve noticed of their caches is of that day.
    passing = [Notice(kind="cache", what=what) for what in told(builder.warnings)]
    passing += compile_notices(project, compiled, remote=builder.engine.remote)
    notices = passing + lasting
    for notice in notices:
        work.log.line(f"warning: {notice}")
    manifest = release.describe_release(
        project,
        solved.resolved,
        folder,
        sums=sums,
        images=solved.images,
        command=work.order.command,
        archives=context.archives(project),
        firmware=firmware,
        signing=work.signing.as_json() if work.signing else None,
        modules=[module.as_json() for module in context.modules],
    )
    record = build_facts(project, work.reports, states=builder.states, notices=lasting, compiled=compiled)
    key = builder.key(context, solved.resolved, work.order.command)
    write_kept(folder, release.BUILD, {"key": key, **record, PARTS: read_parts(work.reports / REPORT)})
    return Built(
        manifest=manifest, images=tuple(solved.images), notices=tuple(notices), result=result, compiled=compiled
    )


def shown_result(*results: BuildResult, name: str = "") -> BuildResult:
    """Which stages of `stagenames.STAGES` ran, were cached whole, and failed: one that ran in part ran.

    Args:
        name: Of several builds in a solve, the one that is meant.
    """

    def shown(stages: frozenset[str]) -> frozenset[str]:
        return frozenset(filter(None, (stagenames.stage_of(name, stage) for stage in stages))) & set(stagenames.STAGES)

    return merged([BuildResult(ran=shown(r.ran), cached=shown(r.cached), failed=shown(r.failed)) for r in results])
