"""Which folders make looks into when sources have changed, and that what comes out is what it makes of them all."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

import pytest

from builder.stages import compile as compiling
from builder.stages import narrow
from builder.stages.common import put_program
from builder.stages.narrow import Part
from builder.stages.objtree import ObjectTree
from builder.stages.runmake import Make
from tests.unit.stages import faketree

SND = "sound/core/snd.c"
RECORDER = '#!/bin/sh\necho "$*" >>{log}\nexec {make} "$@"\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return Path(shutil.copytree(faketree.TREE, tmp_path / "tree", symlinks=True))


@pytest.fixture
def work(tmp_path: Path, compiled: Path, tree: Path) -> Path:
    """A folder with the object tree of a build that came to its end; `makes` has each make that is run from now on."""
    shutil.copytree(compiled / "configured", tmp_path / "work/configured")
    again(tree, tmp_path / "work")
    (tmp_path / "work/makes").unlink(missing_ok=True)
    return tmp_path / "work"


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A make that writes down how it was called."""
    put_program(tmp_path / "bin/make", RECORDER.format(log=tmp_path / "work/makes", make=shutil.which("make")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")


def again(tree: Path, work: Path, *, code: int = 0) -> list[str]:
    """Compile; returns the log."""
    shutil.rmtree(work / "out", ignore_errors=True)
    done = faketree.run_stage("compile", *faketree.compile_arguments(tree, work))
    assert done.returncode == code, done.stdout
    return (work / "out/log/compile.log").read_text().splitlines() if code == 0 else []


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def looked_into(work: Path) -> list[str]:
    """The folders that kbuild has looked into, in order of their names."""
    found = re.findall(r"scripts/Makefile\.build obj=(\S+)", (work / "makes").read_text())
    return sorted(set(found))


def products(work: Path) -> dict[str, bytes]:
    return {str(path.relative_to(work)): path.read_bytes() for path in (work / "out").rglob("*.ko")} | {
        path.name: path.read_bytes() for path in (work / "out/boot").iterdir()
    }


def from_nothing(tree: Path, work: Path) -> dict[str, bytes]:
    shutil.rmtree(work / "obj")
    again(tree, work)
    return products(work)


@pytest.mark.usefixtures("recorder")
@pytest.mark.parametrize(
    ("path", "old", "new", "folders"),
    [
        (SND, '"snd"', '"sn2"', ["sound", "sound/core"]),
        ("kernel/printk.c", "{", "{ /* another */", ["kernel"]),
        ("drivers/net/vxlan/vxlan_core.c", "{", "{ /* another */", ["drivers", "drivers/net", "drivers/net/vxlan"]),
    ],
)
def test_make_looks_into_the_folders_of_what_has_changed(
    tree: Path, work: Path, path: str, old: str, new: str, folders: list[str]
) -> None:
    change(tree / path, old, new)
    log = again(tree, work)
    assert f"of the folders make looks into {' '.join(folders)} alone" in log
    assert looked_into(work) == folders
    assert any(path.replace(".c", ".o") in line for line in log if line.startswith("  CC"))
    assert products(work) == from_nothing(tree, work)


def test_the_kernel_is_linked_when_something_of_it_has_changed(tree: Path, work: Path) -> None:
    """It is not for make's having run in another way than before, back and forth."""
    for path, new in ((SND, '"sn2"'), ("sound/core/Makefile", "# another\nobj-"), (SND, '"sn3"')):
        text = (tree / path).read_text()
        (tree / path).write_text(re.sub(r'"sn."|^obj-', new, text, count=1, flags=re.M))
        assert not any("LD      vmlinux" in line for line in again(tree, work))
    change(tree / "kernel/printk.c", "{", "{ /* another */")
    assert any("LD      vmlinux" in line for line in again(tree, work))


@pytest.mark.usefixtures("recorder")
def test_make_looks_into_none_where_nothing_has_changed(tree: Path, work: Path) -> None:
    before = products(work)
    assert "of the folders make looks into none alone" in again(tree, work)
    assert looked_into(work) == []
    assert products(work) == before


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("include/linux/limits.h", "LIMIT 7", "LIMIT 9"),
        ("lib/gen_crc32table.c", "{", "{ /* another */"),
        ("scripts/mod/modpost.c", "{", "{ /* another */"),
        ("sound/core/Makefile", "obj-", "# another\nobj-"),
    ],
)
def test_make_looks_everywhere_for_what_may_be_anywhere(tree: Path, work: Path, path: str, old: str, new: str) -> None:
    change(tree / path, old, new)
    log = again(tree, work)
    assert not any("alone" in line for line in log)
    assert products(work) == from_nothing(tree, work)


def test_make_looks_everywhere_after_one_that_failed(tree: Path, work: Path) -> None:
    change(tree / "kernel/printk.c", "{", "{ int absent = undeclared;")
    again(tree, work, code=1)
    change(tree / "kernel/printk.c", "{ int absent = undeclared;", "{")
    change(tree / SND, '"snd"', '"sn2"')
    assert not any("alone" in line for line in again(tree, work))


