"""Licences of firmware: from WHENCE in the forms that linux-firmware has, and from Debian's copyright files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from builder.stages.common import StageError
from builder.stages.dep5 import licence_name, parse_copyright
from builder.stages.firmware import told_licences
from builder.stages.firmwarefetch import from_debian, package_licences
from builder.stages.firmwaretree import scan
from builder.stages.licence import licences_from, licences_json, read_licence
from builder.stages.whence import parse_whence
from tests.unit.stages.faketree import run_stage

WHENCE = """\
             * WHENCE *

Licence: this text is of no driver.
--------------------------------------------------------------------------

Driver: r8169 - RealTek 8169/8168/8101 ethernet driver.

File: rtl_nic/rtl8168h-2.fw
Version: 0.0.2
Link: rtl_nic/old.fw -> rtl_nic/../rtl8168h-2.fw

Licence:
 * Copyright © 2011-2013, Realtek Semiconductor Corporation
 *
 * Permission is hereby granted for the distribution of this firmware data.

--------------------------------------------------------------------------

Driver: ath9k_htc - Atheros HTC devices (USB)

File: htc_9271.fw
Version: 1.3.1

Licence: Redistributable. See LICENCE.atheros_firmware for details

File: ath9k_htc/htc_9271-1.4.0.fw

License: Free software. See LICENCE.open-ath9k-htc-firmware
 for details

File: ath9k_htc/late.fw

--------------------------------------------------------------------------

Driver: keyspan_pda -- USB Keyspan PDA single-port serial device

File: keyspan_pda/keyspan_pda.fw
Source: keyspan_pda/keyspan_pda.S

Licence: GPLv2 or later. See GPL-2 and GPL-3 for details.

Compiled from original 8051 source.

------------

Driver: emi62 -- EMI 6|2m USB Audio interface

File: emi62/loader.fw
Info: DATE=10.01.2002

Original licence information: None

--------------------------------------------------------------------------

Driver: whiteheat -- USB ConnectTech WhiteHEAT serial device

File: whiteheat.fw

Licence: Allegedly GPLv2, but no source visible. Marked:
\t Copyright (C) 2000-2002  ConnectTech Inc

--------------------------------------------------------------------------

Driver: cassini - Sun Cassini
File: sun/cassini.bin
Licence: Unknown

--------------------------------------------------------------------------
Driver: none - nothing is said
File: nothing.bin
"""


def test_each_file_of_whence_has_the_licence_below_it() -> None:
    found = parse_whence(WHENCE).licences
    realtek = found["rtl_nic/rtl8168h-2.fw"]
    assert realtek.section == "r8169 - RealTek 8169/8168/8101 ethernet driver."
    assert realtek.text.startswith("Copyright © 2011-2013, Realtek") and "*" not in realtek.text
    assert realtek.problem == ""
    old, new = found["htc_9271.fw"], found["ath9k_htc/htc_9271-1.4.0.fw"]
    assert (old.text, old.files) == (
        "Redistributable. See LICENCE.atheros_firmware for details",
        ("LICENCE.atheros_firmware",),
    )
    assert new.text == "Free software. See LICENCE.open-ath9k-htc-firmware for details"
    assert found["ath9k_htc/late.fw"] == new  # below the last one of its section
    gpl = found["keyspan_pda/keyspan_pda.fw"]
    assert (gpl.files, gpl.sources, gpl.problem) == (("GPL-2", "GPL-3"), ("keyspan_pda/keyspan_pda.S",), "")
    assert "8051" not in gpl.text


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("emi62/loader.fw", "its licence is said to be: None"),
        ("sun/cassini.bin", "its licence is said to be: Unknown"),
        ("whiteheat.fw", "what its licence is was never made sure: Allegedly GPLv2, but no source visible"),
        ("nothing.bin", "no licence is named"),
    ],
)
def test_a_licence_that_is_not_clear_is_said(name: str, problem: str) -> None:
    assert parse_whence(WHENCE).licences[name].problem.startswith(problem)


def test_a_long_licence_is_cut() -> None:
    licence = read_licence("word " * 1000, "x")
    assert len(licence.text) <= 200 and licence.text.endswith("…")


def test_a_licence_whose_text_the_source_lacks_is_said(tmp_path: Path) -> None:
    (tmp_path / "WHENCE").write_text(WHENCE)
    (tmp_path / "LICENCE.atheros_firmware").write_text("text")
    for name in ("htc_9271.fw", "ath9k_htc/htc_9271-1.4.0.fw"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = scan(tmp_path).licences
    assert found["htc_9271.fw"].problem == ""
    assert "LICENCE.open-ath9k-htc-firmware, which the firmware source lacks" in (
        found["ath9k_htc/htc_9271-1.4.0.fw"].problem
    )
    assert set(found) == {"htc_9271.fw", "ath9k_htc/htc_9271-1.4.0.fw"}


def test_the_report_has_the_licence_of_each_name_that_ships(tmp_path: Path) -> None:
    (tmp_path / "rtl_nic").mkdir()
    (tmp_path / "WHENCE").write_text(
        "Driver: r8169 - x\nFile: rtl_nic/a.fw\nLink: b.fw -> rtl_nic/a.fw\nLicence: Redistributable.\n"
    )
    for name in ("rtl_nic/a.fw", "own.fw"):
        (tmp_path / name).write_text("x")
    told = told_licences(scan(tmp_path), ["rtl_nic/a.fw", "b.fw", "own.fw"])
    assert told == {
        "licences": {"rtl_nic/a.fw": "Redistributable.", "b.fw": "Redistributable."},
        "sections": {"rtl_nic/a.fw": "r8169 - x", "b.fw": "r8169 - x"},
    }


COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Files-Excluded:
 emi26/*.fw

Files: debian/*
Copyright: 2006, Somebody
License: GPL-2

Files: rtl_nic/* odd\\*.bin
Copyright: 2010-2013, Realtek
License: binary-redist-Realtek-permissive

Files: rtl_nic/rtl8153*.fw rtl_bt/*
 rtlwifi/rtl81??.bin
Copyright: 2009
License: binary-redist-Realtek-restrictive
 The text of it.
 .
 More of it.

License: binary-redist-Realtek-permissive
 Permission is granted.
"""


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("rtl_nic/rtl8168h-2.fw", "binary-redist-Realtek-permissive"),
        ("rtl_nic/rtl8153a-4.fw", "binary-redist-Realtek-restrictive"),  # the last paragraph that matches
        ("rtl_bt/deep/x.bin", "binary-redist-Realtek-restrictive"),  # a star crosses folders
        ("rtlwifi/rtl8188.bin", "binary-redist-Realtek-restrictive"),
        ("rtlwifi/rtl81888.bin", ""),
        ("odd*.bin", "binary-redist-Realtek-permissive"),
        ("odd1.bin", ""),
        ("emi26/a.fw", ""),
    ],
)
def test_debians_copyright_file_names_licences(path: str, name: str) -> None:
    assert licence_name(parse_copyright(COPYRIGHT), path) == name


