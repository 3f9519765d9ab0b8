"""How a project's patches apply: on a tree of this machine, or on the project's kernel source in the engine."""

from __future__ import annotations

import errno
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from builder import graph, stagenames
from builder.arch import host_arch
from builder.cachespec import NO_OUTPUT
from builder.context import dockerfiles, write_context
from builder.engine.base import BaseImage
from builder.engine.docker import Docker, SolveError
from builder.engine.events import BuildState, Event, StageDone, StageStopped
from builder.errors import InputError
from builder.failure import explain
from builder.files import file_errors
from builder.hostcache import in_use
from builder.inputs.fetch import default_cache
from builder.inputs.folders import source_folder
from builder.patches.series import PatchFile
from builder.project import Project
from builder.solver import base_layout, unpack
from builder.stages.common import StageError
from builder.stages.patchcheck import check_patches
from builder.stages.source import kernel_version
from builder.view import View

TITLES = {
    "tools": "packing tools",
    "toolchain": "toolchain",
    "source": "kernel source",
    "patch-check": "patches on the source",
}
"""What the user sees of the solve, as `builder.stagenames.STAGES` of a build's."""

GOOD = frozenset({"applies", "left-out"})
"""States of a patch with which a build succeeds (see `builder.stages.patchcheck`)."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a check found.

    Attributes:
        version: The kernel version of the source.
        patches: What `builder.stages.patchcheck` says of each, in their order.
        order: An order in which all that apply do, when that of their names is none.
        refreshed: Patches with exact lines, by name; those that have them already are not there.
    """

    version: str
    patches: tuple[Mapping[str, Any], ...]
    order: tuple[str, ...] = ()
    refreshed: Mapping[str, bytes]

    @property
    def bad(self) -> list[Mapping[str, Any]]:
        """The patches with which a build fails."""
        return [patch for patch in self.patches if patch["state"] not in GOOD]

    @property
    def inexact(self) -> list[Mapping[str, Any]]:
        """The patches that apply, but not at their very lines."""
        return [patch for patch in self.patches if patch["state"] == "applies" and patch["hunks"]]

    @property
    def upstream(self) -> dict[str, str]:
        """Patch to the version that has it already."""
        return {patch["name"]: self.version for patch in self.patches if patch["state"] == "upstream"}


def after_refresh(checked: Checked, names: Collection[str]) -> Checked:
    """What a check finds once these patches are written again: they have their very lines, and no other order."""

    def after(patch: Mapping[str, Any]) -> Mapping[str, Any]:
        state = "applies" if patch["state"] == "fuzz" else patch["state"]
        return {**patch, "state": state, "offset": 0, "fuzz": 0, "hunks": []} if patch["name"] in names else patch

    patches = tuple(after(patch) for patch in checked.patches)
    refreshed = {name: content for name, content in checked.refreshed.items() if name not in names}
    return replace(checked, patches=patches, refreshed=refreshed)


def shown_stage(dockerfile_stage: str) -> str:
    """The stage of `TITLES` that a stage of the Dockerfiles belongs to."""
    return "patch-check" if dockerfile_stage == "patch-check-run" else stagenames.shown_stage(dockerfile_stage)


def check_tree(patches: Sequence[PatchFile], tree: Path) -> Checked:
    """Check patches against a tree of this machine, which stays as it is.

    Raises:
        InputError: It is no kernel tree, or there is no GNU patch.
    """
    try:
        version = kernel_version((tree / "Makefile").read_text(errors="replace"))
    except OSError as error:
        hint = "give --tree the top folder of a kernel tree"
        raise InputError(f"its Makefile cannot be read: {error.strerror}", where=tree, hint=hint) from error
    except StageError as error:
        raise InputError(error.what, where=tree, hint=error.hint) from error
    errors = file_errors(
        Path(gettempdir()),
        name="files of the check",
        full="make room there, or set TMPDIR to a folder with more",
        refused="see that --tree can be read, and that TMPDIR is a folder that can be written",
    )
    with errors:
        report, refreshed = _try(patches, tree, version)
    return _checked(report, refreshed)


