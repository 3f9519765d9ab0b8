"""The default kernel in qemu, whole and deliberately broken: every way ends in a report or a diagnosis."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.boot import qemu
from builder.boot.console import Console, Trouble
from builder.boot.run import BootOptions, boot, load_external
from builder.engine.containers import run_container
from builder.errors import BootError
from builder.releasefolder import find_release
from tests import doctor
from tests.conftest import Rosk, run_rosk
from tests.contract import Release

pytestmark = pytest.mark.real

MODULES = {
    "rosk_panic": 'panic("rosk_panic was loaded");',
    "rosk_oops": "return *nowhere;",
    "rosk_hang": "for (;;) msleep(1000);",
}
SOURCE = """\
#include <linux/delay.h>
#include <linux/module.h>
static int *volatile nowhere __maybe_unused;
static int __init broken_init(void) {{ {body} return 0; }}
module_init(broken_init);
MODULE_DESCRIPTION("broken");
MODULE_LICENSE("GPL");
"""


def run_boot(dist: Path, *words: str, kvm: str = "off") -> tuple[Rosk, dict[str, Any]]:
    done = run_rosk("boot", dist, "--json", "--kvm", kvm, *words)
    return done, json.loads(done.out)


@pytest.fixture(scope="module")
def broken(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with modules that break the kernel, built against the release's headers."""
    work = tmp_path_factory.mktemp("broken")
    tree = work / "lib/modules" / release.v / "build"
    tree.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", release.package("headers"), "-C", tree], check=True)
    (work / "module").mkdir()
    for name, body in MODULES.items():
        (work / "module" / f"{name}.c").write_text(SOURCE.format(body=body))
    (work / "module/Makefile").write_text(f"obj-m := {' '.join(f'{name}.o' for name in MODULES)}\n")
    base = json.loads((release.dist / "manifest.json").read_text())["toolchain"]["base"]
    (work / "Dockerfile").write_text(
        f"FROM {base}\n"
        "RUN apt-get -q update && apt-get -q install -y --no-install-recommends gcc make libc6-dev kmod\n"
        "COPY lib /lib\nCOPY module /module\n"
        f"RUN make -C /lib/modules/{release.v}/build M=/module modules && mkdir /out && mv /module/*.ko /out\n"
        "FROM scratch AS out\nCOPY --from=0 /out /\n"
    )
    out = work / "out"
    done = subprocess.run(
        ["docker", "buildx", "build", "--target", "out", "--output", f"type=local,dest={out}", work],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def doctored(release: Release, tmp_path: Path) -> Callable[[Callable[[doctor.Archive], object]], Path]:
    """Makes a release folder whose kernel package was changed; it has no other package."""

    def make(change: Callable[[doctor.Archive], object]) -> Path:
        package = release.package("kernel")
        archive = doctor.read(package)
        change(archive)
        (tmp_path / "kernel").mkdir()
        doctor.write(tmp_path / "kernel" / package.name, archive)
        return tmp_path

    return make


def with_module(release: Release, module: Path) -> Callable[[doctor.Archive], object]:
    """Puts a module where it is the first to be loaded."""
    return lambda archive: archive.add(f"./lib/modules/{release.v}/kernel/arch/a/{module.name}", module.read_bytes())


def test_the_default_kernel(release: Release, tmp_path: Path) -> None:
    done, found = run_boot(release.dist, "--console", str(tmp_path / "console"), kvm="auto")
    assert done.code == 0, done.err
    assert found["ok"] and found["diagnosis"] is None and not found["incidents"] and not found["firmware_missing"]
    assert [check["name"] for check in found["checks"] if not check["ok"]] == []
    assert {"console", "virtio-disk", "ext4", "squashfs", "overlay", "ping", "nat", "iptables", "cgroup-memory"} <= {
        check["name"] for check in found["checks"]
    }
    for package, name in (("kernel", "modules-main.list"), ("extras", "modules-extra.list")):
        listed = (release.dist / "kernel" / name).read_text().split()
        loaded = [module["path"] for module in found["modules"] if module["package"] == package]
        assert sorted(loaded) == sorted(listed)
    outcomes = Counter(module["outcome"] for module in found["modules"])
    assert set(outcomes) <= {"loaded", "no device", "dependency", "refused"}
    assert outcomes["loaded"] > 0.9 * len(found["modules"])
    assert f"Linux version {release.v} " in (tmp_path / "console").read_text()


def test_a_module_in_no_package(release: Release, doctored: Callable[..., Path]) -> None:
    dist = doctored(lambda archive: archive.remove("/kernel/fs/overlayfs/overlay.ko"))
    done, found = run_boot(dist, "--modules", "none")
    assert done.code == 11
    assert found["diagnosis"]["details"] == ["overlay: CONFIG_OVERLAY_FS is m, and overlay.ko is in no package"]


def test_a_module_from_elsewhere_that_the_kernel_refuses(release: Release, broken: Path, tmp_path: Path) -> None:
    """It was built for another release."""
    data = (broken / "rosk_oops.ko").read_bytes()
    other = tmp_path / "other.ko"
    other.write_bytes(data.replace(f"vermagic={release.v} ".encode(), f"vermagic={release.v[:-1]}x ".encode()))
    with pytest.raises(BootError) as caught:
        load_external(find_release(release.dist), [other], allow_install=False, note=print)
    assert any("other.ko" in line for line in (caught.value.what, *caught.value.details))


def test_no_driver_of_the_root_disk(release: Release, doctored: Callable[..., Path]) -> None:
    """The driver is part of the kernel: it is kept from starting, and from the config."""
    config = f"/config-{release.v}"
    dist = doctored(lambda archive: archive.replace(config, b"CONFIG_VIRTIO_BLK=y", b"# CONFIG_VIRTIO_BLK is not set"))
    done, found = run_boot(dist, "--modules", "none", "--append", "initcall_blacklist=virtio_blk_init")
    assert done.code == 11
    assert "virtio-disk: CONFIG_VIRTIO_BLK is not set" in found["diagnosis"]["details"]
    assert "ext4: no virtio disk to mount" in found["diagnosis"]["details"]


def test_no_console(release: Release, doctored: Callable[..., Path]) -> None:
    option = b"CONFIG_SERIAL_8250_CONSOLE"
    dist = doctored(
        lambda archive: archive.replace(f"/config-{release.v}", option + b"=y", b"# " + option + b" is not set")
    )
    found = boot(find_release(dist), BootOptions(modules="none", silent=True, timeout=120), note=print)
    assert found is not None and found.diagnosis is not None
    assert found.diagnosis.what.endswith("no console on ttyS0: CONFIG_SERIAL_8250_CONSOLE is not set")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        pytest.param(
            "rosk_panic",
            "ended in a kernel panic: Kernel panic - not syncing: rosk_panic was loaded",
            marks=pytest.mark.heavy,
        ),
        ("rosk_oops", "ended in a kernel oops: BUG: kernel NULL pointer dereference"),
    ],
)
def test_a_module_that_ends_the_kernel(
    release: Release, broken: Path, doctored: Callable[..., Path], module: str, words: str
) -> None:
    dist = doctored(with_module(release, broken / f"{module}.ko"))
    done, found = run_boot(dist, "--modules", "kernel")
    assert done.code == 11
    assert f"loading kernel/arch/a/{module}.ko {words}" in found["diagnosis"]["what"]
    assert any(f"{module}" in line and "broken_init" in line for line in found["diagnosis"]["details"])
    assert found["diagnosis"]["what"] in done.err


