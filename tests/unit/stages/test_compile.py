from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from builder.series import make_words
from builder.stages import compile as compiling
from builder.stages import maketools, runmake
from builder.stages.common import MARK, StageError, put_program
from builder.stages.objtree import KEEP
from builder.stages.symversions import OPTION
from tests.unit.stages import faketree

BROKEN = "int ext4_inode_size(void)\n{\n\treturn sizeof(struct absent);\n}\n"
MODULES = f"out/modules/lib/modules/{faketree.RELEASE}"


def events(stdout: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix(MARK)) for line in stdout.splitlines() if line.startswith(MARK)]


def run(tree: Path, work: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return faketree.run_stage("compile", *faketree.compile_arguments(tree, work), *flags)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


@pytest.fixture
def work(tmp_path: Path, compiled: Path, tree: Path) -> Path:
    """A folder to compile in, configured as `compiled` is, with an object tree."""
    shutil.copytree(compiled / "configured", tmp_path / "configured")
    assert run(tree, tmp_path).returncode == 0
    shutil.rmtree(tmp_path / "out")
    return tmp_path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return Path(shutil.copytree(faketree.TREE, tmp_path / "tree", symlinks=True))


def test_the_image_comes_out_under_its_release(compiled: Path) -> None:
    release = faketree.RELEASE
    assert files(compiled / "out/boot") == [f"System.map-{release}", f"config-{release}", f"vmlinuz-{release}"]
    image = (compiled / "out/boot" / f"vmlinuz-{release}").read_bytes()
    assert image == (compiled / "obj/arch/x86/boot/bzImage").read_bytes()
    assert b"6.12.99-rosk Tue Nov 14 22:13:20 UTC 2023" in image


def test_the_modules_come_out_without_links_and_indexes(compiled: Path) -> None:
    others = ["modules.builtin", "modules.builtin.modinfo", "modules.order"]
    assert files(compiled / MODULES) == sorted([*faketree.MODULES, *others])


def test_the_object_tree_is_handed_on_without_objects_and_keys(compiled: Path) -> None:
    assert (compiled / "obj/certs/signing_key.pem").exists()
    assert files(compiled / "out/objtree") == [
        ".config",
        "Module.symvers",
        "System.map",
        "arch/x86/include/generated/asm/fake.h",
        "include/config/auto.conf",
        "include/config/kernel.release",
        "include/generated/autoconf.h",
        "include/generated/utsrelease.h",
        "scripts/basic/fixdep",
        "scripts/kallsyms",
        "scripts/mod/modpost",
        "scripts/module.lds",
        "tools/objtool/objtool",
    ]


def test_the_log_is_whole_and_stdout_has_the_progress(compiled: Path) -> None:
    log = (compiled / "out/log/compile.log").read_text()
    assert "  CC [M]  fs/ext4/super.o\n" in log
    assert f"{len(faketree.MODULES)} modules are installed as by modules_install, 9 of them stripped anew\n" in log
    assert list((compiled / "log").iterdir()) == []
    found = events((compiled / "stdout").read_text())
    assert {event["event"] for event in found} == {"progress"}
    estimate = int((compiled / "configured/objects").read_text())
    assert {event["total"] for event in found} == {estimate}
    assert found[-1]["done"] == estimate


def test_a_second_build_makes_the_same_bytes(compiled: Path, work: Path) -> None:
    shutil.rmtree(work / "obj")
    assert run(faketree.TREE, work).returncode == 0
    for folder in ("out/boot", "out/modules", "out/objtree/scripts"):
        names = files(work / folder)
        assert names == files(compiled / folder)
        assert [
            name for name in names if (work / folder / name).read_bytes() != (compiled / folder / name).read_bytes()
        ] == []


def test_the_types_of_a_module_are_made_once(tmp_path: Path, tree: Path) -> None:
    """Where only the kernel's have changed, kbuild would put them into a module that has some."""
    config = f"{faketree.CONFIG}CONFIG_DEBUG_INFO_BTF_MODULES=y\n"
    one, other = tmp_path / "one", tmp_path / "other"
    for work in (one, other):
        assert faketree.configure(tree, work / "configured", config=config).returncode == 0
    assert run(tree, one).returncode == 0
    source = tree / "init/main.c"
    source.write_text(f"{source.read_text()}\nint one_more = 3;\n")
    shutil.rmtree(one / "out")
    assert [run(tree, work).returncode for work in (one, other)] == [0, 0]
    log = (one / "out/log/compile.log").read_text()
    assert "the object tree is kept" in log and "CC [M]" not in log
    for name in faketree.MODULES:
        made = (one / MODULES / name).read_bytes()
        assert b"types-of-the-kernel" in made and made == (other / MODULES / name).read_bytes(), name


def test_a_kept_object_tree_is_not_compiled_again(work: Path, tree: Path) -> None:
    (tree / "sound/core/snd.c").write_text((tree / "sound/core/snd.c").read_text() + "\n")
    assert run(tree, work).returncode == 0
    log = (work / "out/log/compile.log").read_text().splitlines()
    assert [line for line in log if line.startswith("  CC")] == [
        "  CC [M]  sound/core/snd.o",
        "  CC [M]  sound/core/snd.mod.o",
    ]
    assert log[-1].endswith(" modules are installed as by modules_install, 1 of them stripped anew")
    assert (work / MODULES / "kernel/fs/ext4/ext4.ko").exists()


def test_what_modules_install_does_is_asked_once(work: Path, tree: Path) -> None:
    """Also with a compiler cache, whose programs lie in a folder of another name each time."""
    told = work / "obj/.rosk-kept/modules/said"
    times = []
    for number in range(2):
        (tree / "sound/core/snd.c").write_text(f"{(faketree.TREE / 'sound/core/snd.c').read_text()}/* {number} */\n")
        done = run(tree, work, "--ccache", str(work / "ccache"))
        assert done.returncode == 0, done.stdout
        times.append(told.stat().st_mtime_ns)
        shutil.rmtree(work / "out")
    assert times[0] == times[1]


def test_files_with_names_of_any_bytes(work: Path, tree: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tree / "net") + b"/caf\xe9.txt"))
    odd.write_text("text")
    for gone in (False, True):
        if gone:
            odd.unlink()
        done = run(tree, work)
        assert done.returncode == 0, done.stdout + done.stderr
        shutil.rmtree(work / "out")


