"""The same bits, whoever builds where and when: another engine on one CPU, another folder, user, cache, and day."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from builder import graph
from builder.build import Built, build
from builder.engine.base import BaseImage
from builder.engine.docker import Docker
from builder.errors import EngineError
from builder.project import load_project
from builder.view import QuietView
from tests.graph.conftest import FakeProject
from tests.graph.edits import differences, released, source
from tests.graph.elsewhere import Stranger, another_day, build_elsewhere, cpus, jobs, one_cpu, sh, stranger

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a builder that has one CPU."""
    with one_cpu(tmp_path_factory.mktemp("engine")) as name:
        yield name


@pytest.fixture(scope="module")
def day(base: BaseImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseImage]:
    """A base image in which it is another day."""
    with another_day(base, tmp_path_factory.mktemp("day") / "image") as image:
        yield image


@pytest.fixture
def user() -> Iterator[Stranger]:
    """Another user."""
    with stranger() as made:
        yield made


def build_with(fake: FakeProject, builder: str | None, dist: Path, *, scope: str = "") -> Built:
    project = dataclasses.replace(load_project(fake.root, arch="x86"), dist=dist)
    view = QuietView(Console(file=io.StringIO()))
    return build(project, Docker(builder), fake.base, view=view, command=("rosk", "build"), scope=scope)


def test_another_folder_and_umask_with_no_caches(fake: FakeProject, tmp_path: Path) -> None:
    here = fake.build()
    other = tmp_path / "other folder, of somebody"
    before = os.umask(0o077)
    try:
        shutil.copytree(fake.root, other, symlinks=True, ignore=shutil.ignore_patterns("dist", other.name))
        for path in other.rglob("*"):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o700)
        there = FakeProject(other, fake.base).build(scope=secrets.token_hex(4))
    finally:
        os.umask(before)
    assert "compile" in there.result.ran
    assert there.manifest["outputs"] == here.manifest["outputs"]
    assert there.manifest["images"] == here.manifest["images"]


def test_another_builder_gives_the_same(
    fake: FakeProject, second: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    here = build_with(fake, None, tmp_path / "here")
    for tag in here.images:
        sh("docker", "rmi", tag)
    there = build_with(fake, second, tmp_path / "there")
    assert "compile" in there.result.ran
    assert capfd.readouterr().out == "", "standard output is rosk's own, which may have JSON on it"
    assert jobs(tmp_path / "here") == {cpus()} != {1}, "with one CPU here as well this proves nothing"
    assert jobs(tmp_path / "there") == {cpus(second)} == {1}
    assert there.manifest["outputs"] == here.manifest["outputs"]
    assert there.manifest["images"] == here.manifest["images"]
    for tag, digest in there.manifest["images"].items():
        assert json.loads(sh("docker", "image", "inspect", tag))[0]["Id"] == digest


def test_another_user(fake: FakeProject, user: Stranger) -> None:
    """With the command `rosk`, in a folder of their own, where all files may be written by their group."""
    fake.build()
    there = user.take(fake)
    done = user.rosk("build", "-C", there.root, "--cache-scope", secrets.token_hex(6), "--json")
    assert done.code == 0, done.err
    assert {"compile", "kernel-package", "source-package"} <= set(json.loads(done.out)["ran"])
    dist = there.root / "dist"
    assert {path.stat().st_uid for path in (dist, *dist.rglob("*"))} == {user.UID}
    assert released(dist) == released(fake.root / "dist")


def on(day: BaseImage, fake: FakeProject, dist: Path) -> Built:
    """Build with that base image, and with no cache."""
    built = build_with(dataclasses.replace(fake, base=day), None, dist, scope=secrets.token_hex(6))
    assert "compile" in built.result.ran
    return built


def test_another_day(fake: FakeProject, day: BaseImage, tmp_path: Path) -> None:
    today = fake.build()
    then = on(day, fake, tmp_path / "then")
    assert then.manifest["toolchain"]["packages"] == today.manifest["toolchain"]["packages"], "Debian has newer ones"
    assert then.manifest["outputs"] == today.manifest["outputs"]
    assert then.manifest["images"] == today.manifest["images"]


@pytest.mark.heavy
def test_a_day_that_is_built_in_is_seen(fake: FakeProject, day: BaseImage, tmp_path: Path) -> None:
    """Without that, the test before would prove nothing: the compiler has the other date, and Python the other time."""
    source("sound/core/snd.c", '"snd"', "__DATE__").apply(fake)
    source("scripts/mkimage.py", "mtime=0)", "mtime=int(__import__('time').time()) // 86400)").apply(fake)
    fake.build()
    on(day, fake, tmp_path / "then")
    found = differences(fake.root / "dist", tmp_path / "then")
    v = fake.release
    assert set(found) == {
        f"extra-linux-{v}-x86.tar.gz: ./lib/modules/{v}/kernel/sound/core/snd.ko",
        f"linux-{v}-x86.tar.gz: ./boot/vmlinuz-{v}",
    }


@pytest.mark.heavy
def test_all_at_once(fake: FakeProject, user: Stranger, second: str, day: BaseImage) -> None:
    fake.build()
    dist = build_elsewhere(fake, user, second, day)
    assert jobs(dist) == {1}
    assert released(dist) == released(fake.root / "dist")


def test_layers_that_were_compressed_otherwise_are_not_taken(
    fake: FakeProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another version of rosk may have left them: BuildKit takes a layer as it was compressed first."""
    with monkeypatch.context() as patch:
        patch.setattr(graph, "LEVEL", 6)
        before = fake.build()
    after = fake.build()
    packages = {"kernel-package", "extras-package", "headers-package"}  # which have its layers
    assert after.result.ran == {*graph.IMAGES, *packages}
    assert after.manifest["outputs"] == before.manifest["outputs"]
    for tag, digest in after.manifest["images"].items():
        assert digest != before.manifest["images"][tag]
        sh("docker", "save", "--output", tmp_path / "image.tar", tag)
        with tarfile.open(tmp_path / "image.tar") as tar:
            blobs = [tar.extractfile(member) for member in tar if member.isreg() and member.name.startswith("blobs/")]
            starts = [blob.read(10) for blob in blobs if blob]
        layers = [start for start in starts if start.startswith(b"\x1f\x8b")]
        assert layers and {start[8] for start in layers} == {4}, "4 is level 1 (RFC 1952, XFL)"


def test_a_builder_that_is_not_there(engine: None) -> None:
    with pytest.raises(EngineError):
        Docker("no-such-builder")
