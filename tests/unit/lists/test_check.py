from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builder.lists.boot import REASONS, boot_reason
from builder.lists.check import KINDS, check, static_findings
from builder.lists.model import Finding, Kernel, Policy
from builder.settings import ListRule
from builder.stages.common import StageError
from builder.stages.modules import Module
from builder.stages.split import EXTRA_LIST, MAIN_LIST, Lists, decide
from tests.unit.lists.kernels import BASE, BTRFS, HASH, NIC, NVME, OPTIONS, XOR, kernel, texts

GOOD = f"{BTRFS}\n{NVME}\n"
GOOD_EXTRA = f"{HASH}\n{NIC}\n"
PULL = Policy(softdeps="pull")


@pytest.fixture
def small(tmp_path: Path) -> Kernel:
    return kernel(tmp_path)


def seen(findings: list[Finding]) -> list[tuple[str, bool, str | None, int | None]]:
    return [(finding.kind, finding.error, finding.where, finding.line) for finding in findings]


def test_lists_that_name_all_are_good(small: Kernel) -> None:
    assert check(texts(GOOD, GOOD_EXTRA), small, PULL) == []


def test_a_module_in_no_list_is_an_error_with_its_option_and_where_fix_puts_it(small: Kernel) -> None:
    rules = (ListRule(glob="kernel/crypto/*", to="core"), ListRule(glob="**", to="error"))
    (finding,) = check(texts(GOOD, f"{NIC}\n"), small, Policy(rules=rules))
    assert finding.kind == "unlisted" and finding.error
    assert finding.what == f"{HASH} (CONFIG_HASH=m) is in no list"
    assert finding.hint == f"`rosk lists fix` adds it to {MAIN_LIST} (rule kernel/crypto/*)"
    (finding,) = check(texts(GOOD, f"{HASH}\n"), small, Policy(softdeps="pull", rules=rules))
    assert "leaves it to you (rule **)" in finding.hint


def test_what_stops_a_build_is_an_error_here_and_nothing_else(small: Kernel) -> None:
    for main, extra in ((GOOD, GOOD_EXTRA), (GOOD, HASH), (BTRFS, NIC), ("", ""), (XOR, f"{NIC}\nkernel/**/b*.ko")):
        found = texts(main, extra)
        errors = [finding.path for finding in check(found, small, Policy()) if finding.error]
        try:
            decide(small.built, found.lists)
        except StageError as error:
            assert errors == error.details
        else:
            assert errors == []
        assert not [finding for finding in check(found, small, Policy(unlisted="extra")) if finding.error]


def test_dependencies_of_a_listed_module_need_no_line(small: Kernel) -> None:
    assert not {BASE, XOR} & {finding.path for finding in check(texts(GOOD), small, Policy())}


def test_a_module_that_a_new_one_may_depend_on_is_a_warning(tmp_path: Path) -> None:
    new = kernel(tmp_path, unseen=frozenset({NIC}), needs={NIC: (HASH,)})
    found = check(texts(GOOD, f"{NIC}\n"), new, Policy())
    assert [(finding.kind, finding.error) for finding in found if finding.path == HASH] == [("maybe-unlisted", False)]
    assert f"may come along with {NIC}, which was never compiled" in found[0].what
    assert "the first compile tells" in found[0].hint
    # Nobody asks for what only an unlisted module may depend on.
    assert [finding.path for finding in check(texts(GOOD), new, Policy()) if finding.error] == [HASH, NIC]


def test_why_a_line_names_nothing(small: Kernel) -> None:
    main = f"{GOOD}kernel/fs/ext4/ext4.ko\nkernel/fs/fat/fat.ko\nkernel/lib/xorr.ko\nkernel/none.ko\nkernel/none/*\n"
    found = check(texts(main, GOOD_EXTRA), small, PULL)
    assert seen(found) == [
        ("built-in", False, MAIN_LIST, 3),
        ("off", False, MAIN_LIST, 4),
        ("unknown", False, MAIN_LIST, 5),
        ("unknown", False, MAIN_LIST, 6),
        ("no-match", False, MAIN_LIST, 7),
    ]
    assert "CONFIG_EXT4_FS=y" in found[0].what and "CONFIG_FAT_FS is not set" in found[1].what
    assert found[2].hint == f"is it {XOR}?"
    assert "is it" not in found[3].hint


