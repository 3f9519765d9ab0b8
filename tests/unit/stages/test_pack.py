from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.stages import journal, pack, squeeze
from builder.stages import members as archive
from builder.stages.chunkcache import ChunkCache
from builder.stages.common import StageError
from builder.stages.compressor import FORMATS, Compressor, compressor

EPOCH = 1_700_000_000
LONG = "deep/" + "x" * 120 + "/" + "y" * 120
LONGER = f"{LONG}.d/" + "z" * 200
COMPRESSED = [compression for compression in FORMATS if compression != "none"]

FILES = {
    "boot/vmlinuz": b"kernel",
    "lib/a-b": b"1",
    "lib/a/b": b"2",
    "lib/empty": b"",
    LONG: b"long",
    LONGER: b"longer",
    "new\nline": b"4",
    "ünïcode": b"3",
}


def make_tree(root: Path, *, order: int = 0) -> Path:
    """A folder with files, a program, links and an empty folder, made in an order, with times and modes of its own."""
    names = list(FILES)
    random.Random(order).shuffle(names)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(FILES[name])
        path.chmod(0o664 if order else 0o600)
        os.utime(path, (order, order))
    (root / "bin").mkdir()
    (root / "bin/tool").write_text("#!/bin/sh\n")
    (root / "bin/tool").chmod(0o775 if order else 0o700)
    (root / "bin/link").symlink_to("../boot/vmlinuz")
    (root / "bin/far").symlink_to("../" * 40 + "far")
    (root / "lib/folder-link").symlink_to("a")
    (root / "void").mkdir(mode=0o700 if order else 0o775)
    return root


def make_many(root: Path, count: int = 300) -> Path:
    """A folder with so many files that, with cuts as `small_chunks` sets them, it has many chunks."""
    for number in range(count):
        path = root / f"{number % 7}/file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(number).randbytes(number * 5))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "root")


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "CUT", 8)
    monkeypatch.setattr(archive, "CAP", 32 << 10)
    monkeypatch.setattr(archive, "PIECE", 4 << 10)


