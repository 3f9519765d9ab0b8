from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from builder.stages.common import StageError
from builder.stages.lists import parse_list
from builder.stages.modules import ModuleSet, pre_softdeps, scan
from builder.stages.split import (
    EXTRA_LIST,
    MAIN_LIST,
    Known,
    Lists,
    absent,
    decide,
    describe,
    drop_empty,
    index,
    not_built,
    place,
)
from tests.unit.stages.elfs import write_module
from tests.unit.stages.faketree import MODULES, RELEASE, run_stage

NOTHING = Known(options={}, config={})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A lib/modules/RELEASE with a file system, its libraries, and a driver that needs nothing."""
    write_module(tmp_path, "kernel/fs/btrfs/btrfs.ko", depends="raid6-pq,xor", softdep="pre: crypto-hash64 sha256")
    write_module(tmp_path, "kernel/lib/raid6/raid6_pq.ko", depends="base")
    write_module(tmp_path, "kernel/lib/base.ko", depends="")
    write_module(tmp_path, "kernel/lib/xor.ko", depends="")
    write_module(tmp_path, "kernel/crypto/hash_generic.ko", depends="base", alias=["crypto-hash64", "pci:v*"])
    write_module(
        tmp_path, "kernel/drivers/net/nic.ko", depends="base", firmware=["nic/b.fw", "nic/a.fw"], license="GPL"
    )
    (tmp_path / "modules.builtin").write_text("kernel/crypto/sha256_generic.ko\nkernel/fs/ext4/ext4.ko\n")
    (tmp_path / "modules.builtin.modinfo").write_bytes(b"sha256_generic.alias=sha256\0ext4.license=GPL\0")
    (tmp_path / "modules.order").write_text("kernel/lib/base.ko\n")
    return tmp_path


def lists(main: str, extra: str = "") -> Lists:
    return Lists(main=parse_list(main, MAIN_LIST), extra=parse_list(extra, EXTRA_LIST))


def whats(warnings: Sequence[dict[str, Any]]) -> list[tuple[str, int | None, str]]:
    return [(found["where"], found["line"], found["what"]) for found in warnings]


def reasons(built: ModuleSet, main: str, known: Known = NOTHING) -> list[str]:
    return [what.split(": ", 1)[1] for _, _, what in whats(not_built(built, lists(main), known))]


def test_dependencies_follow_a_module_transitively_and_the_kernel_package_wins(root: Path) -> None:
    built = scan(root)
    split = decide(
        built, lists("kernel/fs/btrfs/btrfs.ko\n", "kernel/drivers/net/nic.ko\nkernel/lib/xor.ko\nkernel/crypto/*\n")
    )
    assert split.main == {
        "kernel/fs/btrfs/btrfs.ko",
        "kernel/lib/base.ko",
        "kernel/lib/raid6/raid6_pq.ko",
        "kernel/lib/xor.ko",
    }
    assert split.extra == {"kernel/drivers/net/nic.ko", "kernel/crypto/hash_generic.ko"}
    assert not_built(built, lists("", "kernel/lib/xor.ko\n"), NOTHING) == []  # it moved as a dependency


def test_dependencies_of_the_extras_come_along_too(root: Path) -> None:
    split = decide(scan(root), lists("kernel/lib/xor.ko\n", "kernel/fs/**\nkernel/drivers/**\nkernel/crypto/**\n"))
    assert split.main == {"kernel/lib/xor.ko"}
    assert "kernel/lib/base.ko" in split.extra
    assert "kernel/lib/base.ko" not in split.listed


@pytest.mark.parametrize(
    ("main", "extra", "in_main"),
    [
        ("kernel/lib/*\n", "kernel/lib/xor.ko\n", {"kernel/lib/base.ko"}),  # a path wins over a pattern
        ("kernel/lib/xor.ko\n", "kernel/lib/*\n", {"kernel/lib/xor.ko"}),
        ("kernel/lib/*\n", "kernel/**\n", {"kernel/lib/base.ko", "kernel/lib/xor.ko"}),  # of patterns, the kernel's
        # … unless it is needed there.
        (
            "kernel/lib/**\n",
            "kernel/lib/base.ko\n",
            {"kernel/lib/raid6/raid6_pq.ko", "kernel/lib/xor.ko", "kernel/lib/base.ko"},
        ),
    ],
)
def test_a_path_wins_over_a_pattern_of_the_other_list(root: Path, main: str, extra: str, in_main: set[str]) -> None:
    split = decide(scan(root), lists(main, extra), unlisted="extra")
    assert split.main == in_main
    assert (split.main & split.extra, split.main | split.extra) == (set(), set(scan(root).modules))


def test_where_the_lists_put_modules_is_told_also_when_they_miss_some(root: Path) -> None:
    placed = place(scan(root), lists("kernel/lib/xor.ko\n", "kernel/drivers/**\n"))
    assert (placed.main, placed.named_extra) == ({"kernel/lib/xor.ko"}, {"kernel/drivers/net/nic.ko"})
    assert placed.extra == {"kernel/drivers/net/nic.ko", "kernel/lib/base.ko"}
    assert placed.rest == {
        "kernel/crypto/hash_generic.ko",
        "kernel/fs/btrfs/btrfs.ko",
        "kernel/lib/raid6/raid6_pq.ko",
    }


def test_modules_that_no_list_names_stop_the_build_each_with_its_line(root: Path) -> None:
    with pytest.raises(StageError) as caught:
        decide(scan(root), lists("kernel/fs/btrfs/btrfs.ko\n"))
    assert caught.value.what == "2 built modules are in no list"
    assert caught.value.details == ["kernel/crypto/hash_generic.ko", "kernel/drivers/net/nic.ko"]
    assert "modules-extra.list" in caught.value.hint


def test_an_unlisted_module_that_moved_says_where_it_was_listed(root: Path) -> None:
    with pytest.raises(StageError) as caught:
        decide(
            scan(root), lists("kernel/**/btrfs.ko\nkernel/drivers/**\n", "# moved\nkernel/crypto/old/hash-generic.ko\n")
        )
    (detail,) = caught.value.details
    assert (
        detail
        == "kernel/crypto/hash_generic.ko  # lists/modules-extra.list:2 has it as kernel/crypto/old/hash-generic.ko"
    )
    assert parse_list(detail, EXTRA_LIST)[0].path == "kernel/crypto/hash_generic.ko"  # the line can be added as it is


def test_policy_sends_unlisted_modules_to_the_extras(root: Path) -> None:
    split = decide(scan(root), lists("kernel/fs/btrfs/btrfs.ko\n"), unlisted="extra")
    assert split.extra == {"kernel/crypto/hash_generic.ko", "kernel/drivers/net/nic.ko"}
    assert split.listed == {"kernel/fs/btrfs/btrfs.ko"}


def test_a_soft_dependency_in_the_extras_is_reported_at_the_line_that_puts_it_there(root: Path) -> None:
    split = decide(scan(root), lists("kernel/fs/**\n", "kernel/drivers/**\nkernel/crypto/hash_generic.ko\n"))
    assert whats(split.warnings) == [
        (
            EXTRA_LIST,
            2,
            "kernel/fs/btrfs/btrfs.ko of the kernel package has the soft dependency crypto-hash64, which is in the "
            "extras: kernel/crypto/hash_generic.ko",
        )
    ]
    assert split.warnings[0]["kind"] == "softdep-in-extra"


def test_a_soft_dependency_that_is_in_the_kernel_package_or_built_in_is_not_reported(root: Path) -> None:
    listed = lists("kernel/fs/**\nkernel/crypto/**\n", "kernel/drivers/**\n")
    assert decide(scan(root), listed).warnings == []
    (root / "modules.builtin.modinfo").write_bytes(b"hash.alias=crypto-hash64\0sha256_generic.alias=sha256\0")
    listed = lists("kernel/fs/**\n", "kernel/drivers/**\nkernel/crypto/**\n")
    assert decide(scan(root), listed).warnings == []


def test_policy_pulls_soft_dependencies_with_what_they_need(root: Path) -> None:
    write_module(root, "kernel/crypto/hash_generic.ko", depends="hashlib", alias="crypto-hash64", softdep="pre: more")
    write_module(root, "kernel/lib/hashlib.ko", depends="")
    write_module(root, "kernel/lib/more.ko", depends="")
    listed = lists("kernel/fs/**\n", "kernel/drivers/**\nkernel/crypto/**\nkernel/lib/more.ko\n")
    split = decide(scan(root), listed, softdeps="pull")
    assert {"kernel/crypto/hash_generic.ko", "kernel/lib/hashlib.ko", "kernel/lib/more.ko"} <= split.main
    assert split.listed == {"kernel/fs/btrfs/btrfs.ko", "kernel/drivers/net/nic.ko"}
    assert split.warnings == []


def test_modules_outside_kernel_stay_in_the_kernel_package(root: Path) -> None:
    """Unless modules-extra.list names them by their path, and nothing in the kernel package needs them."""
    write_module(root, "updates/zfs.ko", depends="spl")
    write_module(root, "extra/spl.ko", depends="xor")
    write_module(root, "extra/vhba.ko", depends="")
    split = decide(scan(root), lists("kernel/fs/**\n", "extra/spl.ko\nextra/vhba.ko\n"), unlisted="extra")
    assert {"updates/zfs.ko", "extra/spl.ko", "kernel/lib/xor.ko"} <= split.main
    assert "extra/vhba.ko" in split.extra
    assert [warning for warning in split.warnings if warning["kind"] != "softdep-in-extra"] == []
    split = decide(scan(root), lists("kernel/fs/**\n", "extra/**\n"), unlisted="extra")
    assert {"updates/zfs.ko", "extra/spl.ko", "extra/vhba.ko"} <= split.main


def test_an_external_module_with_the_name_of_a_kernel_module_goes_to_updates(root: Path) -> None:
    everything = lists("kernel/**\n")
    write_module(root, "updates/raid6-pq.ko", depends="")
    assert "updates/raid6-pq.ko" in decide(scan(root), everything).main
    write_module(root, "extra/hash-generic.ko", depends="")
    with pytest.raises(StageError, match=r"a kernel module of this name exists: extra/hash-generic\.ko") as caught:
        decide(scan(root), everything)
    assert "install: updates" in caught.value.hint


def test_why_a_listed_module_was_not_built(root: Path) -> None:
    known = Known(
        options={
            "kernel/fs/ext4/ext4.ko": "CONFIG_EXT4_FS",
            "kernel/fs/fat/fat.ko": "CONFIG_FAT_FS",
            "kernel/net/new/vsock.ko": "CONFIG_VSOCK",
            "kernel/net/odd.ko": "CONFIG_ODD",
        },
        config={"CONFIG_EXT4_FS": "y", "CONFIG_ODD": "m"},
    )
    main = (
        "kernel/fs/ext4/ext4.ko\nkernel/crypto/old/sha256-generic.ko\nkernel/fs/fat/fat.ko\nkernel/net/vsock.ko\n"
        "kernel/old/nic.ko\nkernel/net/odd.ko\nkernel/nowhere.ko\nkernel/drivers/net/*\nkernel/empty/*\n"
    )
    assert reasons(scan(root), main.rsplit("\n", 2)[0], known) == [
        "built in (CONFIG_EXT4_FS=y)",
        "built in as kernel/crypto/sha256_generic.ko",
        "CONFIG_FAT_FS is not set",
        "moved to kernel/net/new/vsock.ko, and CONFIG_VSOCK is not set",
        "moved to kernel/drivers/net/nic.ko",
        "CONFIG_ODD is m",
        "unknown in this kernel",
    ]
    assert whats(not_built(scan(root), lists(main), known))[-1] == (
        MAIN_LIST,
        9,
        "kernel/empty/* matches no built module",
    )


def test_a_line_that_names_nothing_has_a_kind_and_a_moved_one_the_new_path(root: Path) -> None:
    known = Known(options={"kernel/fs/fat/fat.ko": "CONFIG_FAT_FS"}, config={})
    main = "kernel/old/nic.ko\nkernel/fs/ext4/ext4.ko\nkernel/fs/fat/fat.ko\nkernel/nowhere.ko\nkernel/empty/*\n"
    found = [(line.kind, line.moved_to, line.entry.line) for line in absent(scan(root), lists(main), known)]
    assert found == [
        ("moved", "kernel/drivers/net/nic.ko", 1),
        ("built-in", None, 2),
        ("off", None, 3),
        ("unknown", None, 4),
        ("no-match", None, 5),
    ]


def test_modules_json_says_where_each_module_is_and_what_it_wants(root: Path) -> None:
    built = scan(root)
    split = decide(built, lists("kernel/fs/**\n", "kernel/drivers/**\nkernel/crypto/**\n"))
    told = describe(built, split, {"kernel/drivers/net/nic.ko": "CONFIG_NIC"})
    assert told["kernel/drivers/net/nic.ko"] == {
        "package": "extra",
        "size": (root / "kernel/drivers/net/nic.ko").stat().st_size,
        "depends": ["kernel/lib/base.ko"],
        "softdeps": [],
        "firmware": ["nic/a.fw", "nic/b.fw"],
        "license": "GPL",
        "listed": True,
        "option": "CONFIG_NIC",
    }
    assert told["kernel/fs/btrfs/btrfs.ko"]["option"] is None
    assert told["kernel/fs/btrfs/btrfs.ko"]["softdeps"] == ["crypto-hash64", "sha256"]
    assert (told["kernel/lib/base.ko"]["package"], told["kernel/lib/base.ko"]["listed"]) == ("main", False)


def test_compressed_modules_are_refused_with_the_option_to_change(root: Path) -> None:
    (root / "kernel/fs/fat.ko.zst").write_bytes(b"")
    with pytest.raises(StageError, match=r"1 modules are compressed, for example kernel/fs/fat\.ko\.zst") as caught:
        scan(root)
    assert "CONFIG_MODULE_COMPRESS" in caught.value.hint


def test_softdeps_are_those_before_the_module() -> None:
    assert pre_softdeps(["pre: a b post: c", "post: d", "pre: a e"]) == ("a", "b", "e")


@pytest.fixture
def inputs(compiled: Path, tmp_path: Path) -> list[str | Path]:
    """The arguments to split the fake kernel's real modules: ext4 in the kernel package, the rest in the extras."""
    shutil.copytree(compiled / "out/modules", tmp_path / "modules")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/modules.list").write_text("kernel/fs/ext4/ext4.ko\nkernel/fs/fuse/fuse.ko\n")
    (tmp_path / "lists/modules-extra.list").write_text(
        "kernel/drivers/**\nkernel/sound/core/snd-timer.ko\nkernel/crypto/*\n"
    )
    boot = compiled / "out/boot"
    return [
        *("--modules", tmp_path / "modules", "--lists", tmp_path / "lists", "--config", boot / f"config-{RELEASE}"),
        *("--module-options", compiled / "configured/module-options.json"),
        *("--system-map", boot / f"System.map-{RELEASE}", "--release", RELEASE, "--out", tmp_path / "out"),
    ]


