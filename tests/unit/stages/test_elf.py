from __future__ import annotations

from pathlib import Path

import pytest

from builder.stages.common import StageError
from builder.stages.elf import libraries, modinfo, read_elf
from tests.unit.stages.elfs import make_elf, make_program, write_module


def test_modinfo_keeps_every_value_of_a_key(tmp_path: Path) -> None:
    module = write_module(tmp_path, "a.ko", license="GPL", depends="", softdep=["pre: b", "pre: c=d"])
    assert modinfo(module) == {"license": ["GPL"], "depends": [""], "softdep": ["pre: b", "pre: c=d"]}


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_sizes_and_both_byte_orders_are_read(tmp_path: Path, wide: bool, order: str) -> None:
    module = tmp_path / "a.ko"
    module.write_bytes(make_elf({".text": b"x", ".modinfo": b"name=a\0\0license=GPL v2\0"}, wide=wide, order=order))
    assert modinfo(module) == {"name": ["a"], "license": ["GPL v2"]}
    assert (read_elf(module).wide, read_elf(module).order) == (wide, order)


def test_a_real_module_is_read(compiled: Path) -> None:
    (nic,) = (compiled / "out/modules").rglob("fakenic.ko")
    fields = modinfo(nic)
    assert sorted(fields["firmware"]) == ["fakenic/nic-1.bin", "fakenic/nic-2.bin"]
    assert fields["name"] == ["fakenic"]


def test_of_two_sections_of_one_name_the_first_counts(tmp_path: Path) -> None:
    """As the kernel has it; a file may have thousands that lie over one another."""
    module = tmp_path / "a.ko"
    module.write_bytes(make_elf({".modinfo": b"name=a\0", ".modinf0": b"name=b\0"}).replace(b".modinf0", b".modinfo"))
    assert modinfo(module) == {"name": ["a"]}


def test_a_signature_after_the_module_does_no_harm(tmp_path: Path) -> None:
    module = write_module(tmp_path, "a.ko", license="GPL")
    module.write_bytes(module.read_bytes() + b"signature~Module signature appended~\n")
    assert modinfo(module)["license"] == ["GPL"]


def test_what_is_no_elf_file_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "a.ko").write_text("<html>")
    with pytest.raises(StageError, match=r"a\.ko is not an ELF file"):
        modinfo(tmp_path / "a.ko")


def test_an_elf_file_without_modinfo_is_no_module(tmp_path: Path) -> None:
    (tmp_path / "a.ko").write_bytes(make_elf({".text": b""}))
    with pytest.raises(StageError, match="not a kernel module"):
        modinfo(tmp_path / "a.ko")


@pytest.mark.parametrize("kept", [20, 70, -30, -100])
def test_a_truncated_module_is_said_to_be_damaged(tmp_path: Path, kept: int) -> None:
    module = write_module(tmp_path, "a.ko", license="GPL")
    module.write_bytes(module.read_bytes()[:kept])
    with pytest.raises(StageError, match="damaged"):
        modinfo(module)


def test_libraries_and_loader_of_a_program(tmp_path: Path) -> None:
    program, library, static = (tmp_path / name for name in ("program", "library", "static"))
    program.write_bytes(make_program("libz.so.1", "libc.so.6", loader="/lib64/ld-linux-x86-64.so.2"))
    library.write_bytes(make_program("libc.so.6"))
    static.write_bytes(make_program())
    assert libraries(program) == ("/lib64/ld-linux-x86-64.so.2", ["libz.so.1", "libc.so.6"])
    assert libraries(library) == (None, ["libc.so.6"])
    assert libraries(static) == (None, [])


def test_libraries_of_a_real_program() -> None:
    loader, names = libraries(Path("/bin/sh").resolve())
    assert loader and loader.startswith("/lib")
    assert any(name.startswith("libc.so") for name in names)
