"""The stages behind `rosk config`, on the fake tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.stages import faketree

ARCH = ["--arch", "x86_64", "--srcarch", "x86"]


@pytest.fixture(scope="module")
def obj(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kbuild's output folder as the stage of the facts leaves it, with these beside it in `facts`."""
    work = tmp_path_factory.mktemp("facts")
    base = faketree.begin(faketree.TREE, work)
    done = faketree.run_stage("kconfigfacts", "--tree", faketree.TREE, *base, *ARCH, "--out", work / "facts")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return work / "obj"


@pytest.fixture
def facts(obj: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((obj.parent / "facts/facts.json").read_text())
    return found


def ask(obj: Path, work: Path, config: str, fragments: dict[str, str] | None = None, *more: str) -> dict[str, Any]:
    inputs = faketree.write_inputs(work, config, fragments or {})
    done = faketree.run_stage(
        "configask",
        *("--tree", faketree.TREE, "--obj", obj, *inputs, *ARCH, "--localversion=-rosk", "--out", work / "out"),
        *more,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    found: dict[str, Any] = json.loads((work / "out/resolved.json").read_text())
    return found


def test_the_options_of_a_tree_in_their_order(facts: dict[str, Any]) -> None:
    options = facts["options"]
    assert facts["version"] == "6.12.99" and facts["defconfig"] is None
    vxlan = options["VXLAN"]
    assert (vxlan["type"], vxlan["where"]) == ("tristate", "drivers/net/Kconfig")
    assert vxlan["prompt"] == "Virtual eXtensible Local Area Network (VXLAN)"
    assert vxlan["selects"] == ["NET_UDP_TUNNEL"]
    assert vxlan["needs"] == ["INET", "NETDEVICES"]
    assert options["LOCALVERSION"]["help"] == "Append an extra string to the end of your kernel version."
    assert options["KERNEL_XZ"]["choice"] == options["KERNEL_GZIP"]["choice"] and "choice" not in vxlan
    assert options["JBD2"]["prompt"] == "" and options["JBD2"]["help"] == ""
    names = list(options)
    assert names.index("LOCALVERSION") < names.index("INET") < names.index("DUMMY") < names.index("EXT4_FS")
    assert facts["defaults"]["PRINTK"] == "y" and "VXLAN" not in facts["defaults"]


def test_a_config_that_comes_out_as_asked(obj: Path, tmp_path: Path) -> None:
    told = ask(obj, tmp_path, faketree.CONFIG)
    assert (told["form"], told["dropped"], told["warnings"]) == ("minimal", [], [])
    assert told["asked"]["VXLAN"] == {"value": "m", "where": "config/kernel-config", "line": 6}
    assert "CONFIG_JBD2=m" in (tmp_path / "out/config").read_text()


def test_what_is_dropped_has_its_reason_and_what_to_set_first(obj: Path, tmp_path: Path) -> None:
    config = "CONFIG_VXLAN=m\nCONFIG_EXT4=m\nCONFIG_EXT4_FS=m\nCONFIG_JBD2=n\n"
    told = ask(obj, tmp_path, config, {"00-a": "CONFIG_SND_TIMER=y\n"})
    dropped = {each["name"]: each for each in told["dropped"]}
    assert set(dropped) == {"VXLAN", "EXT4", "JBD2", "SND_TIMER"}
    assert dropped["VXLAN"]["first"] == [["NET", "y"], ["NETDEVICES", "y"], ["INET", "y"]]
    assert "INET (n) [drivers/net/Kconfig:14]" in dropped["VXLAN"]["reason"]
    assert dropped["EXT4"]["first"] == [] and "is it CONFIG_EXT4_FS" in dropped["EXT4"]["reason"]
    assert dropped["JBD2"]["first"] == [["EXT4_FS", "n"]]
    assert dropped["SND_TIMER"]["first"] == [["SND", "y"]]
    assert (dropped["SND_TIMER"]["where"], dropped["SND_TIMER"]["line"]) == ("config/fragments/00-a", 1)
    assert all(each["refused"] for each in dropped.values())
    # What is to be set first is what it takes.
    first = "".join(f"CONFIG_{name}={value}\n" for name, value in dropped["VXLAN"]["first"])
    assert ask(obj, tmp_path / "again", f"{first}CONFIG_VXLAN=m\n")["dropped"] == []


def test_a_line_against_another_of_the_same_file_is_said(obj: Path, tmp_path: Path) -> None:
    told = ask(obj, tmp_path, faketree.CONFIG + "# CONFIG_SND_TIMER is not set\n")
    (warning,) = told["warnings"]
    assert (warning["kind"], warning["line"]) == ("config-twice", 10) and "line 9" in warning["what"]


def test_what_else_a_build_stops_for(obj: Path, tmp_path: Path) -> None:
    """A signing key that the kernel would not look at, and host programs that cannot be cross-compiled."""
    told = ask(obj, tmp_path, faketree.CONFIG, None, "--signing", "key")
    (stop,) = told["stops"]
    assert "CONFIG_MODULE_SIG is off" in stop["what"] and stop["where"] == "config/kernel-config" and stop["hint"]
    told = ask(obj, tmp_path / "signed", f"{faketree.CONFIG}CONFIG_MODULE_SIG=y\n", None, "--signing", "key")
    assert (told["stops"], told["dropped"]) == ([], [])
    assert 'CONFIG_MODULE_SIG_KEY="certs/rosk-modules.pem"\n' in (tmp_path / "signed/out/config").read_text()


def test_make_is_called_as_the_build_calls_it(obj: Path, tmp_path: Path) -> None:
    """With the words that old kernels need."""
    inputs = faketree.write_inputs(tmp_path, faketree.CONFIG, {})
    words = ("--tree", faketree.TREE, "--obj", obj, *inputs, *ARCH, "--localversion=-rosk", "--out", tmp_path / "out")
    done = faketree.run_stage("configask", *words, "--make-variables=O=/proc/none")
    assert done.returncode != 0 and "/proc/none" in done.stdout
