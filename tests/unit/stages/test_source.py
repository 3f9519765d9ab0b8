from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.stages import source
from builder.stages.common import StageError, put_program

MAKEFILE = "# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 107\nEXTRAVERSION =\nNAME = Baby Opossum Posse\n"
EPOCH = 1_700_000_000
MEMBERS = (("Makefile", MAKEFILE), ("Kconfig", ""), ("scripts/x", "x" * 5000), ("arch/x86/y", ""))
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "xz": lzma.compress,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "": bytes,
}


def kernel_tree(folder: Path, makefile: str = MAKEFILE) -> Path:
    for name in ("scripts", "arch/x86", "fs"):
        (folder / name).mkdir(parents=True)
    (folder / "Makefile").write_text(makefile)
    (folder / "Kconfig").write_text("")
    (folder / "fs/link.h").symlink_to("../Kconfig")
    return folder


def member(name: str, content: str = "") -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size = len(content.encode())
    info.mtime = EPOCH
    info.mode = 0o666
    return info, io.BytesIO(content.encode())


def archive(path: Path, kind: str = "xz", extra: tuple[str, ...] = (), link: tuple[str, str] | None = None) -> Path:
    """An archive of a kernel tree in linux-6.12.107/, with more members and a symbolic link."""
    path.parent.mkdir(exist_ok=True)
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, text in MEMBERS:
            tar.addfile(*member(f"linux-6.12.107/{name}", text))
        for name in extra:
            tar.addfile(*member(name))
        if link:
            info = tarfile.TarInfo(f"linux-6.12.107/{link[0]}")
            info.type, info.linkname = tarfile.SYMTYPE, link[1]
            tar.addfile(info)
    path.write_bytes(COMPRESS[kind](content.getvalue()))
    return path


@pytest.mark.parametrize(
    ("sublevel", "extra", "version"),
    [("107", "", "6.12.107"), ("0", "", "6.12.0"), ("0", "-rc3", "6.12.0-rc3"), ("", "-rc1", "6.12-rc1")],
)
def test_the_version_is_put_together_as_kbuild_does(sublevel: str, extra: str, version: str) -> None:
    text = f"VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = {sublevel}\nEXTRAVERSION = {extra}\nNAME = X\n"
    assert source.kernel_version(text) == version


def test_a_makefile_without_version_is_refused() -> None:
    with pytest.raises(StageError, match="no kernel version"):
        source.kernel_version("all:\n\techo VERSION = 1\n")


@pytest.mark.parametrize("kind", ["xz", "gz", "bz2", ""])
def test_an_archive_is_unpacked_whatever_its_compression(tmp_path: Path, kind: str) -> None:
    archive(tmp_path / "in/the-source", kind)  # the name says nothing: the content counts
    info = source.from_archive(tmp_path / "in", tmp_path / "linux")
    assert info == {"kernel_version": "6.12.107", "epoch": EPOCH}
    assert (tmp_path / "linux/scripts/x").read_text() == "x" * 5000
    assert (tmp_path / "linux/Makefile").stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "linux"]