def test_the_first_compiler_error_is_the_message(work: Path, tree: Path) -> None:
    (tree / "fs/ext4/inode.c").write_text(BROKEN)
    done = run(tree, work)
    error = events(done.stdout)[-1]
    assert (done.returncode, error["event"]) == (1, "error")
    assert "fs/ext4/inode.c:3:23: error: invalid application of" in error["what"]
    assert error["what"] in error["details"]
    assert "dist/build.log" in error["hint"]
    assert error["what"] in done.stdout.splitlines()
    assert done.stderr == ""
    (told,) = [event for event in events(done.stdout) if event["event"] == "log"]
    assert "inode.c:3:23" in (work / "log" / told["name"]).read_text()
    # The object tree stays good: with the fault mended the build goes on.
    (tree / "fs/ext4/inode.c").write_text(BROKEN.replace("struct absent", "int"))
    assert run(tree, work).returncode == 0


def test_a_source_that_is_gone_is_missed(work: Path, tree: Path) -> None:
    """Also where the object is there that it was compiled to."""
    source = tree / "kernel/printk.c"
    text = source.read_text()
    source.unlink()
    done = run(tree, work)
    assert done.returncode == 1
    assert "No rule to make target 'kernel/printk.o'" in done.stdout
    source.write_text(text)
    assert run(tree, work).returncode == 0


@pytest.mark.parametrize("option", ["", "CONFIG_RANDSTRUCT=y\n"], ids=["cached", "not cached"])
def test_what_the_assembler_reads_counts(work: Path, tree: Path, option: str) -> None:
    """Also with a config that keeps the compiler cache out (`may_cache`)."""
    config, source, blob = work / "configured/config", tree / "sound/core/snd.c", tree / "sound/core/blob.bin"
    config.write_text(config.read_text() + option)
    include = f'asm(".pushsection .rodata\\n.incbin \\"{blob}\\"\\n.popsection");\n'
    source.write_text(source.read_text() + include)
    for text in (b"the first blob", b"another blob"):
        blob.write_bytes(text)
        done = run(tree, work, "--ccache", str(work / "ccache"))
        assert done.returncode == 0, done.stdout
        assert text in (work / MODULES / "kernel/sound/core/snd.ko").read_bytes()
        shutil.rmtree(work / "out")


