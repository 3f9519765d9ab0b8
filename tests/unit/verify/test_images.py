"""Images made by hand against the packages that they should hold; the engine's own are those of tests/graph."""

from __future__ import annotations

import gzip
import lzma
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder.stages.pack import pack
from builder.verify.images import check_image
from builder.verify.subject import Subject
from tests.unit.verify.images import Files, layer, oci
from tests.unit.verify.releases import V
from tests.unit.verify.subjects import FOLDER, subject

TAG = {kind: f"acme/os-{kind}:{V}" for kind in ("extras", "headers", "kernel")}
TOOLS: Files = {"bin/busybox": b"b", "bin/tar": "busybox", "bin/gzip": "busybox", "sbin/depmod": b"d"}


@pytest.fixture
def release(tmp_path: Path) -> Subject:
    return subject(
        tmp_path, extras={f"{FOLDER}/kernel/a.ko": b"a"}, headers={"./Makefile": b"all:\n", "./include/x.h": b"x"}
    )


def files(release: Subject, kind: str, tmp_path: Path) -> dict[str, bytes | str | None]:
    """The files of a good image."""
    packages = release.release.packages
    if kind == "extras":
        return {**TOOLS, "extras.tar.gz": packages["extras"].read_bytes(), "usr/bin/extra.sh": b"#!/bin/sh\n"}
    if kind == "headers":
        return {**TOOLS, "build.tar.gz": packages["headers"].read_bytes(), "headers.sh": b"#!/bin/sh\n"}
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    boot = release.tree("kernel") / "boot"
    pack([release.tree("kernel")], root / "kernel.tar", epoch=0)
    pack([release.tree("headers")], root / "kernel-dev.tar", epoch=0, top=f"usr/src/linux-headers-{V}")
    found = {path.name: path.read_bytes() for path in root.iterdir()}
    found["kernel"] = (boot / f"vmlinuz-{V}").read_bytes()
    return {**found, "System.map": (boot / f"System.map-{V}").read_bytes()}


def found(
    release: Subject,
    kind: str,
    tmp_path: Path,
    *,
    settings: dict[str, Any] | None = None,
    architecture: str = "amd64",
    exact: bool = True,
    **changes: bytes | str | None,
) -> list[str]:
    """What is wrong with an image after changes of files (`_` for `.`, `/`, `-` in their names; None: no file)."""
    started = {"extras": ["extra.sh"], "headers": ["/headers.sh"]}.get(kind)
    config = {"Env": [f"KERNEL_VERSION={V}"], "Cmd": started, **(settings or {})}
    content = files(release, kind, tmp_path)
    for name, change in changes.items():
        (path,) = (path for path in content if re.sub("[./-]", "_", path) == name)
        del content[path]
        if change is not None:
            content[path] = change
    archive = tmp_path / "image.tar"
    oci(archive, [layer(content)], {"architecture": architecture, "config": config})
    return [line.removeprefix(f"{TAG[kind]}: ") for line in check_image(release, TAG[kind], archive, exact=exact)]


@pytest.mark.parametrize("kind", ["extras", "headers", "kernel"])
def test_a_good_image(release: Subject, tmp_path: Path, kind: str) -> None:
    assert found(release, kind, tmp_path) == []


def test_other_packages(release: Subject, tmp_path: Path) -> None:
    other = gzip.compress(b"")
    assert found(release, "extras", tmp_path, extras_tar_gz=other) == ["/extras.tar.gz is not the extras package"]
    assert found(release, "extras", tmp_path, extras_tar_gz=None) == ["there is no /extras.tar.gz"]
    assert found(release, "headers", tmp_path, build_tar_gz=other) == ["/build.tar.gz is not the headers package"]
    plain = layer({"./boot": None, f"./boot/vmlinuz-{V}": b"other"})
    (line,) = found(release, "kernel", tmp_path, kernel_tar=plain)
    assert line.startswith("/kernel.tar differs from its package in 3 members: ./boot")
    (line,) = found(release, "kernel", tmp_path, kernel_dev_tar=plain)
    assert line.startswith("/kernel-dev.tar differs from its package in 5 members: ")