def test_a_module_that_hangs(release: Release, broken: Path, doctored: Callable[..., Path]) -> None:
    dist = doctored(with_module(release, broken / "rosk_hang.ko"))
    done, found = run_boot(dist, "--modules", "kernel", "--timeout", "40")
    assert done.code == 11
    assert found["diagnosis"]["what"] == "the kernel hangs during loading kernel/arch/a/rosk_hang.ko"
    assert any("rosk: loading kernel/arch/a/rosk_hang.ko" in line for line in found["diagnosis"]["details"])


def test_the_trial_of_kvm_ends_in_a_panic(release: Release, tmp_path: Path) -> None:
    """Where KVM works the kernel says on it what it says under TCG; that is what the trial looks for."""
    kernel, console = tmp_path / "vmlinuz", Console()
    kernel.write_bytes(doctor.read(release.package("kernel")).read(f"/vmlinuz-{release.v}"))
    argv, mounts = qemu.trial("tcg", kernel="/boot/vmlinuz"), {kernel: "/boot/vmlinuz"}
    ended = run_container("rosk-boot:amd64", argv, mounts=mounts, timeout=300, on_line=console.feed)
    assert not ended.timed_out and any(each.kind is Trouble.PANIC for each in console.report().incidents)


def test_a_prompt_needs_a_terminal(release: Release) -> None:
    done = run_rosk("boot", release.dist, "--shell")
    assert done.code == 3 and "terminal" in done.err


def test_a_folder_without_a_release(tmp_path: Path) -> None:
    done = run_rosk("boot", tmp_path)
    assert done.code == 3 and "no kernel package" in done.err


def test_the_package_of_another_kernel(release: Release, doctored: Callable[..., Path]) -> None:
    dist = doctored(lambda archive: archive.remove(f"/vmlinuz-{release.v}"))
    done = run_rosk("boot", dist, "--json")
    assert done.code == 3 and f"no boot/vmlinuz-{release.v}" in done.err
    with tarfile.open(next((dist / "kernel").iterdir())) as tar:
        assert f"./boot/System.map-{release.v}" in tar.getnames()