def test_warnings_go_to_stdout(work: Path, tree: Path) -> None:
    (tree / "fs/ext4/inode.c").write_text("int ext4_inode_size(void)\n{\n\tint unused;\n\n\treturn 1;\n}\n")
    lines = run(tree, work).stdout.splitlines()
    assert [line for line in lines if "fs/ext4/inode.c:3:13: warning: unused variable" in line]


def test_a_kernel_without_modules_has_their_folder(tmp_path: Path) -> None:
    config = "# CONFIG_MODULES is not set\nCONFIG_NET=y\n"
    done = faketree.configure(faketree.TREE, tmp_path / "configured", config=config)
    assert done.returncode == 0, done.stdout
    assert run(faketree.TREE, tmp_path).returncode == 0
    assert (tmp_path / MODULES).is_dir()
    assert files(tmp_path / MODULES) == []


def test_an_image_that_was_not_made_is_an_error(work: Path) -> None:
    arguments = [str(word) for word in faketree.compile_arguments(faketree.TREE, work)]
    done = faketree.run_stage("compile", *(word.replace("boot/bzImage", "boot/zImage") for word in arguments))
    assert events(done.stdout)[-1]["what"] == "the build made no arch/x86/boot/zImage"


def test_what_a_cross_build_makes_again_is_no_part_of_the_object_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leaves when it fails would be taken for a tree that something has touched."""
    folders = []

    def fail(obj: Path, work: Path, compiler: str) -> None:
        folders.append(work.relative_to(obj).parts[0])
        raise StageError("it fails")

    obj, out = tmp_path / "obj", tmp_path / "out"
    for name in ("arch/x86/boot/bzImage", "System.map", ".config"):
        (obj / name).parent.mkdir(parents=True, exist_ok=True)
        (obj / name).touch()
    monkeypatch.setattr(compiling, "CrossHost", fail)
    with pytest.raises(StageError, match="it fails"):
        compiling.collect(build(obj, cross_compile="x86_64-linux-gnu-"), out)
    assert folders == [KEEP]


def test_host_programs_are_static_but_for_gcc_plugins(tmp_path: Path) -> None:
    assert "HOSTLDFLAGS=-static" in " ".join(compiling.make_arguments(build(tmp_path), 2))
    words = compiling.make_arguments(build(tmp_path, config="CONFIG_GCC_PLUGINS=y\n"), 2)
    assert not [word for word in words if word.startswith("HOST")]


def test_ccache_goes_before_both_compilers(tmp_path: Path) -> None:
    words = compiling.make_arguments(build(tmp_path, ccache=tmp_path, cross_compile="aarch64-linux-gnu-"), 3)
    assert {"CC=ccache aarch64-linux-gnu-gcc", "HOSTCC=ccache gcc", "CROSS_COMPILE=aarch64-linux-gnu-", "-j3"} <= set(
        words
    )


@pytest.mark.parametrize("option", ["GCC_PLUGINS", "RANDSTRUCT"])
def test_what_ccache_knows_by_name_only_is_compiled_without_it(tmp_path: Path, option: str) -> None:
    """A plugin, and the file with the seed by which structures are laid out."""
    made = build(tmp_path, ccache=tmp_path, config=f"CONFIG_{option}=y\n")
    assert not [word for word in compiling.make_arguments(made, 3) if "=ccache " in word]
    assert compiling.compiler_cache(made, {}, (), tmp_path) is None


def test_symbol_versions_that_genksyms_does_not_make_are_kbuilds_own(tmp_path: Path) -> None:
    """Since Linux 6.14 both rules are in scripts/Makefile.build, and the config chooses."""
    rules = tmp_path / "scripts/Makefile.build"
    rules.parent.mkdir()
    rules.write_text(
        "ifdef CONFIG_GENDWARFKSYMS\ncmd_gensymtypes_c = $(gendwarfksyms)\nelse\n"
        "cmd_gensymtypes_c = $(CPP) -D__GENKSYMS__ $(c_flags) $< | $(genksyms)\nendif\n"
    )
    for config, own in (("CONFIG_GENKSYMS=y\n", True), ("CONFIG_GENDWARFKSYMS=y\n", False)):
        made = build(tmp_path, ccache=tmp_path, config=f"CONFIG_MODVERSIONS=y\n{config}", tree=tmp_path)
        words = compiling.make_arguments(made, 3)
        assert bool([word for word in words if word.startswith("cmd_gensymtypes_c=")]) == own
        assert bool([word for word in words if word.startswith("CC=") and OPTION in word]) == own
    without = compiling.make_arguments(build(tmp_path, ccache=tmp_path, config="", tree=tmp_path), 3)
    assert "CC=ccache gcc" in without


def test_clang_comes_with_the_rest_of_llvm(tmp_path: Path) -> None:
    words = compiling.make_arguments(build(tmp_path, ccache=tmp_path, compiler="clang"), 3)
    assert {"LLVM=1", "CC=ccache clang", "HOSTCC=ccache clang"} <= set(words)
    assert "LLVM=1" not in compiling.make_arguments(build(tmp_path, ccache=tmp_path), 3)


def test_make_is_told_what_an_old_tree_needs(tmp_path: Path) -> None:
    words = make_words("4.14.240", "x86")
    assert "KCFLAGS=-fno-optimize-sibling-calls" in compiling.make_arguments(build(tmp_path, make_variables=words), 3)
    assert [word for word in compiling.make_arguments(build(tmp_path, make_variables=words), 3) if "-fcommon" in word]


@pytest.mark.parametrize("name", ["bin/ld", "bin/pahole", "local/lib/libbfd.so", "local/bin/as"])
def test_tools_of_no_package_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "packages").write_text("gcc 14\n")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(maketools, "_ELSEWHERE", (tmp_path / "local", tmp_path / "none"))
    found = set()
    for text in ("one", "other", "one"):
        put_program(tmp_path / name, f"#!/bin/sh\n# {text}\n")
        os.utime(tmp_path / name, (1, 1))
        found.add(maketools.toolchain_digest(tmp_path / "packages", "gcc"))
    assert len(found) == 2


def test_a_compiler_of_no_package_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "packages").write_text("gcc 14\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = set()
    for driver, inner in (("1", "1"), ("2", "1"), ("2", "2")):
        put_program(tmp_path / "gcc", f"#!/bin/sh\n# {driver}\necho {tmp_path}/cc1\n")
        put_program(tmp_path / "cc1", f"#!/bin/sh\n# {inner}\n")
        found.add(compiling.recipe(build(tmp_path, toolchain=tmp_path / "packages"))["the toolchain"])
    assert len(found) == 3


def test_other_tools_make_a_new_object_tree(tmp_path: Path) -> None:
    (tmp_path / "packages").write_text("")
    recipes = [
        compiling.recipe(build(tmp_path, toolchain=tmp_path / "packages", **changed))
        for changed in ({}, {"compiler": "clang"}, {"make_variables": "KCFLAGS=-g"})
    ]
    assert len({recipe["the compiler"] for recipe in recipes}) == 3


def build(obj: Path, **changed: Any) -> compiling.Build:
    given: dict[str, Any] = {
        "tree": faketree.TREE,
        "obj": obj,
        "arch": "x86_64",
        "image": "bzImage",
        "image_path": Path("arch/x86/boot/bzImage"),
        "cross_compile": "",
        "epoch": faketree.EPOCH,
        "toolchain": Path("/dev/null"),
        "release": faketree.RELEASE,
        "config": "",
        "ccache": None,
    }
    return compiling.Build(**{**given, **changed})


def running(word: str) -> list[int]:
    """The processes whose command line has `word`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_compile_leaves_no_process(work: Path, tree: Path, number: int) -> None:
    sleep = f"3600.{os.getpid()}{number}"  # seconds that no other process sleeps
    makefile = (tree / "Makefile").read_text()
    (tree / "Makefile").write_text(
        makefile.replace("vmlinux: $(folders)\n", f"vmlinux: $(folders)\n\t@sleep {sleep}\n")
    )
    command = faketree.stage("compile", *faketree.compile_arguments(tree, work))
    process = subprocess.Popen(command, env=faketree.stage_environment(), stdout=subprocess.DEVNULL)
    while not running(sleep) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert running(sleep) == []
    # The object tree stays good.
    (tree / "Makefile").write_text(makefile)
    assert run(tree, work).returncode == 0


