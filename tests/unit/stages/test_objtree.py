"""What makes a kept object tree a new one, and what does not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.stages import journal, objtree
from builder.stages.books import load_book, store_book
from builder.stages.objtree import ObjectTree

CONFIG = "CONFIG_NET=y\nCONFIG_KALLSYMS=y\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree with one file of each kind that matters."""
    files = {
        "Makefile": "ifdef CONFIG_DEBUG_INFO\n",
        "scripts/Makefile": "hostprogs-$(CONFIG_KALLSYMS) += kallsyms\n",
        "scripts/Makefile.modinst": "sign := $(CONFIG_MODULE_SIG_HASH)\nsuffix-$(CONFIG_KALLSYMS) := .xz\n",
        "scripts/Kbuild.include": ".DELETE_ON_ERROR:\n",
        "scripts/kallsyms.c": "int main;\n",
        "arch/x86/Makefile": "KBUILD_CFLAGS += $(CONFIG_X86_64)\n",
        "arch/x86/entry/Makefile": "out := include/generated\nhdr-$(CONFIG_XEN) += xen.h\n",
        "arch/x86/kernel/Makefile": "obj-$(CONFIG_MSR) += msr.o\n",
        "net/Makefile": "obj-$(CONFIG_NET) += core.o\n",
        "net/core.c": "int core;\n",
        "net/blob.bin": "blob\n",
        "net/gen.sh": "echo 1\n",
        "net/table.h": "int table;\n",
        "net/certs/one.hex": "0x30\n",
        "include/linux/kconfig.h": "#define IS_ENABLED\n",
        "include/linux/net.h": "int net;\n",
        "lib/asks.h": '#if __has_include("extra.h")\n#endif\n',
        "tools/testing/run.sh": "true\n",
    }
    for name, text in files.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1000, 1000))
    return tmp_path / "tree"


@pytest.fixture
def kept(tree: Path, tmp_path: Path) -> Callable[..., ObjectTree]:
    """Opens the object tree as a build does; returns it opened."""

    def opened(config: str = CONFIG, *, noted: bool = True, **recipe: str) -> ObjectTree:
        made_with = {"the toolchain": "gcc 14", **recipe}
        found = ObjectTree(folder=tmp_path / "obj", tree=tree, srcarch="x86", recipe=made_with, noted=noted)
        found.open(config, journal.dump(journal.read_tree(tree)))
        return found

    return opened


def built(kept: Callable[..., ObjectTree], tmp_path: Path) -> None:
    """A first build, which includes net/table.h and was sealed."""
    tree = kept()
    write(tmp_path / "obj/net/core.o", "object")
    write(tmp_path / "obj/net/.core.o.cmd", "savedcmd_net/core.o := gcc lib/asks.h\ndeps := net/table.h \\\n")
    write(tmp_path / "obj/include/config/auto.conf", CONFIG)
    tree.close(complete=True)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def is_kept(tmp_path: Path) -> bool:
    return (tmp_path / "obj/net/core.o").exists()


def test_an_unchanged_tree_is_kept(kept: Callable[..., ObjectTree], tmp_path: Path) -> None:
    built(kept, tmp_path)
    at = (tmp_path / "obj/.config").stat().st_mtime_ns
    assert kept().said == ["the object tree is kept; 0 source files differ"]
    assert is_kept(tmp_path)
    assert (tmp_path / "obj/.config").stat().st_mtime_ns == at


def test_the_lock_of_buildah_is_no_part_of_the_tree(kept: Callable[..., ObjectTree], tmp_path: Path) -> None:
    built(kept, tmp_path)
    lock = tmp_path / "obj/buildah-cache-lockfile"
    lock.touch()
    assert kept().said == ["the object tree is kept; 0 source files differ"]
    kept(**{"the toolchain": "gcc 15"})
    assert not is_kept(tmp_path) and lock.exists()


def test_what_is_made_from_the_tree_is_no_part_of_it_and_goes_with_it(
    kept: Callable[..., ObjectTree], tmp_path: Path
) -> None:
    built(kept, tmp_path)
    copy = tmp_path / "obj" / objtree.KEEP / "modules/stripped/ext4.ko"
    write(copy, "stripped")
    assert kept().said == ["the object tree is kept; 0 source files differ"]
    kept(**{"the toolchain": "gcc 15"})
    assert not copy.exists()


