from __future__ import annotations

import pytest

from builder.stages.common import StageError
from builder.stages.lists import FIRMWARE, Entry, check_disjoint, in_both, parse_list, pattern, problem, read_list


def refused(text: str | bytes, **kind: object) -> StageError:
    with pytest.raises(StageError) as caught:
        parse_list(text, "lists/modules.list", **kind)  # type: ignore[arg-type]
    return caught.value


def test_paths_keep_their_line_and_comments_and_blank_lines_are_dropped() -> None:
    text = "# boot\n\nkernel/fs/fat/fat.ko\n  kernel/net/a.ko  # why\r\nkernel/net/b#1.ko\n"
    entries = parse_list(text, "lists/modules.list")
    assert [(entry.path, entry.line) for entry in entries] == [
        ("kernel/fs/fat/fat.ko", 3),
        ("kernel/net/a.ko", 4),
        ("kernel/net/b#1.ko", 5),
    ]
    assert entries[0].place == "lists/modules.list:3"


def test_bytes_and_a_byte_order_mark_are_read() -> None:
    assert parse_list(b"\xef\xbb\xbfkernel/a.ko\n", "l")[0].path == "kernel/a.ko"


def test_firmware_names_may_have_blanks_and_any_ending() -> None:
    (entry,) = parse_list("brcm/brcmfmac4330-sdio.Prowise PT301.txt\n", "lists/firmware.list", FIRMWARE)
    assert entry.path == "brcm/brcmfmac4330-sdio.Prowise PT301.txt"


@pytest.mark.parametrize(
    ("line", "what", "hint"),
    [
        ("/lib/modules/6.12/kernel/a.ko", "absolute", "kernel/fs/overlayfs/overlay.ko"),
        ("kernel/../../etc/a.ko", "`..`", "lib/modules/<release>/"),
        ("lib/modules/6.12/kernel/a.ko", "starts with lib/modules/", "kernel/fs/overlayfs/overlay.ko"),
        ("kernel/fs/ext4/", "a folder", "kernel/fs/ext4/**"),
        ("kernel/fs/ext4", "not a module's path", "overlay.ko"),
        ("kernel//fs/./a.ko", "not in its plain form", "write kernel/fs/a.ko"),
        ("kernel/fs/a.ko.xz", "not a module's path", "write kernel/fs/a.ko"),
        ("kernel/[z-a]/*", "not a pattern", "FOLDER/*"),
    ],
)
def test_a_line_that_is_no_path_is_refused_with_its_line_and_what_to_write(line: str, what: str, hint: str) -> None:
    error = refused(f"kernel/ok.ko\n{line}\n")
    assert (error.where, error.line) == ("lists/modules.list", 2)
    assert what in error.what
    assert hint in error.hint


def test_every_wrong_line_is_told_at_once() -> None:
    error = refused("/a.ko\nkernel/b.ko\nkernel/b.ko\n../c.ko\n")
    assert error.line == 1
    assert error.details == [
        "line 3: kernel/b.ko is listed twice, first in line 2",
        "line 4: ../c.ko leaves the folder with `..`",
    ]


@pytest.mark.parametrize("data", [b"\x7fELF\0\0", b"\xff\xfe\x00k", b"kernel/\xff.ko"])
def test_a_file_that_is_no_text_is_refused(data: bytes) -> None:
    assert "not a text file" in refused(data).what


def test_a_line_of_both_lists_is_refused_at_the_second() -> None:
    main = parse_list("kernel/a.ko\nkernel/b.ko\n", "lists/modules.list")
    extra = parse_list("kernel/c.ko\nkernel/b.ko\n", "lists/modules-extra.list")
    with pytest.raises(StageError, match=r"kernel/b\.ko is in both lists, also at lists/modules\.list:2") as caught:
        check_disjoint(main, extra)
    assert (caught.value.where, caught.value.line) == ("lists/modules-extra.list", 2)
    check_disjoint(main, extra[:1])


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("kernel/net/*", "kernel/net/a.ko", True),
        ("kernel/net/*", "kernel/net/b/a.ko", False),
        ("kernel/net/**", "kernel/net/b/a.ko", True),
        ("kernel/net/**", "kernel/network/a.ko", False),
        ("**/a.ko", "a.ko", True),
        ("**/a.ko", "kernel/b/a.ko", True),
        ("**/a.ko", "kernel/ba.ko", False),
        ("kernel/**/a.ko", "kernel/a.ko", True),
        ("kernel/?.ko", "kernel/a.ko", True),
        ("kernel/?.ko", "kernel//ko", False),
        ("kernel/[ab].ko", "kernel/b.ko", True),
        ("kernel/[!ab].ko", "kernel/b.ko", False),
        ("kernel/[!ab].ko", "kernel/c.ko", True),
        ("kernel/[!a]b.ko", "kernel//b.ko", False),
        ("kernel/a[.ko", "kernel/a[.ko", True),
        ("kernel/a.ko*", "kernel/aXko", False),
        ("*", "kernel/net/b/a.ko", True),
    ],
)
def test_patterns_respect_folders(glob: str, path: str, matches: bool) -> None:
    assert bool(pattern(glob).fullmatch(path)) is matches


def test_a_line_selects_what_it_names() -> None:
    paths = ["kernel/a.ko", "kernel/b.ko", "kernel/c/a.ko"]
    assert Entry(path="kernel/*", where="l", line=1).select(paths) == ["kernel/a.ko", "kernel/b.ko"]
    assert Entry(path="kernel/b.ko", where="l", line=1).select(paths) == ["kernel/b.ko"]


def test_the_lines_that_are_right_are_read_beside_those_that_are_not() -> None:
    entries, problems = read_list("/a.ko\nkernel/b.ko\nkernel/b.ko\nkernel/c.ko\n", "l")
    assert [(entry.path, entry.line) for entry in entries] == [("kernel/b.ko", 2), ("kernel/c.ko", 4)]
    assert [(found.kind, found.entry.place) for found in problems] == [("malformed", "l:1"), ("duplicate", "l:3")]
    (both,) = in_both(entries, parse_list("kernel/c.ko\n", "m"))
    assert (both.kind, both.entry.place, both.what) == ("in-both", "m:1", "kernel/c.ko is in both lists, also at l:4")


def test_a_path_or_pattern_by_itself() -> None:
    assert problem("kernel/net/**") is None and problem("kernel/net/a.ko") is None
    assert "not a module's path" in (problem("kernel/net") or ("",))[0]
    assert problem("nic/firmware.bin", FIRMWARE) is None
