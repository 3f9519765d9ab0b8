"""Writing a project: the whole of it, or nothing, and never over what is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import InputError
from builder.importing.folder import File, write_project

FILES = {
    "config/rosk.yaml": File(data=b"org: acme\n"),
    "lists/x86/modules.list": File(data=b"kernel/a.ko\n"),
    "hooks/01": File(data=b"#!/bin/sh\n", executable=True),
}


def tree(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def write(target: Path, *, force: bool = False, files: dict[str, File] = FILES) -> None:
    write_project(target, files, force=force, check=lambda _: None)


@pytest.mark.parametrize("exists", [True, False])
def test_a_new_project(tmp_path: Path, exists: bool) -> None:
    target = tmp_path / "deep/project"
    if exists:
        target.mkdir(parents=True)
    write(target)
    assert tree(target) == {**{name: file.data for name, file in FILES.items()}, ".gitignore": b"/dist/\n"}
    assert (target / "hooks/01").stat().st_mode & 0o111
    assert not (target / "config/rosk.yaml").stat().st_mode & 0o111
    assert [path.name for path in target.parent.iterdir()] == ["project"]


def test_the_project_is_checked_before_it_is_in_its_place(tmp_path: Path) -> None:
    def check(folder: Path) -> None:
        assert (folder / "config/rosk.yaml").read_text() == "org: acme\n"
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        write_project(tmp_path / "deep/project", FILES, force=False, check=check)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(InputError, match="the folder is not empty") as error:
        write(tmp_path)
    assert "--force" in error.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_force_replaces_only_what_it_writes(tmp_path: Path) -> None:
    mine = {
        "config/rosk.yaml": "org: other\n",
        "config/x86/kernel-config": "CONFIG_A=y\n",
        "dist/images": "x",
        "a": "b",
    }
    for name, text in {**mine, ".gitignore": "*.swp"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    inode = (tmp_path / "dist").stat().st_ino
    write(tmp_path, force=True)
    wanted = {**{name: text.encode() for name, text in mine.items()}, ".gitignore": b"*.swp\n/dist/\n"}
    assert tree(tmp_path) == {**wanted, **{name: file.data for name, file in FILES.items()}}
    assert (tmp_path / "dist").stat().st_ino == inode
    write(tmp_path, force=True)
    assert (tmp_path / ".gitignore").read_bytes() == b"*.swp\n/dist/\n"


@pytest.mark.parametrize("failing", range(1, 6))
def test_a_failure_half_way_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    for name in ("config/rosk.yaml", "hooks/other"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("before")
    before, real, calls = tree(tmp_path), Path.rename, []

    def rename(self: Path, to: Path) -> Path:
        calls.append(to)
        if len(calls) == failing:
            raise OSError(5, "Input/output error")
        return real(self, to)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(InputError, match="cannot use the project folder: Input/output error"):
        write(tmp_path, force=True)
    assert tree(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config", "hooks"]


@pytest.mark.parametrize("name", ["config", "lists/x86"])
def test_a_link_in_the_way(tmp_path: Path, name: str) -> None:
    elsewhere, target = tmp_path / "elsewhere", tmp_path / "project"
    elsewhere.mkdir()
    (target / name).parent.mkdir(parents=True, exist_ok=True)
    (target / name).symlink_to(elsewhere)
    with pytest.raises(InputError, match="rosk would have to replace"):
        write(target, force=True)
    assert list(elsewhere.iterdir()) == []
    assert (target / name).is_symlink()


def test_a_file_that_is_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "project/config").mkdir(parents=True)
    (tmp_path / "project/config/rosk.yaml").symlink_to("../../kept")
    write(tmp_path / "project", force=True)
    assert (tmp_path / "kept").read_text() == "kept"
    assert (tmp_path / "project/config/rosk.yaml").read_text() == "org: acme\n"


@pytest.mark.parametrize("name", ["config", "config/rosk.yaml/x"])
def test_something_else_in_the_way(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("x")
    before = tree(tmp_path)
    with pytest.raises(InputError, match="rosk would have to replace it"):
        write(tmp_path, force=True)
    assert tree(tmp_path) == before


def test_a_target_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="this is no folder"):
        write(tmp_path / "file", force=True)
