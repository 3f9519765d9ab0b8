"""The default kernel, from the bytes of what was built: the contract, the images' real start scripts, a registry."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from builder.graph import IMAGES
from tests import contract
from tests.conftest import Rosk, run_rosk
from tests.contract import Release

pytestmark = pytest.mark.real

MODULE = """\
#include <linux/module.h>
#include <linux/netdevice.h>
static int __init hello_init(void) { pr_info("hello %s\\n", init_net.loopback_dev->name); return 0; }
static void __exit hello_exit(void) { }
module_init(hello_init);
module_exit(hello_exit);
MODULE_DESCRIPTION("hello");
MODULE_LICENSE("GPL");
"""


def docker(*words: str | Path) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_contract_holds(release: Release) -> None:
    contract.check_release(release)


def test_it_is_a_container_host_for_virtual_machines(release: Release) -> None:
    config = (release.dist / "kernel" / "config").read_text()
    modules = "".join(
        (release.dist / "kernel" / name).read_text() for name in ("modules-main.list", "modules-extra.list")
    )
    for option in ("NAMESPACES", "CGROUPS", "MEMCG", "SECCOMP_FILTER", "BPF_SYSCALL", "VIRTIO_PCI", "DEVTMPFS"):
        assert f"CONFIG_{option}=y" in config, option
    for option in ("OVERLAY_FS", "BRIDGE", "VETH", "NF_TABLES", "NF_NAT", "NF_CONNTRACK", "EXT4_FS", "VXLAN", "IPVLAN"):
        assert re.search(f"^CONFIG_{option}=[ym]$", config, re.M), option
    for option in (
        "MACVLAN",
        "SQUASHFS",
        "VIRTIO_BLK",
        "VIRTIO_NET",
        "VIRTIO_CONSOLE",
        "IP_VS",
        "NETFILTER_XT_MATCH_ADDRTYPE",
    ):
        assert re.search(f"^CONFIG_{option}=[ym]$", config, re.M), option
    assert modules.count(".ko") >= 120


def test_the_summary(first_build: Rosk, release: Release) -> None:
    for path in (release.dist / "kernel").iterdir():
        assert path.name in first_build.out
    assert "Images ready to push" in first_build.out
    for image in (release.dist / "images").read_text().split():
        assert image in first_build.out


def test_symbol_versions_are_kept_with_the_objects(release: Release) -> None:
    compiled = json.loads((release.dist / "build.json").read_text())["compiled"]
    if compiled.get("objects", 0) < 1000:
        pytest.skip("its object tree was there already")
    versions = compiled["symbol_versions"]
    assert versions["beside_object"] == versions["calls"] > 100


def test_the_vmlinuz_is_of_this_release(release: Release) -> None:
    """The x86 boot protocol's kernel_version field (Documentation/arch/x86/boot.rst)."""
    with tarfile.open(release.package("kernel")) as tar:
        file = tar.extractfile(f"./boot/vmlinuz-{release.v}")
        assert file is not None
        image = file.read()
    assert image[0x202:0x206] == b"HdrS"
    offset = int.from_bytes(image[0x20E:0x210], "little") + 0x200
    assert image[offset : offset + 100].split(b" ")[0].decode() == release.v


def test_an_external_module_builds_with_the_source_absent(release: Release, tmp_path: Path) -> None:
    tree = tmp_path / "lib/modules" / release.v / "build"
    tree.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", release.package("headers"), "-C", tree], check=True)
    module = tmp_path / "module"
    module.mkdir()
    (module / "hello.c").write_text(MODULE)
    (module / "Makefile").write_text("obj-m := hello.o\n")
    base = json.loads((release.dist / "manifest.json").read_text())["toolchain"]["base"]
    (tmp_path / "Dockerfile").write_text(
        f"FROM {base}\n"
        "RUN apt-get -q update && apt-get -q install -y --no-install-recommends gcc make libc6-dev kmod\n"
        "COPY lib /lib\nCOPY module /module\n"
        f"RUN make -C /lib/modules/{release.v}/build M=/module modules > /log 2>&1 || (cat /log; false)\n"
        "RUN modinfo -F vermagic /module/hello.ko > /vermagic\n"
        "FROM scratch AS out\nCOPY --from=0 /log /vermagic /\n"
    )
    out = tmp_path / "out"
    docker("buildx", "build", "--target", "out", "--output", f"type=local,dest={out}", tmp_path)
    assert "warning" not in (out / "log").read_text().lower()
    assert (out / "vermagic").read_text().split()[0] == release.v


