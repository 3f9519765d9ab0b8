"""The solves of one build: what they are asked, what is fetched of them, and what is said while they run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder import graph, release, replan
from builder.buildlog import Log
from builder.cachefolder import INDEX
from builder.cachespec import (
    NONE,
    Caches,
    must_be_written,
    reads_caches,
    without_sources,
    without_targets,
    written_caches,
)
from builder.context import dockerfiles, without_secret, write_context
from builder.current import own_code, release_key
from builder.engine.again import once_more
from builder.engine.base import BaseImage, Engine
from builder.engine.docker import SolveError
from builder.engine.events import BuildState, Event
from builder.external.dockerfile import with_modules
from builder.external.model import ModuleSource
from builder.failure import explain
from builder.files import locked, unpack_tar
from builder.inputs.fetch import default_cache
from builder.inputs.folders import firmware_folder, source_folder
from builder.inputs.store import cache_errors
from builder.mending import Mending
from builder.patches.limits import limit_context
from builder.project import SETTINGS_FILE, Project
from builder.series import check_llvm, misfit
from builder.signing.key import CERTIFICATE, SigningKey
from builder.view import View

_FAILED_STEP = "did not complete successfully"
"""What BuildKit says of a step whose program has failed."""
_BAD_TARGET = re.compile(
    rf"could not \w+ .*{re.escape(INDEX)}|failed to configure \S+ cache exporter|unknown cache exporter"
)
"""What is said of a cache that cannot be written, and `ignore-error` does not reach: by buildx, when everything else is
done, of the name that it gives a cache in a folder; by BuildKit, before anything is, of a server that it asks first, or
of a type that it does not have."""


@dataclass(frozen=True, kw_only=True)
class Builder:
    """What a build works with, from its first solve to its last.

    Attributes:
        base: The image that the toolchain is installed in.
        view: Shown what happens.
        log: Written what happens.
        folder: The staging folder.
        scope: Which cache mounts the build works with; see `builder.graph.build_plan`.
        fresh: Nothing but the inputs comes from the cache; see `builder.replan.afresh`.
        caches: Caches that machines share, to read from and to write to.
        needs_sources: A solve fails where one of these fails that it reads.
        warnings: What the solves said of these, grows with each.
        states: What the solves did, grows with each.
        code: What rosk's own code is as the build starts.
        others: Where its solves are of several kernels: their projects by their names (`builder.joint`).
        exported: Called with the name of a target whose archive is there.
        named: Called with the reference that an image is given in the engine (`BuildState.named`).
    """

    project: Project
    engine: Engine
    base: BaseImage
    view: View
    log: Log
    folder: Path
    scope: str = ""
    fresh: bool = False
    caches: Caches = NONE
    needs_sources: bool = False
    warnings: list[str] = field(default_factory=list)
    states: list[BuildState] = field(default_factory=list)
    code: str = field(default_factory=own_code)
    others: Mapping[str, Project] = field(default_factory=dict)
    exported: Callable[[str], None] = lambda _target: None
    named: Callable[[str], None] = lambda _reference: None

    def solve(self, plan: Mapping[str, Any], *, epoch: int = 0) -> tuple[BuildState, dict[str, Any]]:
        """Solve a bake file, shown and logged; returns what ran, and the targets' metadata.

        Raises:
            RoskError: A stage or the engine failed; `builder.failure` says which error that is.
        """
        return self._solve(replan.afresh(plan, self.scope) if self.fresh else plan, epoch, BuildState())

    def _solve(self, plan: Mapping[str, Any], epoch: int, state: BuildState) -> tuple[BuildState, dict[str, Any]]:
        """See `solve`; `state` is what an earlier try with other shared caches did."""

        def heard(line: str) -> None:
            self._tell(state.feed(line.encode()))
            while state.exported:
                self.exported(state.exported.pop(0))
            while state.named:
                self.named(state.named.pop(0))

        def once(plan: Mapping[str, Any]) -> dict[str, Any]:
            nonlocal state
            state = BuildState(before=state.result)
            try:
                done = self.engine.bake(plan, epoch=epoch, on_output=heard)
            except SolveError:
                self._tell(state.finish())
                raise
            self._tell(state.finish())
            return done

        def apart() -> None:
            for target in replan.apart(plan):
                once(target)

        def say(what: str) -> None:
            self.log.line(f"solved once more: {what}")

        mending, mended = Mending(plan, self.engine.build_cache, self._warn), list[Mapping[str, Any]]()

        def mend(what: str) -> None:
            mended.append(mending.next(what, state.failure.name if state.failure else ""))

        try:
            metadata = once_more(lambda: once(mended.pop() if mended else plan), say, apart=apart, mend=mend)
        except SolveError as error:
            if (less := self._with_less(plan, state, error)) is not None:
                self.warnings.extend(state.warnings)
                return self._solve(less, epoch, state)
            self._append_compile_log(state)
            raise explain(self.project, state, error, others=self.others) from error
        self.warnings.extend(state.warnings)
        self.states.append(state)
        if written := written_caches(plan):
            self._keep_readable(written)
        return state, metadata

    def _with_less(self, plan: Mapping[str, Any], state: BuildState, error: SolveError) -> dict[str, Any] | None:
        """The bake file without the shared caches that a solve may have failed of; None where it did not."""
        if state.errors or _FAILED_STEP in error.what:
            return None
        if _BAD_TARGET.search(error.what) and written_caches(plan) and not must_be_written(plan):
            self._warn(f"no shared cache is written: {error.what}")
            return without_targets(plan)
        if reads_caches(plan) and not self.needs_sources:
            self._warn(f"the build goes on without the shared caches, one of which may have failed: {error.what}")
            return without_sources(plan)
        return None

    def _keep_readable(self, written: Sequence[str]) -> None:
        """See that caches can be read which a solve has written."""
        from builder.cachesize import keep_readable  # noqa: PLC0415 - HTTP, which few builds need before their end

        keep_readable(written, self.project, say=self.log.line, warn=self._warn)

    def _warn(self, line: str) -> None:
        self.view.warn(line)
        self.log.line(f"warning: {line}")

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
            dockerfile=self._dockerfile(modules, with_server=ccache is not None),
            source=source,
            source_epoch=epoch,
            firmware=firmware,
            firmware_revision=revision,
            base=base_layout(self.engine, self.base),
            ccache=ccache,
            signing=signing.path if signing else None,
            signing_pin=signing is not None and signing.encrypted,
            modules=modules,
        )

    def _dockerfile(self, modules: tuple[ModuleSource, ...], *, with_server: bool) -> Path:
        """kernel.Dockerfile as this build needs it: with its external modules, without secrets that it lacks."""
        text = with_modules((dockerfiles() / "kernel.Dockerfile").read_text(), [module.name for module in modules])
        own = self.folder / "kernel.Dockerfile"
        own.write_text(text if with_server else without_secret(text, "ccache"))
        return own

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

    def check_toolchain(self, version: str) -> None:
        """See that the toolchain fits what the source has turned out to be, and say so where it does not.

        Raises:
            InputError: The kernel is too old for the compiler.
        """
        wanted = self.project.settings.toolchain
        check_llvm(wanted.compiler, version, "the source's Makefile", self.project.root / SETTINGS_FILE)
        if said := misfit(self.project.toolchain, version):
            self.view.warn(said)

    def alone(self, tag: str) -> AbstractContextManager[None]:
        """One build at a time of the same tags: the engine refuses to give one name to two new images at once, and
        `builder.imagetags` takes what it finds there for this build's."""
        lock = default_cache() / "builds" / f"{tag.replace('/', '_').replace(':', '_')}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        return locked(lock, wait=lambda: self.view.note(f"waiting for another build of {tag} to end"))

    def _append_compile_log(self, state: BuildState) -> None:
        """Fetch the whole log of a compile that failed into the build's log."""
        if state.compile_log is None:
            return
        dockerfile = dockerfiles() / "kernel.Dockerfile"
        base = base_layout(self.engine, self.base)
        context = graph.Context(folder=self.folder / release.CONTEXT, dockerfile=dockerfile, base=base)
        log, tar = state.compile_log, self.folder / "compile-log.tar"
        plan = graph.compile_log_plan(self.project, context, base=self.base.ref, log=log, output=tar)
        try:
            self.engine.bake(plan, epoch=0, on_output=lambda _line: None)
        except SolveError:
            return
        unpack(tar, self.folder)
        self.log.append(self.folder / "compile.log")


def base_layout(engine: Engine, base: BaseImage) -> str | None:
    """Where a builder that is not the engine's own finds the base image; None for the engine's own."""
    if not engine.remote:
        return None
    folder = default_cache() / "bases" / base.id.replace(":", "-")
    with cache_errors(default_cache()):
        folder.parent.mkdir(parents=True, exist_ok=True)
        return engine.save_layout(base.ref, folder)


def unpack(tar: Path, folder: Path) -> None:
    """Unpack what a solve exported, and remove the archive."""
    unpack_tar(tar, folder)
    tar.unlink()