def _try(patches: Sequence[PatchFile], tree: Path, version: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What `check_patches` finds.

    Raises:
        InputError: There is no GNU patch, or a name in a patch that no file can have.
        OSError: A file cannot be read or written.
    """
    try:
        return check_patches(tree, version, [patch.path for patch in patches])
    except FileNotFoundError as error:
        raise InputError(
            f"{error.filename} is not installed", hint="install Debian's package patch, or check without --tree"
        ) from error
    except (OSError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
            raise
        hint = "see the names after --- and +++ in the patches"
        raise InputError("a patch names a file whose path is too long for a file", hint=hint) from error


def check_source(project: Project, engine: Docker, base: BaseImage, view: View) -> Checked:
    """Check the project's patches against its kernel source, in the engine.

    Raises:
        RoskError: The source cannot be had, or the engine failed. A patch that does not apply is no error here.
    """
    with in_use(default_cache()), TemporaryDirectory(prefix="rosk-") as name:
        folder = Path(name)
        write_context(project, folder / "context")
        source, epoch = source_folder(project, view.note)
        context = graph.Context(
            folder=folder / "context",
            dockerfile=dockerfiles() / "kernel.Dockerfile",
            source=source,
            source_epoch=epoch,
            base=base_layout(engine, base),
        )
        tar = folder / "report.tar"
        _solve(project, engine, check_plan(project, context, base=base.ref, output=tar), view)
        unpack(tar, folder / "out")
        report = json.loads((folder / "out/report.json").read_text())
        refreshed = {path.name: path.read_bytes() for path in (folder / "out").glob("refreshed/*.patch")}
    return _checked(report, refreshed)


def check_plan(project: Project, context: graph.Context, *, base: str, output: Path) -> dict[str, Any]:
    """The bake file that checks patches: the source as a build has it, and what is run on it.

    Args:
        base: The reference of the base image.
        output: The tar archive that receives the report.
    """
    source = graph.resolve_plan(project, context, base=base, output=output)["target"]["resolve"]
    # Whatever the kernel is for, its source is fetched and patched by programs of this kind of machine.
    source["platforms"] = [f"linux/{host_arch().oci}"]
    check = {
        "context": source["context"],
        "dockerfile": str(dockerfiles() / "patches.Dockerfile"),
        "target": "patch-check",
        "contexts": {"kernel-source": "target:kernel-source"},
        "platforms": source["platforms"],
        "output": source["output"],
    }
    only_made = {**source, "target": "kernel-source", "output": NO_OUTPUT}
    return {"target": {"kernel-source": only_made, "patch-check": check}}


def _solve(project: Project, engine: Docker, plan: Mapping[str, Any], view: View) -> None:
    state = BuildState()

    def tell(events: Sequence[Event]) -> None:
        for event in events:
            view.show(event)

    with view:
        try:
            engine.bake(plan, epoch=0, on_output=lambda line: tell(state.feed(line.encode())))
        except SolveError as error:
            tell(state.finish())
            failure = explain(project, state, error)
            failure.hint = failure.hint.replace("the whole log is in dist/build.log", "see the log with -v")
            raise failure from error
        # A stage that starts from a named context counts one step more than it has: it never looks complete.
        tell([_ended(event) for event in state.finish()])


def _ended(event: Event) -> Event:
    return StageDone(stage=event.stage, seconds=event.seconds) if isinstance(event, StageStopped) else event


def _checked(report: Mapping[str, Any], refreshed: Mapping[str, bytes]) -> Checked:
    # Hunks come as data of the stage here, and as JSON there: one form for both.
    patches = json.loads(json.dumps(report["patches"]))
    return Checked(
        version=report["kernel_version"],
        patches=tuple(patches),
        order=tuple(report["order"] or ()),
        refreshed=refreshed,
    )