def test_an_earlier_tree_is_replaced_whole(tmp_path: Path) -> None:
    archive(tmp_path / "in/a.tar.xz")
    (tmp_path / "linux").mkdir()
    (tmp_path / "linux/stale").touch()
    source.from_archive(tmp_path / "in", tmp_path / "linux")
    assert not (tmp_path / "linux/stale").exists()


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"", "is an empty file"),
        (b"\n <!DOCTYPE html><html><body>404</body></html>", "is an HTML page"),
        (b"PK\x03\x04rest", "is a zip file"),
        (b"Not Found\n", "is a text file"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "is not a tar archive"),
    ],
)
def test_what_is_no_archive_is_called_what_it_is(tmp_path: Path, content: bytes, seen: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/linux.tar.xz").write_bytes(content)
    with pytest.raises(StageError, match=f"linux.tar.xz {seen}"):
        source.from_archive(tmp_path / "in", tmp_path / "linux")


@pytest.mark.parametrize("said", ["No space left on device", "Disk quota exceeded"])
def test_a_full_disk_is_no_fault_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    archive(tmp_path / "in/a.tar.xz")
    put_program(tmp_path / "bin/tar", f"#!/bin/sh\necho 'tar: x: Cannot write: {said}' >&2\nexit 2\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(StageError, match="no space left on the disk"):
        source.from_archive(tmp_path / "in", tmp_path / "linux")


@pytest.mark.parametrize("kind", ["xz", "gz", ""])
def test_a_truncated_archive_is_refused(tmp_path: Path, kind: str) -> None:
    path = archive(tmp_path / "in/a.tar", kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 if kind else 2700])
    with pytest.raises(StageError, match="is truncated"):
        source.from_archive(tmp_path / "in", tmp_path / "linux")
    assert not (tmp_path / "linux").exists()


@pytest.mark.parametrize(
    ("extra", "what"),
    [
        (("other/file",), "not hold one folder, but linux-6.12.107, other"),
        (("/etc/passwd",), "not hold one folder, but etc, linux-6.12.107"),
        (("linux-6.12.107/../../evil",), "path contains `..`"),
    ],
)
def test_an_archive_that_reaches_out_is_refused(tmp_path: Path, extra: tuple[str, ...], what: str) -> None:
    archive(tmp_path / "in/a.tar.xz", extra=extra)
    with pytest.raises(StageError, match=what):
        source.from_archive(tmp_path / "in", tmp_path / "linux")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc/passwd"])
def test_a_link_out_of_the_tree_is_refused(tmp_path: Path, target: str) -> None:
    archive(tmp_path / "in/a.tar.xz", link=("fs/link", target))
    with pytest.raises(StageError, match=f"link out of its tree: fs/link -> {target}"):
        source.from_archive(tmp_path / "in", tmp_path / "linux")


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in/a.tar", "w") as tar:
        tar.addfile(*member("busybox-1.36/Makefile"))
    with pytest.raises(StageError, match="not a Linux tree: it has no Kconfig"):
        source.from_archive(tmp_path / "in", tmp_path / "linux")


def test_exactly_one_archive_is_taken(tmp_path: Path) -> None:
    archive(tmp_path / "in/a.tar.xz")
    archive(tmp_path / "in/b.tar.xz")
    with pytest.raises(StageError, match=r"one source archive was expected, found a\.tar\.xz, b\.tar\.xz"):
        source.from_archive(tmp_path / "in", tmp_path / "linux")


def test_a_tree_is_copied_without_its_git_folder(tmp_path: Path) -> None:
    tree = kernel_tree(tmp_path / "mine")
    (tree / ".git").mkdir()
    (tree / ".git/HEAD").write_text("ref: x")
    info = source.from_tree(tree, EPOCH, tmp_path / "linux")
    assert info == {"kernel_version": "6.12.107", "epoch": EPOCH}
    assert (tmp_path / "linux/fs/link.h").is_symlink()
    assert (tmp_path / "linux/Makefile").stat().st_mtime_ns == (tree / "Makefile").stat().st_mtime_ns
    assert not (tmp_path / "linux/.git").exists()


@pytest.mark.parametrize("path", [".config", "include/config/auto.conf", "arch/x86/include/generated/x.h"])
def test_a_tree_in_which_somebody_built_is_refused(tmp_path: Path, path: str) -> None:
    tree = kernel_tree(tmp_path / "mine")
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).touch()
    with pytest.raises(StageError, match="not clean") as caught:
        source.from_tree(tree, EPOCH, tmp_path / "linux")
    assert "make mrproper" in caught.value.hint


@pytest.mark.parametrize("path", ["certs/signing_key.pem", "certs/own/signer"])
def test_a_source_with_a_private_key_is_refused(tmp_path: Path, path: str) -> None:
    tree = kernel_tree(tmp_path / "mine")
    (tree / path).parent.mkdir(parents=True)
    (tree / "certs/debian.pem").write_text("-----BEGIN CERTIFICATE-----\n" + "M" * 64)
    (tree / "certs/check.sh").write_text("grep -e '-----BEGIN PRIVATE KEY-----' signing_key.pem\n")
    source.from_tree(tree, EPOCH, tmp_path / "linux")
    (tree / path).write_text("-----BEGIN RSA PRIVATE KEY-----\n" + "M" * 64)
    with pytest.raises(StageError, match=f"private key.*: {path}") as caught:
        source.from_tree(tree, EPOCH, tmp_path / "linux")
    assert "signing.key" in caught.value.hint


def debian_package(folder: Path, inner: str) -> Path:
    """A linux-source package, as Debian builds it: an archive in an archive."""
    (folder / "root/DEBIAN").mkdir(parents=True)
    (folder / "root/usr/src").mkdir(parents=True)
    archive(folder / "root/usr/src" / inner)
    control = "Package: linux-source-6.12\nVersion: 6.12.107-1\nArchitecture: all\nMaintainer: x <x@example.org>\n"
    (folder / "root/DEBIAN/control").write_text(f"{control}Description: x\n")
    deb = folder / "linux-source-6.12_6.12.107-1_all.deb"
    subprocess.run(["dpkg-deb", "--build", folder / "root", deb], check=True, capture_output=True)
    return deb


def test_the_tree_in_a_debian_package_is_unpacked(tmp_path: Path) -> None:
    deb = debian_package(tmp_path, "linux-source-6.12.tar.xz")
    source._unpack_debian(deb, "linux-source-6.12", tmp_path / "linux")
    assert source.read_version(tmp_path / "linux") == "6.12.107"


def test_a_debian_package_without_a_tree_is_refused(tmp_path: Path) -> None:
    deb = debian_package(tmp_path, "something-else.tar.xz")
    with pytest.raises(StageError, match=r"holds no usr/src/linux-source-6.12.tar.xz"):
        source._unpack_debian(deb, "linux-source-6.12", tmp_path / "linux")


def test_the_command_line_writes_the_info(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = kernel_tree(tmp_path / "mine")
    out = ["--out", str(tmp_path / "linux"), "--info", str(tmp_path / "info.json")]
    monkeypatch.setattr("sys.argv", ["source", "tree", "--dir", str(tree), "--epoch", str(EPOCH), *out])
    source.main()
    assert json.loads((tmp_path / "info.json").read_text()) == {"kernel_version": "6.12.107", "epoch": EPOCH}
