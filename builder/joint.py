"""The solves of a build of one or several kernels of a project: what they have in common runs once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from builder import graph, release
from builder.arrivals import Arrivals
from builder.engine.events import BuildResult
from builder.errors import BuildError, InputError
from builder.hooks import idle_hooks
from builder.imagetags import ImageTags
from builder.project import SETTINGS_FILE
from builder.recall import recall, remember
from builder.release import Sum
from builder.replan import joined, renamed, target_name
from builder.solver import Builder, unpack
from builder.sourceparts import KnownSource, known_source, put_together
from builder.summing import Sums


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

    @property
    def source(self) -> Path:
        """The folder with the source package, which comes apart from the others."""
        return self.builder.folder / "source"

    def package(self, name: str) -> Path:
        """Where a package comes as an archive."""
        return self.builder.folder / f"{name}.tar"

    def known(self, resolved: graph.Resolved) -> KnownSource | None:
        """The source package of the release before, where a solve may bring only what that does not have."""
        own = self.builder
        if own.engine.brings_all:
            return None
        release = own.project.release(resolved.kernel_version)
        return known_source(own.project.dist, own.project.packages(release)[graph.SOURCE], own.folder / "source-before")

    def take_release(self, archive: Path) -> None:
        """Have the files of the release, all but the source package, from what a solve exported."""
        for left in ("kernel", "reports"):
            shutil.rmtree(self.builder.folder / left, ignore_errors=True)
        unpack(archive, self.builder.folder)

    def take_source(self, known: KnownSource | None, archive: Path) -> None:
        """Have the source package in a folder of its own; where that fails it is not there, and is fetched whole.

        Args:
            known: What the solve was told to be known.
            archive: What it exported.
        """
        new = self.builder.folder / "new-source"
        for left in (self.source, new):
            shutil.rmtree(left, ignore_errors=True)
        if known is None:
            unpack(archive, self.source)
            return
        unpack(archive, new)
        self.source.mkdir()
        with suppress(OSError, EOFError, ValueError, KeyError, TypeError):
            put_together(known, new, self.source / known.name)

    def note_source(self, sums: Sums) -> None:
        """Have the source package summed up."""
        for package in self.source.glob("*"):
            sums.note(package)


class _OtherKernel(Exception):
    """The source was another one than remembered; `found` is what it is."""

    def __init__(self, found: graph.Resolved) -> None:
        super().__init__(found.kernel_version)
        self.found = found


@dataclass(frozen=True, kw_only=True)
class JointBuilder:
    """The solves of one build of several kernels of a project, which have one source and one toolchain; or of one.

    Attributes:
        members: The kernels.
        lead: The builder that solves for all of them.
        sums: Told of the source packages that have come, beside the solve.
        until: Name of a kernel to what is closed when its release is in its place, or fails: until then no other build
            gives images its tags, and its own images have them only if it ends well.
        arrived: Called with the name of a kernel, in another thread, when the files of its release are in the staging
            folder, all but the source package, while the solve goes on; not at all, or for each solve.
    """

    members: Sequence[Member]
    lead: Builder
    sums: Sums
    until: Mapping[str, ExitStack]
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
                return self._release(known, fetch)
            except _OtherKernel as error:
                found = error.found
            except (InputError, BuildError):
                if resolved is None or (found := first.resolve(context)) == resolved:
                    raise
            resolved, known = None, found

    def _release(self, resolved: graph.Resolved, fetch: Mapping[str, Sequence[str]]) -> list[Solved]:
        """See `release`.

        Raises:
            _OtherKernel: It is of another version or date than `resolved`, whose names it has.
        """
        self.lead.check_toolchain(resolved.kernel_version)
        for name in idle_hooks(self.lead.project.root):
            self.lead.view.warn(f"{name} is passed over: it is not executable")
        for member in self.members:
            own = member.builder
            for name in own.limit_patches(member.context, resolved):
                own.view.note(f"{own.project.origin(name)} is left out: not meant for {resolved.kernel_version}")
            if member.images:
                member.images.mkdir(exist_ok=True)
        with ExitStack() as stack:
            ends = {member.name: stack.enter_context(ExitStack()) for member in self.members}
            for tag, member in self._in_order(resolved):
                ends[member.name].enter_context(member.builder.alone(tag))
            sources = {
                member.name: member.known(resolved)
                for member in self.members
                if graph.SOURCE in fetch.get(member.name, ())
            }
            plans = {
                member.name: _plan(member, resolved, fetch.get(member.name, ()), sources.get(member.name))
                for member in self.members
            }
            tags = [
                ends[name].enter_context(ImageTags(self.lead.engine, _tags(plan), self.lead.view.warn))
                for name, plan in plans.items()
            ]

            def named(reference: str) -> None:
                for each in tags:
                    each.note(reference)

            result, metadata = self._solve(replace(self.lead, named=named), plans, sources, resolved)
            found = self.lead.read_resolved(self.lead.folder / "reports")
            if (found.kernel_version, found.epoch) != (resolved.kernel_version, resolved.epoch):
                raise _OtherKernel(found)
            for name, end in ends.items():
                self.until[name].enter_context(end.pop_all())
        remember(self.lead.project, self.members[0].context, self.lead.base, found)
        return [self._solved(member, found, result, plans[member.name], metadata) for member in self.members]

    def _in_order(self, resolved: graph.Resolved) -> list[tuple[str, Member]]:
        """The kernels by the tags of their images, in the order in which every build waits for others of these.

        Raises:
            InputError: Two of them have the same tags.
        """
        found: dict[str, Member] = {}
        for member in self.members:
            project = member.builder.project
            tag = project.image("os-kernel", project.release(resolved.kernel_version))
            if tag in found:
                raise InputError(
                    f"{member.name} and {found[tag].name} would give their images the same tags, {tag} for one",
                    where=project.root / SETTINGS_FILE,
                    hint="give one of them another suffix",
                )
            found[tag] = member
        return sorted(found.items())

    def _solve(
        self,
        lead: Builder,
        plans: Mapping[str, Mapping[str, Any]],
        sources: Mapping[str, KnownSource | None],
        resolved: graph.Resolved,
    ) -> tuple[BuildResult, dict[str, Any]]:
        """Solve the plans, and have in the staging folders and in the engine what comes of them."""
        with Arrivals(self.members, sources, self.arrived, self.sums) as arrivals:
            result, metadata = _solve(replace(lead, exported=arrivals.exported), plans, resolved.epoch)
            for tag in chain.from_iterable(map(_tags, plans.values())) if lead.engine.remote else ():
                lead.named(tag)
            for folder in filter(None, (member.images for member in self.members)):
                for archive in sorted(folder.iterdir()):
                    self.lead.engine.load(archive)
            arrivals.take_all()
        for member in self.members:
            for package in member.source.glob("*") if member.name in sources else ():
                package.rename(member.builder.folder / "kernel" / package.name)
        return result, metadata

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
        digests = {tag: _digest(metadata[name]) for tag, name in zip(_tags(plan), names, strict=True)}
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
        result, _ = _solve(self.lead, plans, resolved.epoch)
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


def _solve(lead: Builder, plans: Mapping[str, Mapping[str, Any]], epoch: int) -> tuple[BuildResult, dict[str, Any]]:
    """Solve the plans, in one solve where that can be; what ran, and the metadata of all targets.

    Where the steps of several kernels cannot be the same ones (`builder.engine.linked`) it is one after the other, and
    what they share is in the cache after the first: in one solve they would meet only while BuildKit is at them, and it
    loses track of such steps (moby/buildkit#3635).
    """
    if len(plans) == 1:
        state, metadata = lead.solve(*plans.values(), epoch=epoch)
        return state.result, metadata
    if not (lead.engine.remote or lead.engine.brings_all or lead.caches.sources):
        state, metadata = lead.solve(joined(plans), epoch=epoch)
        return state.result, metadata
    results: list[BuildResult] = []
    found: dict[str, Any] = {}
    for name, plan in plans.items():
        state, metadata = lead.solve(renamed(name, plan), epoch=epoch)
        results.append(state.result)
        found |= metadata
    return merged(results), found


def merged(results: Sequence[BuildResult]) -> BuildResult:
    """What several solves did, together."""
    ran, cached, failed = (
        frozenset(chain.from_iterable(lists))
        for lists in zip(*((each.ran, each.cached, each.failed) for each in results), strict=True)
    )
    return BuildResult(ran=ran, cached=cached - ran, failed=failed)


def _plan(
    member: Member, resolved: graph.Resolved, packages: Sequence[str], known: KnownSource | None
) -> dict[str, Any]:
    own = member.builder
    return graph.build_plan(
        own.project,
        member.context,
        resolved,
        output=member.tar,
        packages=set(packages) - {graph.SOURCE},
        source=member.package(graph.SOURCE) if graph.SOURCE in packages else None,
        known=known.tell(own.folder / "known") if known else None,
        images=member.images,
        scope=own.scope,
        caches=own.caches,
    )


def _tags(plan: Mapping[str, Any]) -> list[str]:
    """The tags of the images of a build of one kernel, in the order of `graph.IMAGES`."""
    return [plan["target"][name]["tags"][0] for name in graph.IMAGES]


def _digest(metadata: Mapping[str, Any]) -> str:
    """The digest of an image: its manifest's with the containerd image store, its config's with the classic one."""
    return str(metadata.get("containerimage.digest") or metadata["containerimage.config.digest"])
