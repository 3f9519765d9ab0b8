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


def chain(prefix: bytes, nodes: int) -> bytes:
    """An index of nodes below one another, each with a key of its own and no value."""
    place = 12 + len(prefix) + 1 + 6
    data = struct.pack(">III", 0xB007F457, 0x20001, 0xA0000000 | 12) + prefix + b"\0"
    data += struct.pack(">BBI", 65, 65, 0x60000000 | place)
    for _ in range(nodes):
        place += 10
        data += struct.pack(">BBII", 65, 65, 0x60000000 | place, 0)
    return data + struct.pack(">BBII", 65, 65, 0, 0)


def test_keys_that_together_are_many_times_the_index() -> None:
    assert len(read_index(chain(b"p" * 4000, 10), "modules.alias.bin")) == 11
    with pytest.raises(StageError):
        read_index(chain(b"p" * 4000, 90), "modules.alias.bin")


def test_a_key_that_is_longer_than_any() -> None:
    head = struct.pack(">III", 0xB007F457, 0x20001, 0x80000000 | 0x40000000 | 12)
    for size, good in ((4096, True), (4097, False)):
        data = head + b"k" * size + b"\0" + struct.pack(">I", 0)
        if good:
            assert read_index(data, "modules.alias.bin") == {"k" * size: ()}
        else:
            with pytest.raises(StageError):
                read_index(data, "modules.alias.bin")


def test_each_damaged_byte_is_survived(folder: Path) -> None:
    data = (folder / "modules.alias.bin").read_bytes()
    for at in range(len(data)):
        try:
            read_index(data[:at] + b"\xff" + data[at + 1 :], "modules.alias.bin")
        except StageError:
            continue
