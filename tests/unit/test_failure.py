"""A stage's error, said in the project's own terms."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.engine.docker import SolveError
from builder.engine.events import BuildState
from builder.errors import BuildError, InputError, NoSpaceError
from builder.failure import explain
from builder.project import load_project
from tests.unit.projects import SETTINGS, write_project


def failed(stage: str, *, what: str = "WHENCE, line 3: ../x leads out", where: str | None = None) -> BuildState:
    """A solve in which a stage program sent an error."""
    state = BuildState()
    state.errors.append({"stage": stage, "what": what, "hint": "fix it", "where": where})
    return state


@pytest.mark.parametrize("stage", ["firmware-folder", "offered-folder", "firmware-folder@cloud-x86"])
def test_what_is_wrong_in_the_users_firmware_is_an_error_of_that_folder(tmp_path: Path, stage: str) -> None:
    settings = SETTINGS.replace("source: none", "source: folder\n  path: blobs")
    write_project(tmp_path, **{"config/rosk.yaml": settings, "lists/x86/firmware.list": "a.fw\n"})
    project = load_project(tmp_path, arch="x86")
    error = explain(project, failed(stage), SolveError(""))
    assert isinstance(error, InputError) and error.location == "blobs"
    error = explain(project, failed(stage, where="lists/firmware.list"), SolveError(""))
    assert error.location == "lists/x86/firmware.list"


def test_what_is_wrong_in_firmware_that_is_nobodys_input_is_no_error_of_the_user(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path), arch="x86")
    assert isinstance(explain(project, failed("offered-debian"), SolveError("")), BuildError)


@pytest.mark.parametrize("said", ["No space left on device", "Disk quota exceeded", "no space left on the disk"])
def test_a_full_disk_is_an_error_of_its_own_in_any_stage(tmp_path: Path, said: str) -> None:
    project = load_project(write_project(tmp_path), arch="x86")
    for stage in ("source", "patched", "compile"):
        assert isinstance(explain(project, failed(stage, what=f"a file: {said}"), SolveError("")), NoSpaceError)
