"""The fake kernel tree decides what to make again as kbuild does, blind spots included.

What is asserted of it here is what makes tests of kept object trees mean something: with a tree that always makes
everything, no stale object could ever show.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.stages.faketree import TREE

pytestmark = pytest.mark.host_programs

CONFIG = """\
CONFIG_MODULES=y
CONFIG_NET=y
CONFIG_INET=y
CONFIG_EXT4_FS=m
CONFIG_EXT4_FS_POSIX_ACL=y
CONFIG_SND=m
CONFIG_SND_TIMER=m
CONFIG_CRC32=y
CONFIG_IKCONFIG=y
CONFIG_BLK_DEV_INITRD=y
CONFIG_UNWINDER_ORC=y
CONFIG_XEN=y
CONFIG_ASN1=y
"""
_MADE = re.compile(r"  ([A-Z]+)(?: \[M\])? +(\S+)$")
LONG_AGO = 1_577_836_800


@dataclass(frozen=True)
class Kernel:
    """A source tree and the object tree that was built from it."""

    root: Path

    @property
    def tree(self) -> Path:
        return self.root / "tree"

    @property
    def obj(self) -> Path:
        return self.root / "obj"

    def run(self, *targets: str, **variables: str) -> subprocess.CompletedProcess[str]:
        words: list[str | Path] = ["make", "-C", self.tree, f"O={self.obj}", "-j2", "ARCH=x86_64"]
        fixed = {"KBUILD_BUILD_TIMESTAMP": "now", "KBUILD_BUILD_USER": "me", "KBUILD_BUILD_HOST": "here", "LC_ALL": "C"}
        given = [f"{name}={value}" for name, value in variables.items()]
        return subprocess.run(
            [*words, *given, *targets],
            env={**os.environ, **fixed},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def make(self, *targets: str, **variables: str) -> set[str]:
        """Make the targets (all, when none is given); what was made, as kbuild says it: `CC fs/ext4/super.o`."""
        done = self.run(*(targets or ("bzImage", "modules")), **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return {f"{match[1]} {match[2]}" for line in done.stdout.splitlines() if (match := _MADE.match(line))}

    def edit(self, name: str, old: str, new: str, *, at: int | None = None) -> None:
        """Replace text in a source; `at` is the time that it gets, else it is new."""
        path = self.tree / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        if at is not None:
            os.utime(path, (at, at))

    def write(self, name: str, text: str) -> None:
        (self.tree / name).write_text(text)

    def configure(self, *lines: str) -> None:
        """Set options in .config, where the last word counts."""
        with (self.obj / ".config").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)
        self.make("olddefconfig")

    def holds(self, name: str, text: bytes) -> bool:
        return text in (self.obj / name).read_bytes()

    def symbol(self, name: str, symbol: str) -> bool:
        return re.search(rf" [A-Z] {symbol}$", _run("nm", self.obj / name), re.MULTILINE) is not None


def _run(*argv: str | Path) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    """Built once, with most options on, and put aside."""
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    shutil.copytree(TREE, kernel.tree, symlinks=True)
    kernel.obj.mkdir()
    kernel.configure(*CONFIG.splitlines())
    kernel.make()
    subprocess.run(["cp", "-a", kernel.root, kernel.root.with_name("kept")], check=True)
    return kernel


@pytest.fixture
def kernel(kept: Kernel) -> Kernel:
    """As it was after its build, at the same place: commands hold the paths of the sources."""
    shutil.rmtree(kept.root)
    subprocess.run(["cp", "-a", kept.root.with_name("kept"), kept.root], check=True)
    return kept


def modules_and_image(*made: str) -> set[str]:
    """What follows from a change to something that is built in."""
    return {*made, "LD vmlinux.o", "LD vmlinux", "OBJCOPY modules.builtin.modinfo", "MODPOST Module.symvers",
            "BUILD arch/x86/boot/bzImage"}  # fmt: skip


def test_nothing_changed(kernel: Kernel) -> None:
    assert kernel.make() == set()


# What kbuild sees.


def test_a_changed_source(kernel: Kernel) -> None:
    kernel.edit("fs/ext4/super.c", "Fourth", "4th")
    module = {"CC fs/ext4/super.o", "LD fs/ext4/ext4.o", "CC fs/ext4/ext4.mod.o", "LD fs/ext4/ext4.ko"}
    assert kernel.make() == {*module, "MODPOST Module.symvers"}


def test_a_changed_header_reaches_those_that_include_it(kernel: Kernel) -> None:
    kernel.edit("include/linux/limits.h", "7", "8")
    archives = {"AR net/ipv4/built-in.a", "AR net/built-in.a"}
    assert kernel.make() == modules_and_image("CC net/ipv4/tcp.o", *archives)


def test_a_header_that_is_gone(kernel: Kernel) -> None:
    (kernel.tree / "include/linux/limits.h").unlink()
    assert "linux/limits.h: No such file" in kernel.run("bzImage").stderr


def test_an_option_reaches_those_that_name_it(kernel: Kernel) -> None:
    kernel.configure("CONFIG_LOG_BUF_SHIFT=18")
    made = kernel.make()
    assert {line for line in made if line.startswith("CC ")} == {"CC kernel/printk.o", "CC kernel/configs.o"}
    assert "GZIP kernel/config_data.gz" in made  # which configs.o embeds


def test_another_compiler_makes_everything_again(kernel: Kernel, tmp_path: Path) -> None:
    compiler = tmp_path / "gcc"

    def install(version: str) -> None:
        compiler.write_text(f'#!/bin/sh\ntest "$1" = --version && exec echo {version}\nexec gcc "$@"\n')
        compiler.chmod(0o755)

    install("gcc-1")
    first = kernel.make(CC=str(compiler))
    assert kernel.make(CC=str(compiler)) == set()
    install("gcc-2")
    assert {line for line in first if line.startswith("CC ")} <= kernel.make(CC=str(compiler))


def test_another_command(kernel: Kernel) -> None:
    kernel.edit("sound/core/Makefile", "obj-", "ccflags-y := -DEXTRA='\"a $$b, c\"'\nobj-")
    made = kernel.make()
    assert {"CC sound/core/snd.o", "CC sound/core/snd-timer.o"} <= made
    assert kernel.make() == set()


def test_another_version(kernel: Kernel) -> None:
    """It is in headers that change only when their content does, and .config is new by its title."""
    kernel.edit("Makefile", "SUBLEVEL = 99", "SUBLEVEL = 100")
    kernel.make("olddefconfig")
    made = kernel.make()
    compiled = {line for line in made if line.startswith("CC ") and not line.endswith(".mod.o")}
    assert compiled == {"CC init/version.o", "CC kernel/configs.o"}
    assert {"CC fs/ext4/ext4.mod.o", "GZIP kernel/config_data.gz", "BUILD arch/x86/boot/bzImage"} <= made
    assert kernel.holds("fs/ext4/ext4.ko", b"vermagic=6.12.100 SMP ")


def test_what_an_object_embeds(kernel: Kernel) -> None:
    """The compiler does not say that it read such a file: the Makefile does."""
    kernel.edit("usr/default_cpio_list", "0700", "0755")
    assert {"CPIO usr/initramfs_inc_data", "AS usr/initramfs_data.o"} <= kernel.make()
    assert kernel.holds("vmlinux", b"dir /root 0755")


def test_a_host_program_and_what_it_makes(kernel: Kernel) -> None:
    kernel.edit("lib/gen_crc32table.c", "0xedb88320u", "0x82f63b78u")
    assert {"HOSTCC lib/gen_crc32table", "GEN lib/crc32table.h", "CC lib/crc32.o"} <= kernel.make()


def test_objtool_works_on_every_object(kernel: Kernel) -> None:
    assert kernel.holds("fs/ext4/super.o", b"ORC: (")
    kernel.edit("tools/objtool/objtool.c", '"ORC"', '"UNW"')
    assert "CC fs/ext4/super.o" in kernel.make()
    kernel.configure("# CONFIG_UNWINDER_ORC is not set")
    assert "CC fs/ext4/super.o" in kernel.make()
    assert not kernel.holds("vmlinux", b"UNW: (")


def test_an_option_off_leaves_the_archive(kernel: Kernel) -> None:
    kernel.configure("# CONFIG_CRC32 is not set")
    assert "AR lib/built-in.a" in kernel.make()
    assert not kernel.symbol("vmlinux", "crc32_le")
    assert (kernel.obj / "lib/crc32.o").exists()


def test_what_a_module_needs_is_built_in_now(kernel: Kernel) -> None:
    assert kernel.holds("sound/core/snd-timer.ko", b"depends=snd\0")
    kernel.configure("CONFIG_SND=y")
    made = kernel.make()
    assert "CC sound/core/snd-timer.mod.o" in made
    assert "CC sound/core/snd-timer.o" not in made
    assert kernel.holds("sound/core/snd-timer.ko", b"depends=\0")
    assert (kernel.obj / "modules.builtin").read_text().splitlines().count("sound/core/snd.ko") == 1


def test_a_symbol_that_nobody_exports(kernel: Kernel) -> None:
    kernel.edit("sound/core/snd.c", "EXPORT_SYMBOL(snd_register);", "")
    done = kernel.run("modules")
    assert done.returncode != 0
    assert 'ERROR: modpost: "snd_register" [sound/core/snd-timer.ko] undefined!' in done.stderr


def test_a_failed_compile_is_made_again(kernel: Kernel) -> None:
    text = (kernel.tree / "sound/core/snd.c").read_text()
    kernel.write("sound/core/snd.c", text + "int x = nonsense;\n")
    assert kernel.run("modules").returncode != 0
    kernel.write("sound/core/snd.c", text)
    assert "CC sound/core/snd.o" in kernel.make()
    assert kernel.make() == set()


def test_what_fails_half_way_is_taken_away(kernel: Kernel) -> None:
    """The compiler has written the object, and objtool fails on it."""
    kernel.edit("tools/objtool/objtool.c", "if (!file)", "if (file)")
    assert kernel.run("crypto").returncode != 0
    assert not (kernel.obj / "crypto/crc32c_generic.o").exists()


def test_an_external_module(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("obj-m := one.o two.o\ntwo-y := a.o b.o\n")
    head = "#include <linux/fake.h>\n#include <linux/module.h>\n"
    (tmp_path / "one.c").write_text(
        f'{head}int one(void)\n{{\n\treturn snd_register();\n}}\nEXPORT_SYMBOL(one);\nMODULE_LICENSE("GPL");\n'
    )
    (tmp_path / "a.c").write_text(
        f'{head}int one(void);\nint two(void)\n{{\n\treturn one();\n}}\nMODULE_LICENSE("GPL");\n'
    )
    (tmp_path / "b.c").write_text("int three;\n")
    assert "LD two.ko" in {line.replace(f"{tmp_path}/", "") for line in kernel.make("modules", M=str(tmp_path))}
    assert b"depends=snd\0" in (tmp_path / "one.ko").read_bytes()
    assert b"depends=one\0" in (tmp_path / "two.ko").read_bytes()
    assert kernel.make("modules", M=str(tmp_path)) == set()


# What kbuild does not see.


def test_a_changed_source_with_an_old_time(kernel: Kernel) -> None:
    kernel.edit("fs/ext4/super.c", "Fourth", "4th", at=LONG_AGO)
    assert kernel.make() == set()


def test_a_header_in_the_place_of_another(kernel: Kernel) -> None:
    (kernel.tree / "arch/x86/include/linux").mkdir()
    kernel.write("arch/x86/include/linux/limits.h", "#define FAKE_LIMIT 9\n")
    assert kernel.make() == set()


def test_a_header_in_the_place_of_one_of_the_systems(kernel: Kernel) -> None:
    """The compiler's list leaves out what comes from the system."""
    (kernel.tree / "tools/include").mkdir()
    kernel.write("tools/include/string.h", '#include_next <string.h>\n#define NAME "UNW"\n')
    assert kernel.make() == set()