@pytest.fixture
def compressed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The chunks that a compressor was called for, in any order."""
    seen: list[bytes] = []

    def counting(compression: str) -> Compressor:
        real = compressor(compression)

        def compress(data: bytes) -> bytes:
            seen.append(data)
            return real.compress(data)

        return Compressor(real.identity, compress)

    monkeypatch.setattr(pack, "compressor", counting)
    return seen


def packed(root: Path, *, compression: str = "gzip", cache: Path | None = None, top: str = ".") -> bytes:
    out = root.parent / "packed"
    done = pack.pack([root], out, epoch=EPOCH, top=top, compression=compression, cache=cache)
    data = out.read_bytes()
    assert (done.size, done.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    return data


def unpacked(data: bytes, compression: str) -> bytes:
    if compression == "zstd":
        return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
    if compression == "xz":
        return lzma.decompress(data)
    return gzip.decompress(data) if compression == "gzip" else data


def members(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getmembers()


def test_several_folders_are_packed_as_one(root: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    shutil.copytree(root, one, symlinks=True)
    shutil.copytree(root, two, symlinks=True)
    for path in sorted(root.rglob("*"), reverse=True):  # each is in one of the two
        part = (one if len(path.name) % 2 else two) / path.relative_to(root)
        if path.is_symlink() or path.is_file():
            part.unlink()
        elif not any(part.iterdir()):
            part.rmdir()
    together = tmp_path / "together"
    pack.pack([one, two], together, epoch=EPOCH, compression="gzip")
    assert together.read_bytes() == packed(root)


@pytest.mark.parametrize("second", ["file", "folder", "link"])
def test_a_file_in_two_folders_is_refused(tmp_path: Path, second: str) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        (folder / "lib").mkdir(parents=True)
    (one / "lib/fw.bin").write_text("1")
    if second == "file":
        (two / "lib/fw.bin").write_text("1")
    elif second == "folder":
        (two / "lib/fw.bin").mkdir()
    else:
        (two / "lib/fw.bin").symlink_to("other")
    with pytest.raises(StageError, match=r"\./lib/fw\.bin would be in the archive twice"):
        pack.pack([one, two], tmp_path / "out.tar", epoch=EPOCH)


def test_members_are_sorted_start_with_dot_and_have_no_root(root: Path) -> None:
    names = [member.name for member in members(packed(root))]
    deep = f"./{LONG.rpartition('/')[0]}"
    assert names == [
        *("./bin", "./bin/far", "./bin/link", "./bin/tool", "./boot", "./boot/vmlinuz"),
        *("./deep", deep, f"./{LONG}", f"./{LONG}.d", f"./{LONGER}"),
        *("./lib", "./lib/a", "./lib/a/b", "./lib/a-b", "./lib/empty", "./lib/folder-link"),
        *("./new\nline", "./void", "./ünïcode"),
    ]


def test_members_belong_to_root_and_have_one_time_and_fixed_modes(root: Path) -> None:
    for member in members(packed(root)):
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "root", "root")
        assert member.mtime == EPOCH
    modes = {member.name: member.mode for member in members(packed(root))}
    assert [modes[name] for name in ("./bin/tool", "./boot/vmlinuz", "./void", "./bin/link")] == [
        *(0o755, 0o644, 0o755, 0o777)
    ]


def test_a_top_folder_is_a_member_with_its_parents(root: Path) -> None:
    names = [member.name for member in members(packed(root, top="usr/src/linux-1"))]
    assert names[:4] == ["usr", "usr/src", "usr/src/linux-1", "usr/src/linux-1/bin"]
    assert not any(name.startswith(".") for name in names)


def test_hard_links_become_files(root: Path) -> None:
    (root / "lib/second").hardlink_to(root / "lib/a-b")
    found = {member.name: member for member in members(packed(root))}
    assert found["./lib/second"].isreg() and found["./lib/a-b"].isreg()


def test_a_links_target_is_kept_to_the_letter(root: Path) -> None:
    subprocess.run(["ln", "-s", "a/.//../b/", root / "odd"], check=True)  # a Path would make it tidy
    assert {member.name: member.linkname for member in members(packed(root))}["./odd"] == "a/.//../b/"


@given(
    st.one_of(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=300)),
    st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE]),
    st.integers(0, 2**40),
    st.integers(0, 2**33 - 1),
    st.text("./ab", max_size=300),
)
def test_headers_are_those_of_tarfile(name: str, kind: bytes, size: int, time: int, link: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.mtime, info.linkname = kind, 0o755, size, time, link
    info.uname = info.gname = "root"
    path = name.encode() + (b"/" if kind == tarfile.DIRTYPE and not name.endswith("/") else b"")
    assert archive.tar_header(path, kind, 0o755, size, time, link.encode()) == info.tobuf(tarfile.GNU_FORMAT, "utf-8")


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("compression", FORMATS)
def test_bytes_depend_on_neither_order_nor_times_nor_modes_nor_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    one = packed(make_many(make_tree(tmp_path / "1/root", order=1)), compression=compression)
    for cpus in (1, 2, 4):
        monkeypatch.setattr(squeeze, "workers", lambda cpus=cpus: cpus)
        tree = make_many(make_tree(tmp_path / f"{cpus}cpus/root", order=cpus + 1))
        assert packed(tree, compression=compression) == one


@pytest.mark.parametrize("variable", [("XZ_OPT", "-9"), ("XZ_DEFAULTS", "-0"), ("ZSTD_CLEVEL", "1")])
def test_bytes_do_not_depend_on_the_environment(root: Path, variable: tuple[str, str]) -> None:
    (root / "big").write_bytes(random.Random(1).randbytes(1000) * 1000)
    compression = "xz" if variable[0].startswith("XZ") else "zstd"
    before = packed(root, compression=compression)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(*variable)
        assert packed(root, compression=compression) == before


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("compression", COMPRESSED)
def test_each_format_gives_back_the_plain_archive(root: Path, compression: str) -> None:
    plain = packed(make_many(root), compression="none")
    data = packed(root, compression=compression)
    assert unpacked(data, compression) == plain
    check = [compression, "-t", "-q"]  # the formats are named for their programs
    done = subprocess.run(check, input=data, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert subprocess.run(check, input=data[:-9], capture_output=True).returncode != 0


def foreign(compression: str) -> list[list[str]]:
    """Commands that unpack standard input to the folder they are run in; Debian's busybox knows no zstd."""
    tar = ["tar", "-x", "-f", "-", f"--{compression}"] if compression != "none" else ["tar", "-xf", "-"]
    busybox = {"gzip": "-xzf", "xz": "-xJf", "none": "-xf"}.get(compression)
    return [tar, *([["busybox", "tar", busybox, "-"]] if busybox else [])]


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(("compression", "argv"), [(name, argv) for name in FORMATS for argv in foreign(name)])
def test_other_programs_read_it(root: Path, tmp_path: Path, compression: str, argv: list[str]) -> None:
    make_many(root)
    data = packed(root, compression=compression)
    (tmp_path / "out").mkdir()
    done = subprocess.run(argv, cwd=tmp_path / "out", input=data, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert packed(tmp_path / "out", compression=compression) == data


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("compression", FORMATS)
def test_tarfile_reads_it(root: Path, compression: str) -> None:
    data = packed(make_many(root), compression=compression)
    with tarfile.open(fileobj=io.BytesIO(unpacked(data, "zstd") if compression == "zstd" else data)) as tar:
        for name, content in FILES.items():
            member = tar.extractfile(f"./{name}")
            assert member and member.read() == content
        assert len(tar.getmembers()) == sum(1 for _ in root.rglob("*"))


@pytest.mark.parametrize("compression", FORMATS)
def test_an_empty_folder_is_an_empty_archive(tmp_path: Path, compression: str) -> None:
    (tmp_path / "root").mkdir()
    data = packed(tmp_path / "root", compression=compression)
    assert unpacked(data, compression) == bytes(10240)


def test_a_file_bigger_than_a_chunk_has_chunks_of_its_own(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with (root / "huge").open("wb") as file:
        file.truncate(40_000_001)
    (root / "a").write_text("before")
    (root / "z").write_text("after")
    found = [squeeze.plain_bytes(chunk) for chunk in archive.chunks(archive.members([root], epoch=EPOCH, top="."))]
    assert all(len(chunk) <= archive.CAP + archive.PIECE for chunk in found)
    assert [chunk[:3].rstrip(b"h\0") for chunk in found if chunk[:2] == b"./"] == [b"./a", b"./", b"./z"]
    whole = b"".join(found)
    assert [(member.name, member.size) for member in members(whole)] == [
        *(("./a", 6), ("./huge", 40_000_001), ("./z", 5))
    ]
    assert unpacked(packed(root), "gzip") == whole + squeeze.plain_bytes(archive.end(len(whole)))


def test_what_is_no_file_folder_or_link_is_refused(root: Path) -> None:
    os.mkfifo(root / "lib/pipe")
    with pytest.raises(StageError, match="lib/pipe is neither"):
        packed(root)


def test_a_compressor_that_fails_is_an_error(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = '#!/bin/sh\n[ "$1" = --version ] && exit\necho no memory >&2\nexit 3\n'
    (tmp_path / "xz").write_text(script)
    (tmp_path / "xz").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(StageError, match="xz failed with exit code 3") as caught:
        packed(root, compression="xz")
    assert caught.value.details == ["no memory"]


def test_a_compressor_that_is_missing_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StageError, match="zstd is not installed"):
        packed(root, compression="zstd")


@pytest.mark.parametrize("path", ["/nowhere", None])
def test_gzip_has_neither_name_nor_time(path: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With zlib, and with libdeflate where it is installed."""
    if path:
        monkeypatch.setenv("PATH", path)
    data = compressor("gzip").compress(b"x" * 1000)
    assert gzip.decompress(data) == b"x" * 1000
    assert data[:8] == b"\x1f\x8b\x08\0\0\0\0\0"  # no flags, time 0


# The cache.


def become_a_file(cache: Path) -> None:
    shutil.rmtree(cache)
    cache.write_text("no folder")


def become_a_folder(entry: Path) -> None:
    entry.unlink()
    entry.mkdir()


def for_each(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(cache: Path) -> None:
        for entry in cache.iterdir():
            change(entry)

    return damage


def swap(cache: Path) -> None:
    """Entries under each other's names."""
    one, two, *_ = sorted(cache.iterdir())
    one.rename(cache / "x")
    two.rename(one)
    (cache / "x").rename(two)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "none": lambda cache: None,
    "lost": shutil.rmtree,
    "a file": become_a_file,
    "truncated": for_each(lambda entry: os.truncate(entry, entry.stat().st_size // 2)),
    "cut to 20 bytes": for_each(lambda entry: os.truncate(entry, 20)),
    "empty": for_each(lambda entry: os.truncate(entry, 0)),
    "longer": for_each(lambda entry: os.truncate(entry, entry.stat().st_size + 1)),
    "corrupt": for_each(lambda entry: entry.write_bytes(entry.read_bytes()[:-1] + b"!")),
    "other content": for_each(lambda entry: entry.write_bytes(gzip.compress(b"other"))),
    "folders": for_each(become_a_folder),
    "swapped": swap,
}


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("compression", COMPRESSED)
def test_a_cache_changes_nothing(tmp_path: Path, compression: str, damage: str) -> None:
    root, cache = make_many(tmp_path / "root", 60), tmp_path / "cache"
    plain = packed(root, compression=compression)
    assert packed(root, compression=compression, cache=cache) == plain
    DAMAGE[damage](cache)
    assert packed(root, compression=compression, cache=cache) == plain
    assert packed(root, compression=compression, cache=cache) == plain


@pytest.mark.usefixtures("small_chunks")
def test_a_damaged_entry_is_made_anew(tmp_path: Path, compressed: list[bytes]) -> None:
    root, cache = make_many(tmp_path / "root"), tmp_path / "cache"
    packed(root, cache=cache)
    os.truncate(min(cache.iterdir()), 50)
    compressed.clear()
    packed(root, cache=cache)
    assert len(compressed) == 1
    packed(root, cache=cache)
    assert len(compressed) == 1


@pytest.mark.usefixtures("small_chunks")
def test_a_full_disk_does_not_fail_the_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, cache = make_many(tmp_path / "root"), tmp_path / "cache"
    plain = packed(root)
    tries: list[Path] = []

    def full(self: Path, target: Path) -> Path:
        tries.append(target)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    monkeypatch.setattr(squeeze, "workers", lambda: 1)
    assert packed(root, cache=cache) == plain
    assert len(tries) == 1  # and no more, since the next would fail too
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("folder", ["/proc/rosk", "/dev/null/cache"])
def test_a_cache_that_cannot_be_written_does_not_fail_the_pack(root: Path, folder: str) -> None:
    assert packed(root, cache=Path(folder)) == packed(root)


@pytest.mark.usefixtures("small_chunks")
def test_an_edit_compresses_its_chunk_and_no_other(tmp_path: Path, compressed: list[bytes]) -> None:
    root, cache = make_many(tmp_path / "root"), tmp_path / "cache"
    packed(root, cache=cache)
    everything = len(compressed)
    assert everything > 40
    compressed.clear()
    packed(root, cache=cache)
    assert compressed == []

    content = bytearray((root / "3/file150").read_bytes())
    content[100] ^= 1
    (root / "3/file150").write_bytes(content)
    packed(root, cache=cache)
    assert len(compressed) == 1 and bytes(content) in compressed[0]


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("name", ["3/file150", "0/file0", "6/file6", "3/new"])
def test_an_edit_of_a_size_moves_no_cut_behind_the_next_name(
    tmp_path: Path, compressed: list[bytes], name: str
) -> None:
    root, cache = make_many(tmp_path / "root"), tmp_path / "cache"
    packed(root, cache=cache)
    compressed.clear()
    (root / name).write_bytes(b"longer" * 3000)
    packed(root, cache=cache)
    changed = {member.name for chunk in compressed for member in members(chunk + bytes(1024))}
    listed = [member.name for member in members(packed(root, compression="none"))]
    start = min(map(listed.index, changed), default=0)
    cuts = [index for index, each in enumerate(listed) if zlib.crc32(each.encode()) % archive.CUT == 0]
    place = listed.index(f"./{name}")
    last = min((cut for cut in cuts if cut >= place), default=len(listed) - 1)
    assert changed <= {*listed[start : last + 1]} and f"./{name}" in changed
    # All that changed is between two names that cut, apart from the end of the archive.
    assert not any(start <= cut < place for cut in cuts)


def test_one_format_does_not_take_anothers_chunks(root: Path, tmp_path: Path) -> None:
    for compression in COMPRESSED * 2:
        data = packed(root, compression=compression, cache=tmp_path / "cache")
        assert data == packed(root, compression=compression)


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.binary(max_size=2000), max_size=30),
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.binary(max_size=2000), max_size=3),
)
@settings(max_examples=40, deadline=None)
def test_any_tree_after_any_edit_is_the_same_with_the_cache(before: dict[str, bytes], edit: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "CUT", 4)
        patch.setattr(archive, "CAP", 4096)
        patch.setattr(archive, "PIECE", 1024)
        patch.setenv("PATH", "/nowhere")  # zlib: no process for each chunk
        root, cache = Path(folder, "root"), Path(folder, "cache")
        root.mkdir()
        for files in (before, edit):
            for name, content in files.items():
                (root / name).write_bytes(content)
            data = packed(root, cache=cache)
            assert data == packed(root)
            assert gzip.decompress(data) == packed(root, compression="none")


def test_the_least_recently_used_entries_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ChunkCache(tmp_path / "cache")
    for age, key in enumerate(("new", "used", "old", "older")):
        cache.put(key, bytes(1000))
        path = tmp_path / f"cache/{key}.chunk"
        os.utime(path, (path.stat().st_mtime - age * 86400,) * 2)
    (tmp_path / "cache/other").write_bytes(bytes(5000))
    monkeypatch.setattr("builder.stages.chunkcache.MAX_SIZE", 3500)
    cache.trim()
    assert cache.get("older") is None
    assert cache.get("old") == bytes(1000)  # and is used now
    monkeypatch.setattr("builder.stages.chunkcache.MAX_SIZE", 2500)
    cache.trim()
    assert cache.get("used") is None
    assert cache.get("new") and cache.get("old") and (tmp_path / "cache/other").exists()


def test_entries_that_nothing_used_for_long_and_left_over_files_go(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path / "cache")
    ages = {"day.chunk": 86400, "month.chunk": 30 * 86400, "tmp-1.chunk": 86400, "tmp-2.chunk": 60, "mine": 99 * 86400}
    for name, age in ages.items():
        path = tmp_path / "cache" / name
        path.write_bytes(b"")
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    cache.trim()
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["day.chunk", "mine", "tmp-2.chunk"]


# The program.


def run_program(root: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "builder.stages.pack", "--root", str(root), "--epoch", "1", "--image", str(out)]
    return subprocess.run([*argv, *options], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("name", "magic"),
    [("a.tar.gz", b"\x1f\x8b"), ("a.tgz", b"\x1f\x8b"), ("a.tar.zst", b"\x28\xb5\x2f\xfd"), ("a.txz", b"\xfd7zXZ")],
)
def test_the_name_says_the_format_and_the_sums_are_written(root: Path, tmp_path: Path, name: str, magic: bytes) -> None:
    out = tmp_path / "out" / name
    done = run_program(root, out, "--sums", str(tmp_path / "sums/a.json"), "--cache", str(tmp_path / "cache"))
    assert (done.returncode, done.stderr) == (0, "")
    data = out.read_bytes()
    assert data.startswith(magic)
    assert json.loads((tmp_path / "sums/a.json").read_text()) == {
        **{"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    }


def test_a_name_that_says_no_format_is_an_error(root: Path, tmp_path: Path) -> None:
    done = run_program(root, tmp_path / "a.rar")
    assert done.returncode == 1 and "the name a.rar tells no format" in done.stdout


@pytest.mark.parametrize(("name", "linked"), [("linux-V-x86.tar.gz", True), ("linux-V-x86.tar.zst", False)])
def test_what_leaves_the_build_may_have_another_format(root: Path, tmp_path: Path, name: str, linked: bool) -> None:
    inner, outer = tmp_path / "out/kernel.tar.gz", tmp_path / "file" / name
    done = run_program(root, inner, "--deliver", str(outer), "--sums", str(tmp_path / "sums.json"))
    assert done.returncode == 0, done.stderr
    assert inner.samefile(outer) == linked
    assert json.loads((tmp_path / "sums.json").read_text()) == {
        "name": name,
        "size": outer.stat().st_size,
        "sha256": hashlib.sha256(outer.read_bytes()).hexdigest(),
    }


def test_an_archive_that_is_not_written_is_described(root: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    argv: list[str | Path] = [sys.executable, "-m", "builder.stages.pack", "--root", root, "--epoch", "1"]
    argv += ["--nothing", "a.tgz", "--sums", tmp_path / "sums.json", "--parts", tmp_path / "parts.json"]
    subprocess.run([*argv, "--cache", cache], check=True)
    assert not (tmp_path / "a.tgz").exists()
    done = run_program(root, tmp_path / "b.tgz", "--cache", cache)
    assert done.returncode == 0, done.stderr
    data = (tmp_path / "b.tgz").read_bytes()
    sums = {"name": "a.tgz", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert json.loads((tmp_path / "sums.json").read_text()) == sums
    kept, at = ChunkCache(tmp_path / "cache"), 0
    for part in json.loads((tmp_path / "parts.json").read_text()):
        chunk = data[at : at + part["size"]]
        assert (hashlib.sha256(chunk).hexdigest(), kept.get(part["key"])) == (part["sha256"], chunk)
        at += part["size"]
    assert at == len(data)


def test_the_plain_archive_beside_it(root: Path, tmp_path: Path) -> None:
    done = run_program(root, tmp_path / "a.tar.gz", "--plain", str(tmp_path / "image/a.tar"), "--plain-top", "usr/src")
    assert done.returncode == 0, done.stderr
    pack.pack([root], tmp_path / "wanted.tar", epoch=1, top="usr/src")
    assert (tmp_path / "image/a.tar").read_bytes() == (tmp_path / "wanted.tar").read_bytes()
    assert {path.stat().st_mtime for path in (tmp_path / "image", tmp_path / "image/a.tar")} == {1}
    names = tarfile.open(tmp_path / "image/a.tar").getnames()  # noqa: SIM115
    assert names[:2] == ["usr", "usr/src"] and all(name.startswith("usr/src/") for name in names[2:])


def test_a_plain_archive_that_cannot_be_written_fails_the_stage(root: Path, tmp_path: Path) -> None:
    (tmp_path / "image").write_text("a file")
    assert run_program(root, tmp_path / "a.tar.gz", "--plain", str(tmp_path / "image/a.tar")).returncode != 0


def test_what_a_journal_tells_is_packed_as_what_is_read(
    root: Path, tmp_path: Path, compressed: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "big").write_bytes(b"x" * (2 * archive.PIECE) + b"y")
    (root / "even").write_bytes(b"x" * (2 * archive.PIECE))
    read, cache = pack.pack([root], tmp_path / "read.tar.gz", epoch=EPOCH), tmp_path / "cache"
    known = journal.dump(journal.read_tree(root))
    first = pack.pack([root], tmp_path / "first.tar.gz", epoch=EPOCH, cache=cache, journal=known)
    made = len(compressed)
    monkeypatch.setattr(archive.Piece, "read", None)  # nothing is read for what the cache has
    second = pack.pack([root], tmp_path / "second.tar.gz", epoch=EPOCH, cache=cache, journal=known)
    assert (first.sha256, second.sha256) == (read.sha256, read.sha256)
    assert second.reused == len(second.parts)
    assert len(compressed) == made


def test_a_file_that_the_journal_lacks_is_read(root: Path, tmp_path: Path) -> None:
    known, cache = journal.dump(journal.read_tree(root)), tmp_path / "cache"
    (root / "later").write_text("1")
    one = pack.pack([root], tmp_path / "one.tar.gz", epoch=EPOCH, cache=cache, journal=known)
    (root / "later").write_text("2")
    two = pack.pack([root], tmp_path / "two.tar.gz", epoch=EPOCH, cache=cache, journal=known)
    assert two.sha256 == pack.pack([root], tmp_path / "read.tar.gz", epoch=EPOCH).sha256 != one.sha256
