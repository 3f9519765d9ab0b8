"""The images' start scripts, on a root folder of their own, with this machine's shell and tar; and `uname` told."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from builder.stages.pack import pack
from tests.unit.stages.elfs import write_module

SCRIPTS = Path(__file__).parents[3] / "dockerfiles/images"
RELEASE = "6.12.1-rosk"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a system that has the kernel package: one module, and its index."""
    modules = tmp_path / "root/lib/modules" / RELEASE
    write_module(modules, "kernel/a.ko", name="a", depends="")
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        (modules / name).touch()
    (tmp_path / "root/lib/firmware").mkdir()
    subprocess.run(["/sbin/depmod", "-b", tmp_path / "root", RELEASE], check=True)
    return tmp_path / "root"


@pytest.fixture
def extras(tmp_path: Path) -> Path:
    write_module(tmp_path / "extra/lib/modules" / RELEASE, "kernel/b.ko", name="b", depends="a")
    (tmp_path / "extra/lib/firmware").mkdir(parents=True)
    (tmp_path / "extra/lib/firmware/b.fw").write_text("b")
    pack([tmp_path / "extra"], tmp_path / "extras.tar.gz", epoch=1)
    return tmp_path / "extras.tar.gz"


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    (tmp_path / "headers/scripts").mkdir(parents=True)
    (tmp_path / "headers/Makefile").write_text("all:\n")
    (tmp_path / "headers/scripts/tool").write_text("#!/bin/sh\n")
    (tmp_path / "headers/scripts/tool").chmod(0o755)
    pack([tmp_path / "headers"], tmp_path / "build.tar.gz", epoch=1)
    return tmp_path / "build.tar.gz"


def start(script: str, package: Path, root: Path, *, running: str = RELEASE) -> subprocess.CompletedProcess[str]:
    """Run a start script where the running kernel is `running`."""
    told = root.parent / "told"
    told.mkdir(exist_ok=True)
    (told / "uname").write_text(f"#!/bin/sh\necho {running}\n")
    (told / "uname").chmod(0o755)
    environment = {"PATH": f"{told}:{os.environ['PATH']}", "KERNEL_VERSION": RELEASE}
    return subprocess.run(
        ["sh", SCRIPTS / script, package, root], env=environment, capture_output=True, text=True, umask=0o077
    )


def modules(root: Path) -> Path:
    return root / "lib/modules" / RELEASE


def test_the_extras_are_unpacked_and_indexed_once(root: Path, extras: Path) -> None:
    done = start("extra.sh", extras, root)
    assert done.returncode == 0, done.stderr
    assert (modules(root) / "kernel/b.ko").is_file()
    assert (root / "lib/firmware/b.fw").read_text() == "b"
    assert (modules(root) / "modules.dep").read_text().count(".ko:") == 2
    assert (modules(root) / ".extras-done").is_file()

    (modules(root) / "kernel/b.ko").unlink()
    done = start("extra.sh", extras, root)
    assert (done.returncode, done.stdout) == (0, f"The extras of {RELEASE} are installed already.\n")
    assert not (modules(root) / "kernel/b.ko").exists()


def test_the_extras_of_another_kernel_are_not_indexed(root: Path, extras: Path) -> None:
    before = (modules(root) / "modules.dep.bin").read_bytes()
    assert start("extra.sh", extras, root, running="5.10.0").returncode == 0
    assert (modules(root) / "kernel/b.ko").is_file()
    assert (modules(root) / "modules.dep.bin").read_bytes() == before
    assert (modules(root) / ".extras-done").is_file()


@pytest.mark.parametrize(("script", "stamp"), [("extra.sh", ".extras-done"), ("headers.sh", ".headers-done")])
def test_a_failed_unpacking_leaves_no_stamp_and_is_done_again(
    root: Path, extras: Path, headers: Path, script: str, stamp: str
) -> None:
    package = extras if script == "extra.sh" else headers
    whole = package.read_bytes()
    package.write_bytes(whole[:-20])
    done = start(script, package, root)
    assert done.returncode != 0
    assert "Could not unpack" in done.stderr
    assert not (modules(root) / stamp).exists()
    assert not list(modules(root).glob(".build*"))
    package.write_bytes(whole)
    assert start(script, package, root).returncode == 0
    assert (modules(root) / stamp).is_file()


@pytest.mark.parametrize("script", ["extra.sh", "headers.sh"])
def test_the_release_must_be_told(root: Path, script: str) -> None:
    done = subprocess.run(["sh", SCRIPTS / script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert done.returncode != 0
    assert "KERNEL_VERSION" in done.stderr


@pytest.mark.parametrize("old", ["nothing", "link", "dangling link", "folder"])
def test_the_headers_replace_what_build_was(root: Path, headers: Path, tmp_path: Path, old: str) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/keep").touch()
    build = modules(root) / "build"
    if old == "link":
        build.symlink_to(tmp_path / "source")
    elif old == "dangling link":
        build.symlink_to("/nowhere/at/all")
    elif old == "folder":
        shutil.copytree(tmp_path / "source", build)
    done = start("headers.sh", headers, root)
    assert done.returncode == 0, done.stderr
    assert not build.is_symlink()
    assert sorted(path.name for path in build.rglob("*")) == ["Makefile", "scripts", "tool"]
    assert build.stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "source/keep").exists()
    assert (modules(root) / ".headers-done").is_file()
    assert not list(modules(root).glob(".build*"))

    (build / "Makefile").unlink()
    done = start("headers.sh", headers, root)
    assert (done.returncode, done.stdout) == (0, f"The headers of {RELEASE} are installed already.\n")
    assert not (build / "Makefile").exists()


def test_a_failed_unpacking_keeps_the_old_headers(root: Path, headers: Path) -> None:
    (modules(root) / "build").symlink_to("/old")
    headers.write_bytes(b"no archive")
    assert start("headers.sh", headers, root).returncode != 0
    assert (modules(root) / "build").readlink() == Path("/old")


def test_headers_of_a_kernel_that_is_not_installed_are_unpacked_too(headers: Path, tmp_path: Path) -> None:
    assert start("headers.sh", headers, tmp_path / "empty").returncode == 0
    assert (modules(tmp_path / "empty") / "build/Makefile").is_file()
