"""Why a solve failed, said in the project's own terms."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from builder.engine.again import is_broken, is_late, is_race
from builder.engine.docker import SolveError
from builder.engine.events import EXPORT, BuildState
from builder.errors import BuildError, EngineError, FetchError, InputError, NoSpaceError, RoskError
from builder.project import SETTINGS_FILE, Project
from builder.stagenames import STAGES, shown_stage
from builder.stages.common import NO_SPACE

_TAIL = 20
_FULL = 1 << 16
_INPUT_STAGES = frozenset({"patched", "configured", "split", "firmware"})
"""Stages that fail because of what the user wrote; a failure of another is one of the build."""


def explain(
    project: Project, state: BuildState, error: SolveError, *, others: Mapping[str, Project] | None = None
) -> RoskError:
    """The error that a failed solve means.

    Args:
        project: Tells which of its files a name of the build context stands for.
        others: Where the solve had several kernels: all of them by their names. The error says which failed.
        state: What the solve reported.
        error: BuildKit's own account.
    """
    name = _failed(state).partition("@")[2]
    if others and name in others:
        found = _explain(others[name], state, error)
        found.what = f"{name}: {found.what}"
        return found
    return _explain(project, state, error)


def _failed(state: BuildState) -> str:
    """The stage that failed, if one did."""
    if state.errors:
        return str(state.errors[0]["stage"])
    return state.failure.name if state.failure else ""


def _explain(project: Project, state: BuildState, error: SolveError) -> RoskError:
    if state.no_space or (not state.errors and _is_full(project.dist)):
        return NoSpaceError(
            "no space left on the engine's disk or the output's",
            hint="make room (`docker buildx prune` frees build caches, at the cost of building again)",
            details=[error.what],
        )
    if state.errors:
        return _stage_error(project, state.errors[0])
    if known := _of_the_engine(error.what):
        return known
    failed = state.failure
    if failed is None or failed.name == EXPORT:
        return EngineError(error.what, where="buildkit", hint="`rosk doctor` looks at the engine")
    shown = _shown(failed.name)
    return BuildError(
        f"the stage {shown} ({STAGES.get(shown, 'of its own')}) failed: {_short(failed.error)}",
        hint=_in_its_log(project, "the whole log is in dist/build.log"),
        details=list(failed.tail)[-_TAIL:],
    )


def _of_the_engine(what: str) -> EngineError | None:
    """The error for a failure of BuildKit's own, where it is one that is known."""
    if is_broken(what):
        hint = "`docker buildx prune --all` empties its cache; a kernel is then compiled whole"
        return EngineError("the engine's build cache is damaged", hint=hint, details=[what])
    if is_late(what):
        hint = "`rosk cache prune --all` empties its cache, whose size slows it down; Docker 27 and newer are faster"
        return EngineError("the engine was too slow to record the build", hint=hint, details=[what])
    if is_race(what):
        hint = "build again: what was done is kept; Docker 27 and newer do not lose it"
        return EngineError("BuildKit lost track of what targets share", hint=hint, details=[what])
    return None


def _is_full(folder: Path) -> bool:
    """Whether the output's disk is full: buildx says only `EOF` when it cannot write what it receives."""
    return shutil.disk_usage(folder).free < _FULL


def _stage_error(project: Project, event: dict[str, object]) -> RoskError:
    shown = _shown(str(event["stage"]))
    kind: type[RoskError] = InputError if shown in _INPUT_STAGES else BuildError
    if shown == "source":
        kind = FetchError
        event = {"where": SETTINGS_FILE, **{key: value for key, value in event.items() if value is not None}}
    firmware = project.settings.firmware.path
    if firmware is not None and (shown == "firmware" or shown.startswith("offered-")):
        kind = InputError  # what is wrong is in the user's own folder or archive, where no list of the project is named
        event = {**event, "where": event.get("where") or str(firmware)}
    if NO_SPACE.search(str(event["what"])):
        kind = NoSpaceError
    where, line, details = event.get("where"), event.get("line"), event.get("details")
    names = {name: str(project.origin(name)) for name in project.inputs}
    return kind(
        _renamed(str(event["what"]), names),
        where=names.get(str(where), str(where)) if where else None,
        line=line if isinstance(line, int) else None,
        hint=_in_its_log(project, _renamed(str(event.get("hint") or "the whole log is in dist/build.log"), names)),
        details=[_renamed(str(each), names) for each in details] if isinstance(details, list) else (),
    )


def _shown(dockerfile_stage: str) -> str:
    return shown_stage(dockerfile_stage.partition("@")[0])


def _in_its_log(project: Project, text: str) -> str:
    """Text that names the log where it is: a kernel that is not the default one has a folder of its own."""
    own = project.dist == project.root / "dist" / project.name
    return text.replace("dist/build.log", f"dist/{project.name}/build.log") if own else text


def _renamed(text: str, names: dict[str, str]) -> str:
    """Text with the build context's names for files replaced by the project's."""
    for name, path in names.items():
        text = text.replace(name, path)
    return text


def _short(error: str) -> str:
    """BuildKit's error without the command that it repeats."""
    return error.rpartition(" did not complete successfully: ")[2] or error
