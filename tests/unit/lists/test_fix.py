from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.lists.fix import HEADING, Change, apply, without_duplicates
from builder.lists.model import Kernel, Policy
from builder.lists.run import fixed, unsure_of
from builder.settings import ListRule
from builder.stages.modules import Module, ModuleSet
from tests.unit.lists.kernels import BASE, BTRFS, HASH, NIC, NVME, XOR, kernel, texts

PARTS = """\
# What a machine boots from.

# Disks
kernel/drivers/ata/ahci.ko
kernel/drivers/ata/libata.ko
kernel/drivers/nvme/host/nvme.ko  # NVMe

# Networks; not in order
kernel/drivers/net/veth.ko
kernel/drivers/net/bonding.ko
kernel/net/core/x.ko
"""


def add(text: str, *paths: str) -> str:
    return apply(text, [Change(path=path) for path in paths])


def added(before: str, after: str) -> list[tuple[int, str]]:
    """The lines that are new, with their index; fails when anything else changed."""
    new, rows = after.splitlines(), iter(enumerate(after.splitlines()))
    found = []
    for line in before.splitlines():
        for index, row in rows:
            if row == line:
                break
            found.append((index, row))
        else:
            pytest.fail(f"{line!r} is gone from {new}")
    return [*found, *rows]


def test_a_sorted_list_stays_sorted() -> None:
    text = "# all\nkernel/b.ko\nkernel/d.ko # why\nkernel/f.ko\n"
    after = add(text, "kernel/e.ko", "kernel/a.ko", "kernel/g.ko")
    assert after == "# all\nkernel/a.ko\nkernel/b.ko\nkernel/d.ko # why\nkernel/e.ko\nkernel/f.ko\nkernel/g.ko\n"


@pytest.mark.parametrize(
    ("path", "index"),
    [
        ("kernel/drivers/ata/ata_piix.ko", 4),
        ("kernel/drivers/ata/a.ko", 3),
        ("kernel/drivers/nvme/host/nvme-tcp.ko", 5),
        ("kernel/drivers/net/dummy.ko", 10),
        ("kernel/net/core/a.ko", 11),
    ],
)
def test_a_line_goes_to_its_neighbours(path: str, index: int) -> None:
    assert added(PARTS, add(PARTS, path)) == [(index, path)]


def test_what_has_no_neighbours_gets_a_part_of_its_own_once() -> None:
    once = add(PARTS, "kernel/sound/snd.ko", "kernel/fs/xfs/xfs.ko")
    rows = ["", HEADING, "kernel/fs/xfs/xfs.ko", "kernel/sound/snd.ko"]
    assert [row for _, row in added(PARTS, once)] == rows
    again = add(once, "kernel/fs/zonefs/zonefs.ko")
    assert again == once.replace("kernel/sound", "kernel/fs/zonefs/zonefs.ko\nkernel/sound")
    assert add("", "kernel/a.ko") == "kernel/a.ko\n"
    assert add("# empty\n", "kernel/a.ko") == "# empty\nkernel/a.ko\n"


def test_line_ends_and_a_missing_last_one_are_respected() -> None:
    assert add("kernel/a.ko\r\nkernel/c.ko\r\n", "kernel/b.ko") == "kernel/a.ko\r\nkernel/b.ko\r\nkernel/c.ko\r\n"
    assert add("kernel/a.ko", "kernel/b.ko") == "kernel/a.ko\nkernel/b.ko\n"
    assert add("kernel/b.ko", "kernel/a.ko") == "kernel/a.ko\nkernel/b.ko"
    assert add("\ufeffkernel/b.ko\n", "kernel/c.ko") == "\ufeffkernel/b.ko\nkernel/c.ko\n"


def test_what_is_listed_stays_alone() -> None:
    assert add(PARTS, "kernel/drivers/nvme/host/nvme.ko") == PARTS
    assert apply(PARTS, []) == PARTS


def test_a_moved_module_is_added_below_its_line_or_written_over_it() -> None:
    change = Change(path="kernel/drivers/nvme/new/nvme.ko", moved_from="kernel/drivers/nvme/host/nvme.ko")
    assert added(PARTS, apply(PARTS, [change])) == [(6, change.path)]
    over = Change(path=change.path, moved_from=change.moved_from, replace=True)
    assert apply(PARTS, [over]) == PARTS.replace("nvme/host", "nvme/new")


def test_duplicates_go_and_comments_stay() -> None:
    text = "kernel/a.ko\n# b\nkernel/b.ko\n\nkernel/a.ko\nkernel/b.ko  # why\nkernel/c.ko # x\nkernel/c.ko # y\n"
    after = "kernel/a.ko\n# b\n\nkernel/b.ko  # why\nkernel/c.ko # x\nkernel/c.ko # y\n"
    assert without_duplicates(text) == after
    assert without_duplicates(PARTS) == PARTS