def test_a_rule_without_a_saved_command(kernel: Kernel) -> None:
    kernel.edit("lib/Makefile", "cmd_crc32 = $< > $@", "cmd_crc32 = $< | tr 8 9 > $@")
    assert kernel.make() == set()


def test_a_header_that_a_file_asks_for(kernel: Kernel) -> None:
    kernel.write("arch/x86/include/asm/string-start.h", "#define STRING_START 1\n")
    assert kernel.make() == set()


def test_a_link_to_another_header(kernel: Kernel) -> None:
    """The other one is older than the objects."""
    link = kernel.tree / "include/linux/block.h"
    link.unlink()
    link.symlink_to("block-large.h")
    assert kernel.make() == set()


def test_a_program_that_no_target_names(kernel: Kernel) -> None:
    kernel.edit("scripts/mkimage.py", "0x20F", "0x20E")
    assert kernel.make() == set()


def test_an_option_that_goes_off_while_auto_conf_is_lost(kernel: Kernel) -> None:
    """The sync has nothing to compare with, and takes objects that were made with the option on for good.

    That is how kernels before Linux 5.8 are; later ones name the compiler in every object's note, and that option is
    then taken for new.
    """
    kernel.edit("Makefile", "-include $(srctree)/include/linux/compiler-version.h", "")
    kernel.make()
    kernel.configure("# CONFIG_EXT4_FS_POSIX_ACL is not set")
    (kernel.obj / "include/config/auto.conf").unlink()
    made = kernel.make()
    assert "CC fs/ext4/inode.o" not in made
    assert "LD fs/ext4/ext4.o" in made  # without acl.o, and with an inode.o that takes it to be there


