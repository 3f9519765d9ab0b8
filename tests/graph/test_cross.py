"""A kernel for arm64, cross-compiled on x86: everything that another machine runs is of that machine."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.build import Built
from builder.engine.base import BaseImage
from builder.errors import InputError
from builder.releasefolder import find_release
from builder.verify.model import Status
from builder.verify.run import Report, examine
from tests.graph.conftest import CONFIG, EXTRA_LIST, MAIN_LIST, FakeProject
from tests.graph.edits import new_project

pytestmark = pytest.mark.engine

AARCH64 = 183
"""e_machine."""


@dataclasses.dataclass(frozen=True)
class Release:
    """A release of the fake tree for arm64."""

    project: FakeProject
    built: Built
    dist: Path

    def package(self, name: str) -> Path:
        (found,) = (self.dist / "kernel").glob(f"{name}-6*-arm64.tar.gz")
        return found


@pytest.fixture(scope="module")
def cross(base: BaseImage, tmp_path_factory: pytest.TempPathFactory) -> Release:
    project = dataclasses.replace(new_project(base, tmp_path_factory.mktemp("arm64")), arch="arm64")
    project.write("config/arm64/kernel-config", CONFIG)
    for name, text in (("modules", MAIN_LIST), ("modules-extra", EXTRA_LIST), ("firmware", "fakenic/nic-1.bin\n")):
        project.write(f"lists/arm64/{name}.list", text)
    built = project.build()
    return Release(project, built, project.root / "dist/arm64")


@pytest.fixture(scope="module")
def report(cross: Release) -> Report:
    return examine(cross.dist, cheap=False)


def machines(tar: tarfile.TarFile) -> Iterator[tuple[str, int]]:
    """The ELF files of an archive, with what machine they are for."""
    for member in tar:
        content = tar.extractfile(member) if member.isreg() else None
        head = content.read(20) if content else b""
        if head[:4] == b"\x7fELF":
            yield member.name, int.from_bytes(head[18:20], "little")


def test_every_check_passes(report: Report) -> None:
    wrong = {each.check.name: each.finding for each in report.results if each.finding.status is not Status.OK}
    assert {name: finding.saw for name, finding in wrong.items() if finding.status is not Status.SKIPPED} == {}
    assert "host-programs-run" in wrong
    assert "images" not in wrong


@pytest.mark.parametrize(
    ("name", "some"), [("linux", "ext4.ko"), ("extra-linux", "snd.ko"), ("build-linux", "modpost")]
)
def test_what_the_packages_hold_is_for_arm64(cross: Release, name: str, some: str) -> None:
    with tarfile.open(cross.package(name)) as tar:
        found = dict(machines(tar))
    assert any(path.endswith(f"/{some}") for path in found)
    assert set(found.values()) == {AARCH64}


def test_the_names(cross: Release) -> None:
    v = f"6.12.99-{cross.project.release.partition('-')[2]}"
    with tarfile.open(cross.package("linux")) as tar:
        boot = sorted(name for name in tar.getnames() if name.startswith("./boot/"))
    assert boot == [f"./boot/System.map-{v}", f"./boot/config-{v}", f"./boot/vmlinuz-{v}"]
    assert [tag.rpartition(":")[2] for tag in cross.built.images] == [f"{v}_arm64"] * 3
    assert find_release(cross.dist).a == "arm64"


def test_the_images_are_of_arm64_and_so_are_their_programs(cross: Release, tmp_path: Path) -> None:
    for tag in cross.built.images:
        done = subprocess.run(["docker", "image", "inspect", tag], check=True, capture_output=True)
        assert (json.loads(done.stdout)[0]["Os"], json.loads(done.stdout)[0]["Architecture"]) == ("linux", "arm64")
    archive = tmp_path / "image.tar"
    subprocess.run(["docker", "save", "-o", archive, cross.built.images[0]], check=True)
    found: dict[str, int] = {}
    with tarfile.open(archive) as outer:
        for member in outer:
            data = outer.extractfile(member) if member.isreg() else None
            if data is not None and data.read(2) == b"\x1f\x8b":
                data.seek(0)
                with tarfile.open(fileobj=io.BytesIO(data.read())) as layer:
                    found.update(machines(layer))
    assert {Path(name).name for name in found} >= {"busybox", "depmod"}
    assert set(found.values()) == {AARCH64}


def test_the_stages_run_on_this_machine(cross: Release) -> None:
    """Nothing is emulated: a toolchain of this machine compiled it."""
    packages = cross.built.manifest["toolchain"]["packages"]
    assert {"gcc", "gcc-aarch64-linux-gnu", "libelf-dev"} <= packages.keys()
    assert cross.built.manifest["arch"] == "arm64"


def test_a_program_that_cannot_be_cross_compiled(cross: Release) -> None:
    """It is said before anything is compiled."""
    config = cross.project.root / "config/arm64/kernel-config"
    tree = cross.project.root / "linux/arch/arm64/Kconfig"
    before = tree.read_text()
    config.write_text(CONFIG + "CONFIG_OBJTOOL=y\n")
    tree.write_text(f'{before}\nconfig OBJTOOL\n\tbool "objtool"\n')
    try:
        with pytest.raises(InputError, match=r"CONFIG_OBJTOOL=y.*objtool, which cannot be cross-compiled") as caught:
            cross.project.build()
    finally:
        config.write_text(CONFIG)
        tree.write_text(before)
    assert str(caught.value.where) == "config/arm64/kernel-config"
