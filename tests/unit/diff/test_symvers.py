"""Module.symvers in the forms that kernels have written."""

from __future__ import annotations

import pytest

from builder.diff.symvers import Symbol, parse_symvers

READ = Symbol(crc=0x1234ABCD, exporter="fs/ext4/ext4", export="EXPORT_SYMBOL_GPL", namespace="EXT4")


@pytest.mark.parametrize(
    ("line", "namespace"),
    [
        ("0x1234abcd\text4_get\tfs/ext4/ext4\tEXPORT_SYMBOL_GPL\tEXT4", "EXT4"),
        ("0x1234abcd\text4_get\tEXT4\tfs/ext4/ext4\tEXPORT_SYMBOL_GPL", "EXT4"),
        ("0x1234abcd\text4_get\tfs/ext4/ext4\tEXPORT_SYMBOL_GPL\t", ""),
        ("0x1234abcd\text4_get\t\tfs/ext4/ext4\tEXPORT_SYMBOL_GPL", ""),
        ("0x1234abcd\text4_get\tfs/ext4/ext4\tEXPORT_SYMBOL_GPL", ""),
    ],
    ids=["now", "5.4", "no namespace", "5.4, no namespace", "before 5.4"],
)
def test_the_forms(line: str, namespace: str) -> None:
    (found,) = parse_symvers(f"{line}\n").items()
    assert found == (
        "ext4_get",
        Symbol(crc=READ.crc, exporter=READ.exporter, export=READ.export, namespace=namespace),
    )
    assert found[1].gpl


@pytest.mark.parametrize("line", ["", "printk", "0x1\tprintk", "crc\tprintk\tvmlinux\tEXPORT_SYMBOL\t", "<html>"])
def test_another_form(line: str) -> None:
    with pytest.raises(ValueError, match=r"line 2 of Module\.symvers"):
        parse_symvers(f"0x00000001\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n{line}\n")
