"""What of an object tree a change makes stale, by what kbuild has noted there."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import pytest

from builder.stages.affected import Change, part_of
from builder.stages.narrow import Part
from builder.stages.optionfolders import Makefiles


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


def part(obj: Path, *changed: str, tree: str = "/src", options: Collection[str] | None = None) -> Part | None:
    files = [str(path.relative_to(obj)) for path in obj.rglob("*") if path.is_file()]
    makefiles = Makefiles(tree=Path(tree), paths=(), srcarch="x86", entered=())
    return part_of(obj, files, makefiles, Change(sources=changed, options=options, since=1000))


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
    found = part(obj, "net/core.c", tree=str(obj.parent / "src"))
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


def collected(obj: Path, note: str, target: str, command: str) -> None:
    """A note of what has no list of dependencies."""
    (obj / note).parent.mkdir(parents=True, exist_ok=True)
    (obj / note).write_text(f"savedcmd_{target} := {command}\n")


def test_what_objects_of_other_folders_are_linked_in_is_made(obj: Path) -> None:
    note(obj, "net/.core.o.cmd", "net/core.o", "/src/net/core.c")
    note(obj, "net/.dev.o.cmd", "net/dev.o", "/src/net/dev.c")
    collected(obj, "fs/nfs/.nfs.mod.cmd", "fs/nfs/nfs.mod", "printf '%s\\n' inode.o ../../net/core.o > fs/nfs/nfs.mod")
    collected(obj, "lib/.built-in.a.cmd", "lib/built-in.a", "ar cDPrST lib/built-in.a lib/../net/dev.o")
    for source, folder in (("net/core.c", "fs/nfs"), ("net/dev.c", "lib")):
        found = part(obj, source)
        assert found and found.alone == {folder}


def test_objects_are_made_again_for_the_options_that_they_ask_for(obj: Path) -> None:
    asks = "$(wildcard include/config/{})"
    note(obj, "net/.core.o.cmd", "net/core.o", "/src/net/core.c", asks.format("NET_NS"))
    note(obj, "net/.dev.o.cmd", "net/dev.o", "/src/net/dev.c", asks.format("NET"))
    note(obj, "kernel/.bounds.s.cmd", "kernel/bounds.s", "/src/kernel/bounds.c", asks.format("NR_CPUS"))
    found = part(obj, options=["NET"])
    assert found and found.objects == {"net/dev.o"}
    assert found.folders == ["net", "scripts/*"]
    assert part(obj, options=[]) == Part(frozenset(), 1000, whole=frozenset({"scripts"}))
    assert part(obj, options=["NR_CPUS"]) is None


def test_options_that_are_noted_by_other_names_are_not_known(obj: Path) -> None:
    """Before Linux 5.14 CONFIG_NET_NS is include/config/net/ns.h."""
    note(obj, "net/.core.o.cmd", "net/core.o", "/src/net/core.c", "$(wildcard include/config/net/ns.h)")
    (obj / "include/config/net").mkdir(parents=True)
    (obj / "include/config/net/ns.h").touch()
    assert part(obj, options=["NET_NS"]) is None
    assert part(obj, "net/core.c") is not None


def test_a_header_that_is_made_anew_is_seen(obj: Path) -> None:
    note(obj, "net/.core.o.cmd", "net/core.o", "/src/net/core.c")
    for name in ("lib/table.h", "include/generated/autoconf.h", "arch/x86/boot/zoffset.h"):
        (obj / name).parent.mkdir(parents=True, exist_ok=True)
        (obj / name).touch()
    found = part(obj, options=[])
    assert found and found.headers == ("lib/table.h",)
    assert not found.is_made(obj)
    os.utime(obj / "lib/table.h", ns=(1000, 1000))
    assert found.is_made(obj)
