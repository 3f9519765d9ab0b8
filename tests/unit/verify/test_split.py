"""Checks of what went where, also of older kernels and of what others made.

What each of them is for is tried on doctored releases in tests/graph/test_verify.py.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from builder.verify.model import Status
from tests.unit.verify.releases import Files, V, found, package, release

FIRMWARE = "./lib/firmware"


@pytest.mark.parametrize(
    ("v", "names", "missing"),
    [
        (V, ["order", "builtin", "builtin.modinfo"], []),
        (V, ["order", "builtin"], ["builtin.modinfo"]),
        ("5.2.0-acme", ["order", "builtin"], ["builtin.modinfo"]),
        ("5.1.21-acme", ["order", "builtin"], []),
        ("4.14.138-rancher", ["order"], ["builtin"]),
        ("10.0-acme", [], ["order", "builtin", "builtin.modinfo"]),
    ],
)
def test_depmod_inputs(tmp_path: Path, v: str, names: list[str], missing: list[str]) -> None:
    """modules.builtin.modinfo is there since Linux 5.2."""
    kernel = {f"./lib/modules/{v}/modules.{name}": b"x" for name in names} | {"./boot/x": b"x"}
    details = found(release(tmp_path, v=v, kernel=kernel), "depmod-inputs").details
    assert details == tuple(f"lib/modules/{v}/modules.{name} is missing" for name in missing)


def test_links_of_the_extras_may_lead_to_the_kernel_package(tmp_path: Path) -> None:
    """Both are installed then; the kernel package is installed alone, too."""
    kernel: Files = {f"{FIRMWARE}/nic/1.bin": b"x", f"{FIRMWARE}/1.bin": "nic/1.bin", f"{FIRMWARE}/gone.bin": "2.bin"}
    extras: Files = {
        f"{FIRMWARE}/nic/2.bin": "1.bin",
        f"{FIRMWARE}/2.bin": "nic/2.bin",
        f"{FIRMWARE}/3.bin": "nic/3.bin",
    }
    assert found(release(tmp_path, kernel=kernel, extras=extras), "links").details == (
        "kernel: lib/firmware/gone.bin links to 2.bin, which does not ship",
        "extras: lib/firmware/3.bin links to nic/3.bin, which does not ship",
    )


@pytest.mark.parametrize(
    ("target", "build", "other"),
    [("/work/linux", True, False), ("/usr/src/linux-headers", True, False), ("../../../usr/src/linux", False, True)],
)
def test_build_links(tmp_path: Path, target: str, build: bool, other: bool) -> None:
    """One fault is told once."""
    root = release(tmp_path, kernel={f"./lib/modules/{V}/build": target})
    assert bool(found(root, "build-links").details) == build
    assert bool(found(root, "links").details) == other


def test_lists(tmp_path: Path) -> None:
    base = f"./lib/modules/{V}"
    kernel = {f"{base}/kernel/b.ko": b"x", f"{base}/extra/a.ko.gz": b"x", f"{base}/kernel/no.ko.txt": b"x"}
    root = release(tmp_path, kernel=kernel, extras={})
    assert found(root, "module-lists").status is Status.SKIPPED
    (root / "kernel/modules-main.list").write_text("extra/a.ko\nkernel/b.ko\n")
    assert found(root, "module-lists").status is Status.OK
    (root / "kernel/modules-main.list").write_text("extra/a.ko\nkernel/b.ko\nkernel/b.ko\n")
    assert found(root, "module-lists").details == ("modules-main.list is not sorted, or has a line twice",)
    (root / "kernel/modules-extra.list").write_text("x.ko\n")
    assert found(root, "module-lists").details[1:] == ("modules-extra.list has x.ko, which the extras package has not",)


def test_firmware_and_its_revision(tmp_path: Path) -> None:
    root = release(tmp_path, kernel={"./boot/x": b"x"})
    assert found(root, "firmware-revision").status is Status.SKIPPED
    release(tmp_path, kernel={"./boot/x": b"x"}, extras={f"{FIRMWARE}/1.bin": b"x"})
    assert found(root, "firmware-revision").status is Status.FAILED
    release(tmp_path, kernel={f"{FIRMWARE}/.git-commit": b" \n"})
    assert found(root, "firmware-revision").status is Status.FAILED
    release(tmp_path, kernel={f"{FIRMWARE}/.git-commit": b"20250410\n"})
    assert found(root, "firmware-revision").saw == "1 file of firmware, revision 20250410"


def test_a_folder_of_packages_with_checksums(tmp_path: Path) -> None:
    """What somebody downloaded: the packages and SHA256SUMS side by side, and a file that is not of the release."""
    path = package(tmp_path / f"linux-{V}-x86.tar.gz", {"./boot/x": b"x"})
    assert found(tmp_path, "checksums").status is Status.SKIPPED
    (tmp_path / "notes.txt").touch()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{digest} *{path.name}\n")
    assert found(tmp_path, "checksums").status is Status.OK
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  notes.txt\n")
    assert found(tmp_path, "checksums").details == (
        "notes.txt has another content",
        f"{path.name} is not in SHA256SUMS",
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0" * 64 + "  ../secret", "is outside of the release"),
        ("0" * 64 + "  /etc/passwd", "is outside of the release"),
        ("0" * 64 + "  nothing", "is not there"),
        ("0" * 63 + "  kernel", "no line of sha256sum"),
        ("", "no line of sha256sum"),
    ],
)
def test_odd_lines_of_checksums(tmp_path: Path, line: str, said: str) -> None:
    root = release(tmp_path / "dist", kernel={"./boot/x": b"x"})
    (tmp_path / "secret").touch()
    (root / "SHA256SUMS").write_text(f"{line}\n")
    assert said in found(root, "checksums").details[0]


@pytest.mark.parametrize(
    "told",
    [
        {"release": "x"},
        {"release": V, "arch": "x86", "outputs": [], "images": []},
        {"release": V, "arch": "x86", "outputs": {"kernel/x": None, "../x": {}}, "images": None},
        {"release": {"a": 1}, "arch": None, "outputs": 1, "images": 2},
    ],
)
def test_a_manifest_of_another_form(tmp_path: Path, told: object) -> None:
    root = release(tmp_path, kernel={"./boot/x": b"x"})
    (root / "manifest.json").write_text(json.dumps(told))
    finding = found(root, "manifest")
    assert finding.status is Status.FAILED
    assert not any("Error" in line for line in finding.details), finding.details