_PATHS = st.sampled_from(
    [f"kernel/{folder}{name}.ko" for folder in ("", "net/", "drivers/net/", "drivers/net/a/") for name in "abcd"]
)
_LINES = st.lists(st.one_of(_PATHS, st.sampled_from(["", "# note", "  ", "kernel/net/*", "kernel/net/z.ko # why"])))


@given(lines=_LINES, paths=st.sets(_PATHS), ends=st.sampled_from(["\n", "\r\n", ""]))
def test_whatever_the_list_is_its_lines_stay_and_the_new_ones_are_there(
    lines: list[str], paths: set[str], ends: str
) -> None:
    text = "".join(f"{line}{ends or chr(10)}" for line in lines)
    text = text if ends else text.removesuffix("\n")
    after = add(text, *sorted(paths))
    new = [line for _, line in added(text, after)]
    assert sorted(line for line in new if line not in ("", HEADING)) == sorted(paths - set(lines))
    assert add(after, *sorted(paths)) == after
    assert after.count("\r\n") in (0, after.count("\n"))


@pytest.fixture
def small(tmp_path: Path) -> Kernel:
    return kernel(tmp_path)


def test_rules_decide_what_fix_adds_where(small: Kernel) -> None:
    rules = (ListRule(glob="kernel/crypto/**", to="core"), ListRule(glob="kernel/drivers/net/**", to="error"))
    after, left = fixed(texts(f"{BTRFS}\n"), small, Policy(rules=rules), replace_moved=False)
    # What a machine may need to boot goes to the kernel package where no rule says otherwise.
    assert after.main == f"{HASH}\n{NVME}\n{BTRFS}\n"
    assert after.extra == ""
    assert [item.path for item in left] == [NIC]


def test_fix_of_empty_lists_names_everything_and_a_second_one_nothing(small: Kernel) -> None:
    after, left = fixed(texts("", ""), small, Policy(), replace_moved=False)
    # nvme may be needed to boot, and base goes with it; btrfs too, and xor.
    assert after.main.split() == [NVME, BTRFS, BASE, XOR]
    assert after.extra.split() == [HASH, NIC]
    assert not left
    again, left = fixed(after, small, Policy(), replace_moved=False)
    assert (again.main, again.extra, left) == (after.main, after.extra, [])


def test_a_module_that_moved_stays_in_its_list(small: Kernel) -> None:
    old = "kernel/drivers/net/nic.ko  # ours"
    rules = (ListRule(glob="**", to="error"),)
    before = texts(f"{BTRFS}\n{NVME}\n{old}\n", f"{HASH}\n")
    after, left = fixed(before, small, Policy(rules=rules), replace_moved=False)
    assert (after.main, after.extra, left) == (f"{before.main}{NIC}\n", before.extra, [])
    after, _ = fixed(before, small, Policy(rules=rules), replace_moved=True)
    assert after.main == before.main.replace("net/nic.ko", "net/new/nic.ko")
    # A module that comes along with another has no line of its own yet: the old one is of use.
    before = texts(f"{BTRFS}\n{NVME}\nkernel/old/xor.ko\n", f"{HASH}\n{NIC}\n")
    after, _ = fixed(before, small, Policy(), replace_moved=True)
    assert after.main == before.main.replace("kernel/old/xor.ko", XOR)


@pytest.mark.parametrize("name", ["a #b", "a\nkernel/c", "a*", "[ab]", " a", "\x1b[2J"])
def test_a_path_that_cannot_be_a_line_is_left_to_the_user(tmp_path: Path, name: str) -> None:
    odd = f"kernel/{name}.ko" if name != " a" else "kernel/b.ko "
    built = ModuleSet(
        modules={odd: Module(path=odd, size=1)}, names={}, aliases={}, builtin={}, builtin_aliases=frozenset()
    )
    found = kernel(tmp_path, built=built)
    after, left = fixed(texts("# none\n"), found, Policy(), replace_moved=False)
    assert (after.main, after.extra) == ("# none\n", "")
    assert [(item.path, item.why) for item in left] == [(odd, "its path cannot be a line of a list")]


def test_fix_leaves_out_what_may_come_along(tmp_path: Path) -> None:
    """Its first compile tells; but a line that names it by its former path is brought up to date."""
    new = kernel(tmp_path, unseen=frozenset({NVME}), needs={NVME: (HASH, NIC)})
    before = texts(f"{BTRFS}\n{NVME}\n", "kernel/drivers/net/nic.ko\n")
    after, left = fixed(before, new, Policy(), replace_moved=False)
    assert (after.main, after.extra, left) == (before.main, f"kernel/drivers/net/nic.ko\n{NIC}\n", [])
    assert [item.path for item in unsure_of(after, new, Policy())] == [HASH]