def test_a_changed_file_is_newer_than_the_objects(kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path) -> None:
    built(kept, tmp_path)
    (tree / "net/core.c").write_text("int other;\n")
    os.utime(tree / "net/core.c", (1000, 1000))
    kept().close(complete=True)
    assert is_kept(tmp_path)
    assert (tree / "net/core.c").stat().st_mtime_ns > (tmp_path / "obj/net/core.o").stat().st_mtime_ns
    assert (tree / "net/table.h").stat().st_mtime == 1000


def test_a_change_that_is_taken_back_is_newer_too(kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path) -> None:
    built(kept, tmp_path)
    text = (tree / "net/core.c").read_text()
    (tree / "net/core.c").write_text("int other;\n")
    opened = kept()
    write(tmp_path / "obj/net/core.o", "the object of the change")
    opened.close(complete=True)
    (tree / "net/core.c").write_text(text)
    os.utime(tree / "net/core.c", (1000, 1000))
    kept()
    assert (tree / "net/core.c").stat().st_mtime_ns > (tmp_path / "obj/net/core.o").stat().st_mtime_ns


def test_a_change_that_was_not_built_stays_newer(kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path) -> None:
    built(kept, tmp_path)
    (tree / "net/table.h").write_text("int broken\n")
    kept().close(complete=False)  # make failed before it came to core.o
    os.utime(tree / "net/table.h", (1000, 1000))
    kept()
    assert (tree / "net/table.h").stat().st_mtime_ns > (tmp_path / "obj/net/core.o").stat().st_mtime_ns


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("scripts/kallsyms.c", "changed\n"),
        ("Makefile", "changed\n"),
        ("scripts/Makefile", None),
        ("scripts/Makefile.modinst", "changed\n"),
        ("net/certs/one.hex", None),
        ("arch/x86/entry/Makefile", "changed\n"),
        ("net/gen.sh", "changed\n"),
        ("tools/objtool/Makefile", "new\n"),
        ("arch/x86/include/table.h", "shadows net/table.h\n"),
        ("net/extra.h", "is asked for\n"),
        ("net/Makefile", "obj-y += core.o\n$(obj)/t.h: $(src)/t.awk\n\tawk -f $< > $@\n"),
        ("tools/include/string.h", "takes the system's place\n"),
        ("include/linux/kconfig.h", "changed\n"),
    ],
)
def test_what_kbuild_does_not_look_at_makes_a_new_tree(
    kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path, path: str, text: str | None
) -> None:
    built(kept, tmp_path)
    if text is None:
        (tree / path).unlink()
    else:
        write(tree / path, text)
    assert kept().said[0].startswith("the object tree is made anew: ")
    assert not is_kept(tmp_path)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("net/Makefile", "obj-y += core.o\n"),
        ("arch/x86/kernel/Makefile", "obj-y += msr.o\n"),
        ("tools/testing/run.sh", "false\n"),
        ("net/fresh.h", "a name that no file has\n"),
        ("net/certs/two.hex", "newer than what a rule makes of all of them\n"),
        ("lib/core.c", "a name that no object includes\n"),
        ("include/linux/net.h", "changed\n"),
        ("net/table.h", None),
    ],
)
def test_what_kbuild_looks_at_keeps_the_tree(
    kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path, path: str, text: str | None
) -> None:
    built(kept, tmp_path)
    if text is None:
        (tree / path).unlink()
    else:
        write(tree / path, text)
    assert kept().said == ["the object tree is kept; 1 source files differ"]
    assert is_kept(tmp_path)


@pytest.mark.parametrize("start", ["{tree}", "../tree"], ids=["absolute", "relative"])
def test_what_was_compiled_from_a_source_that_is_gone_goes_with_it(
    kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path, start: str
) -> None:
    """make would take it for made, at once or when a Makefile names it again."""
    built(kept, tmp_path)
    opened = kept()
    source = start.format(tree=tree)
    for name in ("net/core", "lib/core"):
        folder, _, stem = f"{tmp_path}/obj/{name}".rpartition("/")
        write(Path(f"{folder}/{stem}.o"), "object")
        note = f"savedcmd_{name}.o := gcc -o {name}.o {source}/{name}.c\nsource_{name}.o := {source}/{name}.c\n"
        write(Path(f"{folder}/.{stem}.o.cmd"), note)
    opened.close(complete=True)
    (tree / "net/core.c").unlink()
    opened = kept()
    assert (opened.said, opened.part) == (["the object tree is kept; 1 source files differ"], None)
    left = [path.relative_to(tmp_path / "obj") for path in (tmp_path / "obj").rglob("*core.o*")]
    assert sorted(map(str, left)) == ["lib/.core.o.cmd", "lib/core.o"]