STOP = "make[2]: *** [/src/Makefile:1992: .] Error 2"


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (
            ["x.c:1:2: warning: unused", "In file included from y.h:3:", "x.c:4:5: error: 'z' undeclared", STOP],
            "x.c:4:5: error: 'z' undeclared",
        ),
        (
            ["include/a.h:7:10: fatal error: b.h: No such file or directory", STOP],
            "include/a.h:7:10: fatal error: b.h: No such file or directory",
        ),
        (["entry.S: Assembler messages:", "entry.S:12: Error: no such instruction: `foo'", STOP], "entry.S:12: Error"),
        (['ERROR: modpost: "foo" [fs/x.ko] undefined!', STOP], 'ERROR: modpost: "foo" [fs/x.ko] undefined!'),
        (["ld: fs/x.o: in function `y':", "x.c:(.text+0x2): undefined reference to `z'", STOP], "undefined reference"),
        (["/src/scripts/xz_wrap.sh: 36: xz: not found", STOP], "/src/scripts/xz_wrap.sh: 36: xz: not found"),
        (["error: Cannot generate ORC metadata", STOP], "error: Cannot generate ORC metadata"),
        (["Makefile:9: *** missing separator.  Stop."], "Makefile:9: *** missing separator.  Stop."),
        (["  CC x.o", STOP], STOP),
        (["as: x.o: No space left on device", "x.c:1:1: error: other", STOP], "no space left on the disk"),
        (["gcc: fatal error: Killed signal terminated program cc1", STOP], "a program of the compile was killed"),
        (["make[3]: *** [scripts/Makefile.build:243: fs/x.o] Error 137"], "a program of the compile was killed"),
        (["make[2]: *** [vmlinux] Killed"], "a program of the compile was killed"),
        (["nothing known"], "make failed"),
    ],
)
def test_the_cause_of_a_failure(lines: list[str], what: str) -> None:
    error = runmake.explain_failure(["  CC      a.o"] * 40 + lines, 2)
    assert what in error.what
    assert len(error.details) <= 20
    assert set(error.details) & set(lines)
    assert error.hint


