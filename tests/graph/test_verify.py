"""`rosk verify` on a release of the fake kernel tree: a good one passes, and each check finds what it is for.

Every doctored release has one thing wrong, and exactly one check may fail for it.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.proof import Ahead
from builder.releasefolder import find_release
from builder.verify import archives, split, versions
from builder.verify.model import CHECKS, Status
from builder.verify.run import examine
from tests.conftest import run_rosk
from tests.doctor import Archive, copy_release, edit, edit_manifest, failures, package, repack, resum, version

pytestmark = pytest.mark.engine

Doctor = Callable[[Path], object]


def changed(kind: str, change: Callable[[Archive], object]) -> Doctor:
    """A change of a package's members."""
    return lambda dist: repack(package(dist, kind), change)


def bytes_of(kind: str, change: Callable[[bytes], bytes]) -> Doctor:
    """A change of a package's file."""

    def doctor(dist: Path) -> None:
        path = package(dist, kind)
        path.write_bytes(change(path.read_bytes()))
        resum(dist)

    return doctor


def content_of(kind: str, change: Callable[[bytes], bytes]) -> Doctor:
    """A change of a package's tar archive, within its compression."""
    return bytes_of(kind, lambda data: gzip.compress(change(gzip.decompress(data)), mtime=0))


def missing(kind: str) -> Doctor:
    def doctor(dist: Path) -> None:
        package(dist, kind).unlink()
        resum(dist)

    return doctor


def another_release(dist: Path) -> None:
    shutil.copyfile(package(dist, "extras"), dist / "kernel/extra-linux-6.12.1-acme-x86.tar.gz")
    resum(dist)


def header(name: str, change: Callable[[bytearray], object]) -> Callable[[bytes], bytes]:
    """A change of a member's header, whose checksum is put right (POSIX.1-2017, pax, "ustar Interchange Format")."""

    def apply(data: bytes) -> bytes:
        out = bytearray(data)
        at = data.index(name.encode() + b"\0")
        head = bytearray(out[at : at + 512])
        change(head)
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
        out[at : at + 512] = head
        return bytes(out)

    return apply


def set_bytes(at: int, value: bytes) -> Callable[[bytearray], object]:
    def apply(head: bytearray) -> None:
        head[at : at + len(value)] = value

    return apply


def without_end(data: bytes) -> bytes:
    """A tar archive without the blocks of zeros at its end."""
    return data.rstrip(b"\0") + b"\0" * (-len(data.rstrip(b"\0")) % 512)


def owner(uid: int, name: str) -> Callable[[Archive], object]:
    def apply(archive: Archive) -> None:
        info = archive.find("/modules.order").info
        info.uid, info.uname = uid, name

    return apply


def device(archive: Archive) -> None:
    archive.add("./null").info.type = tarfile.CHRTYPE


def bad_pax_time(archive: Archive) -> None:
    """A time that Python takes for 0, and busybox does not look at."""
    archive.find("./Makefile").info.pax_headers = {"mtime": "yesterday"}


def no_dots(archive: Archive) -> None:
    for entry in archive.entries:
        entry.info.name = entry.info.name.removeprefix("./")


def doubled(archive: Archive) -> None:
    archive.entries.append(archive.find("/modules.order"))


def through_a_link(archive: Archive) -> None:
    archive.link("./lib/firmware/other", "fakenic")
    archive.add("./lib/firmware/other/nic-2.bin")


def other_images(change: Callable[[list[str]], list[str]]) -> Doctor:
    """A change of the tags, also where the manifest names them."""

    def doctor(dist: Path) -> None:
        tags = change((dist / "images").read_text().split())
        edit_manifest(dist, lambda told: told.update(images=dict.fromkeys(tags, "sha256:0")))
        edit(dist, "images", lambda _: "".join(f"{tag}\n" for tag in tags))

    return doctor


def manifest(change: Callable[[dict[str, Any]], object]) -> Doctor:
    return lambda dist: edit_manifest(dist, change)


def folder(archive: Archive) -> str:
    """`./lib/modules/V`."""
    return next(name for name in archive.names() if name.count("/") == 3 and name.startswith("./lib/modules/"))


def kernel_image(archive: Archive) -> str:
    return next(name for name in archive.names() if name.startswith("./boot/vmlinuz-"))


def older(data: bytes) -> bytes:
    """The release before, where the fake kernel's is."""
    return data.replace(b"6.12.99-", b"6.12.98-", 1)


def no_image(data: bytes) -> bytes:
    return data.replace(b"HdrS", b"HDRS")


PRIVATE_KEY = b"-----BEGIN PRIVATE KEY-----\n" + b"M" * 64 + b"\n-----END PRIVATE KEY-----\n"
OLDER_MAGIC = (b"vermagic=6.12.99-", b"vermagic=6.12.98-")


def for_arm64(data: bytes) -> bytes:
    """A module of another machine (`e_machine`, elf(5))."""
    return data[:18] + b"\xb7\0" + data[20:]