@pytest.mark.parametrize(
    ("path", "noted", "same"),
    [
        ("net/blob.bin", True, True),
        ("net/blob.bin", False, False),
        ("net/core.c", False, True),
        ("net/Kconfig", False, True),
        ("tools/testing/run.sh", False, True),
    ],
)
def test_what_the_assembler_may_have_read(
    kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path, path: str, noted: bool, same: bool
) -> None:
    write(tree / "net/Kconfig", "config NET\n")
    built(kept, tmp_path)
    write(tree / path, "changed\n")
    kept(noted=noted)
    assert is_kept(tmp_path) == same


@pytest.mark.parametrize(
    ("config", "same"),
    [
        (CONFIG + "CONFIG_MSR=m\n", True),
        (CONFIG.replace("CONFIG_NET=y", "# CONFIG_NET is not set"), True),
        (CONFIG + "# CONFIG_XEN is not set\n", True),
        (CONFIG + 'CONFIG_MODULE_SIG_HASH="sha256"\n', True),  # only modules_install asks for it
        (CONFIG + "CONFIG_XEN=y\n", False),
        ("CONFIG_NET=y\n", False),
    ],
)
def test_options_that_leave_tools_behind_make_a_new_tree(
    kept: Callable[..., ObjectTree], tmp_path: Path, config: str, same: bool
) -> None:
    built(kept, tmp_path)
    kept(config)
    assert is_kept(tmp_path) == same
    assert (tmp_path / "obj/.config").read_text() == config


def test_another_toolchain_makes_a_new_tree(kept: Callable[..., ObjectTree], tmp_path: Path) -> None:
    built(kept, tmp_path)
    assert kept(**{"the toolchain": "gcc 15"}).said == ["the object tree is made anew: the toolchain differs"]
    assert not is_kept(tmp_path)


def test_what_kbuilds_commands_follow_from(kept: Callable[..., ObjectTree], tree: Path) -> None:
    first = kept().rules
    (tree / "net/core.c").write_text("int other;\n")
    assert kept().rules == first
    assert kept(f"{CONFIG}CONFIG_INET=y\n").rules != first
    assert kept(**{"the compiler": "clang"}).rules != first
    (tree / "net/Makefile").write_text("obj-$(CONFIG_NET) += other.o\n")
    assert kept().rules != first


def test_of_a_kbuild_that_does_not_see_their_order_lists_are_rules(
    kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path
) -> None:
    """As that of Linux 4.4, where what is linked first is what is started first."""
    check = "arg-check = $(strip $(filter-out $(cmd_$(1)), $(cmd_$@)) $(filter-out $(cmd_$@), $(cmd_$(1))))\n"
    write(tree / "scripts/Kbuild.include", check)
    write(tree / "net/Makefile", "# Two.\nobj-y += core.o fresh.o\n")
    built(kept, tmp_path)
    write(tree / "net/Makefile", "# Both.\nobj-y += core.o fresh.o\n")
    kept().close(complete=True)
    assert is_kept(tmp_path)
    write(tree / "net/Makefile", "# Both.\nobj-y += fresh.o core.o\n")
    kept()
    assert not is_kept(tmp_path)


@pytest.mark.parametrize("tidy", [True, False])
def test_what_a_failed_make_may_have_half_made_is_not_sealed(
    kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path, tidy: bool
) -> None:
    if not tidy:
        write(tree / "scripts/Kbuild.include", "# of Linux 4.9\n")
    built(kept, tmp_path)
    failed = kept()
    write(tmp_path / "obj/net/core.o", "made, perhaps half")
    failed.close(complete=False)
    kept()
    assert is_kept(tmp_path) == tidy


def test_a_killed_build_is_set_back(kept: Callable[..., ObjectTree], tmp_path: Path) -> None:
    built(kept, tmp_path)
    opened = kept()
    write(tmp_path / "obj/lib/done.o", "sealed")
    opened.close(complete=True)
    kept()
    write(tmp_path / "obj/net/core.o", "half")
    write(tmp_path / "obj/net/new.o", "half")
    assert "2 files of a stopped build are made anew" in kept().said
    assert not is_kept(tmp_path)
    assert not (tmp_path / "obj/net/new.o").exists()
    assert (tmp_path / "obj/lib/done.o").exists()


