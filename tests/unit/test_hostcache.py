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
AA, BB, CC = "a" * 64, "b" * 64, "c" * 16


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    for name, text in {
        f"sha256/{AA}/linux.tar.xz": "x" * 100,
        f"sha256/{AA}.stamp": "",
        f"sha256/{BB}.part": "y" * 7,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / f"trees/{CC}").mkdir(parents=True)
    (tmp_path / f"trees/{CC}/one").write_text("z" * 9)
    (tmp_path / "elsewhere").hardlink_to(tmp_path / f"trees/{CC}/one")
    for lock in (f"sha256/{AA}.lock", f"trees/{CC}.lock"):
        (tmp_path / lock).touch()
    return tmp_path


def test_what_there_is(cache: Path) -> None:
    os.utime(cache / f"sha256/{AA}/linux.tar.xz", (time.time() - 3 * DAY,) * 2)
    found = {kept.path.name: kept for kept in kept_files(cache)}
    assert {name: kept.size for name, kept in found.items()} == {AA: 100, BB: 7, CC: 0}
    assert 3 * DAY - 60 < found[AA].idle < 3 * DAY + 60
    assert all(kept.remove() for kept in found.values())
    left = [str(path.relative_to(cache)) for path in sorted(cache.rglob("*")) if path.is_file()]
    assert left == ["builds/in-use.lock", "elsewhere", f"sha256/{AA}.lock", f"sha256/{BB}.lock", f"trees/{CC}.lock"]


@pytest.mark.parametrize(("lock", "busy"), [(f"sha256/{AA}.lock", {AA}), ("builds/in-use.lock", {AA, BB, CC})])
def test_what_is_in_use(cache: Path, lock: str, busy: set[str]) -> None:
    (cache / "builds").mkdir()
    with (cache / lock).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = list(kept_files(cache))
        assert {kept.path.name for kept in found if kept.stays} == busy
        assert [kept.path.name for kept in found if kept.remove()] == [each for each in (BB, CC) if "sha" in lock]


def test_a_build_that_begins_meanwhile(cache: Path) -> None:
    found = list(kept_files(cache))
    assert not any(kept.stays for kept in found)
    with in_use(cache), in_use(cache):
        assert all(kept.stays for kept in kept_files(cache))
        assert not any(kept.remove() for kept in found)
        assert (cache / f"sha256/{AA}/linux.tar.xz").exists()
    assert all(kept.remove() for kept in found)


def test_what_vanishes_while_it_is_measured(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / f"trees/{CC}/gone").mkdir()
    scandir = os.scandir

    def vanishing(path: str) -> object:
        if str(path).endswith("gone"):
            raise FileNotFoundError(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanishing)
    assert [kept.path.name for kept in kept_files(cache)] == [AA, BB, CC]


def test_a_lock_that_is_another_users(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def refused(path: Path, mode: str) -> IO[Any]:
        if path.name == f"{AA}.lock":
            raise PermissionError(path)
        return opened(path, mode)

    monkeypatch.setattr(Path, "open", refused)
    found = {kept.path.name: kept for kept in kept_files(cache)}
    assert found[AA].stays == "in use by a build" and not found[BB].stays
    assert not found[AA].remove()


def test_base_images(tmp_path: Path) -> None:
    """With what a run that was killed has left of one, which older versions of rosk called `rosk-…`."""
    names = (f"sha256-{AA}/blobs/sha256/bb", f"sha256-{AA}.part/image.tar", "rosk-x_1/image.tar")
    for name in names:
        (tmp_path / "bases" / name).parent.mkdir(parents=True)
        (tmp_path / "bases" / name).write_text("x" * 10)
    (tmp_path / f"bases/sha256-{AA}.lock").touch()
    found = {kept.path.name: kept for kept in kept_files(tmp_path)}
    assert {name: kept.size for name, kept in found.items()} == {f"sha256-{AA}": 20, "rosk-x_1": 10}
    assert {kept.what for kept in found.values()} == {"base images for other builders"}
    assert all(kept.remove() for kept in found.values())
    left = sorted(path.name for path in (tmp_path / "bases").iterdir())
    assert left == ["rosk-x_1.lock", f"sha256-{AA}.lock"]


def test_what_a_user_keeps_in_the_same_folder_is_not_rosks(cache: Path) -> None:
    """`ROSK_CACHE=/data`, say, where there are repositories too."""
    before = {kept.path for kept in kept_files(cache)}
    for name in ("git/mine/HEAD", "git/mine.git/HEAD", "trees/linux/Makefile", f"sha256/{AA}0", f"bases/{AA}/x"):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_text("mine")
    assert {kept.path for kept in kept_files(cache)} == before


def test_nothing(tmp_path: Path) -> None:
    assert list(kept_files(tmp_path / "none")) == []
