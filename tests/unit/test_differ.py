"""Doctored archives, images and ELF files: each difference is found where it is, and nothing else."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import subprocess
import tarfile
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from builder.differ import Differ, changed_sections, diff_lines, first_difference
from tests.unit.stages.elfs import make_elf

Change = Callable[[tarfile.TarInfo], None]


def tar(files: Mapping[str, bytes | str | None], change: Mapping[str, Mapping[str, Any]] | None = None) -> bytes:
    """An archive: content, None for a folder, text for a link; `change` sets attributes of members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.type = {type(None): tarfile.DIRTYPE, str: tarfile.SYMTYPE}.get(type(content), tarfile.REGTYPE)
            info.linkname = content if isinstance(content, str) else ""
            info.size = len(content) if isinstance(content, bytes) else 0
            for key, value in (change or {}).get(name, {}).items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def pieces(data: bytes) -> bytes:
    """gzip in several members, as packages are."""
    half = len(data) // 2
    return gzip.compress(data[:half], mtime=0) + gzip.compress(data[half:], mtime=0)


def find(tmp_path: Path, first: bytes, second: bytes, limit: int = 20) -> list[str]:
    one, two, folder = tmp_path / "one", tmp_path / "two", tmp_path / "copies"
    one.write_bytes(first)
    two.write_bytes(second)
    folder.mkdir(exist_ok=True)
    return [str(each) for each in Differ(folder=folder, limit=limit).files(one, two, "a.tar.gz")]


FILES: dict[str, bytes | str | None] = {"./b": None, "./b/x": b"one\ntwo\n", "./b/y": b"\0" * 10, "./l": "b/x"}


def test_equal_files(tmp_path: Path) -> None:
    assert find(tmp_path, b"same", b"same") == []
    assert find(tmp_path, pieces(tar(FILES)), pieces(tar(FILES))) == []


@pytest.mark.parametrize(
    ("second", "change", "found"),
    [
        ({"./b/x": b"one\n2\n"}, {}, './b/x: content (8 bytes became 6), first at byte 4, line 2: "two" became "2"'),
        ({"./b/y": b"\0" * 9 + b"1"}, {}, "./b/y: content (10 bytes), first at byte 9"),
        ({"./b/y": b"\0" * 12}, {}, "./b/y: content (10 bytes became 12), first at byte 10"),
        ({"./l": "b/y"}, {}, "./l: the link to b/x became one to b/y"),
        ({"./l": b"file"}, {}, "./l: a link became a file, the link to b/x became one to "),
        ({"./n": b"new"}, {}, "./n: a file that is new in the second build"),
        ({}, {"./b/x": {"mode": 0o755}}, "./b/x: mode 644 became 755"),
        ({}, {"./b/x": {"mtime": 7}}, "./b/x: time 0 became 7"),
        ({}, {"./b": {"uid": 1000, "mode": 0o700}}, "./b: mode 644 became 700, owner 0:0 became 1000:0"),
    ],
)
@pytest.mark.parametrize("compress", [pieces, lzma.compress, bytes])
def test_a_changed_member(
    tmp_path: Path,
    second: dict[str, bytes | str | None],
    change: dict[str, dict[str, Any]],
    found: str,
    compress: Callable[[bytes], bytes],
) -> None:
    both = compress(tar(FILES)), compress(tar({**FILES, **second}, change))
    assert find(tmp_path, *both) == [f"a.tar.gz: {found}"]


@pytest.mark.host_programs
def test_an_archive_of_zstd(tmp_path: Path) -> None:
    one, two = (
        subprocess.run(["zstd", "-q"], input=tar({**FILES, "./n": text}), capture_output=True, check=True).stdout
        for text in (b"1", b"2")
    )
    assert find(tmp_path, one, two) == ['a.tar.gz: ./n: content (1 bytes), first at byte 0, line 1: "1" became "2"']


def test_a_missing_member(tmp_path: Path) -> None:
    less = {name: content for name, content in FILES.items() if name != "./b/y"}
    assert find(tmp_path, tar(FILES), tar(less)) == ["a.tar.gz: ./b/y: a file that is missing in the second build"]


def test_another_order(tmp_path: Path) -> None:
    turned = dict(reversed(FILES.items()))
    assert find(tmp_path, tar(FILES), tar(turned)) == ["a.tar.gz: the members are in another order"]


def test_another_compression(tmp_path: Path) -> None:
    (found,) = find(tmp_path, gzip.compress(tar(FILES), 9, mtime=0), gzip.compress(tar(FILES), 1, mtime=0))
    assert found.startswith("a.tar.gz: the members are equal, their compression or padding is not (first at byte ")


def test_an_archive_in_an_archive(tmp_path: Path) -> None:
    one, two = (tar({"in.tgz": gzip.compress(tar({"x": text}))}) for text in (b"a", b"b"))
    (found,) = find(tmp_path, one, two)
    assert found == 'a.tar.gz: in.tgz: x: content (1 bytes), first at byte 0, line 1: "a" became "b"'


