from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builder.config.model import Answer, Asked, Facts
from builder.config.updating import compare, find_rename, new_texts
from builder.project import Project, load_project
from tests.unit.config.answers import FACTS, FILE, OPTIONS, answer, dropped, option
from tests.unit.projects import SETTINGS, write_project

NEW_OPTIONS = {name: each for name, each in OPTIONS.items() if name not in ("DUMMY", "VXLAN")} | {
    "NET_DUMMY": option("tristate", "Dummy net driver support", help="Routes nowhere."),
    "VXLAN2": option("tristate", "Virtual LAN, again"),
    "NEW_SEEN": option("bool", "A new thing", help="It is new."),
    "NEW_HIDDEN": option("bool", ""),
    "NEW_UNSEEN": option("bool", "Needs what is off"),
}
NEW = Facts(version="6.18.3", options=NEW_OPTIONS, defaults={}, defconfig=None)
OLD_VALUES = {"NET": "y", "INET": "y", "VXLAN": "m", "DUMMY": "m", "LOG_BUF_SHIFT": "18"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    files = {
        "config/rosk.yaml": SETTINGS + "config:\n  fragments: [config/net.config]\n",
        "config/x86/kernel-config": "# mine\nCONFIG_NET=y\nCONFIG_VXLAN=m\n",
        "config/net.config": "CONFIG_DUMMY=m\n",
    }
    return load_project(write_project(tmp_path, **files), arch="x86")


def test_what_becomes_of_a_config() -> None:
    old = answer(OLD_VALUES)
    values = {"NET": "y", "LOG_BUF_SHIFT": "17", "NET_DUMMY": "n", "NEW_SEEN": "y", "NEW_HIDDEN": "y"}
    lost = dropped("INET", "y", "needs MORE (n)", line=2)
    new = answer(values, asked=old.config.asked, dropped=(lost, dropped("VXLAN", "m", "no such option")), facts=NEW)
    found = compare(old, new)
    assert (found.old, found.new) == ("6.12.99", "6.18.3")
    assert [(each.name, each.value, each.help, each.group) for each in found.fresh] == [
        ("NEW_SEEN", "y", "It is new.", "drivers/net")
    ]
    assert [(each.name, each.value, each.line, each.renamed, each.sure) for each in found.gone] == [
        ("VXLAN", "m", 3, "VXLAN2", False),
        ("DUMMY", "m", 4, "NET_DUMMY", True),
    ]
    assert [(each.name, each.old, each.new, each.why) for each in found.changed] == [
        ("LOG_BUF_SHIFT", "18", "17", ""),
        ("INET", "y", "n", "needs MORE (n)"),
    ]
    assert [each.name for each in found.lost] == ["INET"]


def test_a_new_name_is_sure_only_with_the_same_prompt() -> None:
    old, new = answer(OLD_VALUES), answer({}, facts=NEW)
    assert find_rename("DUMMY", old, new) == ("NET_DUMMY", True)
    assert find_rename("VXLAN", old, new) == ("VXLAN2", False)
    two = replace(NEW, options={**NEW_OPTIONS, "SOFT_DUMMY": NEW_OPTIONS["NET_DUMMY"]})
    name, sure = find_rename("DUMMY", old, answer({}, facts=two))
    assert name in ("NET_DUMMY", "SOFT_DUMMY", "") and not sure


def test_lines_of_what_is_gone_go_and_a_sure_name_takes_over(project: Project) -> None:
    asked = {
        "NET": Asked(value="y", where=FILE, line=2),
        "VXLAN": Asked(value="m", where=FILE, line=3),
        "DUMMY": Asked(value="m", where="config/fragments/00-net.config", line=1),
    }
    old = answer({"NET": "y", "VXLAN": "m", "DUMMY": "m"}, asked=asked)
    new = answer({"NET": "y"}, asked=asked, facts=NEW)
    texts = new_texts(project, compare(old, new), None)
    assert texts == {
        FILE: "# mine\nCONFIG_NET=y\n",
        "config/fragments/00-net.config": "CONFIG_NET_DUMMY=m\n",
    }


def test_a_whole_config_becomes_the_whole_one_of_the_new_kernel(project: Project) -> None:
    """Of it alone, without the fragments; and what has another name keeps its value."""
    (project.root / FILE.replace("config/", "config/x86/")).write_text("CONFIG_NET=y\nCONFIG_DUMMY=m\n")
    asked = {"LOCALVERSION": Asked(value='"-mine"', where=FILE, line=1), "DUMMY": Asked(value="m", where=FILE, line=2)}
    alone = answer({"LOCALVERSION": '"-acme"', "NET_DUMMY": "m"}, asked=asked, facts=NEW, form="full")
    told: list[str] = []

    def ask_alone(text: str) -> Answer:
        told.append(text)
        return alone

    update = compare(answer({"NET": "y", "DUMMY": "m"}, asked=asked), answer({"NET": "y"}, asked=asked, facts=NEW))
    texts = new_texts(project, update, ask_alone)
    assert told == ["CONFIG_NET=y\nCONFIG_NET_DUMMY=m\n"]
    assert texts[FILE] == 'CONFIG_LOCALVERSION="-mine"\nCONFIG_NET_DUMMY=m\n'


def test_nothing_changes_between_equal_kernels() -> None:
    same = compare(answer(OLD_VALUES), answer(OLD_VALUES))
    assert not (same.fresh or same.gone or same.changed or same.lost) and FACTS.version == same.new
