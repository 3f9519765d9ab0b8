"""A real kernel for arm64, cross-compiled from Debian's source, proved, and booted in qemu-system-aarch64.

By hand the same is `rosk build --arch arm64` and `rosk boot --arch arm64`.
"""

from __future__ import annotations

import json
import platform
import secrets
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.conftest import run_rosk
from tests.contract import find_release
from tests.real.small import boot_small

pytestmark = [
    pytest.mark.engine,
    pytest.mark.heavy,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="it is about compiling for another machine"),
]

SETTINGS = """\
org: tiny{token}
kernel:
  source: debian
  version: "6.12"
lists:
  unlisted: extra
"""
MODULES = (
    *("kernel/drivers/block/loop.ko", "kernel/drivers/net/dummy.ko"),
    *("kernel/fs/overlayfs/overlay.ko", "kernel/fs/squashfs/squashfs.ko"),
)


@pytest.fixture(scope="module")
def dist(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tiny")
    for name, text in {
        "config/rosk.yaml": SETTINGS.format(token=secrets.token_hex(4)),
        "config/arm64/kernel-config": (Path(__file__).parent / "tiny-arm64.config").read_text(),
        "lists/arm64/modules.list": "".join(f"{module}\n" for module in MODULES),
        "lists/arm64/modules-extra.list": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    done = run_rosk("build", "-C", root, "--arch", "arm64", "--json")
    assert done.code == 0, done.err
    return root / "dist/arm64"


def test_it_passes_every_check(dist: Path) -> None:
    done = run_rosk("verify", dist, "--json")
    assert done.code == 0, done.out + done.err
    status = {check["name"]: check["status"] for check in json.loads(done.out)["checks"]}
    assert {name for name, found in status.items() if found not in ("ok", "skipped")} == set()
    assert (status["host-programs"], status["images"], status["architecture"]) == ("ok", "ok", "ok")


def test_the_image_is_as_arm64_has_it(dist: Path) -> None:
    release = find_release(dist)
    with tarfile.open(release.package("kernel")) as tar:
        image = tar.extractfile(f"./boot/vmlinuz-{release.v}")
        assert image is not None
        assert image.read(0x3C)[0x38:] == b"ARMd"  # Documentation/arch/arm64/booting.rst


def test_the_programs_of_the_headers_run_there(dist: Path, tmp_path: Path) -> None:
    """They are static programs for arm64; where qemu-user is installed, they are run too."""
    release = find_release(dist)
    with tarfile.open(release.package("headers")) as tar:
        for name in ("scripts/basic/fixdep", "scripts/mod/modpost"):
            member = tar.extractfile(f"./{name}")
            assert member is not None
            program = tmp_path / Path(name).name
            program.write_bytes(member.read())
            said = subprocess.run(["file", "-b", program], capture_output=True, text=True, check=True).stdout
            assert "ARM aarch64" in said and "statically linked" in said


def test_it_boots_and_loads_its_modules(dist: Path, tmp_path: Path) -> None:
    passed, modules = boot_small(dist, tmp_path / "console")
    assert {"release", "console", "devtmpfs", "virtio-disk", "squashfs", "overlay"} <= passed
    assert modules >= set(MODULES)
    said = (tmp_path / "console").read_text()
    assert f"Linux version {find_release(dist).v} " in said and "aarch64" in said