@pytest.mark.parametrize(
    ("line", "counted"),
    [
        ("  CC      init/main.o", 1),
        ("  CC [M]  fs/ext4/super.o", 1),
        ("  AS      arch/x86/entry/entry_64.o", 1),
        ("  AS [M]  arch/x86/crypto/aes.o", 1),
        ("  CC      /obj/tools/objtool/check.o", 0),
        ("  CC      scripts/mod/empty.o", 0),
        ("  HOSTCC  scripts/basic/fixdep", 0),
        ("  LD [M]  fs/ext4/ext4.ko", 0),
        ("  AR      fs/built-in.a", 0),
    ],
)
def test_which_lines_count(tmp_path: Path, line: str, counted: int) -> None:
    compiler = runmake.Make(tmp_path / "log", {}, 10)
    compiler.follow(line)
    assert compiler.done == counted


def test_warnings_of_the_static_c_library_are_no_news(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compiler = runmake.Make(tmp_path / "log", {}, 10)
    compiler.follow("/usr/bin/ld: /usr/lib/libcrypto.a(dso_dlfcn.o): in function `dlfcn_globallookup':")
    compiler.follow("(.text+0x13): warning: Using 'dlopen' in statically linked applications requires at runtime")
    assert capsys.readouterr().out == ""
    compiler.follow("ld: cannot find -lfoo: No such file or directory")
    assert "cannot find" in capsys.readouterr().out


def test_there_is_at_least_one_cpu() -> None:
    assert 1 <= runmake.cpus() <= (os.cpu_count() or 1)