def test_make_looks_everywhere_with_another_config(tree: Path, work: Path) -> None:
    config = work / "configured/config"
    change(config, "CONFIG_SND_TIMER=m", "# CONFIG_SND_TIMER is not set")
    change(tree / SND, '"snd"', '"sn2"')
    assert not any("alone" in line for line in again(tree, work))
    assert not list((work / "out").rglob("snd-timer.ko"))


def test_what_was_not_made_is_made_by_looking_everywhere(tree: Path, work: Path) -> None:
    log = work / "log/narrow.log"
    make = Make(log, dict(os.environ), 1)
    kept = ObjectTree(folder=work / "obj", tree=tree, srcarch="x86", recipe={})
    kept.part = Part(frozenset({"sound/core/snd.o"}), time.time_ns())
    words = ["make", "-C", str(tree), f"O={work / 'obj'}", "ARCH=x86_64", "bzImage", "modules"]
    compiling.make_all(words, make, kept)
    commands = [line.split() for line in log.read_text().splitlines() if line.startswith("$ ")]
    assert [line[1:] for line in commands] == [[*words, "MAKE=make"], words]
    assert "make looks into all folders: it has not made all that it should have" in log.read_text()


# What follows from kbuild's notes.


@pytest.fixture
def obj(tmp_path: Path) -> Path:
    return tmp_path / "obj"


def note(obj: Path, name: str, target: str, *files: str, command: str = "gcc -c") -> None:
    """A note as fixdep writes it."""
    path = obj / name
    path.parent.mkdir(parents=True, exist_ok=True)
    deps = "".join(f"  {file} \\\n" for file in files)
    path.write_text(
        f"savedcmd_{target} := {command} ; true\n\nsource_{target} := {files[0]}\n\ndeps_{target} := \\\n{deps}"
    )


def part(obj: Path, *changed: str) -> Part | None:
    notes = [str(path.relative_to(obj)) for path in obj.rglob(".*.cmd")]
    return narrow.part_of(obj, Path("/src"), notes, changed, 1000)


def test_an_object_is_made_of_what_its_note_names(obj: Path) -> None:
    note(obj, "net/core/.dev.o.cmd", "net/core/dev.o", "/src/net/core/dev.c", "/src/net/core/dev.h")
    note(obj, "net/.socket.o.cmd", "net/socket.o", "/src/net/socket.c", "/src/net/core/../core/dev.h")
    note(obj, "fs/.dev.o.cmd", "fs/dev.o", "/src/fs/dev.c")
    assert part(obj, "net/core/dev.c") == Part(frozenset({"net/core/dev.o"}), 1000)
    assert part(obj, "net/core/dev.h") == Part(frozenset({"net/core/dev.o", "net/socket.o"}), 1000)
    found = part(obj, "net/core/dev.c", "fs/dev.c")
    assert found and found.folders == ["fs", "net", "net/core"]
    assert part(obj) == Part(frozenset(), 1000)


def test_sources_may_be_named_from_the_object_tree_on(obj: Path) -> None:
    note(obj, "net/.core.o.cmd", "net/core.o", "../src/net/core.c")
    found = narrow.part_of(obj, obj.parent / "src", ["net/.core.o.cmd"], ["net/core.c"], 1000)
    assert found and found.objects == {"net/core.o"}


@pytest.mark.parametrize(
    ("name", "target", "file"),
    [
        ("kernel/.bounds.s.cmd", "kernel/bounds.s", "kernel/bounds.c"),
        ("lib/.gen.cmd", "lib/gen", "lib/gen.c"),
        ("scripts/.sorttable.o.cmd", "scripts/sorttable.o", "lib/sort.c"),
        ("arch/x86/purgatory/.sha256.o.cmd", "arch/x86/purgatory/sha256.o", "lib/sha256.c"),
        ("virt/kvm/.kvm_main.o.cmd", "arch/x86/kvm/../../../virt/kvm/kvm_main.o", "virt/kvm/kvm_main.c"),
    ],
)
def test_what_is_no_object_of_its_folder_is_not_known(obj: Path, name: str, target: str, file: str) -> None:
    note(obj, name, target, f"/src/{file}")
    note(obj, "net/.core.o.cmd", "net/core.o", "/src/net/core.c", f"/src/{file}")
    assert part(obj, file) is None
    assert part(obj, "net/core.c") is not None


def test_a_command_that_reads_a_source_counts(obj: Path) -> None:
    note(obj, "net/.core.o.cmd", "net/core.o", "/src/net/core.c")
    note(
        obj, "net/.names.h.cmd", "net/names.h", "/src/net/x.awk", command="(awk -f x.awk /src/net/core.c) > net/names.h"
    )
    assert part(obj, "net/core.c") is None


@pytest.mark.parametrize("path", ["net/new.c", "net/Makefile", "net/core.txt", "include/linux/net.h", "tools/a.c"])
def test_what_no_object_names_is_not_known(obj: Path, path: str) -> None:
    note(obj, "net/.core.o.cmd", "net/core.o", "/src/net/core.c", "/src/include/linux/net.h", "/src/net/core.txt")
    assert part(obj, path) is None