def test_a_damaged_archive(tmp_path: Path) -> None:
    noise = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(250))
    (found,) = find(tmp_path, gzip.compress(tar(FILES)), gzip.compress(tar({**FILES, "./z": noise}))[:-200])
    assert "and cannot be read to its end: " in found


def test_only_so_many_are_looked_into(tmp_path: Path) -> None:
    one, two = (tar({f"{number}": text for number in range(5)}) for text in (b"a", b"b"))
    found = find(tmp_path, one, two, limit=2)
    assert [" content (" in line for line in found] == [True, True, False, False, False]
    assert found[-1] == "a.tar.gz: 4: another content"


def test_memory_does_not_grow_with_the_archives(tmp_path: Path) -> None:
    both = [tar({"big": bytes(30 << 20), "x": text}) for text in (b"a", b"b")]
    for name, data in zip(("one", "two"), both, strict=True):
        (tmp_path / name).write_bytes(data)
    del both[:], data
    tracemalloc.start()
    assert len(list(Differ(folder=tmp_path).files(tmp_path / "one", tmp_path / "two", "a"))) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_sections_of_elf_files(tmp_path: Path, wide: bool, order: str) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    same = {".text": b"\x90" * 20, ".note": b"n"}
    one.write_bytes(make_elf({**same, ".rodata": b"one", ".old": b""}, wide=wide, order=order))
    two.write_bytes(make_elf({**same, ".rodata": b"two", ".new": b""}, wide=wide, order=order))
    assert changed_sections(one, two) == [".rodata", ".old", ".shstrtab", ".new"]
    assert changed_sections(one, one) == []


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF" + b"\xff" * 60, b"text"])
def test_what_is_no_elf_file_has_no_sections(tmp_path: Path, content: bytes) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(content)
    two.write_bytes(make_elf({".text": b"1"}))
    assert changed_sections(one, two) == []


def test_a_module_in_a_package(tmp_path: Path) -> None:
    one, two = (pieces(tar({"./a.ko": make_elf({".text": b"x", ".rodata": text})})) for text in (b"ab", b"ac"))
    assert find(tmp_path, one, two) == [
        "a.tar.gz: ./a.ko: content (348 bytes), first at byte 66, in the ELF sections .rodata"
    ]


@pytest.mark.parametrize("at", [0, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_the_first_byte_that_differs(tmp_path: Path, at: int) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    data = bytearray(2 << 20)
    one.write_bytes(data)
    data[at] = 1
    two.write_bytes(data)
    assert first_difference(one, two) == at


def test_the_lines_that_differ(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("a\nb\n")
    two.write_text("a\nc\n")
    assert diff_lines(one, two)[2:] == ["@@ -1,2 +1,2 @@", " a", "-b", "+c"]
    two.write_bytes(b"\xff")
    assert diff_lines(one, two) == []


def save(path: Path, config: Mapping[str, Any], *layers: bytes) -> Path:
    """What `docker save` writes."""
    blobs = {f"blobs/sha256/{hashlib.sha256(layer).hexdigest()}": layer for layer in layers}
    manifest = [{"Config": "blobs/sha256/c", "RepoTags": ["a/b:c"], "Layers": list(blobs)}]
    shown: dict[str, bytes | str | None] = {**blobs, "blobs/sha256/c": json.dumps(config).encode()}
    path.write_bytes(tar({**shown, "manifest.json": json.dumps(manifest).encode()}))
    return path


def test_images(tmp_path: Path) -> None:
    config = {"config": {"Env": ["A=1"]}, "rootfs": {"diff_ids": ["sha256:1"]}}
    other = {"config": {"Env": ["A=2"]}, "rootfs": {"diff_ids": ["sha256:2"]}, "created": "now"}
    one = save(tmp_path / "one", config, gzip.compress(tar({"lib/x": b"1"})))
    two = save(tmp_path / "two", other, gzip.compress(tar({"lib/x": b"2"})))
    assert [str(each) for each in Differ(folder=tmp_path).images(one, two, "image os-kernel")] == [
        'image os-kernel: config: config.Env: ["A=1"] became ["A=2"]',
        'image os-kernel: config: created: null became "now"',
        'image os-kernel: lib/x: content (1 bytes), first at byte 0, line 1: "1" became "2"',
    ]


def test_layers_that_are_compressed_otherwise(tmp_path: Path) -> None:
    both = (gzip.compress(tar(FILES), level, mtime=0) for level in (1, 9))
    one, two = (save(tmp_path / str(number), {}, layer) for number, layer in enumerate(both))
    (tmp_path / "copies").mkdir()
    (found,) = Differ(folder=tmp_path / "copies").images(one, two, "image")
    assert found.what.startswith("the members are equal")


def test_images_of_several_layers(tmp_path: Path) -> None:
    one = save(tmp_path / "one", {}, tar({"a": b"1"}), tar({"b": b"1"}))
    two = save(tmp_path / "two", {}, tar({"a": b"1"}), tar({"b": None}), tar({"c": b"1"}))
    assert [str(each) for each in Differ(folder=tmp_path).images(one, two, "image")] == [
        "image: 2 layers became 3",
        "image: layer 2: b: a file became a folder",
    ]