def test_boot_files(release: Subject, tmp_path: Path) -> None:
    assert found(release, "kernel", tmp_path, kernel=b"x", System_map=None) == [
        f"/kernel is not boot/vmlinuz-{V} of the kernel package",
        "there is no /System.map",
    ]


def test_settings(release: Subject, tmp_path: Path) -> None:
    env = {"Env": ["KERNEL_VERSION=6.1"]}
    assert found(release, "kernel", tmp_path, settings=env) == ["KERNEL_VERSION is '6.1'"]
    assert found(release, "kernel", tmp_path, settings={"Env": None}) == ["it sets no KERNEL_VERSION"]
    assert found(release, "kernel", tmp_path, architecture="arm64") == ["its architecture is 'arm64', not amd64"]


def test_what_starts(release: Subject, tmp_path: Path) -> None:
    assert found(release, "extras", tmp_path, settings={"Cmd": ["sh"]}) == ["it starts ['sh'], not /usr/bin/extra.sh"]
    entrypoint = {"Cmd": None, "Entrypoint": ["/bin/sh", "/usr/bin/extra.sh"]}
    assert found(release, "extras", tmp_path, settings=entrypoint) == []
    assert found(release, "headers", tmp_path, headers_sh=None) == ["there is no program /headers.sh"]
    assert found(release, "extras", tmp_path, sbin_depmod=None, bin_busybox=None) == [
        "there is no tar",
        "there is no gzip",
        "there is no depmod",
    ]


def test_the_digest_of_the_release(release: Subject, tmp_path: Path) -> None:
    """It counts where the engine keeps manifests as they were made."""
    manifest = {"images": {TAG["kernel"]: "sha256:01"}}
    release.release = replace(release.release, manifest=manifest)
    assert found(release, "kernel", tmp_path) == ["the engine's image is not the release's, sha256:01"]
    assert found(release, "kernel", tmp_path, exact=False) == []


def test_packages_that_the_image_has_compressed_otherwise(release: Subject, tmp_path: Path) -> None:
    """The images carry gzip whatever the packages are: then the members count."""
    packages = dict(release.release.packages)
    original = packages["extras"].read_bytes()
    packages["extras"] = tmp_path / f"extra-linux-{V}-x86.tar.xz"
    packages["extras"].write_bytes(lzma.compress(gzip.decompress(original)))
    release.release = replace(release.release, packages=packages)
    assert found(release, "extras", tmp_path, extras_tar_gz=gzip.compress(gzip.decompress(original), 1)) == []
    (line,) = found(release, "extras", tmp_path, extras_tar_gz=gzip.compress(layer({"./x": b""})))
    assert line.startswith("/extras.tar.gz differs from its package in ")


def test_an_image_of_no_kind(release: Subject, tmp_path: Path) -> None:
    assert check_image(release, "acme/os-other:1", tmp_path / "none", exact=True) == [
        "acme/os-other:1 is none of os-extras, os-headers, os-kernel"
    ]


def test_an_archive_that_cannot_be_read(release: Subject, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    archive.write_bytes(b"")
    (line,) = check_image(release, TAG["kernel"], archive, exact=True)
    assert "no image can be read of it" in line


def test_a_damaged_package_is_not_compared(release: Subject, tmp_path: Path) -> None:
    """Its headers may claim to hold more than anything could read."""
    packages = dict(release.release.packages)
    packages["extras"] = tmp_path / f"extra-linux-{V}-x86.tar.xz"
    packages["extras"].write_bytes(lzma.compress(b"no tar at all" * 100))
    release.release = replace(release.release, packages=packages)
    (line,) = found(release, "extras", tmp_path, extras_tar_gz=gzip.compress(layer({"./x": b""})))
    assert line.startswith("/extras.tar.gz cannot be compared: the extras package cannot be read: ")
