"""The deeper checks of `rosk verify` on a release of the fake kernel tree: each finds what it is for.

Every doctored release has one thing wrong. Where two checks look at the same thing independently of one another, as
those of the symbol tables and depmod do, both find it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.verify import config, headers, hostprograms, images, indexes, signatures, symbols, wishes
from builder.verify.model import CHECKS, Finding, Status
from builder.verify.run import examine
from tests.doctor import (
    Archive,
    Entry,
    copy_release,
    edit,
    failures,
    package,
    reindex,
    relist,
    repack,
)

pytestmark = pytest.mark.engine

Doctor = Callable[[Path], object]
OWN = (symbols, indexes, wishes, headers, hostprograms, signatures, images, config)
SLOW = ("host-programs-run", "images", "config-stable")
"""Checks that are not cheap, and have something to do on a release of the fake kernel."""
TOLD_ONLY = {"module-firmware"}
"""Checks that tell what they see and fail no release."""
TESTED_APART = {"module-signatures-valid"}
"""What needs a signed module and a kernel with certificates: tests/unit/verify/test_signatures.py."""


def changed(kind: str, change: Callable[[Archive], object], *after: Doctor) -> Doctor:
    """A change of a package's members, and what makes the rest of the release agree."""

    def doctor(dist: Path) -> None:
        repack(package(dist, kind), change)
        for each in after:
            each(dist)

    return doctor


def moved(end: str, *after: Doctor) -> Doctor:
    """A module of the kernel package is one of the extras instead."""

    def doctor(dist: Path) -> None:
        taken: list[Entry] = []

        def take(archive: Archive) -> None:
            taken.append(archive.find(end))
            archive.remove(end)

        repack(package(dist, "kernel"), take)
        repack(package(dist, "extras"), lambda archive: archive.add(taken[0].name, taken[0].data))
        for each in (relist, reindex, *after):
            each(dist)

    return doctor


def configured(*lines: str) -> Doctor:
    """Other options, in every copy of the config and in what kbuild reads instead."""
    names = [line.partition("=")[0] for line in lines]
    pattern = re.compile(rf"^(?:# )?(?:{'|'.join(names)})(?:=.*| is not set)\n", re.MULTILINE)

    def change(text: str) -> str:
        return pattern.sub("", text) + "".join(f"{line}\n" for line in lines if not line.endswith("=n"))

    def change_bytes(data: bytes) -> bytes:
        return change(data.decode()).encode()

    def change_headers(archive: Archive) -> None:
        archive.edit("./.config", change_bytes)
        archive.edit("/auto.conf", change_bytes)

    def change_kernel(archive: Archive) -> None:
        archive.edit(next(name for name in archive.names() if "/config-" in name), change_bytes)

    def doctor(dist: Path) -> None:
        repack(package(dist, "kernel"), change_kernel)
        repack(package(dist, "headers"), change_headers)
        edit(dist, "kernel/config", change)

    return doctor


def symvers(old: bytes, new: bytes) -> Doctor:
    return changed("headers", lambda archive: archive.replace("./Module.symvers", old, new))


def all_of(*doctors: Doctor) -> Doctor:
    def doctor(dist: Path) -> None:
        for each in doctors:
            each(dist)

    return doctor


def for_gpl_only(dist: Path) -> None:
    """printk is for modules under the GPL, and a driver is not."""
    repack(package(dist, "kernel"), lambda archive: archive.replace("/fakenic.ko", b"Dual BSD/GPL", b"Dual BSD/XYZ"))
    symvers(b"printk\tvmlinux\tEXPORT_SYMBOL\t", b"printk\tvmlinux\tEXPORT_SYMBOL_GPL\t")(dist)


