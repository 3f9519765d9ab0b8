from __future__ import annotations

import json
import lzma
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from builder.stages.common import StageError
from builder.stages.firmware import choose, ship
from builder.stages.firmwarefetch import (
    component_of,
    from_archive,
    from_debian,
    git_head,
    upstream_version,
    with_component,
)
from builder.stages.firmwaretree import scan
from builder.stages.lists import FIRMWARE, Entry, parse_list
from builder.stages.whence import parse_whence
from tests.unit.stages.faketree import run_stage

WHENCE = """\
Driver: r8169 - RealTek 8169

File: rtl_nic/rtl8168h-2.fw
Version: 0.0.2
RawFile: rtl_nic/raw.xz
File: "brcm/name with blanks.txt"
File: brcm/other\\ name.txt
Link: brcm/link.txt -> name with blanks.txt
Link: top.fw -> rtl_nic/rtl8168h-2.fw

Licence: Redistributable. See LICENCE.rtl for details.

File: nvidia/tu102/gsp/boot.bin
File: nvidia/tu102/gsp/load.bin
Link: nvidia/tu104/gsp -> ../tu102/gsp
Link: nvidia/tu106 -> tu104
Link: gone.bin -> rtl_nic/missing.fw
"""
FILES = {
    "WHENCE": WHENCE,
    "Makefile": "all:\n",
    "README.md": "readme",
    "LICENCE.rtl": "licence",
    "copy-firmware.sh": "#!/bin/sh\n",
    "rtl_nic/rtl8168h-2.fw": "h2",
    "rtl_nic/raw.xz": "raw, not xz",
    "rtl_nic/README": "readme",
    "rtl_nic/own.fw": "not in WHENCE",
    "brcm/name with blanks.txt": "blanks",
    "brcm/other name.txt": "other",
    "nvidia/tu102/gsp/boot.bin": "boot",
    "nvidia/tu102/gsp/load.bin": "load",
}


