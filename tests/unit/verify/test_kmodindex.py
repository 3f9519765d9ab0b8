"""Binary indexes as this machine's depmod writes them, and damaged ones."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from builder.stages.common import StageError
from builder.verify.depmod import find_depmod
from builder.verify.kmodindex import read_index
from tests.unit.verify.releases import V
from tests.unit.verify.subjects import exporting, module, using

pytestmark = pytest.mark.host_programs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """lib/modules/V of two modules, one of which needs the other, with their indexes."""
    found = tmp_path / "lib/modules" / V
    found.mkdir(parents=True)
    (found / "fat-core.ko").write_bytes(module(tmp_path, exporting("fat_open"), alias="fs-fat"))
    (found / "vfat.ko").write_bytes(module(tmp_path, using("fat_open"), alias="fs-fat"))
    (found / "modules.order").write_text("vfat.ko\nfat-core.ko\n")
    (found / "modules.builtin").touch()
    depmod = find_depmod()
    assert depmod is not None
    subprocess.run([depmod, "-b", tmp_path, V], check=True, capture_output=True)
    return found


def read(path: Path) -> dict[str, tuple[str, ...]]:
    return read_index(path.read_bytes(), path.name)


def test_what_depmod_writes(folder: Path) -> None:
    assert read(folder / "modules.dep.bin") == {"fat_core": ("fat-core.ko:",), "vfat": ("vfat.ko: fat-core.ko",)}
    assert read(folder / "modules.symbols.bin") == {"symbol:fat_open": ("fat_core",)}
    assert read(folder / "modules.alias.bin") == {"fs_fat": ("vfat", "fat_core")}, "in the order of modules.order"


def test_an_empty_one(folder: Path) -> None:
    assert read(folder / "modules.builtin.bin") == {}


def test_damage_is_an_error(folder: Path) -> None:
    data = (folder / "modules.dep.bin").read_bytes()
    for size in (0, 4, 11, 40, len(data) - 1):
        with pytest.raises(StageError, match=r"modules\.dep\.bin is not an index of kmod, or a damaged one"):
            read_index(data[:size], "modules.dep.bin")
    with pytest.raises(StageError):
        read_index(b"\0" + data[1:], "modules.dep.bin")


def test_a_loop_ends() -> None:
    """A node that is its own child."""
    root = 0x20000000 | 12
    data = struct.pack(">IIIBBI", 0xB007F457, 0x20001, root, 65, 65, root)
    with pytest.raises(StageError):
        read_index(data, "modules.dep.bin")


def test_each_damaged_byte_is_survived(folder: Path) -> None:
    data = (folder / "modules.alias.bin").read_bytes()
    for at in range(len(data)):
        try:
            read_index(data[:at] + b"\xff" + data[at + 1 :], "modules.alias.bin")
        except StageError:
            continue