def without_helper(dist: Path) -> None:
    """ext4 would like the module dummy beside it, which was built, and was lost."""
    # A shorter name, and an empty string after it: `.modinfo` has its size.
    repack(package(dist, "kernel"), lambda archive: archive.replace("/ext4.ko", b"pre: crc32c", b"pre: dummy\0"))
    repack(package(dist, "extras"), lambda archive: archive.remove("/dummy.ko"))
    relist(dist)
    reindex(dist)


def other_index(name: str, change: Callable[[bytes], bytes]) -> Doctor:
    return changed("kernel", lambda archive: archive.edit(name, change))


def of_arm64(archive: Archive) -> None:
    archive.add("./arch/arm64/include/asm/page.h", b"")


def dynamic(archive: Archive) -> None:
    archive.find("/fixdep").data = Path("/bin/true").resolve().read_bytes()


def second_image_digest(dist: Path) -> None:
    edit(dist, "manifest.json", lambda text: re.sub(r'(os-kernel:\S+": "sha256:)[0-9a-f]{8}', r"\g<1>01234567", text))


def this_compiler() -> str:
    out = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True).stdout
    return f'CONFIG_CC_VERSION_TEXT="{out.splitlines()[0]}"'


KEY = b"-----BEGIN RSA PRIVATE KEY-----\n" + b"MIIEpAIBAAKCAQEAx" * 4 + b"\n-----END RSA PRIVATE KEY-----\n"
CASES: list[tuple[set[str], str, Doctor]] = [
    ({"symbols-resolve", "depmod"}, "a dependency in the extras", moved("/jbd2.ko")),
    (
        {"symbols-resolve", "depmod", "module-depends", "module-indexes"},
        "a symbol that nobody has",
        changed("kernel", lambda archive: archive.replace("/ext4.ko", b"jbd2_journal_start", b"jbd2_journal_xxxxx")),
    ),
    ({"module-depends"}, "another module", changed("kernel", lambda a: a.replace("/ext4.ko", b"e,jbd2", b"e,jbd1"))),
    (
        {"module-symvers"},
        "an export less",
        symvers(b"0x00000000\tsnd_register\tsound/core/snd\tEXPORT_SYMBOL\t\n", b""),
    ),
    ({"module-symvers"}, "another owner", symvers(b"sound/core/snd\t", b"sound/core/snd-timer\t")),
    (
        {"symbol-versions"},
        "none in the modules",
        all_of(
            configured("CONFIG_MODVERSIONS=y"),
            symvers(b"0x00000000\tcrc32c", b"0x00000001\tcrc32c"),
        ),
    ),
    ({"symbol-use"}, "of a licence", for_gpl_only),
    ({"module-indexes"}, "a line less", other_index("/modules.dep", lambda data: data.partition(b"\n")[2])),
    (
        {"module-indexes"},
        "a dependency less",
        other_index("/modules.dep", lambda data: data.replace(b" kernel/fs/mb", b" kernel/fs/mc")),
    ),
    (
        {"module-indexes"},
        "a binary one",
        other_index("/modules.dep.bin", lambda data: data.replace(b"fakenic", b"fakenix")),
    ),
    ({"module-indexes"}, "a damaged one", other_index("/modules.alias.bin", lambda data: data[:40])),
    ({"module-indexes"}, "a stale one", other_index("/modules.alias", lambda data: data + b"alias pci:v1 nothing\n")),
    ({"module-indexes"}, "one is missing", changed("kernel", lambda archive: archive.remove("/modules.symbols"))),
    ({"soft-dependencies", "modules-built"}, "one is lost", without_helper),
    (
        {"headers-complete"},
        "no linker script",
        changed("headers", lambda archive: archive.remove("/scripts/module.lds")),
    ),
    ({"headers-complete"}, "no objtool", changed("headers", lambda archive: archive.remove("/objtool/objtool"))),
    ({"headers-complete"}, "no resolve_btfids", configured("CONFIG_DEBUG_INFO_BTF_MODULES=y")),
    (
        {"headers-complete"},
        "a stale auto.conf",
        changed("headers", lambda a: a.replace("/auto.conf", b"PRINTK=y", b"PRINTK=m")),
    ),
    ({"headers-secrets"}, "by name", changed("headers", lambda archive: archive.add("./certs/signing_key.pem", b"x"))),
    ({"headers-secrets"}, "by content", changed("headers", lambda archive: archive.add("./scripts/x.txt", KEY))),
    ({"headers-architecture"}, "arm64", changed("headers", of_arm64)),
    ({"headers-links"}, "dangling", changed("headers", lambda archive: archive.link("./include/x.h", "y.h"))),
    ({"headers-links"}, "absolute", changed("headers", lambda archive: archive.link("./include/x.h", "/usr/src/x.h"))),
    ({"headers-links"}, "out of the package", changed("headers", lambda archive: archive.link("./x.h", "../x.h"))),
    ({"host-programs", "host-programs-run"}, "a dynamic one", changed("headers", dynamic)),
    ({"module-signatures"}, "not signed", configured("CONFIG_MODULE_SIG=y", "CONFIG_MODULE_SIG_ALL=y")),
    ({"images"}, "another kernel package", changed("kernel", lambda archive: archive.add("./lib/firmware/new.bin"))),
    ({"images"}, "other extras", changed("extras", lambda archive: archive.add("./lib/firmware/new.bin"))),
    ({"images"}, "another digest", second_image_digest),
    ({"config-stable"}, "an option that is no choice", configured(this_compiler(), "CONFIG_PRINTK=n")),
]


