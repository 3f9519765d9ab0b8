"""What consumers do with a release, replayed with the tools that they use: the OS's build, and its services' starts.

The steps are those of RancherOS's scripts/layout and scripts/package-initrd, and of its service definitions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract import Release
from tests.real.test_default_kernel import docker, image_of

pytestmark = pytest.mark.real


@dataclass(frozen=True)
class Service:
    """A service of the OS: the image it runs, and which of the system's files it is given."""

    image: str
    volumes: tuple[str, ...]
    stamp: str


EXTRAS = Service("os-extras", ("/usr/src", "/lib/modules", "/lib/firmware"), ".extras-done")
HEADERS = Service("os-headers", ("/usr/src", "/lib/modules", "/usr/bin/ros"), ".headers-done")


def tool(*words: str | Path, cwd: Path | None = None, input: bytes | None = None) -> bytes:
    """The output of a program that must succeed and complain of nothing."""
    done = subprocess.run(words, cwd=cwd, input=input, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    return done.stdout


def modules_dep(folder: Path) -> dict[str, list[str]]:
    lines = (line.partition(":") for line in (folder / "modules.dep").read_text().splitlines())
    return {module: needs.split() for module, _, needs in lines}


def loadable(usr: Path, v: str, names: Sequence[str]) -> list[Path]:
    """The files that modprobe would load for some modules of a tree, with all that they depend on."""
    shown = tool("modprobe", "-d", usr, "-S", v, "--show-depends", "-a", *names).decode()
    return [Path(line.split()[1]) for line in shown.splitlines() if line.startswith("insmod ")]


def snapshot(root: Path) -> dict[str, tuple[int, int, int]]:
    """All of a tree with each file's inode, size and time: what writing to it would change."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            state = path.lstat()
            found[str(path.relative_to(root))] = (state.st_ino, state.st_size, state.st_mtime_ns)
    return found


@pytest.fixture
def kernel(release: Release, tmp_path: Path) -> Path:
    """The kernel package, unpacked as the OS's build unpacks `assets/kernel.tar.gz`."""
    assets = tmp_path / "kernel.tar.gz"
    shutil.copyfile(release.package("kernel"), assets)
    (tmp_path / "kernel").mkdir()
    tool("tar", "xf", assets, "-C", tmp_path / "kernel")
    return tmp_path / "kernel"


def test_the_os_finds_one_kernel(release: Release, kernel: Path) -> None:
    """It copies `boot/vmlinuz-*`: two that match make that fail, a `vmlinux-*` is taken for one."""
    assert [path.name for path in kernel.glob("boot/vmlinuz-*")] == [f"vmlinuz-{release.v}"]
    assert not list(kernel.glob("boot/vmlinux-*"))


def test_the_initrd_finds_its_modules(release: Release, kernel: Path, tmp_path: Path) -> None:
    """With the indexes as they ship, and with those that the OS's own depmod makes from what is in the initrd."""
    tree, initrd = tmp_path / "initrd", tmp_path / "booted"
    (tree / "usr").mkdir(parents=True)
    tool("cp", "-rf", kernel / "lib", tree / "usr")
    (version,) = (tree / "usr/lib/modules").iterdir()
    assert version.name == release.v
    names = tool("find", cwd=tree)
    archive = subprocess.run(["busybox", "cpio", "-H", "newc", "-o"], cwd=tree, input=names, capture_output=True)
    packed = tool("gzip", "-1", input=archive.stdout)
    initrd.mkdir()
    subprocess.run(
        ["busybox", "cpio", "-i", "-d"], cwd=initrd, input=tool("gunzip", input=packed), capture_output=True, check=True
    )

    folder = initrd / "usr/lib/modules" / release.v
    shipped = {str(path.relative_to(folder)) for path in folder.rglob("*.ko")}
    listed = modules_dep(folder)
    assert set(listed) == shipped == set((release.dist / "kernel/modules-main.list").read_text().split())
    assert {need for needs in listed.values() for need in needs} <= shipped
    files = loadable(initrd / "usr", release.v, sorted(Path(name).stem for name in shipped))
    assert {str(path.relative_to(folder)) for path in files} == shipped

    tool("depmod", "-b", initrd / "usr", release.v)
    assert modules_dep(folder) == listed


@dataclass(frozen=True)
class System:
    """A running OS of a release, as its services see it.

    Attributes:
        root: Its files.
        running: What `uname -r` prints: containers run on this machine's kernel, so V is a link to it here.
    """

    root: Path
    release: Release
    running: bool

    def start(self, service: Service) -> str:
        """Start a service as the system does, and wait for its end; what it printed."""
        volumes = [word for path in service.volumes for word in ("-v", f"{self.root}{path}:{path}")]
        env = ["-e", f"KERNEL_VERSION={os.uname().release}"] if self.running else []
        return docker("run", "--rm", *volumes, *env, image_of(self.release, service.image))

    @property
    def modules(self) -> Path:
        return self.root / "lib/modules" / self.release.v


def make_system(release: Release, kernel: Path, root: Path, *, running: bool = False) -> System:
    for folder in ("usr/src", "usr/bin", "lib/firmware"):
        (root / folder).mkdir(parents=True)
    (root / "usr/bin/ros").touch()
    shutil.copytree(kernel / "lib", root / "lib", dirs_exist_ok=True)
    if running:
        (root / "lib/modules" / os.uname().release).symlink_to(release.v)
    return System(root, release, running)


def test_a_second_start_of_each_service_is_a_no_op(release: Release, kernel: Path, tmp_path: Path) -> None:
    """On one system, with the volumes of the service definitions; the headers have two services of one image."""
    system = make_system(release, kernel, tmp_path / "system")
    (system.modules / "build").symlink_to("/usr/src/linux")
    for service in (EXTRAS, HEADERS):
        system.start(service)
        assert (system.modules / service.stamp).is_file()
    assert (system.modules / "build/Makefile").is_file()
    assert not (system.modules / "build").is_symlink()
    extras = (release.dist / "kernel/modules-extra.list").read_text().split()
    assert all((system.modules / name).is_file() for name in extras)
    before = snapshot(system.root)
    for service in (EXTRAS, HEADERS, HEADERS):
        assert "already" in system.start(service)
    assert snapshot(system.root) == before


def test_the_extras_of_the_running_kernel_can_be_loaded(release: Release, kernel: Path, tmp_path: Path) -> None:
    """Where `uname -r` is V, the service leaves indexes in which modprobe finds the extra modules too."""
    system = make_system(release, kernel, tmp_path / "system", running=True)
    system.start(EXTRAS)
    assert (system.modules / EXTRAS.stamp).is_file()
    every = {str(path.relative_to(system.modules)) for path in system.modules.rglob("*.ko")}
    extras = set((release.dist / "kernel/modules-extra.list").read_text().split())
    assert extras < every == set(modules_dep(system.modules))
    files = loadable(system.root, release.v, sorted(Path(name).stem for name in extras))
    assert extras <= {str(path.relative_to(system.modules)) for path in files} <= every
    before = snapshot(system.root)
    assert "already" in system.start(EXTRAS)
    assert snapshot(system.root) == before
