"""What the menus make of a project's files, on the fake tree, whose menus take words on standard input."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.stages import faketree

CONFIG = f"# Networking\n{faketree.CONFIG}# the end\n"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    faketree.write_inputs(tmp_path / "in", CONFIG, {"00-own": "# own\nCONFIG_SMP=y\n"})
    (tmp_path / "obj").mkdir()
    return tmp_path


def edit(work: Path, *words: str, file: str = "kernel-config") -> dict[str, Any]:
    command = faketree.stage(
        "configedit",
        *("--tree", faketree.TREE, "--obj", work / "obj", "--config", work / "in", "--out", work / "out"),
        *("--arch", "x86_64", "--srcarch", "x86", "--localversion=-rosk", "--file", file, "--menu", "menuconfig"),
        *("--work", work / "edited"),
    )
    done = subprocess.run(
        command, env=faketree.stage_environment(), input=" ".join(words), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    found: dict[str, Any] = json.loads((work / "out/result.json").read_text())
    return found


def test_only_the_lines_that_changed_change(work: Path) -> None:
    told = edit(work, "VXLAN=y", "SND=n", "DUMMY=m", "KERNEL_XZ=y", "save")
    assert told["left"] == []
    assert told["changed"]["VXLAN"] == ["m", "y"] and told["changed"]["NET_UDP_TUNNEL"] == ["m", "y"]
    assert told["changed"]["SND_TIMER"] == ["m", "n"]
    expected = CONFIG.replace("VXLAN=m", "VXLAN=y")
    for name in ("SND_TIMER", "SND"):
        expected = expected.replace(f"CONFIG_{name}=m", f"# CONFIG_{name} is not set")
    lines = told["text"].splitlines()
    assert [line for line in lines if line not in ("CONFIG_DUMMY=m", "CONFIG_KERNEL_XZ=y")] == expected.splitlines()
    assert lines.index("CONFIG_DUMMY=m") == lines.index("CONFIG_INET=y") + 1


def test_line_ends_stay(work: Path) -> None:
    (work / "in/kernel-config").write_bytes(CONFIG.replace("\n", "\r\n").encode())
    told = edit(work, "VXLAN=n", "save")
    assert told["text"] == CONFIG.replace("CONFIG_VXLAN=m", "# CONFIG_VXLAN is not set").replace("\n", "\r\n")


def test_what_is_not_saved_changes_nothing(work: Path) -> None:
    for words in (("VXLAN=y", "quit"), ("save",), ("VXLAN=m", "save")):
        assert edit(work, *words) == {"changed": {}}


def test_an_option_back_to_its_default_keeps_its_line(work: Path) -> None:
    told = edit(work, "VXLAN=n", "save")
    assert told["text"] == CONFIG.replace("CONFIG_VXLAN=m", "# CONFIG_VXLAN is not set")


def test_a_fragment_gets_what_changed(work: Path) -> None:
    told = edit(work, "DUMMY=y", "XEN=y", "save", file="fragments/00-own")
    assert (told["text"], told["left"]) == ("# own\nCONFIG_SMP=y\nCONFIG_XEN=y\nCONFIG_DUMMY=y\n", [])


def test_what_another_file_sets_is_said(work: Path) -> None:
    told = edit(work, "SMP=n", "DUMMY=m", "save")
    assert told["left"] == ["# CONFIG_SMP is not set will be y"]
    assert "CONFIG_DUMMY=m" in told["text"]


def test_a_whole_config_stays_one(work: Path) -> None:
    edit(work, "VXLAN=m", "save")
    whole = (work / "obj/.config").read_text()
    (work / "in/kernel-config").write_text(whole)
    told = edit(work, "VXLAN=n", "save")
    lines = whole.splitlines()
    assert told["text"].splitlines() == [
        line.replace("CONFIG_VXLAN=m", "# CONFIG_VXLAN is not set") for line in lines if "NET_UDP_TUNNEL" not in line
    ]
