"""What makes a module another one, and what does not; with modules made by hand and by the real compiler."""

from __future__ import annotations

import hashlib
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from builder.diff.moduledigest import examine
from tests.unit.diff.releases import MODVERSIONS, make_module
from tests.unit.stages.elfs import make_elf

V, LATER = "6.12.9-acme", "6.12.10-acme"

SOURCE = """\
#define INFO(name, text) static const char name[] __attribute__((used, section(".modinfo"), aligned(1))) = text
INFO(license, "license=GPL");
INFO(vermagic, "vermagic=RELEASE SMP mod_unload ");
INFO(alias, "alias=ALIAS");
extern int USED(const char *);
int init_module(void) { return USED("hello") + NUMBER; }
void (*const later)(void) = (void *)init_module;
"""


def digest(content: bytes, v: str = V) -> str:
    return examine(content, v).digest


def test_the_release_does_not_count() -> None:
    assert digest(make_module(V)) == digest(make_module(LATER), LATER)


@pytest.mark.parametrize(
    "change",
    [
        {"srcversion": "0123456789ABCDEF"},
        {"versions": b"\x01\x02\x03\x04printk"},
        {"crc": 2},
        {"salt": b"another"},
        {"flags": MODVERSIONS},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_follows_from_the_build_does_not_count(change: dict[str, Any]) -> None:
    assert make_module(V, **change) != make_module(V)
    assert digest(make_module(V, **change)) == digest(make_module(V))


@pytest.mark.parametrize(
    "change",
    [{"code": b"\x90\x90\xc3"}, {"section": ".init.text"}, {"license": "MIT"}, {"alias": "pci:*"}, {"depends": "jbd2"}],
    ids=lambda change: next(iter(change)),
)
def test_what_the_module_is_counts(change: dict[str, Any]) -> None:
    assert digest(make_module(V, **change)) != digest(make_module(V))


def test_the_name_of_the_release_in_its_data_does_not_count() -> None:
    one, two = (digest(make_module(v, code=f"made for {v}".encode()), v) for v in (V, "6.12.8-acme"))
    assert one == two


def test_vermagic_is_told() -> None:
    assert examine(make_module(V, flags=MODVERSIONS), V).vermagic == f"{V} {MODVERSIONS}"


@pytest.mark.parametrize("cut", [0, 3, 40, 100, -30])
def test_what_is_no_module_is_its_bytes(cut: int) -> None:
    content = make_module(V)[:cut]
    assert examine(content, V).vermagic is None
    assert digest(content) != digest(content + b"x")


def test_sections_that_lie_over_each_other() -> None:
    """A file of a megabyte could have sections of 64 GB in all."""
    content = bytearray(make_module(V, code=bytes(1000)))
    start, size, count = struct.unpack_from("<Q", content, 40)[0], *struct.unpack_from("<HH", content, 58)
    for number in range(1, count):
        struct.pack_into("<QQ", content, start + number * size + 24, 0, len(content))
    assert digest(bytes(content)) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(("size", "read"), [(1000, True), (1100, False)])
def test_names_without_end(size: int, read: bool) -> None:
    """Thousands of sections may share the end of one name."""
    content = make_elf({"x" * size: b"code", ".modinfo": b"vermagic=1\0"})
    assert (examine(content, V).vermagic == "1") == read
    assert (digest(content) != hashlib.sha256(content).hexdigest()) == read


def compiled(folder: Path, **words: str) -> bytes:
    """A relocatable object of the real compiler."""
    values = {"RELEASE": V, "ALIAS": "fake:one", "USED": "printk", "NUMBER": "7", **words}
    text = re.sub("|".join(values), lambda match: values[match[0]], SOURCE)
    source, made = folder / "module.c", folder / "module.ko"
    source.write_text(text)
    options = ("-O1", "-g", "-ffreestanding", "-fno-pic", "-nostdlib", "-Wl,--build-id", "-r")
    subprocess.run(["gcc", *options, "-o", str(made), str(source)], check=True, capture_output=True)
    return made.read_bytes()


@pytest.mark.host_programs
def test_real_modules(tmp_path: Path) -> None:
    one = compiled(tmp_path)
    later = compiled(tmp_path, RELEASE=LATER)
    assert len(examine(one, V).vermagic or "") + 1 == len(examine(later, LATER).vermagic or "")
    assert one != later and digest(one) == digest(later, LATER)
    for change in ({"ALIAS": "fake:two"}, {"NUMBER": "8"}, {"USED": "printf"}):
        assert digest(compiled(tmp_path, **change)) != digest(one), change
