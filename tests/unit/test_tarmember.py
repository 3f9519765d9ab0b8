"""Members that no release has, and each reader of archives that nobody has to believe."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import pytest

from builder.diff import contents
from builder.differ import index, is_archive
from builder.errors import InputError
from builder.imagearchive import read_image
from builder.kernelversion import of_archive
from builder.publish.content import Store, read_archive
from builder.tarmember import TarMember
from builder.verify.unpack import read_package


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def extended(kind: bytes, content: bytes) -> bytes:
    """A header for the next one."""
    return header("././@LongLink", len(content), kind) + content + bytes(-len(content) % 512)


FILE = header("./x", 4) + b"file" + bytes(508)
LONGNAME = extended(tarfile.GNUTYPE_LONGNAME, b"y\0")

CASES = {
    "negative": (header("./x", -5), "a member of -5 bytes"),
    "negative-far": (header("./x", -(10**15)), "a member of -"),
    "negative-extended": (header("././@LongLink", -512, tarfile.GNUTYPE_LONGNAME), "a member of -512 bytes"),
    "negative-later": (extended(tarfile.XHDTYPE, b"27 GNU.sparse.realsize=-55\n") + FILE, "a member of -55 bytes"),
    "negative-size": (extended(tarfile.XHDTYPE, b"11 size=-7\n") + FILE, "a member of -7 bytes"),
    "endless": (LONGNAME * 1000 + FILE, "without end"),
    "endless-pax": (extended(tarfile.XGLTYPE, b"7 a=bc\n") * 1000 + FILE, "without end"),
    "large": (extended(tarfile.XHDTYPE, bytes(70_000)) + FILE, "an extended header of 70000 bytes"),
    "long": (extended(tarfile.GNUTYPE_LONGNAME, b"./" + b"y" * 4095) + FILE, "a name that is too long"),
    "long-link": (extended(tarfile.GNUTYPE_LONGLINK, b"y" * 5000) + header("./x", 0, tarfile.SYMTYPE), "too long"),
    "deep": (extended(tarfile.GNUTYPE_LONGNAME, b"a/" * 100 + b"y") + FILE, "a name that is too long"),
}


@pytest.mark.timeout(60)  # some would be read without end
@pytest.mark.parametrize(("content", "what"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("before", [b"", FILE], ids=["first", "later"])
def test_no_reader_takes_it(tmp_path: Path, before: bytes, content: bytes, what: str) -> None:
    plain, package = tmp_path / "image.tar", tmp_path / "linux-1-x86.tar.gz"
    plain.write_bytes(before + content + header("./big", 2 << 20) + bytes((2 << 20) + 1024))
    package.write_bytes(gzip.compress(plain.read_bytes(), 1))
    assert what in read_package(package, tmp_path / "out").damage
    with pytest.raises(InputError, match=what):
        contents.read_package("kernel", package)
    with pytest.raises(tarfile.ReadError, match=what):
        index(package)
    assert is_archive(package) == bool(before)
    with pytest.raises(InputError, match=what):
        read_image(plain)
    with pytest.raises(InputError, match=what):
        read_archive(plain, Store())
    assert of_archive(plain) == ("", "")


def test_what_a_release_may_have_is_read(tmp_path: Path) -> None:
    """Names as long as Linux takes them, folders as deep as trees are, some headers for one member."""
    path = tmp_path / "a.tar"
    names = ["a/" * 60 + "y", "y" * 4096]
    with path.open("wb") as file:
        for name in names:
            file.write(extended(tarfile.XHDTYPE, b"7 a=bc\n") * 3)
            file.write(extended(tarfile.GNUTYPE_LONGNAME, name.encode() + b"\0") + FILE)
        file.write(bytes(1024))
    with tarfile.open(path, tarinfo=TarMember) as archive:
        assert archive.getnames() == names
