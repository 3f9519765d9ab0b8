"""A release is found by its files' names, whoever made it."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import InputError
from builder.releasefolder import find_release

V = "6.12.99-acme-rc1"


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


@pytest.mark.parametrize(
    ("tar", "source"), [("tar.gz", "src.tgz"), ("tar.zst", "src.tar.zst"), ("tar.xz", "src.tar.xz")]
)
@pytest.mark.parametrize("below", ["kernel", "."])
def test_the_packages(tmp_path: Path, below: str, tar: str, source: str) -> None:
    names = [f"linux-{V}-x86.{tar}", f"extra-linux-{V}-x86.{tar}", f"build-linux-{V}-x86.{tar}"]
    touch(tmp_path / below, *names, f"linux-{V}-x86-{source}", "config")
    release = find_release(tmp_path)
    assert (release.v, release.a) == (V, "x86")
    assert {kind: path.name for kind, path in release.packages.items()} == {
        "kernel": names[0],
        "extras": names[1],
        "headers": names[2],
        "source": f"linux-{V}-x86-{source}",
    }
    assert release.file("config").is_file()
    assert (release.images, release.manifest) == ((), {})


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "linux-4.14.138-rancher-arm64.tar.gz")
    release = find_release(tmp_path)
    assert (release.v, release.a, list(release.packages)) == ("4.14.138-rancher", "arm64", ["kernel"])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "there is no kernel package"),
        ([f"extra-linux-{V}-x86.tar.gz", f"linux-{V}-x86-src.tgz"], "there is no kernel package"),
        (
            [f"linux-{V}-x86.tar.gz", "linux-6.1-x86.tar.gz"],
            f"more than one kernel package: linux-6.1-x86.tar.gz, linux-{V}",
        ),
    ],
)
def test_no_release(tmp_path: Path, names: list[str], said: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(InputError, match=said):
        find_release(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_broken_manifest(tmp_path: Path, content: bytes) -> None:
    touch(tmp_path, f"linux-{V}-x86.tar.gz")
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(InputError, match="no manifest"):
        find_release(tmp_path)


def test_a_broken_list_of_images(tmp_path: Path) -> None:
    touch(tmp_path, f"linux-{V}-x86.tar.gz")
    (tmp_path / "images").write_bytes(b"\xff")
    with pytest.raises(InputError, match="cannot be read"):
        find_release(tmp_path)