def write_files(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_files(tmp_path / "linux-firmware", FILES)


def entries(text: str, name: str = "firmware.list") -> list[Entry]:
    return parse_list(text, f"lists/{name}", FIRMWARE)


def shipped(tree: Path, main: str, extra: str = "") -> tuple[set[str], set[str], dict[str, Any]]:
    """Paths below lib/firmware of the kernel package and of the extras, and the report."""
    out = tree.parent / "out"
    report = ship(scan(tree), "20260810", entries(main), entries(extra, "firmware-extra.list"), out)
    found = []
    for package in ("main", "extra"):
        root = out / package / "lib/firmware"
        found.append(
            {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_symlink() or path.is_file()}
        )
        assert not [path for path in root.rglob("*") if path.is_symlink() and path.readlink().is_absolute()]
    return found[0] - {".git-commit"}, found[1], report


def test_listed_files_ship_with_the_links_to_them_and_the_revision(tree: Path) -> None:
    main, extra, report = shipped(tree, "rtl_nic/rtl8168h-2.fw\nbrcm/other name.txt\n")
    assert main == {"rtl_nic/rtl8168h-2.fw", "top.fw", "brcm/other name.txt"}
    assert extra == set()
    root = tree.parent / "out/main/lib/firmware"
    assert (root / "top.fw").readlink() == Path("rtl_nic/rtl8168h-2.fw")
    assert (root / "top.fw").read_text() == "h2"
    assert (root / ".git-commit").read_text() == "20260810\n"
    assert (root / "rtl_nic/rtl8168h-2.fw").stat().st_mode & 0o777 == 0o644
    assert report["files"] == ["brcm/other name.txt", "rtl_nic/rtl8168h-2.fw", "top.fw"]
    assert report["warnings"] == []


def test_a_listed_link_brings_its_target(tree: Path) -> None:
    main, _, _ = shipped(tree, "brcm/link.txt\n")
    assert main == {"brcm/link.txt", "brcm/name with blanks.txt"}
    assert (tree.parent / "out/main/lib/firmware/brcm/link.txt").read_text() == "blanks"


def test_a_path_through_a_linked_folder_ships_the_link_and_that_file(tree: Path) -> None:
    main, _, report = shipped(tree, "nvidia/tu104/gsp/boot.bin\n")
    assert main == {"nvidia/tu102/gsp/boot.bin", "nvidia/tu104/gsp", "nvidia/tu106"}
    assert report["files"] == [
        f"nvidia/{chip}/gsp/boot.bin" for chip in ("tu102", "tu104", "tu106")
    ]  # what the loader can open
    root = tree.parent / "out/main/lib/firmware"
    for name in report["files"]:
        assert (root / name).read_text() == "boot"


def test_a_listed_link_to_a_folder_brings_all_that_is_in_it(tree: Path) -> None:
    main, _, _ = shipped(tree, "nvidia/tu104/gsp\n")
    assert {"nvidia/tu102/gsp/boot.bin", "nvidia/tu102/gsp/load.bin", "nvidia/tu104/gsp"} <= main


def test_the_extras_get_the_rest_and_never_a_repository_file(tree: Path) -> None:
    main, extra, report = shipped(tree, "top.fw\n", "*\n")
    assert main == {"rtl_nic/rtl8168h-2.fw", "top.fw"}
    assert extra == {
        *("rtl_nic/raw.xz", "brcm/name with blanks.txt", "brcm/other name.txt", "brcm/link.txt"),
        *("nvidia/tu102/gsp/boot.bin", "nvidia/tu102/gsp/load.bin", "nvidia/tu104/gsp", "nvidia/tu106"),
    }
    assert (tree.parent / "out/extra/lib/firmware/rtl_nic/raw.xz").read_text() == "raw, not xz"
    assert report["warnings"] == []


def test_what_the_source_lacks_is_a_warning_with_its_line_and_why(tree: Path) -> None:
    text = "rtl_nic/own.fw\nno/such.bin\nWHENCE\ngone.bin\nrtl_nic\nno/*\n"
    main, _, report = shipped(tree, text)
    assert main == {"rtl_nic/own.fw"}  # asked for by its name, though WHENCE does not know it
    assert [(warning["kind"], warning["where"], warning["line"]) for warning in report["warnings"]] == [
        ("firmware-absent", "lists/firmware.list", line) for line in range(2, 7)
    ]
    assert [warning["what"].split(": ")[1] for warning in report["warnings"]] == [
        "the firmware source lacks it",
        "it is a file of the firmware repository, no firmware",
        "it is a link to rtl_nic/missing.fw, which the firmware source lacks",
        "it is a folder; for all below it write rtl_nic/**",
        "it matches nothing in the firmware source",
    ]


def test_compressed_files_and_links_get_their_plain_name(tmp_path: Path) -> None:
    root = write_files(tmp_path / "source", {"a/plain.bin": "plain", "README": ""})
    (root / "a/one.bin.xz").write_bytes(lzma.compress(b"one"))
    subprocess.run(["zstd", "-q", "-o", root / "a/two.bin.zst"], input=b"two", check=True)
    (root / "a/link.bin.xz").symlink_to("one.bin.xz")
    main, _, _ = shipped(root, "a/link.bin\na/two.bin\n")
    assert main == {"a/link.bin", "a/one.bin", "a/two.bin"}
    out = tmp_path / "out/main/lib/firmware/a"
    assert ((out / "link.bin").read_text(), (out / "two.bin").read_text()) == ("one", "two")
    assert choose(scan(root), entries("*")).files == {"a/one.bin", "a/two.bin", "a/plain.bin"}


def test_a_damaged_compressed_file_is_an_error(tmp_path: Path) -> None:
    root = write_files(tmp_path / "source", {"a.bin.xz": "no xz"})
    with pytest.raises(StageError, match=r"a\.bin\.xz is damaged"):
        shipped(root, "a.bin\n")


@pytest.mark.parametrize(
    "line",
    ["File: ../../etc/passwd", "File: /etc/passwd", "Link: a -> ../x", "Link: a/b -> /etc/passwd", "Link: .. -> a"],
)
def test_a_whence_that_leaves_the_folder_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(StageError, match=r"WHENCE, line 2: .* leads out of the firmware folder"):
        parse_whence(f"Driver: x\n{line}\n")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside"])
def test_a_link_that_leaves_the_folder_is_refused(tree: Path, target: str) -> None:
    (tree / "rtl_nic/bad.fw").symlink_to(target)
    with pytest.raises(StageError, match=r"rtl_nic/bad\.fw.* leads out of the firmware folder"):
        scan(tree)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    root = write_files(
        tmp_path / "source", {"WHENCE": "Link: a -> b\nLink: b -> a\nLink: c/d -> .\nFile: c/f\n", "c/f": "f"}
    )
    main, _, report = shipped(root, "a\nc/f\n")
    assert main == {"c/f", "c/d"}
    assert [warning["line"] for warning in report["warnings"]] == [1]


def run_firmware(tmp_path: Path, kind: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    (tmp_path / "firmware.list").write_text("rtl_nic/rtl8168h-2.fw\nno/such.bin\n")
    own: list[str | Path] = [
        "--list",
        tmp_path / "firmware.list",
        "--extra-list",
        tmp_path / "absent.list",
        "--out",
        tmp_path / "out",
    ]
    return run_stage("firmware", kind, *options, *own)


def test_the_program_packs_a_release_archive(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    archive = tmp_path / "input/linux-firmware-20260810.tar.xz"
    subprocess.run(["tar", "-cJf", archive, "-C", tmp_path, "linux-firmware"], check=True)
    done = run_firmware(tmp_path, "archive", "--dir", tmp_path / "input")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["revision"] == "20260810"
    assert report["files"] == ["rtl_nic/rtl8168h-2.fw", "top.fw"]
    assert [warning["line"] for warning in report["warnings"]] == [2]
    assert (tmp_path / "out/extra").is_dir()


def test_strict_makes_an_error_of_what_the_source_lacks(tree: Path, tmp_path: Path) -> None:
    done = run_firmware(tmp_path, "folder", "--dir", tree, "--strict")
    assert done.returncode == 1
    event = json.loads(done.stdout.removeprefix("##rosk "))
    assert (event["where"], event["line"]) == ("lists/firmware.list", 2)
    assert "no/such.bin does not ship" in event["what"]


def test_a_folder_has_the_revision_that_is_told_or_none(tree: Path, tmp_path: Path) -> None:
    assert run_firmware(tmp_path, "folder", "--dir", tree, "--revision", "abc").returncode == 0
    assert (tmp_path / "out/main/lib/firmware/.git-commit").read_text() == "abc\n"


def test_no_source_ships_nothing_and_says_so_once(tmp_path: Path) -> None:
    done = run_firmware(tmp_path, "none")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert (report["revision"], report["files"]) == (None, [])
    assert [warning["what"] for warning in report["warnings"]] == [
        "nothing of the 2 lines of firmware ships: the firmware source is none"
    ]
    assert [path.name for path in sorted((tmp_path / "out").rglob("*"))] == ["extra", "main", "report.json"]


@pytest.mark.parametrize(
    ("names", "revision"),
    [
        (("linux-firmware-20260810.tar.xz", "linux-firmware-20260810"), "20260810"),
        (("linux-firmware-20260810.tar.gz", "linux-firmware"), "20260810"),
        (("firmware.tar", "linux-firmware-abcdef0"), "abcdef0"),
    ],
)
def test_the_revision_of_an_archive_is_in_its_name(tmp_path: Path, names: tuple[str, str], revision: str) -> None:
    write_files(tmp_path / names[1], FILES)
    for folder in ("input", "temp"):
        (tmp_path / folder).mkdir()
    subprocess.run(["tar", "-caf", tmp_path / "input" / names[0], "-C", tmp_path, names[1]], check=True)
    root, found = from_archive(tmp_path / "input", tmp_path / "temp")
    assert found == revision
    assert (root / "WHENCE").is_file()


@pytest.mark.parametrize("content", [b"<html>404</html>", lzma.compress(bytes(5000))[:50]])
def test_what_is_no_whole_archive_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input/linux-firmware-1.tar.xz").write_bytes(content)
    with pytest.raises(StageError, match=r"linux-firmware-1\.tar\.xz cannot be unpacked"):
        from_archive(tmp_path / "input", tmp_path / "temp")


@pytest.mark.parametrize("name", ["../evil", "linux-firmware-1/link/evil"])
def test_an_archive_that_writes_outside_is_refused(tmp_path: Path, name: str) -> None:
    for folder in ("input", "temp", "outside"):
        (tmp_path / folder).mkdir()
    with tarfile.open(tmp_path / "input/linux-firmware-1.tar", "w") as tar:
        link = tarfile.TarInfo("linux-firmware-1/link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(StageError):
        scan(from_archive(tmp_path / "input", tmp_path / "temp")[0])
    assert list((tmp_path / "outside").iterdir()) == []
    assert not (tmp_path / "evil").exists()


def test_one_archive_is_needed(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="0 files where one firmware archive should be"):
        from_archive(tmp_path, tmp_path)


def test_the_commit_of_a_checkout_is_read(tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert git_head(tmp_path) is None
    write_files(tmp_path, {".git/HEAD": f"{commit}\n"})
    assert git_head(tmp_path) == commit
    write_files(
        tmp_path, {".git/HEAD": "ref: refs/heads/main\n", ".git/packed-refs": f"# pack\n{commit} refs/heads/main\n"}
    )
    assert git_head(tmp_path) == commit
    write_files(tmp_path, {".git/refs/heads/main": f"{commit[::-1]}\n"})
    assert git_head(tmp_path) == commit[::-1]


def test_the_component_is_added_to_every_source_that_has_components() -> None:
    one_line = (
        "# a comment\ndeb http://mirror/debian trixie main # why\n"
        "deb [signed-by=/k.gpg arch=amd64] http://mirror/debian trixie-updates main contrib\n"
        "deb http://mirror/debian trixie main non-free-firmware\ndeb http://mirror/flat ./\n"
        "deb-src http://mirror/debian trixie main\n"
    )
    assert with_component(one_line, deb822=False) == (
        "# a comment\ndeb http://mirror/debian trixie main non-free-firmware\n"
        "deb [signed-by=/k.gpg arch=amd64] http://mirror/debian trixie-updates main contrib non-free-firmware\n"
        "deb http://mirror/debian trixie main non-free-firmware\ndeb http://mirror/flat ./\n"
        "deb-src http://mirror/debian trixie main\n"
    )
    deb822 = "Types: deb\nURIs: http://mirror/debian\nSuites: trixie\nComponents: main\nSigned-By: /k.gpg\n"
    assert with_component(deb822, deb822=True) == deb822.replace("main", "main non-free-firmware")
    assert with_component(deb822, deb822=True, component="non-free") == deb822.replace("main", "main non-free")


@pytest.mark.parametrize(
    ("os_release", "component"),
    [
        ('ID=debian\nVERSION_ID="11"\n', "non-free"),
        ('ID=debian\nVERSION_ID="12"\n', "non-free-firmware"),
        ("ID=debian\nVERSION_CODENAME=sid\n", "non-free-firmware"),
        ("", "non-free-firmware"),
    ],
)
def test_the_component_is_the_suites(os_release: str, component: str) -> None:
    assert component_of(os_release) == component


@pytest.mark.parametrize("name", ["-oDir=/", "firmware realtek", "../x.deb", "Firmware"])
def test_what_is_no_package_name_never_reaches_apt(tmp_path: Path, name: str) -> None:
    with pytest.raises(StageError, match="is not the name of a Debian package"):
        from_debian([name], tmp_path)


def test_upstream_versions() -> None:
    assert [upstream_version(text) for text in ("20250410-2", "1:2.0-rc1-3+deb13u1", "5")] == [
        "20250410",
        "2.0-rc1",
        "5",
    ]
