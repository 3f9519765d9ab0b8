"""`dist/` is replaced as a whole or not at all, also when a build was killed at the worst moment."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from builder import release
from builder.errors import BuildError, InputError, InterruptedBuild
from builder.graph import Resolved
from builder.project import Project, load_project
from builder.release import Sum
from tests.unit.projects import commit_release, write_project

RESOLVED = Resolved(kernel_version="6.12.64", epoch=1, packages={"gcc": "14"}, base="b", base_digest="sha256:1")
V = "6.12.64-acme"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return load_project(write_project(tmp_path), arch="x86")


def export(project: Project, folder: Path, text: str) -> None:
    (folder / "kernel").mkdir()
    for name in release.file_names(project, V):
        (folder / "kernel" / name).write_text(text)


def commit(project: Project, folder: Path) -> None:
    commit_release(project, RESOLVED, folder, images={f"acme/os-kernel:{V}": "sha256:2"})


def build(project: Project, text: str) -> None:
    with release.staging(project.dist) as folder:
        export(project, folder, text)
        commit(project, folder)


def test_a_build_replaces_the_one_before(project: Project) -> None:
    build(project, "one")
    (project.dist / "kernel" / "stale").touch()
    build(project, "two")
    assert {path.read_text() for path in (project.dist / "kernel").iterdir()} == {"two"}
    assert {path.name for path in project.dist.iterdir()} == {"kernel", *release.NAMES}


def test_a_package_that_is_there_need_not_be_exported_again(project: Project) -> None:
    build(project, "one")
    name = release.file_names(project, V)[0]
    kept = Sum(name=name, **release.describe(project.dist / "kernel" / name))
    with release.staging(project.dist) as folder:
        export(project, folder, "two")
        (folder / "kernel" / name).unlink()
        assert release.keep(project.dist, folder, kept)
        (project.dist / "kernel" / name).unlink()  # another build is at it
        manifest = commit_release(project, RESOLVED, folder, sums={"source": kept})
    assert (project.dist / "kernel" / name).read_text() == "one"
    assert manifest["outputs"][f"kernel/{name}"] == {"size": 3, "sha256": kept.sha256}


@pytest.mark.parametrize("change", ["missing", "other", "longer", "link"])
def test_what_is_no_longer_as_it_was_is_not_held(project: Project, change: str) -> None:
    build(project, "one")
    name = release.file_names(project, V)[0]
    path = project.dist / "kernel" / name
    wanted = Sum(name=name, **release.describe(path))
    if change in ("missing", "link"):
        path.rename(path.with_name("moved"))
    if change == "link":
        path.symlink_to("moved")
    if change in ("other", "longer"):
        path.write_text("oNe" if change == "other" else "one more")
    with release.staging(project.dist) as folder:
        (folder / "kernel").mkdir()
        assert not release.keep(project.dist, folder, wanted)
        assert list((folder / "kernel").iterdir()) == []


def test_the_manifest_and_the_checksums(project: Project) -> None:
    build(project, "one")
    manifest = json.loads((project.dist / "manifest.json").read_text())
    assert manifest["release"] == V
    assert manifest["toolchain"]["packages"] == {"gcc": "14"}
    assert manifest["reproduce"] == ["rosk", "build"]
    assert manifest["inputs"]["patches/0001-a.patch"]["size"] == 34
    assert (project.dist / "images").read_text() == f"acme/os-kernel:{V}\n"
    for line in (project.dist / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((project.dist / name).read_bytes()).hexdigest() == digest


def test_an_incomplete_export_changes_nothing(project: Project) -> None:
    build(project, "one")
    with pytest.raises(BuildError, match="exported no"), release.staging(project.dist) as folder:
        export(project, folder, "two")
        (folder / "kernel" / "config").unlink()
        commit(project, folder)
    assert (project.dist / "kernel" / "config").read_text() == "one"


def test_a_failed_build_leaves_nothing_behind(project: Project) -> None:
    with pytest.raises(RuntimeError), release.staging(project.dist) as folder:
        export(project, folder, "one")
        raise RuntimeError
    assert not list(project.dist.iterdir())


def at_rename(patched: pytest.MonkeyPatch, number: int, act: Callable[[Path], None]) -> None:
    """Have something done before a rename, the one of that number from now on."""
    left = iter([False] * number + [True])

    def watched(real: Callable[..., Path]) -> Callable[..., Path]:
        def renamed(path: Path, target: Path) -> Path:
            if next(left, False):
                act(path)
            return real(path, target)

        return renamed

    patched.setattr(Path, "rename", watched(Path.rename))
    patched.setattr(Path, "replace", watched(Path.replace))


@pytest.mark.parametrize("number", range(2 + len(release.NAMES)))
def test_an_error_at_each_rename(project: Project, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Whichever of the swap's renames fails, dist/kernel is one release, whole."""
    build(project, "one")

    def refuse(path: Path) -> None:
        raise OSError(5, "Input/output error", str(path))

    with monkeypatch.context() as patched:
        at_rename(patched, number, refuse)
        with pytest.raises(InputError, match="Input/output error"):
            build(project, "two")
    kernel = {path.read_text() for path in (project.dist / "kernel").iterdir()}
    assert kernel == {"one"} if number < 2 else {"two"}
    assert not list(project.dist.glob(".*"))


