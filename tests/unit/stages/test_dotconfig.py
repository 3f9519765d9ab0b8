from __future__ import annotations

import pytest

from builder.stages import dotconfig
from builder.stages.common import StageError
from builder.stages.dotconfig import Option, config_values, merge, parse_config, set_options

TEXT = """\
# a comment
CONFIG_EXT4_FS=m
# CONFIG_DEBUG_INFO is not set
CONFIG_SND=n

CONFIG_LOG_BUF_SHIFT=17
CONFIG_PHYSICAL_START=0x1000000
CONFIG_CMDLINE="root=\\"x\\" y"
CONFIG_OFFSET=-1
"""


def test_every_kind_of_value_is_read_with_its_line() -> None:
    options = parse_config(TEXT, "config/kernel-config")
    assert [(option.name, option.value, option.line) for option in options] == [
        ("EXT4_FS", "m", 2),
        ("DEBUG_INFO", "n", 3),
        ("SND", "n", 4),
        ("LOG_BUF_SHIFT", "17", 6),
        ("PHYSICAL_START", "0x1000000", 7),
        ("CMDLINE", '"root=\\"x\\" y"', 8),
        ("OFFSET", "-1", 9),
    ]
    assert {option.where for option in options} == {"config/kernel-config"}


def test_bytes_and_lines_that_end_in_cr_are_read() -> None:
    assert len(parse_config(TEXT.replace("\n", "\r\n").encode(), "x")) == 7


@pytest.mark.parametrize(
    ("content", "what", "line"),
    [
        ("", "sets no CONFIG_ option", 1),
        ("# nothing\n\n", "sets no CONFIG_ option", 1),
        ("\n<!DOCTYPE html>\n<html>\n", "an HTML page", 2),
        (b"\n\x7fELF\x02\x00\x00", "binary", 2),
        (b"CONFIG_A=y\n# caf\xe9\n", "not text in UTF-8", 2),
        ("CONFIG_A=y\nCONFIG_B = y\n", "not a line of a kernel config: CONFIG_B = y", 2),
        ("CONFIG_A=y\nCONFIG_B=yes\n", "not a line of a kernel config: CONFIG_B=yes", 2),
        ("CONFIG_A=y\nB=y\n", "not a line of a kernel config: B=y", 2),
        ('CONFIG_A="x\n', "not a line", 1),
    ],
)
def test_what_is_no_config_is_refused_with_its_line(content: bytes | str, what: str, line: int) -> None:
    with pytest.raises(StageError, match=what) as caught:
        dotconfig.check_config(content, "config/kernel-config")
    assert (caught.value.where, caught.value.line) == ("config/kernel-config", line)
    assert caught.value.hint


def test_a_later_file_wins_and_stands_last() -> None:
    first = parse_config("CONFIG_A=y\nCONFIG_B=y\n", "first")
    second = parse_config("CONFIG_A=m\n", "second")
    merged = merge(first, second)
    assert list(merged) == ["B", "A"]
    assert (merged["A"].value, merged["A"].where) == ("m", "second")


def test_a_written_config_reads_back_the_same() -> None:
    values = {option.name: option.value for option in parse_config(TEXT, "x")}
    text = dotconfig.format_config(values)
    assert "# CONFIG_SND is not set\n" in text
    assert {option.name: option.value for option in parse_config(text, "x")} == values


def test_a_whole_config_is_told_from_a_minimal_one() -> None:
    minimal = parse_config(TEXT, "x")
    assert not dotconfig.is_full(TEXT, minimal)
    assert dotconfig.is_full("#\n# Automatically generated file; DO NOT EDIT.\n" + TEXT, minimal)
    many = [Option(name=f"A{number}", value="y", where="x", line=number) for number in range(1501)]
    assert dotconfig.is_full("", many)


@pytest.mark.parametrize(
    ("asked", "got", "kept"),
    [("y", "y", True), ("n", "n", True), ('""', "n", True), ("m", "y", False), ("y", "n", False), ("17", "18", False)],
)
def test_what_counts_as_kept(asked: str, got: str, kept: bool) -> None:
    assert dotconfig.is_kept(asked, got) is kept


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_the_options_that_are_set(start: str, end: str) -> None:
    """As in a strict reading, whatever the ends of lines; of other lines nothing is taken."""
    lines = ["CONFIG_B=y", "# CONFIG_A is not set", 'CONFIG_C="x=y"', "CONFIG_D=-1"]
    text = start + end.join([*lines, ""])
    found = {"CONFIG_B": "y", "CONFIG_C": '"x=y"', "CONFIG_D": "-1"}
    assert set_options(text) == found
    strict = config_values(text.encode(), "x")
    assert {f"CONFIG_{name}": value for name, value in strict.items() if value != "n"} == found
    other = f"<html>{end} CONFIG_E=y{end}CONFIG_F=gcc (Debian 14.2){end}#CONFIG_G=y"
    assert set_options(other) == {"CONFIG_F": "gcc (Debian 14.2)"}
