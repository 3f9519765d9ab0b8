"""Checks of archives, where they depend on what this machine has and on who made the release.

What each of them is for is tried on doctored releases in tests/graph/test_verify.py.
"""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from builder.verify.model import Status
from tests.unit.verify.releases import V, found, package, release

KERNEL = {f"./boot/vmlinuz-{V}": b"x"}


def with_format(root: Path, suffix: str) -> Path:
    """A release with a kernel package that has another suffix."""
    old = root / f"kernel/linux-{V}-x86.tar.gz"
    plain = gzip.decompress(old.read_bytes())
    old.with_name(f"linux-{V}-x86.tar.{suffix}").write_bytes(lzma.compress(plain, preset=0))
    old.unlink()
    return root


def test_xz(tmp_path: Path) -> None:
    root = with_format(release(tmp_path, kernel=KERNEL), "xz")
    assert found(root, "readable").status is Status.OK
    (package,) = (root / "kernel").iterdir()
    package.write_bytes(package.read_bytes() + b"more")
    finding = found(root, "readable")
    assert finding.details == (f"{package.name}: something that is no xz follows",)


def test_zstd_without_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = with_format(release(tmp_path, kernel=KERNEL), "zst")
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("readable", "member-owners", "boot-files"):
        finding = found(root, name)
        assert (finding.status, finding.saw) == (Status.UNCHECKED, "zstd is not installed")


@pytest.mark.parametrize("name", ["readable-gnu-tar", "readable-busybox"])
def test_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    root = release(tmp_path, kernel=KERNEL)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found(root, name).status is Status.UNCHECKED


@pytest.mark.host_programs
@pytest.mark.parametrize("name", ["readable-gnu-tar", "readable-busybox"])
@pytest.mark.parametrize("names", [["./a", "./ü b", "./c\x07d", "./" + "long/" * 60 + "x"], ["a", "a"], ["/etc/motd"]])
def test_programs_see_what_python_sees(tmp_path: Path, name: str, names: list[str]) -> None:
    root = release(tmp_path, kernel=dict.fromkeys(names, b"content"))
    assert found(root, name).status is Status.OK


@pytest.mark.host_programs
@pytest.mark.parametrize("name", ["readable-gnu-tar", "readable-busybox"])
def test_programs_notice_a_cut_package(tmp_path: Path, name: str) -> None:
    root = release(tmp_path, kernel=KERNEL)
    (path,) = (root / "kernel").iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    finding = found(root, name)
    assert finding.status is Status.FAILED
    assert path.name in finding.details[0]


def test_a_damaged_package_fails_one_check(tmp_path: Path) -> None:
    """The others say why they see nothing."""
    root = release(tmp_path, kernel=KERNEL)
    (path,) = (root / "kernel").iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    assert found(root, "readable").status is Status.FAILED
    finding = found(root, "member-owners")
    assert finding.status is Status.SKIPPED
    assert "the gzip file ends too early" in finding.saw


def test_the_kernel_package_alone(tmp_path: Path) -> None:
    """As a release that somebody else made has it."""
    root = release(tmp_path, kernel=KERNEL)
    assert found(root, "packages").details == (
        "there is no extras package",
        "there is no headers package",
        "there is no source package",
    )
    for name in ("readable", "member-names", "members-unique", "members-inside", "member-owners", "kernel-content"):
        assert found(root, name).status is Status.OK, name
    for name in ("extras-content", "source-package"):
        assert found(root, name).status is Status.SKIPPED, name


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("./lib/modules/V/kernel/fs/fat.ko", False),
        ("./lib/firmware/nic/1.bin", False),
        ("./lib/firmware/nic/LICENSE", True),
        ("./lib/firmware/WHENCE", True),
        ("./lib/firmware/.git-commit", True),
        ("./lib/modules/V/modules.order", True),
        ("./lib/modules/V/kernel/modules.d", False),
        ("./lib/systemd/x", True),
        ("./library", True),
        ("./boot/vmlinuz", True),
    ],
)
def test_what_extras_may_hold(tmp_path: Path, name: str, wrong: bool) -> None:
    finding = found(release(tmp_path, kernel=KERNEL, extras={name: b"x"}), "extras-content")
    assert bool(finding.details) == wrong


def test_a_private_key_in_the_source_package(tmp_path: Path) -> None:
    root = release(tmp_path, kernel=KERNEL)
    key = b"-----BEGIN PRIVATE KEY-----\n" + b"M" * 64 + b"\n-----END PRIVATE KEY-----\n"
    certificate = b"-----BEGIN CERTIFICATE-----\n" + b"M" * 64 + b"\n-----END CERTIFICATE-----\n"
    files = {"linux/Makefile": b"", "linux/certs/rosk-modules.pem": certificate, "linux/tools/testing/key.pem": key}
    source = root / f"kernel/linux-{V}-x86-src.tgz"
    package(source, files)
    assert found(root, "source-secrets").status is Status.OK
    package(source, {**files, "linux/certs/signing_key.pem": key + certificate})
    assert found(root, "source-secrets").details == ("linux/certs/signing_key.pem holds a private key (PEM)",)
    package(source, {"./Makefile": b"", "./certs/mine/signer": key})
    assert found(root, "source-secrets").details == ("certs/mine/signer holds a private key (PEM)",)


def test_a_source_package(tmp_path: Path) -> None:
    root = release(tmp_path, kernel=KERNEL)
    for names, good in (
        (["linux/Makefile", "linux/fs/Makefile"], True),
        (["./Makefile", "./fs/Makefile"], True),
        (["linux/fs/Makefile"], False),
        (["linux/Makefile", "other/x"], False),
        (["linux/Makefile", "linux/../../x"], False),
    ):
        package(root / f"kernel/linux-{V}-x86-src.tgz", dict.fromkeys(names, b"x"))
        assert (found(root, "source-package").status is Status.OK) == good, names
