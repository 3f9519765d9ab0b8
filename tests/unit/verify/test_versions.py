"""Checks of the release V and the architecture A, also on arm64, and of what others made.

What each of them is for is tried on doctored releases in tests/graph/test_verify.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.verify.model import Status
from tests.unit.stages.elfs import AARCH64, X86_64, make_elf
from tests.unit.verify.releases import Files, V, found, release
from tests.unit.verify.test_banner import bzimage, image


def module(vermagic: str = f"{V} SMP mod_unload ", *, machine: int = X86_64, wide: bool = True) -> bytes:
    return make_elf({".modinfo": f"license=GPL\0vermagic={vermagic}\0".encode()}, machine=machine, wide=wide)


def arm64_release(root: Path, option: str = "CONFIG_ARM64=y") -> Path:
    modules = {f"./lib/modules/{V}/kernel/fat.ko": module(machine=AARCH64)}
    kernel = {f"./boot/vmlinuz-{V}": image(), f"./boot/config-{V}": f"{option}\n".encode(), **modules}
    return release(root, a="arm64", kernel=kernel)


def test_arm64(tmp_path: Path) -> None:
    root = arm64_release(tmp_path)
    for name in ("architecture", "kernel-banner", "vermagic", "modules-folder"):
        assert found(root, name).status is Status.OK, name


def test_arm64_in_the_name_only(tmp_path: Path) -> None:
    root = release(
        tmp_path,
        a="arm64",
        kernel={
            f"./boot/vmlinuz-{V}": bzimage(),
            f"./boot/config-{V}": b"CONFIG_X86=y\n",
            f"./lib/modules/{V}/kernel/fat.ko": module(),
            f"./lib/modules/{V}/kernel/ext4.ko": module(machine=AARCH64, wide=False),
        },
    )
    assert found(root, "architecture").details == (
        f"boot/vmlinuz-{V} is for x86",
        f"boot/config-{V} does not have CONFIG_ARM64=y",
        f"kernel: lib/modules/{V}/kernel/fat.ko is for the machine 62 of ELF, not 183",
        f"kernel: lib/modules/{V}/kernel/ext4.ko is for the machine 183 of ELF, not 183",
    )


def test_an_unknown_architecture(tmp_path: Path) -> None:
    root = release(tmp_path, a="riscv64", kernel={f"./boot/vmlinuz-{V}": bzimage()})
    assert found(root, "architecture").status is Status.FAILED


@pytest.mark.parametrize(
    ("a", "tags", "good"),
    [
        ("x86", ["acme/os-extras:V", "acme/os-headers:V", "acme/os-kernel:V"], True),
        (
            "x86",
            ["localhost:5000/a/os-extras:V", "localhost:5000/a/os-headers:V", "localhost:5000/a/os-kernel:V"],
            True,
        ),
        ("arm64", ["acme/os-extras:V_arm64", "acme/os-headers:V_arm64", "acme/os-kernel:V_arm64"], True),
        ("arm64", ["acme/os-extras:V", "acme/os-headers:V", "acme/os-kernel:V"], False),
        ("x86", ["acme/os-extras:V", "acme/os-kernel:V"], False),
        ("x86", ["acme/os-extras:V", "acme/os-headers:V", "other/os-kernel:V"], False),
        ("x86", ["os-extras:V", "os-headers:V", "os-kernel:V"], False),
    ],
)
def test_image_tags(tmp_path: Path, a: str, tags: list[str], good: bool) -> None:
    root = release(tmp_path, a=a, kernel={"./boot/x": b"x"})
    (root / "images").write_text("".join(f"{tag.replace('V', V)}\n" for tag in tags))
    assert (found(root, "image-tags").status is Status.OK) == good


def test_no_image_list(tmp_path: Path) -> None:
    assert found(release(tmp_path, kernel={"./boot/x": b"x"}), "image-tags").status is Status.SKIPPED


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (module("6.12.98-acme SMP mod_unload "), "is for 6.12.98-acme SMP mod_unload"),
        (module(f"{V} SMP preempt mod_unload "), f"is for {V} SMP preempt mod_unload"),
        (make_elf({".modinfo": b"license=GPL\0"}), "is for no release"),
        (make_elf({".text": b"x"}), "it has no .modinfo section"),
        (module()[:100], "it is a damaged ELF file"),
        (b"<html>", "it is not an ELF file"),
        (b"", "it is not an ELF file"),
    ],
)
def test_vermagic(tmp_path: Path, data: bytes, said: str) -> None:
    base = f"lib/modules/{V}/kernel"
    kernel = {f"./{base}/fat.ko": module(), f"./{base}/vfat.ko": module()}
    (wrong,) = found(release(tmp_path, kernel=kernel, extras={f"./{base}/snd.ko": data}), "vermagic").details
    assert wrong.startswith(f"extras: {base}/snd.ko")
    assert said in wrong


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        ([f"vmlinuz-{V}", f"System.map-{V}", f"config-{V}"], []),
        ([f"vmlinuz-{V}", f"System.map-{V}", f"config-{V}", "initrd.img", "grub/grub.cfg"], []),
        ([f"vmlinux-{V}", f"System.map-{V}", f"config-{V}"], [f"boot/vmlinuz-{V} is miss", f"boot/vmlinux-{V} is one"]),
        (
            [f"vmlinuz-{V}", "vmlinuz", f"System.map-{V}"],
            [f"boot/config-{V} is missing", "boot/vmlinuz is one too many"],
        ),
    ],
)
def test_boot_files(tmp_path: Path, names: list[str], wrong: list[str]) -> None:
    details = found(release(tmp_path, kernel={f"./boot/{name}": b"x" for name in names}), "boot-files").details
    assert len(details) == len(wrong)
    assert all(detail.startswith(said) for detail, said in zip(details, wrong, strict=True))


def test_a_kernel_that_is_a_link(tmp_path: Path) -> None:
    """GNU tar unpacks the link alone by that name."""
    kernel: Files = {f"./boot/vmlinuz-{V}": "vmlinuz", "./boot/vmlinuz": bzimage(), f"./boot/config-{V}": b"x"}
    details = found(release(tmp_path, kernel=kernel), "boot-files").details
    assert f"boot/vmlinuz-{V} is empty or no file" in details


def test_configs(tmp_path: Path) -> None:
    root = release(tmp_path, kernel={f"./boot/config-{V}": b"a"})
    assert found(root, "config-copies").status is Status.SKIPPED
    (root / "kernel/config").write_text("a")
    assert found(root, "config-copies").status is Status.OK
    (root / "kernel/config").write_text("b")
    assert found(root, "config-copies").details == (f"config is not boot/config-{V}",)


def test_maps(tmp_path: Path) -> None:
    kernel: Files = {f"./boot/System.map-{V}": b"a"}
    assert found(release(tmp_path / "one", kernel=kernel), "map-copies").status is Status.SKIPPED
    for content, status in ((b"a", Status.OK), (b"b", Status.FAILED)):
        root = release(tmp_path / status, kernel=kernel, headers={"./System.map": content})
        assert found(root, "map-copies").status is status
