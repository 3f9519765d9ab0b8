"""What comes from elsewhere: a release that is none, a layout that cannot be read to its end, and no room for it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import FetchError, InputError, NoSpaceError
from builder.publish.content import OCI_MANIFEST, compact
from builder.publish.layout import LayoutFolder
from tests.publish.material import make_bundle, make_dist, resum, send
from tests.publish.registries import Look
from tests.publish.test_layouts import carried, relay


def test_what_is_no_release_at_all(org: str, tmp_path: Path) -> None:
    """Whatever has arrived that is wrong, the user has not written it."""
    dist = make_dist(tmp_path / "dist", org)
    for package in (dist / "kernel").glob("*linux*"):
        package.rename(package.with_name(f"no-{package.name}"))
    resum(dist)
    files = [*sorted((dist / "kernel").iterdir()), dist / "manifest.json", dist / "SHA256SUMS"]
    bundle = make_bundle(tmp_path / "one", org)
    document = bundle.store.document(bundle.parts[-1].target.digest)
    document["layers"] = [
        {
            **bundle.store.add_bytes(each.read_bytes(), "text/plain").as_json(),
            "annotations": {"org.opencontainers.image.title": str(each.relative_to(dist))},
        }
        for each in files
    ]
    target = bundle.store.add_bytes(compact(document), OCI_MANIFEST)
    bundle.parts[-1] = replace(bundle.parts[-1], target=target)
    send(bundle, layouts=(tmp_path / "layout",))
    with pytest.raises(FetchError, match="no kernel package") as caught:
        carried(tmp_path / "layout", tmp_path / "there")
    assert ".rosk-" not in str(caught.value)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", ["pipe", "device", "larger"])
@pytest.mark.parametrize("name", ["blob", "index.json", "oci-layout"])
def test_a_layout_without_an_end(name: str, what: str, org: str, tmp_path: Path) -> None:
    """A pipe that nobody writes to, a device; one more byte than is said, or than any index has."""
    send(make_bundle(tmp_path / "one", org), layouts=(tmp_path / "layout",))
    blobs = tmp_path / "layout/blobs/sha256"
    file = max(blobs.iterdir(), key=lambda path: path.stat().st_size) if name == "blob" else tmp_path / "layout" / name
    if what == "larger":
        with file.open("ab") as opened:
            opened.truncate(64 << 30)  # sparse: it takes no room, and minutes to read
    else:
        file.unlink()
        os.mkfifo(file) if what == "pipe" else file.symlink_to("/dev/zero")
    for attempt in (
        lambda: relay(tmp_path / "layout", "localhost:1"),
        lambda: carried(tmp_path / "layout", tmp_path / "there"),
    ):
        with pytest.raises(InputError, match="no whole OCI layout"):
            attempt()


def test_an_attachment_of_a_kind_that_nobody_takes(plain: Look, org: str, tmp_path: Path, ungated: list[str]) -> None:
    """Of the artifact manifests that OCI had in a draft, for example: said before anything is sent."""
    bundle = make_bundle(tmp_path / "one", org)
    send(bundle, layouts=(tmp_path / "layout",))
    part, layout = bundle.parts[0], LayoutFolder(tmp_path / "layout")
    kind = "application/vnd.oci.artifact.manifest.v1+json"
    old = bundle.store.add_bytes(compact({"mediaType": kind, "blobs": []}), kind)
    layout.put_blob(part.repository, bundle.store.blob(old.digest), lambda _: None)
    layout.add_referrer(part.repository, part.target.digest, old)
    with pytest.raises(InputError, match=f"of an unknown kind: '{re.escape(kind)}'"):
        relay(tmp_path / "layout", plain.host)
    assert not plain.tags(f"{org}/os-kernel")


def test_no_room_for_the_files_of_a_layout(org: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(make_bundle(tmp_path / "one", org), layouts=(tmp_path / "layout",))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(NoSpaceError, match="no space left for the temporary folder") as caught:
            relay(tmp_path / "layout", "localhost:1")
        assert "TMPDIR" in caught.value.hint
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="cannot use the temporary folder") as refused:
        relay(tmp_path / "layout", "localhost:1")
    assert "TMPDIR" in refused.value.hint