def test_real_modules_are_split_and_the_indexes_name_only_what_ships(inputs: list[str | Path], tmp_path: Path) -> None:
    done = run_stage("split", *inputs)
    assert done.returncode == 0, done.stdout + done.stderr
    main, extra = (tmp_path / "out" / package / "lib/modules" / RELEASE for package in ("main", "extra"))
    in_main = {path.relative_to(main).as_posix() for path in main.rglob("*.ko")}
    in_extra = {path.relative_to(extra).as_posix() for path in extra.rglob("*") if path.is_file()}
    assert in_main == {"kernel/fs/ext4/ext4.ko", "kernel/fs/jbd2/jbd2.ko", "kernel/fs/mbcache.ko"}
    assert in_extra == set(MODULES) - in_main
    indexed = (main / "modules.dep").read_text().replace(":", "").split()
    assert set(indexed) == in_main
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo", "modules.dep.bin"):
        assert (main / name).is_file()
    assert (tmp_path / "out/lists/modules-main.list").read_text().split() == sorted(in_main)
    assert (tmp_path / "out/lists/modules-extra.list").read_text().split() == sorted(in_extra)
    told = json.loads((tmp_path / "out/modules.json").read_text())
    assert sorted(told) == sorted(MODULES)
    assert told["kernel/drivers/net/fakenic.ko"]["firmware"] == ["fakenic/nic-1.bin", "fakenic/nic-2.bin"]
    kinds = [warning["kind"] for warning in json.loads((tmp_path / "out/report.json").read_text())["warnings"]]
    assert sorted(kinds) == ["module-not-built", "softdep-in-extra"]


