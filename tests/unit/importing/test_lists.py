"""Lists of os-kernel: unchanged where rosk takes them, mended or commented out where not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.importing.lists import adapt
from builder.stages.lists import FIRMWARE, MODULES, Kind, check_disjoint, parse_list


@pytest.mark.parametrize(
    "text", ["", "\ufeffkernel/a.ko\n", "kernel/a.ko\n\nkernel/b.ko", "# boot\r\nkernel/a.ko # why\r\n", "*\n"]
)
def test_a_list_that_is_right_is_unchanged(text: str) -> None:
    made = adapt(text.encode(), MODULES)
    assert made.data == text.encode()
    assert made.edits == ()


@pytest.mark.parametrize(
    ("text", "lines", "what"),
    [
        ("a/a.ko.zst\n", ["a/a.ko"], "named a compressed module"),
        ("./a/a.ko\n", ["a/a.ko"], "was not in its plain form"),
        ("a/a.ko b/b.ko\n", ["a/a.ko", "b/b.ko"], "has several paths"),
        ("a.ko\na.ko\n", ["a.ko", "# a.ko # rosk import: listed in line 1 already"], "is listed twice"),
        ("a.ko.xz\na.ko\n", ["a.ko", "# a.ko # rosk import: listed in line 1 already"], "is listed twice"),
        ("/a.ko\n", ["# /a.ko # rosk import: /a.ko is an absolute path"], "is refused by rosk"),
        ("../a.ko\n", ["# ../a.ko # rosk import: ../a.ko leaves the folder with `..`"], "is refused by rosk"),
        ("vmlinux\n", ["# vmlinux # rosk import: vmlinux is not a module's path"], "is refused by rosk"),
        ("main.ko\n", ["# main.ko # rosk import: in modules.list too, which wins"], "is in modules.list too"),
    ],
)
def test_what_becomes_of_a_line(text: str, lines: list[str], what: str) -> None:
    made = adapt(f"z/z.ko # kept\n{text}".encode(), MODULES, {"main.ko"})
    lines = [line.replace("line 1", "line 2") for line in lines]
    assert made.data.decode().splitlines() == ["z/z.ko # kept", *lines]
    assert what in made.edits[-1].what or what in made.edits[0].what
    assert all(edit.line > 1 for edit in made.edits)


def test_a_folder_of_firmware() -> None:
    made = adapt(b"brcm/\n", FIRMWARE)
    assert (made.data, made.paths) == (b"brcm/**\n", ("brcm/**",))


def test_the_lines_of_the_same_edit_are_together() -> None:
    made = adapt(b"a.ko\na.ko\nb.ko.gz\na.ko\n", MODULES)
    assert [lines for _, lines in made.said()] == [[2, 4], [3]]


def test_a_path_that_would_be_a_comment() -> None:
    made = adapt(b"./#a.ko\n", MODULES)
    assert (made.paths, made.data) == ((), b"# ./#a.ko # rosk import: it would be a comment\n")


@pytest.mark.parametrize("data", [b"\xff", b"a\0b"])
def test_no_list(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"NUL|decode"):
        adapt(data, MODULES)


_LINES = st.lists(
    st.text(st.sampled_from("ab./*?[]# \t\v\u2028!"), max_size=8) | st.sampled_from(["a.ko", "b/a.ko.zst", "/a.ko"])
)


@given(main=_LINES, extra=_LINES, kind=st.sampled_from([MODULES, FIRMWARE]))
def test_any_lists_become_lists_that_the_reader_takes(main: list[str], extra: list[str], kind: Kind) -> None:
    first = adapt("\n".join(main).encode(), kind)
    second = adapt("\n".join(extra).encode(), kind, set(first.paths))
    lists = [parse_list(made.data, "list", kind) for made in (first, second)]
    assert [tuple(entry.path for entry in entries) for entries in lists] == [first.paths, second.paths]
    check_disjoint(*lists)
