"""Into which folders make has to look for options that a kernel tree's Makefiles name."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.stages.optionfolders import Folders, Makefiles

FILES = {
    "Makefile": "include $(srctree)/arch/$(SRCARCH)/Makefile\nifdef CONFIG_LTO\nendif\n",
    "Kbuild": "obj-$(CONFIG_NET) += net/\nobj-y += fs/ drivers/\n",
    "scripts/Makefile.lib": "ifdef CONFIG_KASAN\nendif\n",
    "fs/Makefile": "obj-$(CONFIG_MINIX_FS)\t+= minix/ # small\nobj-$(CONFIG_PROC) += \\\n  proc/ seq.o\n",
    "fs/minix/Makefile": "obj-$(CONFIG_MINIX_FS) += minix.o\nminix-objs := dir.o\n",
    "fs/proc/Makefile": "proc-$(CONFIG_MMU) += task.o\nsubdir-ccflags-$(CONFIG_WERROR) := -Werror\n",
    "fs/Kbuild": "obj-$(CONFIG_UP) += ../up.o\n",
    "kernel/Makefile": "$(obj)/config_data: $(KCONFIG_CONFIG) FORCE\n",
    "drivers/Makefile": "obj-$(CONFIG_AMD) += amd/core/\n",
    "drivers/amd/core/Makefile": "include $(AMD)/pm/Makefile\n",
    "drivers/amd/pm/Makefile": "amd-$(CONFIG_AMD_PM) += pm.o\n",
    "samples/Makefile": "obj-$(CONFIG_SAMPLE_KPROBES) += kprobes/\n",
    "virt/Makefile": "obj-y += lib/\n",
    "virt/Makefile.kvm": "kvm-$(CONFIG_KVM_VFIO) += vfio.o\n",
    "lib/Makefile": "obj-$(CONFIG_VDSO) += one.o\n",
    "arch/x86/Kbuild": "obj-$(CONFIG_XEN) += xen/\n",
    "arch/x86/entry/Makefile": "include $(srctree)/lib/Makefile\n",
    "arch/arm/Makefile": "ifdef CONFIG_MMU\nendif\n",
    "tools/Makefile": "ifdef CONFIG_MMU\nendif\n",
}
ENTERED = ["samples", "fs", "fs/proc", "kernel", "drivers", "drivers/amd/core", "lib", "arch/x86", "arch/x86/entry"]


@pytest.fixture
def makefiles(tmp_path: Path) -> Makefiles:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return Makefiles(tree=tmp_path, paths=list(FILES), srcarch="x86", entered=ENTERED)


@pytest.mark.parametrize(
    ("options", "alone", "whole"),
    [
        ([], [], []),
        (["UNKNOWN"], [], []),
        (["MINIX_FS"], ["fs", "fs/minix"], ["fs/minix"]),
        (["PROC"], ["fs"], ["fs/proc"]),
        (["MMU"], ["fs/proc"], []),
        (["WERROR"], ["fs/proc"], ["fs/proc"]),
        (["AMD"], ["drivers"], ["drivers/amd/core"]),
        (["SAMPLE_KPROBES"], ["samples"], ["samples/kprobes"]),
        (["MMU", "MINIX_FS"], ["fs", "fs/minix", "fs/proc"], ["fs/minix"]),
    ],
)
def test_folders_whose_makefiles_name_an_option(
    makefiles: Makefiles, options: list[str], alone: list[str], whole: list[str]
) -> None:
    """The one that reads the config itself is always among them."""
    assert makefiles.folders(options) == Folders(frozenset({*alone, "kernel"}), frozenset(whole))


@pytest.mark.parametrize(
    "option",
    [
        "LTO",  # the top Makefile
        "NET",  # the top Kbuild
        "KASAN",  # what all folders read
        "XEN",  # the architecture
        "KVM_VFIO",  # no folder's Makefile
        "UP",  # what leads out of the folder
        "AMD_PM",  # no folder that is entered
        "VDSO",  # one that is included elsewhere
    ],
)
def test_everywhere(makefiles: Makefiles, option: str) -> None:
    assert makefiles.folders([option]) is None
    assert makefiles.folders(["MMU", option]) is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("include $(src)/parts.mk", False),
        ("vendor-$(CONFIG_$(CHIP)_EXTRA) += extra.o", False),
        ("include $(srctree)/lib/Makefile.parts $(AMD)", True),
        ("ccflags-y += -Wall \\\n\t-include $(srctree)/include/linux/hidden.h", True),
    ],
)
def test_a_makefile_that_does_not_say_all_itself(makefiles: Makefiles, line: str, told: bool) -> None:
    (makefiles.tree / "virt/Makefile").write_text(f"obj-y += lib/\n{line}\n")
    assert (makefiles.folders(["MINIX_FS"]) is not None) == told
