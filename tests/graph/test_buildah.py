"""The same project by buildah, with no daemon: the same packages, bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from builder.engine.base import BaseImage
from builder.engine.docker import Docker
from tests import contract
from tests.conftest import run_rosk
from tests.graph.conftest import FakeProject

pytestmark = pytest.mark.engine


@pytest.fixture
def storage(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where buildah keeps images, containers and caches: a place of its own, gone after the test."""
    root = tmp_path_factory.mktemp("buildah")
    (root / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{root}/graph"\nrunroot = "{root}/run"\n'
    )
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(root / "storage.conf"))
    monkeypatch.setenv("TMPDIR", str(root))
    yield root
    for words in (["rm", "--all"], ["rmi", "--all", "--force"]):
        buildah(*words)


def buildah(*words: str | Path) -> str:
    return subprocess.run(["buildah", *words], capture_output=True, text=True, check=True).stdout


@pytest.mark.heavy
def test_the_same_packages_and_images_to_push(fake: FakeProject, base: BaseImage, storage: Path, registry: str) -> None:
    Docker().save(base.ref, storage / "base.tar")
    buildah("pull", "--quiet", f"docker-archive:{storage / 'base.tar'}")
    (storage / "base.tar").unlink()
    done = run_rosk(
        *("build", "--engine", "buildah", "-C", fake.root, "--json", "--push", "--registry", registry),
        DOCKER_HOST="unix:///nowhere/docker.sock",
    )
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert "compile" in told["ran"] and told["compiled"]["objects"] > 0
    contract.check_release(contract.find_release(fake.root / "dist"))
    here = fake.build()
    assert told["outputs"] == here.manifest["outputs"]
    for tag in told["images"]:
        repository, version = tag.split(":")
        found = requests.get(
            f"http://{registry}/v2/{repository}/manifests/{version}",
            headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
            timeout=10,
        )
        assert found.json()["config"]["digest"] == told["images"][tag]
        # What an image starts is that of the other engine's image.
        config = json.loads(buildah("inspect", "--type", "image", f"localhost/{tag}"))["OCIv1"]["config"]
        ours = json.loads(subprocess.run(["docker", "image", "inspect", tag], capture_output=True, check=True).stdout)[
            0
        ]["Config"]
        assert config.get("Cmd") == ours.get("Cmd") and sorted(config["Env"]) == sorted(ours["Env"])
    assert buildah("containers", "--quiet") == ""

    # An edit, by buildah again: the object tree was kept, an error is said in the project's terms.
    again = run_rosk("build", "--engine", "buildah", "-C", fake.root, "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["compiled"]["objects"] == 0
    assert json.loads(again.out)["outputs"] == told["outputs"]
    fake.edit("lists/x86/modules-extra.list", lambda text: text.replace("kernel/drivers/net/dummy.ko\n", ""))
    wrong = run_rosk("build", "--engine", "buildah", "-C", fake.root)
    assert wrong.code == 3 and "dummy.ko" in wrong.err and "Traceback" not in wrong.err
    # One that buildah has begun for the next stage by the time it hears of the failure stays now and then.
    assert len(buildah("containers", "--quiet").split()) <= 1


@pytest.mark.parametrize("option", ["--builder", "--cache-from", "--cache-to"])
def test_what_it_cannot_do(fake: FakeProject, option: str) -> None:
    done = run_rosk("build", "--engine", "buildah", "-C", fake.root, option, "./elsewhere")
    assert done.code == 3
    assert option in done.err and "next:" in done.err


def test_it_is_not_installed(fake: FakeProject, tmp_path: Path) -> None:
    done = run_rosk("build", "--engine", "buildah", "-C", fake.root, PATH=without_buildah(tmp_path / "bin"))
    assert done.code == 5
    assert "buildah is not installed" in done.err


def without_buildah(folder: Path) -> str:
    """A PATH that has every program but buildah."""
    folder.mkdir()
    for place in os.environ["PATH"].split(":"):
        for program in Path(place).glob("*"):
            if program.name != "buildah" and not (folder / program.name).exists():
                (folder / program.name).symlink_to(program)
    return str(folder)
