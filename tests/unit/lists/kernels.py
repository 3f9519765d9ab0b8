"""A kernel of a few modules, as real module files say it, and lists to hold against it."""

from __future__ import annotations

from pathlib import Path

from builder.lists.model import Kernel, Texts, read_texts
from builder.stages.modules import scan
from builder.stages.split import Known
from tests.unit.stages.elfs import write_module

V = "6.12.99-acme"
BTRFS, XOR, BASE = "kernel/fs/btrfs/btrfs.ko", "kernel/lib/xor.ko", "kernel/lib/base.ko"
HASH, NIC, NVME = "kernel/crypto/hash_generic.ko", "kernel/drivers/net/new/nic.ko", "kernel/drivers/nvme/nvme.ko"
ALL = (BTRFS, XOR, BASE, HASH, NIC, NVME)
OPTIONS = {
    BTRFS: "CONFIG_BTRFS_FS",
    XOR: "CONFIG_XOR",
    BASE: "CONFIG_BASE",
    HASH: "CONFIG_HASH",
    NIC: "CONFIG_NIC",
    NVME: "CONFIG_NVME",
    "kernel/fs/ext4/ext4.ko": "CONFIG_EXT4_FS",
    "kernel/fs/fat/fat.ko": "CONFIG_FAT_FS",
}
CONFIG = dict.fromkeys(OPTIONS.values(), "m") | {"CONFIG_EXT4_FS": "y"}
del CONFIG["CONFIG_FAT_FS"]


def write_modules(root: Path) -> Path:
    """A lib/modules/V with the modules: btrfs needs xor, which needs base, and would like a hash."""
    write_module(root, BTRFS, depends="xor", softdep="pre: hash64 sha256", license="GPL")
    write_module(root, XOR, depends="base")
    write_module(root, BASE, depends="")
    write_module(root, HASH, depends="", alias="hash64")
    write_module(root, NIC, depends="base", firmware=["nic/a.fw", "nic/b.fw"])
    write_module(root, NVME, depends="base")
    (root / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\nkernel/crypto/sha256.ko\n")
    return root


def kernel(root: Path, **changed: object) -> Kernel:
    """The kernel of these modules; `changed` replaces attributes."""
    built = scan(write_modules(root))
    given: dict[str, object] = {"v": V, "built": built, "known": Known(options=OPTIONS, config=CONFIG), **changed}
    return Kernel(**given)  # type: ignore[arg-type]


def texts(main: str, extra: str = "") -> Texts:
    return read_texts(main, extra)
