"""What tells the version of an archive before it is unpacked."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from builder import kernelversion
from builder.kernelversion import of_archive, of_tree

MAKEFILE = b"VERSION = 5\nPATCHLEVEL = 10\nSUBLEVEL = 7\nEXTRAVERSION =\n"


def archive(path: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("linux-6.12.64.tar.xz", "6.12.64"),
        ("linux-source-6.1.tar.xz", "6.1"),
        ("linux-6.13-rc2.tar.gz", "6.13-rc2"),
        ("linux-v5.4.tgz", "5.4"),
    ],
)
def test_the_name(tmp_path: Path, name: str, version: str) -> None:
    assert of_archive(tmp_path / name) == (version, "the archive's name")


def test_the_folder_in_it(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.gz", ("linux-4.19.325/COPYING", b"x"), ("linux-4.19.325/Makefile", MAKEFILE))
    assert of_archive(path) == ("4.19.325", "the folder in the archive")


def test_the_makefile_at_its_top(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar.gz", ("tree/doc/Makefile", b"x"), ("./tree/Makefile", MAKEFILE))
    assert of_archive(path) == ("5.10.7", "the archive's Makefile")


def test_what_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_archive(tmp_path / "absent.tar.xz") == ("", "")
    (tmp_path / "text.tar.xz").write_text("no archive")
    assert of_archive(tmp_path / "text.tar.xz") == ("", "")
    assert of_archive(archive(tmp_path / "a.tar.gz", ("tree/Makefile", b"all:\n"))) == ("", "")
    cut = archive(tmp_path / "cut.tar.gz", ("tree/a", b"x" * 100000), ("tree/Makefile", MAKEFILE))
    cut.write_bytes(cut.read_bytes()[:60])
    assert of_archive(cut) == ("", "")
    monkeypatch.setattr(kernelversion, "_MAX_MEMBERS", 1)
    many = archive(tmp_path / "b.tar.gz", ("t/a", b""), ("t/b", b""), ("t/Makefile", MAKEFILE))
    assert of_archive(many) == ("", "")


def test_a_tree(tmp_path: Path) -> None:
    assert of_tree(tmp_path) == ""
    (tmp_path / "Makefile").write_bytes(MAKEFILE)
    assert of_tree(tmp_path) == "5.10.7"
