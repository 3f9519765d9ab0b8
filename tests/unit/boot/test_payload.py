"""What goes into a boot, in which order modules are loaded, and where one is said to be."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from builder.boot.payload import Modules, Payload, make_payload
from builder.boot.qemu import BOARDS
from builder.errors import InputError
from builder.releasefolder import find_release
from tests.unit.boot.test_initramfs import Entry, read
from tests.unit.stages.elfs import write_module

V = "6.12.1-acme"


def write_release(root: Path, *, vmlinuz: str = f"vmlinuz-{V}") -> Path:
    """A release of few and small modules; `z` needs `b`, which needs `c`; `x` of the extras needs `b` and `w`."""
    main, extra = root / "main", root / "extra"
    (main / "boot").mkdir(parents=True)
    (main / "boot" / vmlinuz).write_text("kernel")
    (main / f"boot/config-{V}").write_text("CONFIG_A=m\n# CONFIG_B is not set\n")
    folder = f"lib/modules/{V}"
    for path, depends in {"a/z-one.ko": "b", "b/b.ko": "c", "c/c.ko": "", "c/lost.ko": "w"}.items():
        write_module(main / folder, f"kernel/{path}", depends=depends, license="GPL")
    for path, depends in {"a/x.ko": "b,w", "w/w.ko": ""}.items():
        write_module(extra / folder, f"kernel/{path}", depends=depends, license="GPL")
    (main / folder / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    dist = root / "dist/kernel"
    dist.mkdir(parents=True)
    for name, tree in (("linux", main), ("extra-linux", extra)):
        with tarfile.open(dist / f"{name}-{V}-x86.tar.gz", "w:gz") as tar:
            tar.add(tree, ".")
    return root / "dist"


def payload(
    tmp_path: Path, modules: Modules = "all", external: Sequence[Path] = ()
) -> tuple[Payload, dict[str, Entry]]:
    guest = tmp_path / "guest"
    (guest / "usr/bin").mkdir(parents=True)
    (guest / "usr/bin/busybox").write_text("busybox")
    release = find_release(write_release(tmp_path))
    made = make_payload(release, BOARDS["x86"], guest, tmp_path / "work", modules=modules, external=external)
    return made, read(made.initramfs.read_bytes())


def test_the_order(tmp_path: Path) -> None:
    made, files = payload(tmp_path)
    kernel = ("kernel/c/c.ko", "kernel/b/b.ko", "kernel/a/z-one.ko", "kernel/c/lost.ko")
    assert made.order == (*kernel, "kernel/w/w.ko", "kernel/a/x.ko")
    assert made.extras == {"kernel/w/w.ko", "kernel/a/x.ko"}
    # The kernel package has to do without the extras; these can rely on both.
    assert made.depends["kernel/c/lost.ko"] == ()
    assert made.depends["kernel/a/x.ko"] == ("kernel/b/b.ko", "kernel/w/w.ko")
    assert made.lacking == {"kernel/c/lost.ko": "it needs w.ko, which is in the extras package only"}
    assert files["rosk/modules"].content.splitlines()[2] == b"kernel/a/z-one.ko z_one"


def test_the_guest(tmp_path: Path) -> None:
    made, files = payload(tmp_path)
    assert made.kernel.read_text() == "kernel"
    assert files["usr/bin/busybox"].content == b"busybox"
    assert files["init"].content.startswith(b"#!/bin/busybox sh\n") and files["init"].mode & 0o111
    assert f"usr/lib/modules/{V}/kernel/a/x.ko" in files and "boot" not in files
    assert files["rosk/release"].content == f"{V}\n".encode()


@pytest.mark.parametrize(("modules", "loaded"), [("kernel", 4), ("none", 0)])
def test_fewer_modules(tmp_path: Path, modules: Modules, loaded: int) -> None:
    made, files = payload(tmp_path, modules)
    assert len(made.order) == loaded and not made.extras
    assert f"usr/lib/modules/{V}/kernel/b/b.ko" in files  # what the checks need is found by modprobe
    assert f"usr/lib/modules/{V}/kernel/a/x.ko" not in files


def test_where_a_module_is(tmp_path: Path) -> None:
    made, _ = payload(tmp_path)
    assert [made.where(name) for name in ("z_one", "z-one", "w", "ext4", "none")] == [
        *("kernel", "kernel", "extras", "built in", "")
    ]
    assert made.config == {"A": "m", "B": "n"}


def test_no_kernel(tmp_path: Path) -> None:
    release = find_release(write_release(tmp_path, vmlinuz="vmlinuz-other"))
    with pytest.raises(InputError, match=f"no boot/vmlinuz-{V}"):
        make_payload(release, BOARDS["x86"], tmp_path, tmp_path / "work", modules="all")


def test_modules_from_elsewhere(tmp_path: Path) -> None:
    """Two may have one name, and each is told with what it depends on."""
    external = [
        write_module(tmp_path / folder, "my-probe.ko", depends=depends, license="GPL")
        for folder, depends in (("one", "dm-mod,b"), ("two", ""))
    ]
    made, files = payload(tmp_path, "none", external)
    assert made.order == ()
    assert files["rosk/external.list"].content.decode().splitlines() == [
        "external/1/my-probe.ko my_probe dm-mod b",
        "external/2/my-probe.ko my_probe",
    ]
    assert files["rosk/external/2/my-probe.ko"].content == external[1].read_bytes()


def test_a_file_from_elsewhere_that_is_no_module(tmp_path: Path) -> None:
    (tmp_path / "x.ko").write_text("text")
    with pytest.raises(InputError, match="no kernel module"):
        payload(tmp_path, "none", [tmp_path / "x.ko"])