def test_a_build_killed_with_a_new_config_makes_a_new_tree(kept: Callable[..., ObjectTree], tmp_path: Path) -> None:
    built(kept, tmp_path)
    kept(CONFIG + "CONFIG_MSR=m\n")
    write(tmp_path / "obj/include/config/auto.conf", "new")
    kept(CONFIG + "CONFIG_MSR=m\n")
    assert not is_kept(tmp_path)


def test_a_first_build_that_was_killed_makes_a_new_tree(kept: Callable[..., ObjectTree], tmp_path: Path) -> None:
    kept()
    write(tmp_path / "obj/net/core.o", "half")
    kept()
    assert not is_kept(tmp_path)


@pytest.mark.parametrize("name", ["net/core.o", ".rosk-kept/seal", ".rosk-kept/state"])
def test_a_tree_that_something_has_touched_is_made_anew(
    kept: Callable[..., ObjectTree], tmp_path: Path, name: str
) -> None:
    built(kept, tmp_path)
    path = tmp_path / "obj" / name
    content = path.read_bytes()
    at = path.stat().st_mtime_ns
    path.write_bytes(b"X" + content[1:])
    os.utime(path, ns=(at, at))
    kept()
    assert not is_kept(tmp_path)


def test_a_clock_that_went_back_makes_a_new_tree(kept: Callable[..., ObjectTree], tmp_path: Path) -> None:
    tree = kept()
    write(tmp_path / "obj/net/core.o", "object")
    os.utime(tmp_path / "obj/net/core.o", (2**32, 2**32))
    tree.close(complete=True)
    assert kept().said == ["the object tree is made anew: the clock went back"]


def test_a_makefile_that_is_a_link_to_nothing(kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path) -> None:
    for name, target in (("net/Makefile.old", "gone"), ("net/Kbuild", "certs"), ("scripts/Makefile.old", "/gone")):
        (tree / name).symlink_to(target)
    noted(kept, tmp_path)
    assert kept(f"{CONFIG}CONFIG_BLOCK=y\n").part
    assert is_kept(tmp_path)


def test_a_state_that_another_rosk_has_left(kept: Callable[..., ObjectTree], tmp_path: Path) -> None:
    """It may have another form."""
    recipe = {"rosk itself": "older"}
    kept(**recipe).close(complete=True)
    state = {**(load_book(tmp_path / "obj/.rosk-kept/state") or {}), "journal": "a line of another form\n"}
    store_book(tmp_path / "obj/.rosk-kept/state", state)
    assert kept(**{"rosk itself": "newer"}).said == ["the object tree is made anew: rosk itself differs"]


@pytest.mark.parametrize(
    ("path", "same"),
    [
        ("tools/lib/bpf/libbpf.c", False),  # kernel/bpf/preload/Makefile names nothing that its library is made of
        ("tools/include/uapi/linux/bpf.h", False),
        ("tools/bpf/resolve_btfids/main.c", False),
        ("arch/x86/tools/relocs.c", False),
        ("arch/arm64/tools/gen-sysreg.c", True),
        ("tools/perf/perf.c", True),
        ("tools/testing/selftests/bpf/test.c", True),
    ],
)
def test_what_host_programs_are_made_of(
    kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path, path: str, same: bool
) -> None:
    """kbuild makes the program again, and not what it has worked on."""
    write(tree / path, "int bpf;\n")
    noted(kept, tmp_path)
    write(tree / path, "int other;\n")
    kept()
    assert is_kept(tmp_path) == same


def test_symbol_versions_that_kbuild_does_not_know_to_be_old(
    kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path
) -> None:
    """The object is made again, wherever make would have looked."""
    config, target = f"{CONFIG}CONFIG_MODVERSIONS=y\n", "net/memcpy.o"
    write(tree / "include/linux/kernel.h", "#ifdef CONFIG_SMALL\n")
    noted(kept, tmp_path, config)
    opened = kept(config)
    write(tmp_path / "obj" / target, "object")
    write(tmp_path / "obj/net/.memcpy.o.cmd", f"savedcmd_{target} := gcc\n\nsource_{target} := memcpy.S\n")
    opened.close(complete=True)
    opened = kept(f"{config}CONFIG_LARGE=y\n")
    assert opened.part and (tmp_path / "obj" / target).exists()
    opened.close(complete=True)
    opened = kept(f"{config}CONFIG_LARGE=y\nCONFIG_SMALL=y\n")
    assert opened.part is None and not (tmp_path / "obj" / target).exists()
    assert is_kept(tmp_path)