def test_a_refused_split_moves_nothing(inputs: list[str | Path], tmp_path: Path) -> None:
    (tmp_path / "lists/modules-extra.list").write_text("")
    before = sorted((tmp_path / "modules").rglob("*"))
    done = run_stage("split", *inputs)
    assert done.returncode == 1
    assert '"what": "6 built modules are in no list"' in done.stdout
    assert sorted((tmp_path / "modules").rglob("*")) == before
    assert not (tmp_path / "out").exists()


def test_what_depmod_complains_of_becomes_a_warning(compiled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lib/modules" / RELEASE
    shutil.copytree(compiled / "out/modules/lib/modules" / RELEASE, folder)
    (folder / "kernel/fs/jbd2/jbd2.ko").unlink()
    (tmp_path / "System.map").write_text("ffffffff81000000 r __ksymtab_nothing\n")
    rows = [warning["what"] for warning in index(tmp_path, RELEASE, tmp_path / "System.map")]
    assert any(row.startswith("kernel/fs/ext4/ext4.ko needs unknown symbol ") for row in rows)
    (tmp_path / "System.map").write_text("ffffffff81000000 T _text\n")  # says nothing of exports: nothing to check
    assert index(tmp_path, RELEASE, tmp_path / "System.map") == []


def test_an_empty_index_is_none(tmp_path: Path) -> None:
    for content in (b"", b"\xb0\x07\xf4\x57"):
        (tmp_path / "modules.builtin.alias.bin").write_bytes(content)
        drop_empty(tmp_path / "modules.builtin.alias.bin")
        assert (tmp_path / "modules.builtin.alias.bin").exists() == bool(content)
    drop_empty(tmp_path / "absent")
