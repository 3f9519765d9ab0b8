"""The base image for builders that are not the engine's own: saved once, and anew when it is damaged."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.engine.layout import have_layout

BLOB = b"layer" * 100
DIGEST = hashlib.sha256(BLOB).hexdigest()
FILES = {"oci-layout": b"{}", "index.json": b'{"manifests": []}', f"blobs/sha256/{DIGEST}": BLOB}


class Engine:
    """Saves an image, and counts how often."""

    def __init__(self) -> None:
        self.saves = 0

    def save(self, tar: Path) -> None:
        self.saves += 1
        with tarfile.open(tar, "w") as archive:
            for name, data in FILES.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


@pytest.fixture
def made(tmp_path: Path) -> tuple[Engine, Path]:
    engine, folder = Engine(), tmp_path / "sha256-aa"
    have_layout(folder, engine.save)
    return engine, folder


def check(folder: Path) -> None:
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert sorted(path.name for path in folder.parent.iterdir()) == ["sha256-aa", "sha256-aa.lock"]


def test_it_is_saved_once(made: tuple[Engine, Path]) -> None:
    engine, folder = made
    check(folder)
    have_layout(folder, engine.save)
    check(folder)
    assert engine.saves == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "index.json").unlink(),
        lambda folder: (folder / "blobs/sha256" / DIGEST).unlink(),
        lambda folder: (folder / "blobs/sha256" / DIGEST).write_bytes(BLOB[:-1]),
        lambda folder: (folder / "blobs/sha256" / DIGEST).write_bytes(BLOB[:-1] + b"R"),
        lambda folder: (folder / "sums.json").write_text(""),
        lambda folder: (folder / "sums.json").unlink(),  # of an older version of rosk
    ],
)
def test_one_that_is_damaged_is_made_anew(made: tuple[Engine, Path], damage: Callable[[Path], object]) -> None:
    engine, folder = made
    damage(folder)
    have_layout(folder, engine.save)
    check(folder)
    assert engine.saves == 2
    have_layout(folder, engine.save)
    assert engine.saves == 2


def test_what_a_killed_run_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "sha256-aa.part/layout").mkdir(parents=True)
    have_layout(tmp_path / "sha256-aa", Engine().save)
    check(tmp_path / "sha256-aa")


def test_one_that_cannot_be_saved_leaves_nothing(tmp_path: Path) -> None:
    def refuse(_tar: Path) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        have_layout(tmp_path / "sha256-aa", refuse)
    assert [path.name for path in tmp_path.iterdir()] == ["sha256-aa.lock"]


def test_an_engine_that_saves_no_such_layout_may_do_so_later(tmp_path: Path) -> None:
    """Docker Engine before version 25."""
    folder, engine = tmp_path / "sha256-aa", Engine()

    def save_old(tar: Path) -> None:
        with tarfile.open(tar, "w") as archive:
            member = tarfile.TarInfo("manifest.json")
            member.size = 2
            archive.addfile(member, io.BytesIO(b"[]"))

    have_layout(folder, save_old)
    assert json.loads((folder / "sums.json").read_text()).keys() == {"manifest.json"}
    have_layout(folder, engine.save)
    check(folder)