@pytest.mark.parametrize("text", ["", "All rights reserved.\n\nSee the web.\n", "Files:\nLicense: x\n", "\0\n\n\n"])
def test_a_copyright_file_of_another_form_names_none(text: str) -> None:
    assert licence_name(parse_copyright(text), "a.fw") == ""


@pytest.mark.parametrize("lib", ["lib/firmware", "usr/lib/firmware"])
def test_the_licences_of_a_package(tmp_path: Path, lib: str) -> None:
    for name in (f"{lib}/rtl_nic/a.fw.xz", f"{lib}/else.bin", "usr/share/doc/firmware-x/copyright"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(COPYRIGHT)
    (tmp_path / lib / "link.fw").symlink_to("rtl_nic/a.fw.xz")
    found = package_licences(tmp_path, "firmware-x")
    assert {name: (each.text, each.section, each.problem) for name, each in found.items()} == {
        "rtl_nic/a.fw": ("binary-redist-Realtek-permissive", "firmware-x", ""),
        "else.bin": ("", "firmware-x", "no licence is named"),
    }
    assert licences_from(json.loads(json.dumps(licences_json(found)))) == found


def build_deb(folder: Path, name: str, files: dict[str, str]) -> None:
    root = folder / name
    for path, text in {"DEBIAN/control": "", **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 20250410-2\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: x\n"
    )
    subprocess.run(
        ["dpkg-deb", "--build", root, folder / f"{name}_20250410-2_all.deb"], check=True, capture_output=True
    )


def test_each_debian_package_speaks_for_its_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temp = tmp_path / "temp"
    temp.mkdir()
    doc = "usr/share/doc/firmware-{}/copyright"
    build_deb(temp, "firmware-a", {"lib/firmware/a.fw": "a", doc.format("a"): "Files: *\nLicense: of-a\n"})
    build_deb(temp, "firmware-b", {"usr/lib/firmware/b.fw": "b", doc.format("b"): "Files: *\nLicense: of-b\n"})
    # What apt would download is there already.
    monkeypatch.setattr("builder.stages.firmwarefetch._apt", lambda *_: None)
    root, revision, licences = from_debian(["firmware-a", "firmware-b"], temp, apt=tmp_path / "none")
    assert revision == "20250410"
    assert {path.name for path in root.iterdir()} == {"a.fw", "b.fw"}
    assert {name: (each.text, each.section) for name, each in licences.items()} == {
        "a.fw": ("of-a", "firmware-a"),
        "b.fw": ("of-b", "firmware-b"),
    }


def test_the_program_tells_what_a_folder_offers(tmp_path: Path) -> None:
    root = tmp_path / "linux-firmware"
    (root / "sun").mkdir(parents=True)
    (root / "WHENCE").write_text(
        "Driver: c - Sun\nFile: sun/cassini.bin\nLink: c.bin -> sun/cassini.bin\nLicence: Unknown\n"
    )
    (root / "sun/cassini.bin").write_text("x")
    done = run_stage("firmwareoffer", "folder", "--dir", root, "--revision", "abc", "--out", tmp_path / "offered.json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "offered.json").read_text())
    assert told["revision"] == "abc"
    assert told["files"] == told["firmware"] == ["sun/cassini.bin"]
    assert told["links"] == {"c.bin": "sun/cassini.bin"}
    assert told["licences"]["sun/cassini.bin"]["problem"] == "its licence is said to be: Unknown"
    assert run_stage("firmwareoffer", "none", "--out", tmp_path / "none.json").returncode == 0
    assert json.loads((tmp_path / "none.json").read_text()) == {}


def test_a_licence_cannot_leave_the_folder() -> None:
    with pytest.raises(StageError, match="leads out of the firmware folder"):
        parse_whence("Driver: x\nFile: ../x\nLicence: Redistributable. See LICENCE.x\n")
