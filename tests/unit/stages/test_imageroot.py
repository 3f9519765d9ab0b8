from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.stages import imageroot
from builder.stages.common import StageError
from tests.unit.stages.elfs import AARCH64, X86_64, make_program
from tests.unit.stages.faketree import run_stage

EPOCH = 1_700_000_000
LOADER = "/lib/ld-linux-aarch64.so.1"


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def sysroot(tmp_path: Path) -> Path:
    """A folder with arm64 busybox and kmod unpacked in it, and a library of another architecture in the way."""
    root = tmp_path / "sysroot"
    put(root / "usr/bin/busybox", make_program(machine=AARCH64))
    put(root / "usr/bin/kmod", make_program("libz.so.1", "libc.so.6", loader=LOADER, machine=AARCH64))
    (root / "usr/sbin").mkdir()
    (root / "usr/sbin/depmod").symlink_to("../bin/kmod")
    put(root / f"usr{LOADER}", make_program(machine=AARCH64))
    libraries = root / "usr/lib/aarch64-linux-gnu"
    put(libraries / "libz.so.1.3", make_program("libc.so.6", machine=AARCH64))
    (libraries / "libz.so.1").symlink_to("libz.so.1.3")
    put(libraries / "libc.so.6", make_program(Path(LOADER).name, machine=AARCH64))
    put(root / "lib/a-linux-other/libc.so.6", make_program(machine=X86_64))
    return root


def files(root: Path) -> dict[str, Path]:
    return {
        path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file() and not path.is_symlink()
    }


def assemble(tmp_path: Path, sysroot: Path, image: str) -> Path:
    script = tmp_path / "start.sh"
    script.write_text("#!/bin/sh\n")
    own: list[str | Path] = ["--script", script, "--sysroot", sysroot]
    done = run_stage("imageroot", image, *own, "--epoch", str(EPOCH), "--out", tmp_path / image)
    assert done.returncode == 0, done.stdout + done.stderr
    return tmp_path / image


def test_the_extras_image_has_its_script_and_tools(tmp_path: Path, sysroot: Path) -> None:
    root = assemble(tmp_path, sysroot, "extras")
    assert set(files(root)) == {
        *("usr/bin/extra.sh", "bin/busybox", "sbin/depmod", LOADER.lstrip("/")),
        *("usr/lib/aarch64-linux-gnu/libz.so.1", "usr/lib/aarch64-linux-gnu/libc.so.6"),
    }
    assert {"sh", "tar", "gzip", "uname", "touch", "mkdir", "rm"} <= {path.name for path in (root / "bin").iterdir()}
    assert (root / "bin/sh").readlink() == Path("busybox")


def test_the_headers_image_needs_no_depmod(tmp_path: Path, sysroot: Path) -> None:
    root = assemble(tmp_path, sysroot, "headers")
    assert set(files(root)) == {"headers.sh", "bin/busybox"}


def test_times_and_modes_are_fixed(tmp_path: Path, sysroot: Path) -> None:
    umask = os.umask(0o077)
    try:
        root = assemble(tmp_path, sysroot, "extras")
    finally:
        os.umask(umask)
    assert {path.lstat().st_mtime for path in [root, *root.rglob("*")]} == {EPOCH}
    modes = {name: path.stat().st_mode & 0o777 for name, path in files(root).items()}
    assert {name for name, mode in modes.items() if mode == 0o755} == {
        *("usr/bin/extra.sh", "bin/busybox", "sbin/depmod", LOADER.lstrip("/"))
    }
    assert set(modes.values()) == {0o755, 0o644}
    assert {path.stat().st_mode & 0o777 for path in [root, *root.rglob("*")] if path.is_dir()} == {0o755}


def test_a_busybox_that_needs_a_loader_is_refused(tmp_path: Path, sysroot: Path) -> None:
    put(sysroot / "bin/busybox", make_program("libc.so.6", loader=LOADER))
    with pytest.raises(StageError, match="is not static"):
        imageroot.put_busybox(sysroot, tmp_path / "out")


@pytest.mark.parametrize("gone", ["usr/lib/aarch64-linux-gnu/libz.so.1", f"usr{LOADER}", "usr/sbin/depmod"])
def test_what_is_not_installed_is_named(tmp_path: Path, sysroot: Path, gone: str) -> None:
    (sysroot / gone).unlink()
    (sysroot / "usr/bin/kmod").unlink(missing_ok=gone.endswith("depmod"))
    if not gone.endswith("depmod"):
        put(sysroot / "usr/bin/kmod", make_program("libz.so.1", loader=LOADER, machine=AARCH64))
    with pytest.raises(StageError, match=r"depmod|libz|ld-linux") as caught:
        imageroot.put_depmod(sysroot, tmp_path / "out")
    assert "install" in caught.value.hint


def test_the_kernel_image_has_what_linuxkit_reads(tmp_path: Path) -> None:
    boot, image = tmp_path / "boot", tmp_path / "image"
    put(boot / "vmlinuz-6.12.1-rosk", b"kernel")
    put(boot / "System.map-6.12.1-rosk", b"map")
    own: list[str | Path] = ["--boot", boot, "--release", "6.12.1-rosk"]
    done = run_stage("imageroot", "kernel", *own, "--epoch", str(EPOCH), "--out", image)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {name: path.read_bytes() for name, path in files(image).items()}
    assert found == {"kernel": b"kernel", "System.map": b"map"}
    assert {path.stat().st_mtime for path in [image, *image.iterdir()]} == {EPOCH}


def test_a_kernel_package_of_another_release_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "boot/vmlinuz-6.12.2-rosk", b"kernel")
    with pytest.raises(StageError, match=r"no boot/vmlinuz-6\.12\.1-rosk"):
        imageroot.kernel(tmp_path / "boot", "6.12.1-rosk", tmp_path)
