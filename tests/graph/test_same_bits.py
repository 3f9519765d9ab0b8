"""The same bits, whoever builds where: another engine on one CPU, another folder, user's habits, and cache."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import secrets
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from builder import graph
from builder.build import Built, build
from builder.engine.docker import Docker
from builder.errors import EngineError
from builder.project import load_project
from builder.view import QuietView
from tests.graph.conftest import FakeProject

pytestmark = pytest.mark.engine


def sh(*words: str | Path, check: bool = True, **env: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **env})
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a builder: a Docker engine of its own, as a context of the client, that has one CPU."""
    root = tmp_path_factory.mktemp("engine")
    name = f"rosk{secrets.token_hex(3)}"
    (root / "daemon.json").write_text(json.dumps({"features": {"containerd-snapshotter": True}}))
    sh("ip", "link", "add", name, "type", "bridge")
    sh("ip", "address", "add", "172.31.79.1/24", "dev", name)
    sh("ip", "link", "set", name, "up")
    folders: list[str | Path] = ["--data-root", root / "data", "--exec-root", root / "exec", "--pidfile", root / "pid"]
    with (root / "log").open("wb") as log:
        engine = subprocess.Popen(
            [
                "taskset",
                "-c",
                "0",
                "dockerd",
                "--config-file",
                root / "daemon.json",
                *folders,
                "-H",
                f"unix://{root}/sock",
                "-b",
                name,
            ],
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(300):
            if subprocess.run(["docker", "-H", f"unix://{root}/sock", "info"], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        else:
            pytest.fail(f"the second engine did not start: {(root / 'log').read_text()}")
        sh("docker", "context", "create", name, "--docker", f"host=unix://{root}/sock")
        yield name
    finally:
        sh("docker", "context", "rm", "--force", name, check=False)
        engine.terminate()
        engine.wait(60)
        sh("ip", "link", "delete", name, check=False)


def build_with(fake: FakeProject, builder: str | None, dist: Path) -> Built:
    project = dataclasses.replace(load_project(fake.root, arch="x86"), dist=dist)
    view = QuietView(Console(file=io.StringIO()))
    return build(project, Docker(builder), fake.base, view=view, command=("rosk", "build"))


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


def test_another_builder_gives_the_same(fake: FakeProject, second: str, tmp_path: Path) -> None:
    here = build_with(fake, None, tmp_path / "here")
    for tag in here.images:
        sh("docker", "rmi", tag)
    there = build_with(fake, second, tmp_path / "there")
    assert "compile" in there.result.ran
    assert there.manifest["outputs"] == here.manifest["outputs"]
    assert there.manifest["images"] == here.manifest["images"]
    for tag, digest in there.manifest["images"].items():
        assert json.loads(sh("docker", "image", "inspect", tag))[0]["Id"] == digest


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
