"""From a build to the OS: one release of the fake tree, proved, pushed, installed, and found by an OS."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from builder.engine.docker import Docker
from builder.errors import VerifyError
from builder.osrepo.install import InstallOptions, run_install
from builder.osrepo.servicesrun import ServicesOptions, run_services
from builder.project import load_project
from builder.releaserun import ReleaseOptions, run_release
from builder.run import BuildOptions
from builder.verify import run as verify
from tests.doctor import package, repack
from tests.graph.conftest import FakeProject
from tests.unit.osrepo.checkouts import BURMILLA_2, values, write_checkout
from tests.unit.osrepo.consumer import from_folder, modern

pytestmark = pytest.mark.engine


def release(fake: FakeProject, registry: str, *, as_json: bool = False) -> None:
    project = load_project(fake.root, arch="x86", registries=[registry])
    build = BuildOptions(push=True, quiet=not as_json, as_json=as_json, commands=(("rosk", "build"),))
    run_release(project, ReleaseOptions(build=build, allow_unchecked=True))


def repositories(registry: str) -> list[str]:
    found: list[str] = requests.get(f"http://{registry}/v2/_catalog", timeout=10).json()["repositories"]
    return found


def test_a_release_is_proved_before_it_is_pushed_and_goes_into_an_os(
    fake: FakeProject, registry: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[str]] = {}
    run_verify = verify.run_verify

    def failing(root: Path, options: verify.VerifyOptions) -> Any:
        seen["at the proof"] = repositories(registry)
        doctored = fake.root / "doctored"
        shutil.copytree(root, doctored)
        repack(package(doctored, "kernel"), lambda archive: archive.remove("fs/ext4/ext4.ko"))
        return run_verify(doctored, options)

    monkeypatch.setattr(verify, "run_verify", failing)
    with pytest.raises(VerifyError):
        release(fake, registry)
    assert seen["at the proof"] == repositories(registry) == []
    monkeypatch.undo()
    capsys.readouterr()

    release(fake, registry, as_json=True)
    told = json.loads(capsys.readouterr().out)
    org, dist = load_project(fake.root, arch="x86").org, fake.root / "dist"
    assert told["verify"]["passed"] and len(told["verify"]["checks"]) > len(verify.choose((), cheap=True))
    published = [*(dist / "images").read_text().split(), f"{org}/os-kernel-release:{fake.release}"]
    assert [image.removeprefix(f"{registry}/") for image in told["pushed"]] == published
    assert sorted(repositories(registry)) == [
        f"{org}/os-{name}" for name in ("extras", "headers", "kernel", "kernel-release")
    ]

    root = write_checkout(fake.root / "os", BURMILLA_2)
    run_install(root, InstallOptions(dist=dist))
    assert values(root) == {"version": fake.release, "url": "skip", "OS_REPO": "burmilla"}
    assert (root / "assets/kernel.tar.gz").read_bytes() == package(dist, "kernel").read_bytes()

    run_services(fake.root / "services", ServicesOptions(project=fake.root, versions=("v2.0.5",)))
    images = _images(from_folder(fake.root / "services"), fake.release)
    assert images.keys() == {"kernel-extras", "kernel-headers", "kernel-headers-system-docker"}
    assert set(images.values()) <= set((dist / "images").read_text().split())


def _images(get: Any, v: str) -> Mapping[str, str]:
    """The image that each service of a BurmillaOS 2.0.5 runs, without the registry."""
    machine = modern(get, "v2.0.x", v)
    return {name: machine.service(name)["image"].removeprefix("docker.io/") for name in machine.names()}


def test_a_moved_line_is_one_solve(fake: FakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an edit of the lists changes is fetched in the solve that makes it."""
    line = "kernel/drivers/net/dummy.ko\n"
    solves: list[set[str]] = []
    bake = Docker.bake

    def counted(self: Docker, plan: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        solves.append({target["target"] for target in plan["target"].values()})
        return bake(self, plan, **options)

    fake.build()
    monkeypatch.setattr(Docker, "bake", counted)
    fake.edit("lists/x86/modules-extra.list", lambda text: text.replace(line, ""))
    fake.edit("lists/x86/modules.list", lambda text: text + line)
    built = fake.build()
    tries = 1 + (fake.root / "dist/build.log").read_text().count("solved once more")
    assert solves == [{"release-modules", "os-extras", "os-headers", "os-kernel"}] * tries
    assert "compile" not in built.result.ran
    assert line in (fake.root / "dist/kernel/modules-main.list").read_text()
    fake.build()
    assert set(map(frozenset, solves[tries:])) == {frozenset({"release", "os-extras", "os-headers", "os-kernel"})}