def test_the_extras_service(release: Release, tmp_path: Path) -> None:
    """Unpacks once, leaves its stamp, and does nothing on a second start."""
    image = image_of(release, "os-extras")
    modules, firmware = tmp_path / "modules", tmp_path / "firmware"
    run = ("run", "--rm", "-v", f"{modules}:/lib/modules", "-v", f"{firmware}:/lib/firmware", image)
    docker(*run)
    shipped = {
        name.removeprefix("./lib/modules/")
        for name in contract.members(release.package("extras"))
        if name.startswith("./lib/modules/") and name.endswith(".ko")
    }
    assert {str(path.relative_to(modules)) for path in modules.rglob("*.ko")} == shipped
    stamp = modules / release.v / ".extras-done"
    assert stamp.exists()
    before = stamp.stat().st_mtime_ns
    # `uname -r` is another kernel's here, so the script left depmod alone: run the image's own, as it would.
    docker(*run[:-1], "--entrypoint", "/sbin/depmod", image, "-a", release.v)
    assert min(shipped).removeprefix(f"{release.v}/") in (modules / release.v / "modules.dep").read_text()
    assert (modules / release.v / "modules.dep.bin").stat().st_size > 0
    victim = modules / min(shipped)
    victim.unlink()
    assert "already" in docker(*run)
    assert stamp.stat().st_mtime_ns == before
    assert not victim.exists()


def test_the_headers_service(release: Release, tmp_path: Path) -> None:
    """Replaces a `build` link by the tree, leaves its stamp, and does nothing on a second start."""
    image = image_of(release, "os-headers")
    folder = tmp_path / "modules" / release.v
    folder.mkdir(parents=True)
    (folder / "build").symlink_to("/usr/src/nowhere")
    run = ("run", "--rm", "-v", f"{tmp_path / 'modules'}:/lib/modules", image)
    docker(*run)
    assert (folder / "build").is_dir()
    assert not (folder / "build").is_symlink()
    assert (folder / "build" / "Module.symvers").stat().st_size > 1000
    assert (folder / ".headers-done").exists()
    (folder / "build" / "Makefile").unlink()
    assert "already" in docker(*run)
    assert not (folder / "build" / "Makefile").exists()


def test_the_kernel_image_has_linuxkits_layout(release: Release, tmp_path: Path) -> None:
    container = docker("create", image_of(release, "os-kernel"), "none").strip()
    try:
        docker("export", "-o", tmp_path / "image.tar", container)
    finally:
        docker("rm", container)
    with tarfile.open(tmp_path / "image.tar") as image:
        for name in ("kernel", "System.map", "kernel.tar", "kernel-dev.tar"):
            image.extract(name, tmp_path)
    with tarfile.open(release.package("kernel")) as package:
        for member, name in (
            (f"./boot/vmlinuz-{release.v}", "kernel"),
            (f"./boot/System.map-{release.v}", "System.map"),
        ):
            file = package.extractfile(member)
            assert file is not None
            assert file.read() == (tmp_path / name).read_bytes()
        packaged = {name for name in package.getnames() if name.endswith(".ko")}
    with tarfile.open(tmp_path / "kernel.tar") as kernel:
        names = {f"./{name.removeprefix('./')}" for name in kernel.getnames()}
    assert packaged <= names
    assert f"./boot/vmlinuz-{release.v}" in names
    with tarfile.open(tmp_path / "kernel-dev.tar") as dev:
        assert any(name.endswith(f"usr/src/linux-headers-{release.v}/Makefile") for name in dev.getnames())


@pytest.mark.parametrize(
    ("image", "file", "package"),
    [
        ("os-extras", "extras.tar.gz", "extras"),
        ("os-headers", "build.tar.gz", "headers"),
    ],
)
def test_the_images_hold_the_packages(release: Release, tmp_path: Path, image: str, file: str, package: str) -> None:
    container = docker("create", image_of(release, image)).strip()
    try:
        docker("cp", f"{container}:/{file}", tmp_path)
    finally:
        docker("rm", container)
    assert (tmp_path / file).read_bytes() == release.package(package).read_bytes()
    (settings,) = json.loads(docker("image", "inspect", image_of(release, image)))
    assert f"KERNEL_VERSION={release.v}" in settings["Config"]["Env"]


def test_a_second_build_runs_nothing_and_pushes(release: Release, registry: str, mirror: str) -> None:
    """Nothing changed: every stage is cached; the images go to both registries, and come back the same."""
    before = {path.name: path.read_bytes() for path in (release.dist / "kernel").iterdir()}
    done = run_rosk("build", "--push", "--registry", registry, "--registry", f"{mirror}/team")
    assert done.code == 0, done.err
    assert " done" not in done.out.replace("export: done", "")
    assert {path.name: path.read_bytes() for path in (release.dist / "kernel").iterdir()} == before
    for name in IMAGES:
        local = docker("image", "inspect", "-f", "{{.Id}}", image_of(release, name))
        for host in (registry, f"{mirror}/team"):
            reference = f"{host}/{image_of(release, name)}"
            assert reference in done.out
            docker("pull", "-q", reference)
            assert docker("image", "inspect", "-f", "{{.Id}}", reference) == local
            docker("rmi", reference)


def image_of(release: Release, name: str) -> str:
    (found,) = (tag for tag in (release.dist / "images").read_text().split() if f"/{name}:" in tag)
    return found