def test_a_half_written_object_with_a_new_time(kernel: Kernel) -> None:
    """Its note is that of the build before, and fits. make takes away what it was making, unless it is killed."""
    path = kernel.obj / "lib/string.o"
    path.write_bytes(path.read_bytes()[:100])
    done = kernel.run("bzImage")
    assert "CC      lib/string.o" not in done.stdout
    assert done.returncode != 0


def test_what_is_switched_off_leaves_tools_headers_and_stamps(kernel: Kernel) -> None:
    off = ("XEN", "ASN1", "UNWINDER_ORC")
    kernel.configure(*(f"# CONFIG_{option} is not set" for option in off))
    kernel.make()
    assert kernel.make() == set()
    for name in (
        "arch/x86/include/generated/asm/xen-hypercalls.h",
        "scripts/asn1_compiler",
        "tools/objtool/objtool",
        "include/config/XEN",
    ):
        assert (kernel.obj / name).exists()


def test_a_wrapper_of_a_header_does_not_outlive_it(kernel: Kernel) -> None:
    """As opposed to other generated headers."""
    kernel.edit("arch/x86/include/asm/Kbuild", "generic-y += fake.h\n", "")
    kernel.write("arch/x86/include/asm/fake.h", "#define FAKE_SHIFT 11\n")
    assert "CC kernel/printk.o" in kernel.make()
    assert not (kernel.obj / "arch/x86/include/generated/asm/fake.h").exists()
