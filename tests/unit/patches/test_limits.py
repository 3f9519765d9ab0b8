from __future__ import annotations

from pathlib import Path

import pytest

from builder.context import write_context
from builder.errors import InputError
from builder.patches.limits import limit_context, select_patches
from builder.project import load_project
from tests.unit.projects import FILES, write_project

NEW = "X-Rosk-Kernel: >=6.13\n\n" + FILES["patches/x86/0001-a.patch"]


def test_a_context_holds_the_patches_of_one_version_whatever_it_held(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path / "project", patches__x86__0003=""), arch="x86")
    (tmp_path / "project/patches/x86/0003-c.patch").write_text(NEW)
    project = load_project(tmp_path / "project", arch="x86")
    folder = tmp_path / "context"
    write_context(project, folder)

    def names() -> list[str]:
        return sorted(path.name for path in (folder / "patches").iterdir())

    assert limit_context(project.inputs, project.root, folder, "6.12.64") == ["patches/0003-c.patch"]
    assert names() == ["0001-a.patch", "0002-b.patch"]
    assert limit_context(project.inputs, project.root, folder, "6.13.0-rc1") == []
    assert names() == ["0001-a.patch", "0002-b.patch", "0003-c.patch"]
    assert (folder / "patches/0003-c.patch").read_text() == NEW


def test_limits_that_are_not_understood_are_named_in_the_project(tmp_path: Path) -> None:
    path = tmp_path / "patches/x86/a.patch"
    path.parent.mkdir(parents=True)
    path.write_text("\nX-Rosk-Kernel: 6.12\n")
    with pytest.raises(InputError, match="not understood") as caught:
        select_patches({"patches/a.patch": path}, tmp_path, "6.12")
    assert caught.value.location == "patches/x86/a.patch:2"
