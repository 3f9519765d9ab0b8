"""The symbol tables of objects that gcc compiled, and of damaged ones."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from builder.stages.common import StageError
from builder.verify.elfsymbols import parse_symbols, read_symbols
from tests.unit.verify.subjects import exporting, module, using

pytestmark = pytest.mark.host_programs


def test_what_is_needed(tmp_path: Path) -> None:
    weak = "extern void rarely(void) __attribute__((weak)); void a(void) { if (rarely) rarely(); }"
    found = parse_symbols(module(tmp_path, f"{using('printk', 'kfree')}\n{weak}", license="GPL"))
    assert found.needs == {"printk", "kfree"}
    assert found.weak == {"rarely"}
    assert found.exports == {}
    assert found.modinfo == {"license": ["GPL"]}


def test_exports_and_their_crcs(tmp_path: Path) -> None:
    absolute = 'asm("__crc_b = 0x89abcdef\\n");'
    source = exporting("a", "b", "c", crcs={"a": 0x12345678})
    found = parse_symbols(module(tmp_path, f"{source}\n{absolute}"))
    assert found.exports == {"a": 0x12345678, "b": 0x89ABCDEF, "c": None}
    assert found.needs == frozenset()


def test_versions(tmp_path: Path) -> None:
    """struct modversion_info, and the form of CONFIG_EXTENDED_MODVERSIONS."""
    plain = """
    struct info { unsigned long crc; char name[56]; };
    const struct info v[] __attribute__((section("__versions"))) = {{0xfedcba98, "module_layout"}, {1, "printk"}};
    """
    assert parse_symbols(module(tmp_path, plain)).versions == {"module_layout": 0xFEDCBA98, "printk": 1}
    extended = """
    const unsigned crcs[] __attribute__((section("__version_ext_crcs"))) = {5, 6};
    const char names[] __attribute__((section("__version_ext_names"))) = "a_very_long_name\\0printk";
    """
    assert parse_symbols(module(tmp_path, extended)).versions == {"a_very_long_name": 5, "printk": 6}


@pytest.mark.parametrize(("size", "good"), [(1000, True), (1100, False)])
def test_names_without_end(tmp_path: Path, size: int, good: bool) -> None:
    """Thousands of symbols may share the end of one name."""
    path = tmp_path / "a.ko"
    path.write_bytes(module(tmp_path, using("x" * size)))
    if good:
        assert read_symbols(path).needs == {"x" * size}
    else:
        with pytest.raises(StageError, match="damaged"):
            read_symbols(path)


@pytest.mark.parametrize("size", [0, 3, 63, 200])
def test_a_cut_module(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.ko"
    path.write_bytes(module(tmp_path, using("printk"))[:size])
    with pytest.raises(StageError, match=r"a\.ko is not a module, or a damaged one"):
        read_symbols(path)


def test_each_damaged_byte_of_the_headers_is_survived(tmp_path: Path) -> None:
    """Whatever a header says, the answer is a set of symbols or an error of rosk."""
    data = module(tmp_path, exporting("a", crcs={"a": 1}) + using("printk"))
    (table,) = struct.unpack_from("<Q", data, 40)
    path = tmp_path / "a.ko"
    for at in (*range(16, 64), *range(table, len(data))):
        path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
        try:
            read_symbols(path)
        except StageError:
            continue


def test_32_bits_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ko"
    data = module(tmp_path, "")
    path.write_bytes(data[:4] + b"\x01" + data[5:])
    with pytest.raises(StageError):
        read_symbols(path)