@pytest.mark.parametrize(
    ("names", "doctor"), [pytest.param(names, doctor, id=f"{min(names)}: {words}") for names, words, doctor in CASES]
)
def test_what_fails(good: Path, tmp_path: Path, names: set[str], doctor: Doctor) -> None:
    dist = copy_release(good, tmp_path / "dist")
    doctor(dist)
    assert failures(dist, *(names & set(SLOW)), before=good) == names


def test_each_check_has_a_doctored_release() -> None:
    assert set().union(*(names for names, _, _ in CASES)) & own_checks() == own_checks() - TOLD_ONLY - TESTED_APART


def own_checks() -> set[str]:
    modules = {module.__name__ for module in OWN}
    return {name for name, check in CHECKS.items() if check.run.__module__ in modules}


def test_a_good_release(good: Path, tmp_path: Path) -> None:
    """All that applies passes; the build's config is another compiler's unless this machine has that one."""
    seen = findings(good, *own_checks())
    assert {name for name, finding in seen.items() if finding.status not in (Status.OK, Status.SKIPPED)} == set()
    assert {name for name, finding in seen.items() if finding.status is Status.SKIPPED} - {"config-stable"} == {
        "symbol-versions",
        "module-signatures",
        "module-signatures-valid",
    }
    dist = copy_release(good, tmp_path / "dist")
    configured(this_compiler())(dist)
    assert findings(dist, "config-stable")["config-stable"].status is Status.OK


def test_what_is_told(good: Path) -> None:
    """Wishes that the release does not fulfil are named, and fail nothing."""
    seen = findings(good, *TOLD_ONLY, "soft-dependencies")
    assert "in the extras 1 (ext4 → crc32c)" in seen["soft-dependencies"].saw
    assert "of 2 files that the kernel package's modules may load, 1 (fakenic/nic-2.bin)" in seen["module-firmware"].saw


def test_an_image_that_the_engine_lacks_is_not_checked(good: Path, tmp_path: Path) -> None:
    dist = copy_release(good, tmp_path / "dist")
    edit(dist, "images", lambda text: text.replace("/os-", "-none/os-"))
    finding = findings(dist, "images")["images"]
    assert finding.status is Status.UNCHECKED
    assert "the engine does not have" in finding.saw


def findings(dist: Path, *only: str) -> dict[str, Finding]:
    report = examine(dist, cheap=False, only=only)
    return {result.check.name: result.finding for result in report.results}
