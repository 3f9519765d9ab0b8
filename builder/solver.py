"""The solves of one build: what they are asked, what is fetched of them, and what is said while they run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from builder import graph, release
from builder.buildlog import BuildLog
from builder.cachespec import NONE, Caches, is_race
from builder.context import dockerfiles, write_context
from builder.current import own_code, release_key
from builder.engine.base import BaseImage
from builder.engine.docker import Docker, SolveError
from builder.engine.events import BuildResult, BuildState, Event
from builder.errors import BuildError, InputError
from builder.external.dockerfile import with_modules
from builder.external.model import ModuleSource
from builder.failure import explain
from builder.files import locked, unpack_tar
from builder.hooks import idle_hooks
from builder.inputs.fetch import default_cache
from builder.inputs.folders import firmware_folder, source_folder
from builder.patches.limits import limit_context
from builder.project import Project
from builder.recall import recall, remember
from builder.release import Sum
from builder.signing.key import CERTIFICATE, SigningKey
from builder.view import View


@dataclass(frozen=True, kw_only=True)
class Builder:
    """What a build works with, from its first solve to its last.

    Attributes:
        base: The image that the toolchain is installed in.
        view: Shown what happens.
        log: Written what happens.
        folder: The staging folder.
        scope: Which cache mounts the build works with; see `builder.graph.build_plan`.
        fresh: Nothing but the inputs comes from the cache; see `builder.graph.afresh`.
        caches: Caches that machines share, to read from and to write to.
        warnings: What the solves said of these, grows with each.
        states: What the solves did, grows with each.
        code: What rosk's own code is as the build starts.
    """

    project: Project
    engine: Docker
    base: BaseImage
    view: View
    log: BuildLog
    folder: Path
    scope: str = ""
    fresh: bool = False
    caches: Caches = NONE
    warnings: list[str] = field(default_factory=list)
    states: list[BuildState] = field(default_factory=list)
    code: str = field(default_factory=own_code)

    def solve(self, plan: Mapping[str, Any], *, epoch: int = 0) -> tuple[BuildState, dict[str, Any]]:
        """Solve a bake file, shown and logged; returns what ran, and the targets' metadata.

        Raises:
            RoskError: A stage or the engine failed; `builder.failure` says which error that is.
        """
        try:
            return self._solve(plan, epoch)
        except SolveError as error:
            self.log.line(f"solved once more: {error.what}")
        return self._solve(plan, epoch, again=True)

    def _solve(self, plan: Mapping[str, Any], epoch: int, *, again: bool = False) -> tuple[BuildState, dict[str, Any]]:
        """One solve; SolveError when it failed in a way that is gone when it is done `again`."""
        state = BuildState()

        def follow(line: str) -> None:
            self._tell(state.feed(line.encode()))

        plan = graph.afresh(plan, self.scope) if self.fresh else plan
        try:
            metadata = self.engine.bake(plan, epoch=epoch, on_output=follow)
            self._tell(state.finish())
            self.warnings.extend(state.warnings)
            self.states.append(state)
            return state, metadata
        except SolveError as error:
            self._tell(state.finish())
            if not again and (is_race(error.what) or _is_late(error.what)):
                raise
            self._append_compile_log(state)
            raise explain(self.project, state, error) from error

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            self.view.show(event)
            self.log.event(event)

    def context(
        self, ccache: Path | None = None, signing: SigningKey | None = None, modules: tuple[ModuleSource, ...] = ()
    ) -> graph.Context:
        """Write the build context, and fetch what it does not hold.

        Args:
            ccache: The compiler cache's configuration.
            signing: The key that signs the modules.
            modules: The sources of the external modules; without them the graph is one that has none.
        """
        folder = self.folder / release.CONTEXT
        write_context(self.project, folder)
        if signing is not None:
            (folder / CERTIFICATE).write_text(signing.certificate)
        for module in modules:
            (folder / f"modules/{module.name}.json").write_text(json.dumps(module.recipe(), indent=1) + "\n")
        source, epoch = source_folder(self.project, self.view.note)
        firmware, revision = firmware_folder(self.project)
        return graph.Context(
            folder=folder,
            dockerfile=self._dockerfile(modules),
            source=source,
            source_epoch=epoch,
            firmware=firmware,
            firmware_revision=revision,
            base=self._base_layout(),
            ccache=ccache,
            signing=signing.path if signing else None,
            signing_pin=signing is not None and signing.encrypted,
            modules=modules,
        )

    def _dockerfile(self, modules: tuple[ModuleSource, ...]) -> Path:
        """kernel.Dockerfile, or what external modules make of it."""
        file = dockerfiles() / "kernel.Dockerfile"
        if not modules:
            return file
        own = self.folder / "kernel.Dockerfile"
        own.write_text(with_modules(file.read_text(), [module.name for module in modules]))
        return own

    def _base_layout(self) -> str | None:
        """Where a builder that is not the engine's own finds the base image."""
        if not self.engine.remote:
            return None
        folder = default_cache() / "bases" / self.base.id.replace(":", "-")
        folder.parent.mkdir(parents=True, exist_ok=True)
        return self.engine.save_layout(self.base.ref, folder)

    def resolve(self, context: graph.Context) -> graph.Resolved:
        """Learn from the source and the toolchain what the graph's names are made of."""
        tar, output = self.folder / "resolved.tar", self.folder / "resolved"
        plan = graph.resolve_plan(self.project, context, base=self.base.ref, output=tar, caches=self.caches)
        self.solve(plan)
        unpack(tar, output)
        return self.read_resolved(output)

    def read_resolved(self, folder: Path) -> graph.Resolved:
        """What the source and the toolchain of a solve were, from what it exported."""
        source = json.loads((folder / "source.json").read_text())
        packages = (line.split() for line in (folder / "packages").read_text().splitlines())
        return graph.Resolved(
            kernel_version=source["kernel_version"],
            epoch=source["epoch"],
            packages=dict(packages),
            source_package=source.get("package_version"),
            base=self.base.ref,
            base_digest=self.base.id,
        )

    def key(self, context: graph.Context, resolved: graph.Resolved, command: tuple[str, ...]) -> str | None:
        """What the release follows from, see `builder.current.release_key`."""
        return release_key(self.project, context, resolved, self.base, command=command, code=self.code)

    def limit_patches(self, context: graph.Context, resolved: graph.Resolved) -> list[str]:
        """Have in the context the patches that are meant for this kernel version; the names of those left out."""
        return limit_context(self.project.inputs, self.project.root, context.folder, resolved.kernel_version)

    def release(self, context: graph.Context) -> Solved:
        """Solve the whole graph, under the names that its source and toolchain give it.

        What these are is remembered from an earlier build where there was one, and found out where that was wrong.
        """
        resolved = recall(self.project, context, self.base)
        known = resolved or self.resolve(context)
        while True:
            try:
                solved = self._release(context, known)
            except (InputError, BuildError):
                if resolved is None or (found := self.resolve(context)) == resolved:
                    raise
            else:
                found = self.read_resolved(self.folder / "reports")
                if (found.kernel_version, found.epoch) == (known.kernel_version, known.epoch):
                    remember(self.project, context, self.base, found)
                    return replace(solved, resolved=found)
            resolved, known = None, found

    def _release(self, context: graph.Context, resolved: graph.Resolved) -> Solved:
        for name in self.limit_patches(context, resolved):
            self.view.note(f"{self.project.origin(name)} is left out: not meant for {resolved.kernel_version}")
        for name in idle_hooks(self.project.root):
            self.view.note(f"{name} is passed over: it is not executable")
        tar = self.folder / "release.tar"
        images = self.folder / "images.new" if self.engine.remote else None
        plan = graph.build_plan(
            self.project, context, resolved, output=tar, images=images, scope=self.scope, caches=self.caches
        )
        if images:
            images.mkdir(exist_ok=True)
        with self.alone(resolved):
            state, metadata = self.solve(plan, epoch=resolved.epoch)
            for archive in sorted(images.iterdir()) if images else ():
                self.engine.load(archive)
        for left in ("kernel", "reports"):
            shutil.rmtree(self.folder / left, ignore_errors=True)
        unpack(tar, self.folder)
        digests = {plan["target"][name]["tags"][0]: _digest(metadata[name]) for name in graph.IMAGES}
        return Solved(resolved=resolved, result=state.result, images=digests)

    def fetch(self, context: graph.Context, resolved: graph.Resolved, wanted: Mapping[str, Sum]) -> BuildResult:
        """Bring packages of the build into `kernel/` of the staging folder.

        Raises:
            BuildError: One is not what the build has summed up.
        """
        tars = {name: self.folder / f"{name}.tar" for name in wanted}
        plan = graph.files_plan(self.project, context, resolved, outputs=tars, scope=self.scope, caches=self.caches)
        state, _ = self.solve(plan, epoch=resolved.epoch)
        for tar in tars.values():
            unpack(tar, self.folder / "kernel")
        for name, sum in wanted.items():
            if not release.holds(self.folder / "kernel", sum):
                raise BuildError(
                    f"the {name} package is not the one that was built",
                    hint="build again; if it happens again, report it: this is an error in rosk",
                )
        return state.result

    def alone(self, resolved: graph.Resolved) -> AbstractContextManager[None]:
        """One build at a time of the same tags: the engine refuses to give one name to two new images at once."""
        tag = self.project.image("os-kernel", self.project.release(resolved.kernel_version))
        lock = default_cache() / "builds" / f"{tag.replace('/', '_').replace(':', '_')}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        return locked(lock, wait=lambda: self.view.note(f"waiting for another build of {tag} to end"))

    def _append_compile_log(self, state: BuildState) -> None:
        """Fetch the whole log of a compile that failed into the build's log."""
        if state.compile_log is None:
            return
        dockerfile = dockerfiles() / "kernel.Dockerfile"
        context = graph.Context(folder=self.folder / release.CONTEXT, dockerfile=dockerfile, base=self._base_layout())
        log, tar = state.compile_log, self.folder / "compile-log.tar"
        plan = graph.compile_log_plan(self.project, context, base=self.base.ref, log=log, output=tar)
        try:
            self.engine.bake(plan, epoch=0, on_output=lambda _line: None)
        except SolveError:
            return
        unpack(tar, self.folder)
        self.log.append(self.folder / "compile.log")


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


def _is_late(what: str) -> bool:
    """Whether BuildKit took too long for what it does beside a solve, on a busy machine (moby/buildkit#3966).

    It gives the record of a build 20 seconds, for example, and fails a build that has succeeded when they are over.
    """
    return what.removeprefix("failed to solve: ").startswith("DeadlineExceeded: ")


def unpack(tar: Path, folder: Path) -> None:
    """Unpack what a solve exported, and remove the archive."""
    unpack_tar(tar, folder)
    tar.unlink()


def _digest(metadata: Mapping[str, Any]) -> str:
    """The digest of an image: its manifest's with the containerd image store, its config's with the classic one."""
    return str(metadata.get("containerimage.digest") or metadata["containerimage.config.digest"])
