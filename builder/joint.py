"""The solves of a build of one or several kernels of a project: what they have in common runs once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from builder import graph, release
from builder.engine.events import BuildResult
from builder.errors import BuildError, InputError
from builder.foresight import has_built
from builder.hooks import idle_hooks
from builder.recall import recall, remember
from builder.release import Sum
from builder.solver import Builder, unpack


@dataclass(frozen=True, kw_only=True)
class Solved:
    """A solved graph.

    Attributes:
        resolved: What its source and toolchain were.
        result: Which of the Dockerfile's stages ran.
        images: Image tag to digest, in the order of `graph.IMAGES`.
    """

    resolved: graph.Resolved
    result: BuildResult
    images: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Member:
    """One kernel of a build: its builder, and its build context."""

    builder: Builder
    context: graph.Context

    @property
    def name(self) -> str:
        return self.builder.project.name

    @property
    def tar(self) -> Path:
        return self.builder.folder / "release.tar"

    @property
    def images(self) -> Path | None:
        """Where the images come as archives, from a builder that does not give them to the engine."""
        return self.builder.folder / "images.new" if self.builder.engine.remote else None

    def package(self, name: str) -> Path:
        """Where a package comes as an archive."""
        return self.builder.folder / f"{name}.tar"


@dataclass(frozen=True, kw_only=True)
class JointBuilder:
    """The solves of one build of several kernels of a project, which have one source and one toolchain; or of one.

    Attributes:
        members: The kernels.
        lead: The builder that solves for all of them.
        arrived: Called with the name of a kernel when the files of its release are in the staging folder, all but the
            source package: once or more, the last time after its last solve; in another thread where the solve goes on.
    """

    members: Sequence[Member]
    lead: Builder
    arrived: Callable[[str], None] = lambda _name: None

    def release(self, fetch: Mapping[str, Sequence[str]]) -> list[Solved]:
        """Solve the whole graph of each, under the names that its source and toolchain give it.

        What these are is remembered from an earlier build where there was one, and found out where that was wrong.

        Args:
            fetch: Name of a kernel to packages of it to bring into `kernel/` of its staging folder at once, where that
                saves a solve.
        """
        first, context = self.lead, self.members[0].context
        resolved = recall(first.project, context, first.base)
        known = resolved or first.resolve(context)
        while True:
            try:
                solved = self._release(known, fetch)
            except (InputError, BuildError):
                if resolved is None or (found := first.resolve(context)) == resolved:
                    raise
            else:
                found = first.read_resolved(first.folder / "reports")
                if (found.kernel_version, found.epoch) == (known.kernel_version, known.epoch):
                    remember(first.project, context, first.base, found)
                    return [replace(each, resolved=found) for each in solved]
            resolved, known = None, found

    def _release(self, resolved: graph.Resolved, fetch: Mapping[str, Sequence[str]]) -> list[Solved]:
        self.lead.check_toolchain(resolved.kernel_version)
        for name in idle_hooks(self.lead.project.root):
            self.lead.view.note(f"{name} is passed over: it is not executable")
        for member in self.members:
            own = member.builder
            for name in own.limit_patches(member.context, resolved):
                own.view.note(f"{own.project.origin(name)} is left out: not meant for {resolved.kernel_version}")
            if member.images:
                member.images.mkdir(exist_ok=True)
        plans = {member.name: _plan(member, resolved, fetch.get(member.name, ())) for member in self.members}
        with ExitStack() as stack:
            for member in sorted(self.members, key=lambda member: member.name):
                stack.enter_context(member.builder.alone(resolved))
            arrivals = stack.enter_context(Arrivals(self.members, self.arrived))
            result, metadata = replace(self, lead=replace(self.lead, exported=arrivals.exported))._solve(
                plans, resolved.epoch
            )
            for folder in filter(None, (member.images for member in self.members)):
                for archive in sorted(folder.iterdir()):
                    self.lead.engine.load(archive)
            for member in self.members:
                arrivals.take(member)
        for member in self.members:
            if graph.SOURCE in fetch.get(member.name, ()):
                unpack(member.package(graph.SOURCE), member.builder.folder / "kernel")
        return [self._solved(member, resolved, result, plans[member.name], metadata) for member in self.members]

    def _solve(self, plans: Mapping[str, Mapping[str, Any]], epoch: int) -> tuple[BuildResult, dict[str, Any]]:
        """Solve the plans, one after the other; what ran, and the metadata of all targets.

        What they share is in the cache after the first. In one solve, equal steps of different build contexts would
        meet only while BuildKit is at them, and it loses track of such steps (moby/buildkit#3635).
        """
        if len(plans) == 1:
            state, metadata = self.lead.solve(*plans.values(), epoch=epoch)
            return state.result, metadata
        results: list[BuildResult] = []
        found: dict[str, Any] = {}
        for name, plan in plans.items():
            state, metadata = self.lead.solve(renamed(name, plan), epoch=epoch)
            results.append(state.result)
            found |= metadata
        return merged(results), found

    def _solved(
        self,
        member: Member,
        resolved: graph.Resolved,
        result: BuildResult,
        plan: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> Solved:
        """What a solve gave for one of the kernels."""
        alone = len(self.members) == 1
        names = [name if alone else target_name(member.name, name) for name in graph.IMAGES]
        tags = [plan["target"][name]["tags"][0] for name in graph.IMAGES]
        digests = {tag: _digest(metadata[name]) for tag, name in zip(tags, names, strict=True)}
        return Solved(resolved=resolved, result=result, images=digests)

    def fetch(self, resolved: graph.Resolved, wanted: Mapping[str, Mapping[str, Sum]]) -> BuildResult:
        """Bring packages of the build into `kernel/` of the staging folders.

        Args:
            wanted: Name of a kernel to its packages.

        Raises:
            BuildError: One is not what the build has summed up.
        """
        members = [member for member in self.members if wanted[member.name]]
        plans = {
            member.name: graph.files_plan(
                member.builder.project,
                member.context,
                resolved,
                outputs={package: member.package(package) for package in wanted[member.name]},
                scope=self.lead.scope,
                caches=member.builder.caches,
            )
            for member in members
        }
        result, _ = self._solve(plans, resolved.epoch)
        for member in members:
            kernel = member.builder.folder / "kernel"
            for package, sums in wanted[member.name].items():
                unpack(member.package(package), kernel)
                if not release.holds(kernel, sums):
                    raise BuildError(
                        f"the {package} package is not the one that was built",
                        hint="build again; if it happens again, report it: this is an error in rosk",
                    )
        return result


class Arrivals(AbstractContextManager["Arrivals"]):
    """The release files of a solve, taken when they are there, while BuildKit is still at the images.

    Args:
        then: See `JointBuilder.arrived`.
    """

    def __init__(self, members: Sequence[Member], then: Callable[[str], None]) -> None:
        alone = len(members) == 1
        self._members = {"release" if alone else target_name(each.name, "release"): each for each in members}
        self._then = then
        self._thread = ThreadPoolExecutor(1)
        self._taken: dict[str, Future[None]] = {}

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def exported(self, target: str) -> None:
        """Begin to take what a target has exported, if it is the files of a release; once more in a second solve."""
        if member := self._members.get(target):
            self._taken[member.name] = self._thread.submit(self._take, member)

    def take(self, member: Member) -> None:
        """Have the files of a kernel in its staging folder."""
        taken = self._taken.pop(member.name, None)
        if taken is None or taken.exception() is not None:
            self._take(member)

    def _take(self, member: Member) -> None:
        for left in ("kernel", "reports"):
            shutil.rmtree(member.builder.folder / left, ignore_errors=True)
        unpack(member.tar, member.builder.folder)
        self._then(member.name)


def renamed(name: str, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The bake file of one of several builds (`cloud-x86`), whose targets have its name."""
    targets = {target_name(name, each): target for each, target in plan["target"].items()}
    return {"group": {"default": {"targets": list(targets)}}, "target": targets}


def merged(results: Sequence[BuildResult]) -> BuildResult:
    """What several solves did, together."""
    ran, cached, failed = (
        frozenset(chain.from_iterable(lists))
        for lists in zip(*((each.ran, each.cached, each.failed) for each in results), strict=True)
    )
    return BuildResult(ran=ran, cached=cached - ran, failed=failed)


def target_name(name: str, target: str) -> str:
    """What a target of one of several builds is called in its solve."""
    return f"{name}_{target}"


def _plan(member: Member, resolved: graph.Resolved, packages: Sequence[str]) -> dict[str, Any]:
    own = member.builder
    return graph.build_plan(
        own.project,
        member.context,
        resolved,
        output=member.tar,
        packages=set(packages) - {graph.SOURCE},
        source=member.package(graph.SOURCE) if graph.SOURCE in packages else None,
        images=member.images,
        kept=has_built(own.project, own.project.release(resolved.kernel_version)),
        scope=own.scope,
        caches=own.caches,
    )


def _digest(metadata: Mapping[str, Any]) -> str:
    """The digest of an image: its manifest's with the containerd image store, its config's with the classic one."""
    return str(metadata.get("containerimage.digest") or metadata["containerimage.config.digest"])
