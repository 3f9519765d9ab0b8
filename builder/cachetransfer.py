"""The project's shared caches: those of its builds, and `rosk cache export` and `rosk cache import`.

An export and an import are solves of the project's graph with no output. An import mounts every stage that others
take from: BuildKit fetches only what a step really reads, and forgets the rest when the solve ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from builder import graph
from builder.build import shown_result
from builder.cachefolder import folder_tags
from builder.cachespec import NO_OUTPUT, Caches, check_entry, folder_tag, is_folder, make_caches, references
from builder.engine.base import Engine
from builder.engine.events import BuildResult
from builder.engine.probe import client_environment, probe
from builder.errors import EngineError, InputError
from builder.process import run
from builder.project import Project
from builder.stagenames import TAKES

if TYPE_CHECKING:
    from builder.solver import Builder

_IMPORT = "rosk-import"
_ANSWER_SECONDS = 60.0


def project_caches(
    project: Project, *, sources: Sequence[str] = (), targets: Sequence[str] = (), warn: Callable[[str], None]
) -> Caches:
    """The caches that a build of the project reads and writes: those of its settings, then those given.

    Args:
        sources, targets: What `--cache-from` and `--cache-to` say; folders are relative to the project's.
        warn: Told which cannot be used.

    Raises:
        InputError: One of those given is no cache.
    """
    settings = project.settings.cache
    return make_caches(
        [*settings.sources, *map(check_entry, sources)],
        [*settings.targets, *map(check_entry, targets)],
        root=project.root,
        tag=_tag(project),
        variant=_variant(project),
        warn=warn,
    )


def _variant(project: Project) -> str:
    """What ends the references of its caches in a registry, so that no kernel of the project replaces another's."""
    return "" if project.default else project.name


def _tag(project: Project) -> str:
    """The name of the project's cache in a folder: one for each org, flavour, architecture and kernel."""
    source = project.source
    kernel = source.package or source.version or (source.path.name if source.path else "")
    return folder_tag(project.org, project.name, kernel)


def exports(engine: Engine) -> bool:
    """Whether it writes caches: with the classic image store, the engine's own builder does not."""
    return engine.remote or probe().containerd_store


def export_cache(
    builder: Builder, context: graph.Context, resolved: graph.Resolved, dest: str, *, caches: Caches
) -> BuildResult:
    """Write the finished stages of the project to a cache; what is not built yet is built.

    Args:
        dest: An entry as in the settings' `cache.to`.
        caches: Those of the project; its sources are read, its targets are not written.

    Returns:
        Which stages were there and which had to be built.

    Raises:
        EngineError: It could not be written.
    """
    if not exports(builder.engine):
        raise EngineError(
            "this engine writes no build cache: it keeps images in its classic store",
            hint="`rosk doctor` says how to switch",
        )
    project = builder.project
    written = make_caches(
        (),
        [check_entry(dest)],
        root=project.root,
        tag=_tag(project),
        variant=_variant(project),
        warn=_refuse,
        strict=True,
    )
    both = Caches(sources=caches.sources, targets=written.targets)
    return _solve(builder, context, resolved, "release", both)


def import_cache(
    builder: Builder, context: graph.Context, resolved: graph.Resolved, source: str, *, caches: Caches
) -> BuildResult:
    """Bring the finished stages of the project from a cache into the engine.

    Args:
        source: An entry as in the settings' `cache.from`.
        caches: Those of the project; its sources are read too.

    Returns:
        Which stages were in the cache, and which it did not have for the project as it is: these were built.

    Raises:
        InputError, EngineError: There is no cache.
    """
    project = builder.project
    check_source(project, source)
    read = make_caches([source], (), root=project.root, tag=_tag(project), variant=_variant(project), warn=_refuse)
    both = Caches(sources=(*read.sources, *caches.sources))
    text = context.dockerfile.read_text()
    dockerfile = builder.folder / "import.Dockerfile"
    plan = graph.build_plan(
        project, context, resolved, output=builder.folder / "none", shared=True, scope=builder.scope
    )
    dockerfile.write_text(import_dockerfile(text, plan["target"]["release"]["args"]))
    builder = replace(builder, needs_sources=True)  # without the cache it would build everything
    return _solve(builder, replace(context, dockerfile=dockerfile), resolved, _IMPORT, both)


def check_source(project: Project, source: str) -> None:
    """See that there is a cache to import: without one, an import would build everything.

    Raises:
        InputError: The folder has none, or the entry is none.
        EngineError: The registry does not give it.
    """
    check_entry(source)
    hint = "write one with `rosk cache export` first"
    if is_folder(source):
        if not folder_tags(folder := (project.root / source).resolve()):
            raise InputError("there is no cache in this folder", where=folder, hint=hint)
    elif not source.startswith("type="):
        failed: EngineError | None = None
        for reference in references(source, _variant(project)):
            argv = ["docker", "buildx", "imagetools", "inspect", "--raw", reference]
            try:
                run(argv, env=client_environment(), timeout=_ANSWER_SECONDS, error=EngineError)
            except EngineError as error:
                failed = error
            else:
                return
        assert failed is not None
        details = failed.details[-1:] or (failed.what,)
        raise EngineError("the registry does not give this cache", where=source, hint=hint, details=details) from failed


def import_dockerfile(text: str, args: Mapping[str, str]) -> str:
    """A Dockerfile with one more stage, which reads every stage that others take from on the way to `release`.

    Args:
        text: rosk's Dockerfile.
        args: The build arguments: which source and which firmware stage take part.
    """
    takes: dict[str, tuple[str, list[str]]] = {}
    for block in re.split(r"^(?=FROM )", text, flags=re.M)[1:]:
        words = re.sub(r"\$\{(\w+)\}", lambda name: args.get(name[1], ""), block.partition("\n")[0]).split()
        takes[words[-1]] = (words[-3], TAKES.findall(block))
    found, read, todo = set[str](), set[str](), ["release"]
    while todo:
        if (stage := todo.pop()) in takes and stage not in found:
            found.add(stage)
            base, taken = takes[stage]
            read.update(taken)
            todo += [base, *taken]
    mounts = " ".join(f"--mount=type=bind,from={name},target=/in/{name}" for name in sorted(read & takes.keys()))
    return f"{text.rstrip()}\n\nFROM tools AS {_IMPORT}\nRUN {mounts} true\n"


def _solve(
    builder: Builder, context: graph.Context, resolved: graph.Resolved, stage: str, caches: Caches
) -> BuildResult:
    """Solve one stage of the graph for its caches only."""
    output = builder.folder / "none"
    plan = graph.build_plan(
        builder.project, context, resolved, output=output, shared=True, scope=builder.scope, caches=caches
    )
    release: dict[str, Any] = {**plan["target"]["release"], "target": stage, "output": NO_OUTPUT}
    state, _ = builder.solve({"target": {"release": release}}, epoch=resolved.epoch)
    for warning in state.warnings:
        builder.log.line(f"warning: {warning}")
    return shown_result(state.result)


def _refuse(why: str) -> None:
    raise InputError(why, hint="name a folder that you can write, or a cache that is there")
