"""The solves of one build: what they are asked, what is fetched of them, and what is said while they run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder import graph, release
from builder.buildlog import Log
from builder.cachespec import NONE, Caches, is_race
from builder.context import dockerfiles, write_context
from builder.current import own_code, release_key
from builder.engine.base import BaseImage
from builder.engine.docker import Docker, SolveError
from builder.engine.events import BuildState, Event
from builder.failure import explain
from builder.files import locked, unpack_tar
from builder.inputs.fetch import default_cache
from builder.inputs.folders import firmware_folder, source_folder
from builder.patches.limits import limit_context
from builder.project import Project
from builder.view import View

_RACES = 3
"""So often BuildKit may lose track of what it does; each time it keeps what it has finished, and has less to do."""


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
        others: Where its solves are of several kernels: their projects by their names (`builder.joint`).
    """

    project: Project
    engine: Docker
    base: BaseImage
    view: View
    log: Log
    folder: Path
    scope: str = ""
    fresh: bool = False
    caches: Caches = NONE
    warnings: list[str] = field(default_factory=list)
    states: list[BuildState] = field(default_factory=list)
    code: str = field(default_factory=own_code)
    others: Mapping[str, Project] = field(default_factory=dict)

    def solve(self, plan: Mapping[str, Any], *, epoch: int = 0) -> tuple[BuildState, dict[str, Any]]:
        """Solve a bake file, shown and logged; returns what ran, and the targets' metadata.

        Raises:
            RoskError: A stage or the engine failed; `builder.failure` says which error that is.
        """
        for _ in range(_RACES):
            try:
                return self._solve(plan, epoch)
            except SolveError as error:
                self.log.line(f"solved once more: {error.what}")
                if not is_race(error.what):
                    break
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
            raise explain(self.project, state, error, others=self.others) from error

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            self.view.show(event)
            self.log.event(event)

    def context(self, ccache: Path | None = None) -> graph.Context:
        """Write the build context, and fetch what it does not hold.

        Args:
            ccache: The compiler cache's configuration.
        """
        folder = self.folder / release.CONTEXT
        write_context(self.project, folder)
        source, epoch = source_folder(self.project, self.view.note)
        firmware, revision = firmware_folder(self.project)
        return graph.Context(
            folder=folder,
            dockerfile=dockerfiles() / "kernel.Dockerfile",
            source=source,
            source_epoch=epoch,
            firmware=firmware,
            firmware_revision=revision,
            base=self._base_layout(),
            ccache=ccache,
        )

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


def _is_late(what: str) -> bool:
    """Whether BuildKit took too long for what it does beside a solve, on a busy machine (moby/buildkit#3966).

    It gives the record of a build 20 seconds, for example, and fails a build that has succeeded when they are over.
    """
    return what.removeprefix("failed to solve: ").startswith("DeadlineExceeded: ")


def unpack(tar: Path, folder: Path) -> None:
    """Unpack what a solve exported, and remove the archive."""
    unpack_tar(tar, folder)
    tar.unlink()