def test_lines_for_external_modules_that_were_never_built_are_notes(small: Kernel) -> None:
    main = f"{GOOD}extra/wire-guard.ko\nupdates/**\nextra/other.ko\n"
    policy = Policy(softdeps="pull", external={"extra": ["wire_guard"], "updates": ["net"]})
    found = check(texts(main, GOOD_EXTRA), small, policy)
    assert [(each.kind, each.path) for each in found] == [
        ("external", "extra/wire-guard.ko"), ("external", "updates/**"), ("external", "extra/other.ko")
    ]  # fmt: skip
    assert not any(each.made_strict().error for each in found)
    assert found[0].hint.endswith("wire_guard") and found[1].hint.endswith("net")
    # Without such modules, or once a build has shown what they are, such a line is what any other is.
    plain = check(texts(main, GOOD_EXTRA), small, PULL)
    assert [each.kind for each in plain] == ["unknown", "no-match", "unknown"]
    modules = {**small.built.modules, "extra/first.ko": Module(path="extra/first.ko", size=0)}
    later = replace(small, built=replace(small.built, modules=modules))
    kinds = [each.kind for each in check(texts(f"{main}extra/first.ko\n", GOOD_EXTRA), later, policy)]
    assert kinds == ["external", "external", "unknown"]


def test_a_moved_module_is_one_error_and_none_when_its_new_path_is_listed(small: Kernel) -> None:
    old = "kernel/drivers/net/nic.ko"
    (finding,) = check(texts(GOOD, f"{HASH}\n{old}\n"), small, PULL)
    assert seen([finding]) == [("moved", True, EXTRA_LIST, 2)]
    assert NIC in finding.what and "--replace-moved" in finding.hint
    (finding,) = check(texts(GOOD, f"{HASH}\n{old}\n{NIC}\n"), small, PULL)
    assert seen([finding]) == [("moved", False, EXTRA_LIST, 2)]


def test_soft_dependencies_and_boot_modules_in_the_extras_are_warnings_at_their_lines(small: Kernel) -> None:
    found = check(texts(f"{BTRFS}\n", f"{NIC}\n{HASH}\n{NVME}\n"), small, Policy())
    assert seen(found) == [("softdep-in-extra", False, EXTRA_LIST, 2), ("boot-in-extra", False, EXTRA_LIST, 3)]
    assert "hash64" in found[0].what and "NVMe" in found[1].what
    # By a pattern, or by policy, they land there as well.
    (finding,) = check(texts(f"{BTRFS}\n", "kernel/drivers/**\n"), small, PULL)
    assert seen([finding]) == [("boot-in-extra", False, None, None)]
    found = check(texts(f"{BTRFS}\n"), small, Policy(softdeps="pull", unlisted="extra"))
    assert [(finding.kind, finding.path) for finding in found] == [
        ("unlisted", NIC), ("unlisted", NVME), ("boot-in-extra", NVME)
    ]  # fmt: skip


def test_all_that_is_wrong_with_the_lines_themselves_is_told_at_once() -> None:
    found = texts(f"/a.ko\n{NIC}\n{NIC}\n", f"{HASH}\n{NIC}\n")
    assert seen(static_findings(found)) == [
        ("malformed", True, MAIN_LIST, 1),
        ("duplicate", True, MAIN_LIST, 3),
        ("in-both", True, EXTRA_LIST, 2),
    ]
    assert isinstance(found.lists, Lists) and [entry.line for entry in found.lists.main] == [2]


def test_every_kind_is_explained_and_names_are_as_kmod_writes_them(small: Kernel) -> None:
    found = check(texts("kernel/a.ko\nkernel/x/*\n", "/b\n"), small, Policy())
    assert {finding.kind for finding in found} <= KINDS.keys()
    assert all(name == name.replace("-", "_") for name in REASONS)
    assert boot_reason("kernel/drivers/usb/storage/usb-storage.ko") == REASONS["usb_storage"]
    assert not set(OPTIONS) & REASONS.keys()
