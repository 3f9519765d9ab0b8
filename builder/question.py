"""Ask the engine something about a project's kernel: a graph that goes on where `kernel.Dockerfile` ends, solved in
seconds, whose answer is a folder of files. No release is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from builder import graph, stagenames
from builder.buildlog import BuildLog
from builder.cachespec import Caches
from builder.cachetransfer import project_caches
from builder.context import dockerfiles as context_files
from builder.errors import RoskError
from builder.hostcache import in_use
from builder.inputs.fetch import default_cache
from builder.project import Project
from builder.questionview import TITLES, QuestionView
from builder.recall import recall, remember
from builder.run import prepare_for
from builder.signing.key import read_certificate
from builder.solver import Builder, unpack
from builder.view import make_view

_LOG = "dist/build.log"


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How to ask.

    Attributes:
        allow_install: What is missing on this machine may be installed and started.
        builder: A builder of buildx to solve with; the engine's own when None.
        verbose: Print the log of what the engine does, on standard error.
    """

    allow_install: bool = True
    builder: str | None = None
    verbose: bool = False


@dataclass(frozen=True, kw_only=True)
class Questioner:
    """A project's builder, its context on disk, and what its source and toolchain are."""

    builder: Builder
    context: graph.Context
    resolved: graph.Resolved

    def answer(self, target: str) -> Path:
        """The folder with what a target exports.

        Raises:
            RoskError: The engine, a source or a stage failed; see `builder.solver`.
        """
        tar, out = self.builder.folder / f"{target}.tar", self.builder.folder / target
        self.builder.solve(self._plan(target, tar), epoch=self.resolved.epoch)
        out.mkdir()
        unpack(tar, out)
        return out

    def image(self, target: str, tag: str) -> None:
        """Have an image of a target in the engine, under a tag."""
        archive = self.builder.folder / f"{target}-image.tar"
        remote = self.builder.engine.remote
        plan = self._plan(target, archive)
        plan["target"][target] |= {
            "tags": [tag],
            "output": [f"type=docker,dest={archive}" if remote else "type=docker"],
        }
        self.builder.solve(plan, epoch=self.resolved.epoch)
        if remote:
            self.builder.engine.load(archive)

    @property
    def arguments(self) -> Mapping[str, str]:
        """The arguments of the Dockerfile's stages, as a build has them."""
        found: Mapping[str, str] = self._plan("release", Path("-"))["target"]["release"]["args"]
        return found

    def _plan(self, target: str, output: Path) -> dict[str, Any]:
        return question_plan(
            self.builder.project,
            self.context,
            self.resolved,
            target=target,
            output=output,
            caches=self.builder.caches,
        )


def question_plan(
    project: Project, context: graph.Context, resolved: graph.Resolved, *, target: str, output: Path, caches: Caches
) -> dict[str, Any]:
    """The bake file whose one target has the arguments and caches of a build's.

    Args:
        context: Its Dockerfile is kernel.Dockerfile with another one behind it.
        output: The tar archive that receives what the target exports.
    """
    shared = graph.build_plan(project, context, resolved, output=output, caches=caches)["target"]["release"]
    return {"target": {target: {**shared, "target": target}}}


@contextmanager
def questioner(project: Project, asking: Asking, *, dockerfiles: Sequence[str]) -> Iterator[Questioner]:
    """Whom to ask about a project's kernel.

    Args:
        dockerfiles: The names of those that go on where kernel.Dockerfile ends, each where the one before does.

    Raises:
        RoskError: There is no engine, or the source cannot be had.
    """
    console = Console(stderr=True, highlight=False, emoji=False)
    if asking.verbose:
        view = make_view(TITLES, console, shown=stagenames.shown_stage, verbose=True)
    else:
        view = QuestionView(TITLES, console, shown=stagenames.shown_stage)
    engine, base = prepare_for(project, allow_install=asking.allow_install, note=console.print, builder=asking.builder)
    # This is a part of a build only, which is not to take a whole one's place in caches that are written to.
    caches = Caches(sources=project_caches(project, warn=view.warn).sources)
    with (
        in_use(default_cache()),
        TemporaryDirectory(prefix="rosk-") as temp,
        BuildLog(Path(temp, "log.new"), Path(temp, "log")) as log,
        view,
    ):
        folder = Path(temp)
        builder = Builder(
            # What a failed solve says of the output folder is true of this one; dist stays as it is.
            project=replace(project, dist=folder),
            engine=engine,
            base=base,
            view=view,
            log=log,
            folder=folder,
            caches=caches,
        )
        try:
            # The config that is resolved has the certificate in it.
            context = builder.context(signing=read_certificate(project, warn=view.warn))
            resolved = _resolve(builder, context)
            builder.limit_patches(context, resolved)
            joined = folder / dockerfiles[-1]
            parts = [context.dockerfile, *(context_files() / name for name in dockerfiles)]
            joined.write_text("\n".join(part.read_text() for part in parts))
            yield Questioner(builder=builder, context=replace(context, dockerfile=joined), resolved=resolved)
        except RoskError as error:
            if _LOG in error.hint:  # this one is gone with its folder
                error.hint = "give --verbose to see the whole log"
            raise


def _resolve(builder: Builder, context: graph.Context) -> graph.Resolved:
    """What the source is: as it is remembered, else as the engine tells."""
    resolved = recall(builder.project, context, builder.base)
    if resolved is None:
        resolved = builder.resolve(context)
        remember(builder.project, context, builder.base, resolved)
    return resolved
