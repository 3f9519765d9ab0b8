from __future__ import annotations

from pathlib import Path

import pytest

from builder.stages.kbuild import Kbuild

FILES = {
    "Makefile": "ifeq ($(sub_make_done),1)\ninclude $(srctree)/arch/$(SRCARCH)/Makefile\nlibs-y := lib/\nendif\n",
    "Kbuild": "obj-y += fs/ net/\nobj-y += $(ARCH_LIB)\nobj-$(CONFIG_SOUND) += sound/\n",
    "arch/x86/Makefile": "drivers-$(CONFIG_PCI) += arch/x86/pci/\n",
    "arch/x86/pci/Makefile": "obj-y := pci.o\n",
    "arch/x86/boot/Makefile": "setup-y := main.o\ntargets := vmlinux.bin $(setup-y)\n",
    "arch/arm64/Makefile": "",
    "arch/arm64/crypto/Makefile": "obj-$(CONFIG_AES_ARM64) += aes.o\n",
    "lib/Makefile": "lib-y := string.o $(subst foo,bar,foo.o)\nobj-y += string.o\n",
    "fs/Makefile": "obj-y := open.o stub.stub.o\nobj-$(CONFIG_EXT4_FS) += ext4/\nobj-$(CONFIG_XFS_FS) += xfs/\n",
    "fs/ext4/Makefile": "obj-$(CONFIG_EXT4_FS) += ext4.o\next4-y := a.o b.o\next4-$(CONFIG_ACL) += acl.o\n",
    "fs/xfs/Makefile": "obj-$(CONFIG_XFS_FS) += xfs.o\nxfs-objs := $(addprefix lib/,x.o y.o)\n",
    "net/Makefile": "obj-$(CONFIG_BRIDGE) += bridge/\nobj-$(CONFIG_OLD) += sub/old.o\nobj-$(CONFIG_NEW) += sub/old.o\n",
    "net/bridge/Makefile": "obj-y += netfilter/\nobj-$(CONFIG_BRIDGE) += bridge.o\nobj-y += not-in-a-module-folder.o\n",
    "net/bridge/netfilter/Kbuild": "obj-$(CONFIG_EBT) += ebt.o\n",
    "net/bridge/netfilter/Makefile": "obj-m += wrong.o\n",
    "sound/Makefile": "obj-y += sound.o\n",
    "scripts/Makefile": "obj-$(CONFIG_SCRIPT) += script.o\n",
}


@pytest.fixture
def kbuild(tmp_path: Path) -> Kbuild:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return Kbuild(tmp_path, "x86")


def test_objects_follow_the_config(kbuild: Kbuild) -> None:
    values = {"EXT4_FS": "m", "ACL": "y", "XFS_FS": "y", "BRIDGE": "m", "EBT": "m", "PCI": "y", "SOUND": "n"}
    assert kbuild.object_names(values) == {
        "arch/x86/boot/main.o",
        "arch/x86/pci/pci.o",
        "fs/open.o",
        "fs/stub.o",
        "fs/ext4/a.o",
        "fs/ext4/b.o",
        "fs/ext4/acl.o",
        "fs/ext4/ext4.mod.o",
        "fs/xfs/lib/x.o",
        "fs/xfs/lib/y.o",
        "lib/bar.o",
        "lib/string.o",
        "net/bridge/bridge.o",
        "net/bridge/bridge.mod.o",
        "net/bridge/netfilter/ebt.o",
        "net/bridge/netfilter/ebt.mod.o",
    }


def test_every_module_is_known_with_its_options_built_or_not(kbuild: Kbuild) -> None:
    options = kbuild.module_options({"NEW": "m"})
    assert options["kernel/fs/ext4/ext4.ko"] == ["EXT4_FS"]
    assert options["kernel/net/sub/old.ko"] == ["NEW", "OLD"]
    assert options["kernel/net/bridge/netfilter/ebt.ko"] == ["EBT"]
    assert not [path for path in options if "script" in path or "arm64" in path or "wrong" in path]


def test_the_estimate_for_the_fake_tree_is_what_its_build_compiles(compiled: Path) -> None:
    log = (compiled / "out/log/compile.log").read_text().splitlines()
    lines = [line for line in log if line.startswith(("  CC ", "  AS "))]
    estimate = int((compiled / "configured/objects").read_text())
    assert len(lines) == 25
    assert abs(estimate - len(lines)) <= 8  # the objects that only a real kernel has