# What make has to look into.


def noted(kept: Callable[..., ObjectTree], tmp_path: Path, config: str = CONFIG, *, complete: bool = True) -> None:
    """A first build with a note of what net/core.o is made from."""
    opened = kept(config)
    write(tmp_path / "obj/net/core.o", "object")
    files = " ".join(str(tmp_path / "tree/net" / name) for name in ("core.c", "table.h"))
    write(tmp_path / "obj/net/.core.o.cmd", f"savedcmd_net/core.o := gcc -c\n\ndeps_net/core.o := {files}\n")
    write(tmp_path / "obj/include/config/auto.conf", config)
    opened.close(complete=complete)


def test_make_looks_into_what_is_made_from_changed_sources(
    kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path
) -> None:
    noted(kept, tmp_path)
    write(tree / "net/table.h", "int another;\n")
    write(tree / "Documentation/net.rst", "new\n")
    part = kept().part
    assert part and part.objects == {"net/core.o"}
    assert part.since == (tree / "net/table.h").stat().st_mtime_ns


def test_make_looks_into_nothing_where_nothing_has_changed(kept: Callable[..., ObjectTree], tmp_path: Path) -> None:
    noted(kept, tmp_path)
    part = kept().part
    assert part and not part.objects


@pytest.mark.parametrize(
    "path", ["net/Makefile", "net/new.c", "net/gen.sh", "include/linux/net.h", "net/certs/one.hex"]
)
def test_make_looks_everywhere_for_what_is_no_source_of_objects(
    kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path, path: str
) -> None:
    noted(kept, tmp_path)
    write(tree / path, "obj-$(CONFIG_NET) += another.o\n")
    assert kept().part is None


def test_make_looks_everywhere_in_a_tree_that_is_not_complete(kept: Callable[..., ObjectTree], tmp_path: Path) -> None:
    assert kept().part is None
    noted(kept, tmp_path, complete=False)
    assert kept().part is None  # and is killed
    assert kept().part is None


def test_a_build_that_was_killed_is_not_complete(kept: Callable[..., ObjectTree], tmp_path: Path) -> None:
    noted(kept, tmp_path)
    assert kept().part
    assert kept().part is None


def test_make_looks_for_what_other_options_make(kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path) -> None:
    write(tree / "block/Makefile", "obj-$(CONFIG_BLOCK) += core.o\n")
    for more, alone in (("", {"block"}), ("CONFIG_RUST=y\n", None)):
        opened = kept()
        write(tmp_path / "obj/block/built-in.a", "")
        opened.close(complete=True)
        part = kept(f"{CONFIG}CONFIG_BLOCK=y\n{more}").part
        assert (part.alone if part else None) == alone


def test_make_looks_everywhere_where_objects_follow_from_others(
    kept: Callable[..., ObjectTree], tmp_path: Path
) -> None:
    config = f"{CONFIG}CONFIG_TRIM_UNUSED_KSYMS=y\n"
    noted(kept, tmp_path, config)
    assert kept(config).part is None


def test_make_looks_everywhere_for_a_file_that_has_two_names(
    kept: Callable[..., ObjectTree], tree: Path, tmp_path: Path
) -> None:
    """The notes of some objects may have the link."""
    (tree / "drivers").mkdir()
    (tree / "drivers/table.h").symlink_to("../net/table.h")
    (tree / "drivers/net").symlink_to("../net/certs")
    noted(kept, tmp_path)
    write(tree / "net/core.c", "int another;\n")
    opened = kept()
    assert opened.part
    opened.close(complete=True)
    write(tree / "net/table.h", "int another;\n")
    assert kept().part is None


def test_make_looks_everywhere_where_files_are_packed(kept: Callable[..., ObjectTree], tmp_path: Path) -> None:
    config = f'{CONFIG}CONFIG_INITRAMFS_SOURCE="/usr/src/linux/initramfs"\n'
    noted(kept, tmp_path, config)
    assert kept(config).part is None


def test_make_looks_everywhere_where_each_folder_lists_its_modules(
    kept: Callable[..., ObjectTree], tmp_path: Path
) -> None:
    noted(kept, tmp_path)
    opened = kept()
    write(tmp_path / "obj/.tmp_versions/core.mod", "net/core.ko\n")
    opened.close(complete=True)
    assert kept().part is None
