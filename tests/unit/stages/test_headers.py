from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from builder.stages import headers
from builder.stages.common import StageError
from tests.unit.stages import faketree

HELLO = """\
#include <linux/fake.h>
#include <linux/module.h>

static int hello(void)
{
	return printk("hello");
}
module_init(hello);
MODULE_LICENSE("GPL");
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return Path(shutil.copytree(faketree.TREE, tmp_path / "tree"))


@pytest.fixture
def obj(tmp_path: Path, compiled: Path) -> Path:
    return Path(shutil.copytree(compiled / "out/objtree", tmp_path / "objtree"))


def make(tree: Path, obj: Path) -> Path:
    return faketree.headers_of(tree, obj, tree.parent / "headers")


def put(path: Path, text: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_what_an_external_module_needs_is_there(tree: Path, obj: Path) -> None:
    out = make(tree, obj)
    for name in (
        "Makefile",
        "Kconfig",
        "Kbuild",
        ".config",
        "System.map",
        "Module.symvers",
        "arch/x86/Makefile",
        "arch/x86/Kconfig",
        "arch/x86/include/asm/page.h",
        "arch/x86/include/generated/asm/fake.h",
        "include/linux/module.h",
        "include/uapi/linux/fake.h",
        "include/generated/autoconf.h",
        "include/config/auto.conf",
        "include/config/kernel.release",
        "scripts/Makefile.build",
        "scripts/module.lds",
        "scripts/basic/fixdep",
        "scripts/mod/modpost",
        "tools/objtool/objtool",
    ):
        assert (out / name).is_file(), name
    assert (out / "scripts/mod/modpost").stat().st_mode & 0o111


def test_an_external_module_builds_with_the_source_absent(tree: Path, obj: Path, tmp_path: Path) -> None:
    out = make(tree, obj)
    shutil.rmtree(tree)
    shutil.rmtree(obj)
    put(tmp_path / "hello/hello.c", HELLO)
    put(tmp_path / "hello/Makefile", "obj-m := hello.o\n")
    built = subprocess.run(
        ["make", "-C", out, f"M={tmp_path / 'hello'}", "modules"], capture_output=True, text=True, check=True
    )
    assert built.stderr == ""
    assert b"vermagic=6.12.99-rosk " in (tmp_path / "hello/hello.ko").read_bytes()


def test_nothing_else_is_there(tree: Path, obj: Path) -> None:
    for name in ("scripts/signing_key.pem", "include/generated/key.x509", "certs/signing_key.pem"):
        put(obj / name, "-----BEGIN PRIVATE KEY-----")
    for name in ("scripts/mod/modpost.o", "scripts/mod/.modpost.o.cmd", "scripts/kconfig/conf", "include/config/SMP"):
        put(obj / name)
    for name in ("arch/arm64/include/asm/io.h", "scripts/dtc/dtc.c", "include/.gitignore", "fs/ext4/ext4.h"):
        put(tree / name)
    out = make(tree, obj)
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    top = {".config", "Kbuild", "Kconfig", "Makefile", "Module.symvers", "System.map"}
    assert {name.split("/")[0] for name in names} == top | {"arch", "include", "scripts", "tools"}
    assert {name.split("/")[1] for name in names if name.startswith("arch/")} == {"x86"}
    assert not [name for name in names if name.endswith((".o", ".cmd", ".pem", ".x509", ".gitignore"))]
    assert not [name for name in names if name.startswith(("scripts/dtc", "scripts/kconfig"))]
    config = sorted(name for name in names if name.startswith("include/config/"))
    assert config == ["include/config/auto.conf", "include/config/kernel.release"]


def test_links_stay_links_only_inside_the_tree(tree: Path, obj: Path, tmp_path: Path) -> None:
    put(tmp_path / "outside.h", "outside")
    put(tree / "fs/internal.h", "internal")
    put(tree / "fs/folder/a.h", "a")
    for name, target in (
        ("inside.h", "fake.h"),
        ("absolute.h", str(tmp_path / "outside.h")),
        ("elsewhere.h", "../../fs/internal.h"),
        ("folder", "../../fs/folder"),
        ("dangling.h", "absent.h"),
    ):
        (tree / "include/linux" / name).symlink_to(target)
    out = make(tree, obj) / "include/linux"
    assert (out / "inside.h").readlink() == Path("fake.h")
    assert ((out / "absolute.h").is_symlink(), (out / "absolute.h").read_text()) == (False, "outside")
    assert ((out / "elsewhere.h").is_symlink(), (out / "elsewhere.h").read_text()) == (False, "internal")
    assert (out / "folder/a.h").read_text() == "a"
    assert not (out / "dangling.h").is_symlink()


def test_an_older_trees_files_are_taken(tree: Path, obj: Path) -> None:
    put(obj / "arch/x86/kernel/module.lds", "SECTIONS {}")
    put(tree / "arch/x86/scripts/check.sh", "#!/bin/sh\n")
    put(tree / "arch/x86/Makefile_32.cpu")
    put(tree / "arch/x86/um/asm/include/deep.h")
    out = make(tree, obj)
    for name in ("kernel/module.lds", "scripts/check.sh", "Makefile_32.cpu", "um/asm/include/deep.h"):
        assert (out / "arch/x86" / name).is_file(), name


def test_the_gcc_plugins_and_resolve_btfids_are_taken_where_built(tree: Path, obj: Path) -> None:
    put(obj / "scripts/gcc-plugins/latent_entropy_plugin.so")
    put(obj / "tools/bpf/resolve_btfids/resolve_btfids")
    out = make(tree, obj)
    assert (out / "scripts/gcc-plugins/latent_entropy_plugin.so").is_file()
    assert (out / "tools/bpf/resolve_btfids/resolve_btfids").is_file()


def test_an_object_tree_of_another_release_is_refused(tree: Path, obj: Path) -> None:
    put(obj / "include/config/kernel.release", "6.1.0\n")
    with pytest.raises(StageError, match=r"is of 6\.1\.0, not of 6\.12\.99-rosk"):
        make(tree, obj)


def test_flags_that_an_older_compiler_lacks_are_tried_first(tmp_path: Path) -> None:
    kept = (
        "ifdef CONFIG_X\nKBUILD_CFLAGS += -fno-common\n# -ftrivial-auto-var-init=zero\nX := -fzero-call-used-regs2=1\n"
    )
    put(
        tmp_path / "Makefile",
        f"{kept}KBUILD_CFLAGS += -fmin-function-alignment=$(CONFIG_FUNCTION_ALIGNMENT)\n"
        "KBUILD_CFLAGS\t+= -ftrivial-auto-var-init=zero\n",
    )
    headers.allow_older_compilers(tmp_path)
    assert (tmp_path / "Makefile").read_text() == (
        f"{kept}KBUILD_CFLAGS += $(call cc-option,-fmin-function-alignment=$(CONFIG_FUNCTION_ALIGNMENT),"
        "-falign-functions=$(CONFIG_FUNCTION_ALIGNMENT))\n"
        "KBUILD_CFLAGS\t+= $(call cc-option,-ftrivial-auto-var-init=zero)\n"
    )


@pytest.mark.parametrize(
    ("major", "known"), [(10, ["A"]), (12, ["A", "GOTO_OUTPUT"]), (14, ["A", "GOTO_OUTPUT", "MIN"])]
)
def test_what_the_config_says_of_the_compiler_is_asked_anew(tmp_path: Path, major: int, known: list[str]) -> None:
    names = {"A": "A", "GOTO_OUTPUT": "CC_HAS_ASM_GOTO_OUTPUT", "MIN": "CC_HAS_SANE_FUNCTION_ALIGNMENT"}
    put(tmp_path / "Makefile", "")
    autoconf = tmp_path / "include/generated/autoconf.h"
    put(autoconf, "".join(f"#define CONFIG_{name} 1\n" for name in names.values()))
    headers.allow_older_compilers(tmp_path)
    argv: list[str | Path] = ["gcc", "-E", "-dM", "-U__GNUC__", f"-D__GNUC__={major}", "-x", "c", autoconf]
    macros = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert [short for short, name in names.items() if f"#define CONFIG_{name} 1\n" in macros] == known
