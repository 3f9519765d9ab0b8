"""Archives of `docker save`: what the layers add up to, and archives that are not to be believed."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from builder.errors import InputError
from builder.imagearchive import ImageFile, read_image
from tests.unit.verify.images import digest, docker_archive, layer, oci

CONFIG = {"architecture": "amd64", "config": {"Env": ["KERNEL_VERSION=6.12.99-acme", "PATH=/bin"]}}
LOWER = layer({"etc": None, "etc/a": b"one", "etc/b": b"two", "usr": None, "usr/x": b"x", "opt": None, "opt/o": b"o"})


def file(content: bytes, mode: int = 0o644) -> ImageFile:
    return ImageFile(kind="file", mode=mode, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def paths(archive: Path) -> set[str]:
    return {path for path, found in read_image(archive).files.items() if found.kind != "folder"}


def test_both_layouts(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    for write in (oci, docker_archive):
        name = write(archive, [LOWER], CONFIG)
        image = read_image(archive)
        assert name in image.digests
        assert digest(json.dumps(CONFIG).encode()) in image.digests
        assert image.environment == {"KERNEL_VERSION": "6.12.99-acme", "PATH": "/bin"}
        assert image.files["/etc/a"] == file(b"one")
        assert image.files["/etc"].kind == "folder"


def test_behind_an_index(tmp_path: Path) -> None:
    """As buildx writes it: an attestation beside the image, and another platform that was not saved."""
    archive = tmp_path / "image.tar"
    name = oci(archive, [LOWER], CONFIG, nested=True)
    image = read_image(archive)
    assert name in image.digests
    assert len(image.digests) == 3
    assert image.files["/usr/x"] == file(b"x")


def test_layers_take_away_and_replace(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    upper = {"etc/.wh.a": b"", "usr": b"a file now", "opt/.wh..wh..opq": b"", "opt/p": b"p", "etc/b": b"three"}
    oci(archive, [LOWER, layer(upper)], CONFIG)
    assert paths(archive) == {"/etc/b", "/usr", "/opt/p"}
    assert read_image(archive).files["/etc/b"] == file(b"three")


def test_what_is_taken(tmp_path: Path) -> None:
    """The content of the last layer that has it; a hard link's as well."""
    archive = tmp_path / "image.tar"
    upper = layer({"./etc/a": b"three"}, hard={"etc/c": "etc/a"})
    oci(archive, [LOWER, upper], CONFIG)
    wanted = {"/etc/a": tmp_path / "a", "/etc/c": tmp_path / "c", "/etc/none": tmp_path / "none"}
    image = read_image(archive, take=wanted)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes() == b"three"
    assert not (tmp_path / "none").exists()
    assert image.files["/etc/c"] == image.files["/etc/a"] == file(b"three")


def test_a_sparse_file_that_pretends_to_a_size(tmp_path: Path) -> None:
    """GNU tar's sparse format 1.0: what the header claims would be read as zeros, for days."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        info = tarfile.TarInfo("file")
        info.size = 512
        info.pax_headers = {
            f"GNU.sparse.{key}": value
            for key, value in {"major": "1", "minor": "0", "name": "file", "realsize": str(1 << 50)}.items()
        }
        tar.addfile(info, io.BytesIO(b"1\n0\n1\n".ljust(512, b"\0")))
    archive = tmp_path / "image.tar"
    oci(archive, [plain.getvalue()], CONFIG)
    with pytest.raises(InputError, match="unpacks to more than"):
        read_image(archive)


def test_links_are_followed_inside_the_image(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    files = {"usr": None, "usr/bin": None, "usr/bin/tool": b"t", "bin": "usr/bin", "sbin": "/bin", "up": "../../../bin"}
    oci(archive, [layer({**files, "loop": "loop", "usr/bin/sh": "tool"})], CONFIG)
    image = read_image(archive)
    for path in ("/usr/bin/tool", "/bin/tool", "/sbin/tool", "/up/sh", "/sbin/sh"):
        assert image.find(path) == file(b"t", 0o755), path
    assert image.find("/loop") is None
    assert image.find("/bin/none") is None


def test_a_path_that_leads_out_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    oci(archive, [layer({"etc/../../x": b""})], CONFIG)
    with pytest.raises(InputError, match="leads out of the image"):
        read_image(archive)


def test_a_blob_that_is_another(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    for write, old in ((oci, b'"amd64"'), (docker_archive, b'"amd64"')):
        write(archive, [LOWER], CONFIG)
        archive.write_bytes(archive.read_bytes().replace(old, b'"arm64"', 1))
        with pytest.raises(InputError, match="is not what its name says"):
            read_image(archive)


def test_a_digest_is_no_path(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    index = {"manifests": [{"digest": "sha256:../../../etc/passwd"}]}
    archive.write_bytes(layer({"index.json": json.dumps(index).encode()}))
    with pytest.raises(InputError, match="is no digest"):
        read_image(archive)


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"manifests": []},
        {"manifests": [1]},
        {"manifests": {}},
        {"config": {}, "layers": []},
        {"config": 1, "layers": 2},
        {"manifests": [{"digest": 1}]},
    ],
)
def test_json_of_another_form(tmp_path: Path, document: object) -> None:
    archive = tmp_path / "image.tar"
    archive.write_bytes(layer({"index.json": json.dumps(document).encode()}))
    with pytest.raises(InputError, match="no image can be read of it"):
        read_image(archive)


def test_other_files(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    deep = b"[" * 100_000
    for content in (b"", b"x" * 2000, layer({"a": b""}), layer({"index.json": deep}), layer({"manifest.json": b"[]"})):
        archive.write_bytes(content)
        with pytest.raises(InputError, match="no image can be read of it"):
            read_image(archive)


def test_a_cut_layer(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    oci(archive, [layer({"big": b"x" * 5000})[:3000]], CONFIG)
    with pytest.raises(InputError, match="no image can be read of it"):
        read_image(archive)


def test_a_device_is_something_else(tmp_path: Path) -> None:
    archive, out = tmp_path / "image.tar", io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("dev/null")
        info.type = tarfile.CHRTYPE
        tar.addfile(info)
    oci(archive, [out.getvalue()], CONFIG)
    assert read_image(archive).files["/dev/null"].kind == "other"
