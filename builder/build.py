"""`rosk build`: project → context → one solve → release. What each step does is in the module that it calls."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder import graph, release
from builder.buildlog import BuildLog
from builder.context import dockerfiles, write_context
from builder.engine.base import BaseImage
from builder.engine.docker import Docker, SolveError
from builder.engine.events import BuildResult, BuildState, Event
from builder.errors import RoskError
from builder.failure import explain
from builder.files import locked
from builder.inputs.fetch import default_cache
from builder.inputs.folders import firmware_folder, source_folder
from builder.project import Project
from builder.reports import Notice, read_reports
from builder.view import View


@dataclass(frozen=True, kw_only=True)
class Built:
    """A finished build.

    Attributes:
        manifest: As in `dist/manifest.json`.
        images: The local tags, in the order of `dist/images`.
        notices: What the stages noticed, also those that came from the cache.
        result: Which stages ran and which were cached.
    """

    manifest: Mapping[str, Any]
    images: tuple[str, ...]
    notices: tuple[Notice, ...]
    result: BuildResult


@dataclass(frozen=True, kw_only=True)
class Builder:
    """What a build works with, from its first solve to its last.

    Attributes:
        base: The image that the toolchain is installed in.
        view: Shown what happens.
        log: Written what happens.
        folder: The staging folder.
    """

    project: Project
    engine: Docker
    base: BaseImage
    view: View
    log: BuildLog
    folder: Path

    def solve(self, plan: Mapping[str, Any], *, epoch: int = 0) -> tuple[BuildState, dict[str, Any]]:
        """Solve a bake file, shown and logged; returns what ran, and the targets' metadata.

        Raises:
            RoskError: A stage or the engine failed; `builder.failure` says which error that is.
        """
        state = BuildState()

        def follow(line: str) -> None:
            self._tell(state.feed(line.encode()))

        try:
            metadata = self.engine.bake(plan, epoch=epoch, on_output=follow)
            self._tell(state.finish())
            return state, metadata
        except SolveError as error:
            self._tell(state.finish())
            self._append_compile_log(state)
            raise explain(self.project, state, error) from error

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            self.view.show(event)
            self.log.event(event)

    def context(self) -> graph.Context:
        """Write the build context, and fetch what it does not hold."""
        folder = self.folder / "context"
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
        )

    def resolve(self, context: graph.Context) -> graph.Resolved:
        """Learn from the source and the toolchain what the graph's names are made of."""
        tar, output = self.folder / "resolved.tar", self.folder / "resolved"
        self.solve(graph.resolve_plan(self.project, context, base=self.base.ref, output=tar))
        unpack(tar, output)
        source = json.loads((output / "source.json").read_text())
        packages = (line.split() for line in (output / "packages").read_text().splitlines())
        return graph.Resolved(
            kernel_version=source["kernel_version"],
            epoch=source["epoch"],
            packages=dict(packages),
            source_package=source.get("package_version"),
            base=self.base.ref,
            base_digest=self.base.id,
        )

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
        context = graph.Context(folder=self.folder / "context", dockerfile=dockerfiles() / "kernel.Dockerfile")
        log, tar = state.compile_log, self.folder / "compile-log.tar"
        plan = graph.compile_log_plan(self.project, context, base=self.base.ref, log=log, output=tar)
        try:
            self.engine.bake(plan, epoch=0, on_output=lambda _line: None)
        except SolveError:
            return
        unpack(tar, self.folder)
        self.log.append(self.folder / "compile.log")


def build(project: Project, engine: Docker, base: BaseImage, *, view: View, command: tuple[str, ...]) -> Built:
    """Build the project's release into `project.dist` and its images into the engine.

    Args:
        base: The image that the toolchain is installed in.
        view: Shown what happens.
        command: The command line that reproduces the build, for the manifest.

    Raises:
        RoskError: It failed; `project.dist` is as it was, except for `build.log`.
    """
    with (
        release.staging(project.dist) as folder,
        BuildLog(folder / "build.log", project.dist / "build.log") as log,
    ):
        builder = Builder(project=project, engine=engine, base=base, view=view, log=log, folder=folder)
        try:
            context = builder.context()
            resolved = builder.resolve(context)
            plan = graph.build_plan(project, context, resolved, output=folder / "release.tar")
            with builder.alone(resolved):
                state, metadata = builder.solve(plan, epoch=resolved.epoch)
            unpack(folder / "release.tar", folder)
            log.append(folder / "reports" / "compile.log")
            notices, firmware = read_reports(project, folder / "reports")
            for notice in notices:
                log.line(f"warning: {notice}")
            images = {plan["target"][name]["tags"][0]: _digest(metadata[name]) for name in graph.IMAGES}
            manifest = release.commit(project, resolved, folder, images=images, command=command, firmware=firmware)
        except RoskError as error:
            log.line(f"error: {error}")
            raise
    return Built(manifest=manifest, images=tuple(images), notices=tuple(notices), result=shown_result(state.result))


def unpack(tar: Path, folder: Path) -> None:
    """Unpack what a solve exported, and remove the archive."""
    with tarfile.open(tar) as archive:
        archive.extractall(folder, filter="data")
    tar.unlink()


def _digest(metadata: Mapping[str, Any]) -> str:
    """The digest of an image: its manifest's with the containerd image store, its config's with the classic one."""
    return str(metadata.get("containerimage.digest") or metadata["containerimage.config.digest"])


def shown_result(result: BuildResult) -> BuildResult:
    """Which stages of `graph.STAGES` ran, were cached whole, and failed: one that ran in part ran."""
    ran, cached, failed = (
        frozenset(map(graph.shown_stage, stages)) & set(graph.STAGES)
        for stages in (result.ran, result.cached, result.failed)
    )
    return BuildResult(ran=ran, cached=cached - ran, failed=failed)