def compressed(archive: Archive) -> None:
    archive.edit("/dummy.ko", lambda data: gzip.compress(data, mtime=0))
    archive.rename("/dummy.ko", lambda name: f"{name}.gz")


def one_more_built(data: bytes) -> bytes:
    return data + b"kernel/drivers/net/lost.ko\n"


def without_first_line(text: str) -> str:
    return text.partition("\n")[2]


def backwards(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[::-1])


def sums(change: Callable[[str], str]) -> Doctor:
    def doctor(dist: Path) -> None:
        path = dist / "SHA256SUMS"
        path.write_text(change(path.read_text()))

    return doctor


CASES: list[tuple[str, str, Doctor]] = [
    ("packages", "extras missing", missing("extras")),
    ("packages", "source missing", missing("source")),
    ("packages", "another release's", another_release),
    ("readable", "cut", bytes_of("headers", lambda data: data[: len(data) // 2])),
    ("readable", "cut at its very end", bytes_of("headers", lambda data: data[:-1])),
    ("readable", "no gzip", bytes_of("headers", gzip.decompress)),
    ("readable", "text after it", bytes_of("kernel", lambda data: data + b"<html>")),
    ("readable", "a second archive after it", bytes_of("kernel", lambda data: data + data)),
    ("readable", "a wrong checksum", bytes_of("headers", lambda data: data[:-8] + b"\0\0\0\0" + data[-4:])),
    ("readable", "a damaged header", content_of("headers", lambda data: data.replace(b"./Makefile", b"./makefile", 1))),
    ("readable", "no end of the archive", content_of("headers", without_end)),
    ("readable-busybox", "another magic number", content_of("headers", header("./Makefile", set_bytes(257, b"USTAR")))),
    ("readable-gnu-tar", "an odd time", changed("headers", bad_pax_time)),
    (
        "source-package",
        "no Makefile",
        changed("source", lambda archive: archive.remove(f"{archive.names()[0]}/Makefile")),
    ),
    (
        "source-secrets",
        "a key",
        changed("source", lambda archive: archive.add(f"{archive.names()[0]}/certs/signing_key.pem", PRIVATE_KEY)),
    ),
    ("member-names", "without ./", changed("kernel", no_dots)),
    ("members-unique", "a file twice", changed("kernel", doubled)),
    ("members-inside", "absolute", changed("headers", lambda archive: archive.add("/etc/motd"))),
    ("members-inside", "with ..", changed("kernel", lambda archive: archive.add("./lib/firmware/../../../motd"))),
    ("members-inside", "through a link", changed("kernel", through_a_link)),
    ("members-inside", "hard link", changed("headers", lambda archive: archive.link("./m", "/etc/motd", hard=True))),
    ("member-owners", "a number", changed("kernel", owner(1000, ""))),
    ("member-owners", "a name", changed("kernel", owner(0, "builder"))),
    ("member-types", "a device", changed("headers", device)),
    ("kernel-content", "a file in etc", changed("kernel", lambda archive: archive.add("./etc/motd"))),
    ("extras-content", "a file in usr", changed("extras", lambda archive: archive.add("./usr/lib/x"))),
    ("extras-content", "an index", changed("extras", lambda archive: archive.add(f"{folder(archive)}/modules.dep"))),
    ("extras-content", "a readme", changed("extras", lambda archive: archive.add("./lib/firmware/README.md"))),
    ("boot-files", "two kernels", changed("kernel", lambda archive: archive.add("./boot/vmlinuz-6.1", b"x"))),
    ("boot-files", "a vmlinux", changed("kernel", lambda archive: archive.add("./boot/vmlinux-6.1", b"x"))),
    ("boot-files", "no kernel", changed("kernel", lambda archive: archive.remove(kernel_image(archive)))),
    ("modules-folder", "a second one", changed("kernel", lambda archive: archive.add("./lib/modules/6.1/x"))),
    ("kernel-banner", "another release", changed("kernel", lambda archive: archive.edit(kernel_image(archive), older))),
    ("kernel-banner", "no kernel", changed("kernel", lambda archive: archive.edit(kernel_image(archive), no_image))),
    ("vermagic", "another release", changed("kernel", lambda archive: archive.replace("/ext4.ko", *OLDER_MAGIC))),
    ("vermagic", "other options", changed("extras", lambda archive: archive.replace("/snd.ko", b" SMP ", b" SMq "))),
    ("headers-release", "kernel.release", changed("headers", lambda a: a.edit("/kernel.release", older))),
    ("headers-release", "utsrelease.h", changed("headers", lambda a: a.edit("/utsrelease.h", older))),
    ("image-tags", "another order", other_images(lambda tags: tags[::-1])),
    ("image-tags", "a suffix", other_images(lambda tags: [f"{tag}_arm64" for tag in tags])),
    ("architecture", "a module", changed("extras", lambda archive: archive.edit("/snd.ko", for_arm64))),
    ("config-copies", "the config beside", lambda dist: edit(dist, "kernel/config", lambda text: text + "# x\n")),
    (
        "map-copies",
        "the headers'",
        changed("headers", lambda archive: archive.edit("./System.map", lambda data: data + b"x")),
    ),
    ("module-lists", "a line less", lambda dist: edit(dist, "kernel/modules-main.list", without_first_line)),
    ("module-lists", "a line more", lambda dist: edit(dist, "kernel/modules-extra.list", lambda text: text + "x.ko\n")),
    ("module-lists", "not sorted", lambda dist: edit(dist, "kernel/modules-main.list", backwards)),
    ("split", "firmware in both", changed("extras", lambda archive: archive.add("./lib/firmware/fakenic/nic-1.bin"))),
    ("modules-built", "one more was", changed("kernel", lambda a: a.edit("/modules.order", one_more_built))),
    ("checksums", "another sum", sums(lambda text: text.replace(text[:8], "01234567"))),
    ("checksums", "a line less", sums(without_first_line)),
    ("checksums", "a file elsewhere", sums(lambda text: text + f"{'0' * 64}  ../config\n")),
    ("manifest", "another release", manifest(lambda told: told.update(release="6.1"))),
    ("manifest", "a file less", manifest(lambda told: told["outputs"].pop("kernel/config"))),
    ("manifest", "another size", manifest(lambda told: told["outputs"]["kernel/config"].update(size=1))),
    ("manifest", "other images", manifest(lambda told: told.update(images={}))),
    (
        "build-links",
        "build",
        changed("kernel", lambda archive: archive.link(f"{folder(archive)}/build", "/work/linux")),
    ),
    (
        "links",
        "firmware",
        changed("kernel", lambda archive: archive.link("./lib/firmware/nic.bin", "fakenic/nic-2.bin")),
    ),
    ("links", "out of the package", changed("extras", lambda a: a.link("./lib/firmware/x", "../../../etc/motd"))),
    ("plain-modules", "gzip", changed("extras", compressed)),
    ("depmod-inputs", "modules.order", changed("kernel", lambda archive: archive.remove("/modules.order"))),
    ("firmware-revision", "none", changed("kernel", lambda archive: archive.remove("/.git-commit"))),
]
SLOW = ("readable-gnu-tar", "readable-busybox", "source-package", "source-secrets")
"""Checks that are not cheap, but need neither an engine nor a compiler."""


@pytest.mark.parametrize(
    ("name", "doctor"), [pytest.param(name, doctor, id=f"{name}: {words}") for name, words, doctor in CASES]
)
def test_one_check_fails(good: Path, tmp_path: Path, name: str, doctor: Doctor) -> None:
    dist = copy_release(good, tmp_path / "dist")
    doctor(dist)
    assert failures(dist, *([name] if name in SLOW else []), before=good) == {name}


def own_checks() -> list[str]:
    """The checks that are tried here; the deeper ones are in test_verify_deep.py."""
    modules = {module.__name__ for module in (archives, split, versions)}
    return [name for name, check in CHECKS.items() if check.run.__module__ in modules]


def test_each_check_has_a_doctored_release() -> None:
    assert {name for name, _, _ in CASES} == set(own_checks())


def test_a_good_release(good: Path) -> None:
    """Every check has something to look at."""
    results = examine(good, cheap=False, only=own_checks()).results
    findings = {result.check.name: result.finding for result in results}
    assert {name: finding for name, finding in findings.items() if finding.status is not Status.OK} == {}
    assert not failures(good)


def test_what_the_packages_alone_tell_holds_for_the_whole_release(good: Path, tmp_path: Path) -> None:
    """Looked at when nothing but the packages was there, it need not be looked at again."""
    packages = tmp_path / "dist"
    (packages / "kernel").mkdir(parents=True)
    for path in find_release(good).packages.values():
        shutil.copyfile(path, packages / "kernel" / path.name)
    ahead = Ahead()
    ahead.look(packages)
    assert ahead.subject is not None
    shutil.copytree(good, packages, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.t*gz"))
    found = {result.check.name: result.finding for result in examine(packages, cheap=True, ahead=ahead.subject).results}
    wanted = {result.check.name: result.finding for result in examine(good, cheap=True).results}
    assert found == wanted
    assert set(ahead.subject.good) == {
        name for name, finding in wanted.items() if CHECKS[name].of != "release" and finding.status is Status.OK
    }
    ahead.close()


def test_the_command(good: Path, tmp_path: Path) -> None:
    """Exit code 0 for a good release; 10, and what is wrong, for another, on a terminal and as JSON."""
    done = run_rosk("verify", good, "--fast")
    assert done.code == 0, done.err
    assert " ok         vermagic " in done.out
    dist = copy_release(good, tmp_path / "dist")
    repack(package(dist, "kernel"), owner(1000, ""))
    done = run_rosk("verify", dist, "--fast")
    assert done.code == 10
    assert "belongs to 1000:0" in done.out
    assert "1 of " in done.err and "member-owners" in done.err
    told = json.loads(run_rosk("verify", dist, "--json", "--only", "member-owners").out)
    assert (told["passed"], told["release"], [check["status"] for check in told["checks"]]) == (
        False,
        version(dist),
        ["failed"],
    )