def test_ctrl_c_while_a_release_takes_its_place(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits until the release is whole, also where another thread (a terminal's display) gets the signal."""
    build(project, "one")
    replace = Path.replace

    def pressed(path: Path, target: Path) -> Path:
        if path.name == release.MANIFEST:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
        return replace(path, target)

    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()

    def stop(_number: int, _frame: object) -> NoReturn:
        raise InterruptedBuild("stopped", hint="the release before is as it was")

    before = signal.signal(signal.SIGINT, stop)
    try:
        monkeypatch.setattr(Path, "replace", pressed)
        with pytest.raises(InterruptedBuild) as caught:
            build(project, "two")
        assert "new release" in caught.value.hint
        assert signal.getsignal(signal.SIGINT) is stop
    finally:
        signal.signal(signal.SIGINT, before)
        done.set()
        other.join()
    outputs = json.loads((project.dist / release.MANIFEST).read_text())["outputs"]
    assert outputs["kernel/config"] == release.describe(project.dist / "kernel/config")
    assert (project.dist / "kernel/config").read_text() == "two"


def test_a_dist_that_cannot_be_written(project: Project) -> None:
    project.dist.write_text("a file")
    with pytest.raises(InputError, match="dist"), release.staging(project.dist):
        pass


def test_a_folder_in_the_place_of_a_file(project: Project) -> None:
    """Found out before anything is moved."""
    build(project, "one")
    (project.dist / "images").unlink()
    (project.dist / "images").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        build(project, "two")
    assert (project.dist / "kernel" / "config").read_text() == "one"


def test_a_killed_build_is_cleared(project: Project) -> None:
    build(project, "one")
    left = project.dist / ".rosk-killed"
    (left / "kernel").mkdir(parents=True)
    (left / "lock").touch()
    with release.staging(project.dist):
        assert not left.exists()
    assert (project.dist / "kernel" / "config").read_text() == "one"


def test_killed_between_the_two_renames(project: Project) -> None:
    """The release before was moved aside and the new one had not taken its place: it comes back."""
    build(project, "one")
    left = project.dist / ".rosk-killed"
    left.mkdir()
    (left / "lock").touch()
    (project.dist / "kernel").rename(left / "previous")
    with release.staging(project.dist):
        assert (project.dist / "kernel" / "config").read_text() == "one"
    assert not left.exists()


@pytest.mark.parametrize("number", range(2 + len(release.NAMES) + 1))
def test_killed_at_each_rename(project: Project, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The next build finds one release, whole: the one before, or the new one once its kernel has its place."""
    build(project, "one")
    (project.dist / release.BOOT).write_text("of one")
    pid = os.fork()
    if pid == 0:  # pragma: no cover - ends by SIGKILL, with all that it holds
        at_rename(monkeypatch, number, lambda _path: os.kill(os.getpid(), signal.SIGKILL))
        try:
            build(project, "two")
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) == (number < 2 + len(release.NAMES))
    with release.staging(project.dist):
        manifest = json.loads((project.dist / release.MANIFEST).read_text())
        kernel = {path.read_text() for path in (project.dist / "kernel").iterdir()}
        assert kernel == {"one"} if number < 2 else {"two"}
        for name, wanted in manifest["outputs"].items():
            assert release.describe(project.dist / name) == wanted
        sums = (project.dist / release.SUMS).read_text()
        assert release.describe(project.dist / release.MANIFEST)["sha256"] in sums
        assert (project.dist / release.BOOT).exists() == (number < 2)
    assert not list(project.dist.glob(".*"))


def test_a_build_that_ends_after_a_killed_one_is_not_mixed_with_it(project: Project) -> None:
    build(project, "one")
    with release.staging(project.dist) as folder:
        export(project, folder, "two")
        left = project.dist / ".rosk-killed"
        left.mkdir()
        for name in ("lock", "takes-place", *release.NAMES):
            (left / name).write_text("of the killed build")
        commit(project, folder)
        assert not left.exists()
    with release.staging(project.dist):
        manifest = json.loads((project.dist / release.MANIFEST).read_text())
        assert manifest["outputs"]["kernel/config"] == release.describe(project.dist / "kernel/config")


def test_what_is_no_build_is_left_alone(project: Project) -> None:
    """`rosk pull` makes such folders, too."""
    other = project.dist / ".rosk-pulled"
    (other / "kernel").mkdir(parents=True)
    build(project, "one")
    assert (other / "kernel").exists()


def test_no_other_build_is_between_its_renames_when_one_ends(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []
    remove = release._remove

    def looks(folder: Path, dist: Path) -> None:
        other = os.open(dist, os.O_RDONLY)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.append(True)
        os.close(other)
        remove(folder, dist)

    monkeypatch.setattr(release, "_remove", looks)
    build(project, "one")
    assert held == [True]


def test_a_dist_that_is_removed_meanwhile(project: Project) -> None:
    with release.staging(project.dist):
        shutil.rmtree(project.dist)


def test_a_build_at_work_is_left_alone(project: Project) -> None:
    other = project.dist / ".rosk-other"
    other.mkdir(parents=True)
    with (other / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with release.staging(project.dist):
            assert other.exists()


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (4_200, "4.2 kB"), (812_000_000, "812 MB"), (1_600_000_000, "1.6 GB")],
)
def test_sizes(size: int, text: str) -> None:
    assert release.human_size(size) == text


def test_what_was_rejected_is_forgotten_once(project: Project) -> None:
    assert not release.forget_rejected(project.dist)
    (project.dist / release.REJECTED / "kernel").mkdir(parents=True)
    assert release.forget_rejected(project.dist)
    assert not (project.dist / release.REJECTED).exists()
