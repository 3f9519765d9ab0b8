"""What rosk keeps on this machine beside the engine, and that nothing goes which somebody uses."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO, Any

import pytest

from builder.hostcache import in_use, kept_files

DAY = 86400.0


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    for name, text in {
        "sha256/aa/linux.tar.xz": "x" * 100,
        "sha256/aa.stamp": "",
        "sha256/bb.part": "y" * 7,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "trees/cc").mkdir(parents=True)
    (tmp_path / "trees/cc/one").write_text("z" * 9)
    (tmp_path / "elsewhere").hardlink_to(tmp_path / "trees/cc/one")
    for lock in ("sha256/aa.lock", "trees/cc.lock"):
        (tmp_path / lock).touch()
    return tmp_path


def test_what_there_is(cache: Path) -> None:
    os.utime(cache / "sha256/aa/linux.tar.xz", (time.time() - 3 * DAY,) * 2)
    found = {kept.path.name: kept for kept in kept_files(cache)}
    assert {name: kept.size for name, kept in found.items()} == {"aa": 100, "bb": 7, "cc": 0}
    assert 3 * DAY - 60 < found["aa"].idle < 3 * DAY + 60
    assert all(kept.remove() for kept in found.values())
    left = [str(path.relative_to(cache)) for path in sorted(cache.rglob("*")) if path.is_file()]
    assert left == ["builds/in-use.lock", "elsewhere", "sha256/aa.lock", "sha256/bb.lock", "trees/cc.lock"]


@pytest.mark.parametrize(("lock", "busy"), [("sha256/aa.lock", {"aa"}), ("builds/in-use.lock", {"aa", "bb", "cc"})])
def test_what_is_in_use(cache: Path, lock: str, busy: set[str]) -> None:
    (cache / "builds").mkdir()
    with (cache / lock).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = list(kept_files(cache))
        assert {kept.path.name for kept in found if kept.stays} == busy
        assert [kept.path.name for kept in found if kept.remove()] == [each for each in ("bb", "cc") if "sha" in lock]


def test_a_build_that_begins_meanwhile(cache: Path) -> None:
    found = list(kept_files(cache))
    assert not any(kept.stays for kept in found)
    with in_use(cache), in_use(cache):
        assert all(kept.stays for kept in kept_files(cache))
        assert not any(kept.remove() for kept in found)
        assert (cache / "sha256/aa/linux.tar.xz").exists()
    assert all(kept.remove() for kept in found)


def test_what_vanishes_while_it_is_measured(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "trees/cc/gone").mkdir()
    scandir = os.scandir

    def vanishing(path: str) -> object:
        if str(path).endswith("gone"):
            raise FileNotFoundError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    assert [kept.path.name for kept in kept_files(cache)] == ["aa", "bb", "cc"]


def test_a_lock_that_is_another_users(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def refused(path: Path, mode: str) -> IO[Any]:
        if path.name == "aa.lock":
            raise PermissionError(path)
        return opened(path, mode)

    monkeypatch.setattr(Path, "open", refused)
    found = {kept.path.name: kept for kept in kept_files(cache)}
    assert found["aa"].stays == "in use by a build" and not found["bb"].stays
    assert not found["aa"].remove()


def test_base_images(tmp_path: Path) -> None:
    """With what a run that was killed has left of one, which older versions of rosk called `rosk-…`."""
    names = ("sha256-aa/blobs/sha256/bb", "sha256-aa.part/image.tar", "rosk-x_1/image.tar")
    for name in names:
        (tmp_path / "bases" / name).parent.mkdir(parents=True)
        (tmp_path / "bases" / name).write_text("x" * 10)
    (tmp_path / "bases/sha256-aa.lock").touch()
    found = {kept.path.name: kept for kept in kept_files(tmp_path)}
    assert {name: kept.size for name, kept in found.items()} == {"sha256-aa": 20, "rosk-x_1": 10}
    assert {kept.what for kept in found.values()} == {"base images for other builders"}
    assert all(kept.remove() for kept in found.values())
    left = sorted(path.name for path in (tmp_path / "bases").iterdir())
    assert left == ["rosk-x_1.lock", "sha256-aa.lock"]


def test_nothing(tmp_path: Path) -> None:
    assert list(kept_files(tmp_path / "none")) == []
