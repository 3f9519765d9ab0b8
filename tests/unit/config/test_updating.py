from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from builder.config import updating
from builder.config.ask import ConfigOptions
from builder.config.checking import checked
from builder.config.model import Answer, Asked, Facts
from builder.config.update import Update, compare, find_rename
from builder.config.updateshown import Told, print_json, print_text
from builder.config.updating import Step, new_texts, run_update
from builder.errors import InputError
from builder.project import Project, load_all, load_project
from tests.unit.config.answers import FACTS, FILE, OPTIONS, answer, dropped, option, with_stop
from tests.unit.projects import SETTINGS, write_project

NEW_OPTIONS = {name: each for name, each in OPTIONS.items() if name not in ("DUMMY", "VXLAN")} | {
    "NET_DUMMY": option("tristate", "Dummy net driver support", help="Routes nowhere."),
    "VXLAN2": option("tristate", "Virtual LAN, again"),
    "NEW_SEEN": option("bool", "A new thing", help="It is new."),
    "NEW_HIDDEN": option("bool", ""),
    "NEW_UNSEEN": option("bool", "Needs what is off"),
}
DUMMY = NEW_OPTIONS["NET_DUMMY"]
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


def step(project: Project, old: Answer, new: Answer) -> Step:
    return Step(project=project, other=project, new=new, update=compare(old, new))


def not_asked(step: Step, text: str) -> Answer:
    raise AssertionError("no whole .config is asked for")


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
    assert new_texts([step(project, old, new)], not_asked) == {
        project.inputs[FILE]: "# mine\nCONFIG_NET=y\n",
        project.inputs["config/fragments/00-net.config"]: "CONFIG_NET_DUMMY=m\n",
    }


def test_line_ends_stay(project: Project) -> None:
    project.inputs[FILE].write_bytes(b"# mine\r\nCONFIG_NET=y\r\nCONFIG_VXLAN=m\r\n")
    old = answer({"NET": "y", "VXLAN": "m"})
    texts = new_texts([step(project, old, answer({"NET": "y"}, facts=NEW))], not_asked)
    assert texts[project.inputs[FILE]] == "# mine\r\nCONFIG_NET=y\r\n"


def test_a_whole_config_becomes_the_whole_one_of_the_new_kernel(project: Project) -> None:
    """Of it alone, without the fragments; and what has another name keeps its value."""
    (project.root / FILE.replace("config/", "config/x86/")).write_text("CONFIG_NET=y\nCONFIG_DUMMY=m\n")
    asked = {"LOCALVERSION": Asked(value='"-mine"', where=FILE, line=1), "DUMMY": Asked(value="m", where=FILE, line=2)}
    alone = answer({"LOCALVERSION": '"-acme"', "NET_DUMMY": "m"}, asked=asked, facts=NEW, form="full")
    told: list[str] = []

    def ask_alone(_step: Step, text: str) -> Answer:
        told.append(text)
        return alone

    old = answer({"NET": "y", "DUMMY": "m"}, asked=asked, form="full")
    new = answer({"NET": "y"}, asked=asked, facts=NEW, form="full")
    texts = new_texts([step(project, old, new)], ask_alone)
    assert told == ["CONFIG_NET=y\nCONFIG_NET_DUMMY=m\n"]
    assert texts[project.inputs[FILE]] == 'CONFIG_LOCALVERSION="-mine"\nCONFIG_NET_DUMMY=m\n'


@pytest.fixture
def kernels(tmp_path: Path) -> tuple[Project, ...]:
    """Two flavours for two architectures; a fragment is everybody's, and one the second flavour's."""
    settings = (
        "architectures: [x86, arm64]\nflavours:\n  generic: {suffix: acme}\n"
        "  cloud: {fragments: [config/cloud.config]}\nconfig:\n  fragments: [config/net.config]\n"
    )
    files = {
        "config/rosk.yaml": SETTINGS + settings,
        "config/x86/kernel-config": "CONFIG_NET=y\nCONFIG_VXLAN=m\n",
        "config/arm64/kernel-config": "CONFIG_NET=y\nCONFIG_VXLAN=m\n",
        "lists/arm64/modules.list": "",
        "lists/arm64/modules-extra.list": "",
        "config/net.config": "CONFIG_DUMMY=m\nCONFIG_INET=y\n",
        "config/cloud.config": "# CONFIG_VXLAN is not set\n",
    }
    return load_all(write_project(tmp_path, **files))


def test_a_line_goes_where_no_kernel_has_its_option_that_the_file_is_for(kernels: tuple[Project, ...]) -> None:
    """VXLAN is gone on x86, INET in the cloud, and DUMMY everywhere: under a new name, where it is known."""

    def moved(project: Project) -> Step:
        asked = {"NET": "y", "VXLAN": "m", "DUMMY": "m", "INET": "y"}
        there = {name: OPTIONS[name] for name in ("VXLAN", "INET")}
        del there["VXLAN" if project.arch.name == "x86" else "INET"]
        if project.flavour == "cloud":
            there.pop("INET", None)
        kept = {name: each for name, each in NEW_OPTIONS.items() if name not in ("INET", "VXLAN", "VXLAN2")}
        if project.name == "cloud-arm64":
            del kept["NET_DUMMY"]  # its new name is not known here
        return step(project, answer(asked), answer({"NET": "y"}, facts=replace(NEW, options={**kept, **there})))

    assert [each.name for each in kernels] == ["generic-x86", "generic-arm64", "cloud-x86", "cloud-arm64"]
    root = kernels[0].root
    assert new_texts([moved(each) for each in kernels], not_asked) == {
        root / "config/x86/kernel-config": "CONFIG_NET=y\n",
        root / "config/net.config": "CONFIG_NET_DUMMY=m\nCONFIG_INET=y\n",
    }
    # Of one architecture alone its files are brought up to date.
    x86 = [moved(each) for each in kernels if each.arch.name == "x86"]
    assert set(new_texts(x86, not_asked)) == {
        root / name for name in ("config/x86/kernel-config", "config/net.config", "config/cloud.config")
    }


def test_an_option_with_two_new_names_is_left(kernels: tuple[Project, ...]) -> None:
    one, two = (
        replace(NEW, options={**{name: each for name, each in NEW_OPTIONS.items() if name != "NET_DUMMY"}, new: DUMMY})
        for new in ("NET_DUMMY", "SOFT_DUMMY")
    )
    old = answer({"DUMMY": "m"})
    steps = [step(project, old, answer({}, facts=facts)) for project, facts in zip(kernels, (one, two), strict=False)]
    assert new_texts(steps, not_asked) == {}


def test_each_kernel_is_told_under_its_name(kernels: tuple[Project, ...], capsys: pytest.CaptureFixture[str]) -> None:
    old, new = answer({"NET": "y", "VXLAN": "m"}), answer({"NET": "y"}, facts=NEW)
    update, same = compare(old, new), compare(old, old)
    lost = dropped("VXLAN", "m", "no such option", line=2)

    def told(project: Project, update: Update) -> Told:
        found = checked(project, answer({"NET": "y"}, dropped=(lost,), facts=NEW))
        return Told(project=project, update=update, files=(FILE,), checked=found)

    given = [told(kernels[0], update), told(kernels[2], update), told(kernels[1], same)]
    print_text(given, [], written=True)
    said = capsys.readouterr().out
    assert "\ngeneric-x86\n\n" in said and "\ncloud-x86\nas generic-x86\n" in said
    assert "\ngeneric-arm64\nthe config is the same there\n" in said
    assert "config/x86/kernel-config, config/arm64/kernel-config, config/rosk.yaml written: the project bui" in said
    print_json(given, ["arm64"], written=False)
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == ["config/x86/kernel-config", "config/arm64/kernel-config"] and not found["written"]
    assert found["left"] == ["arm64"]
    assert [(each["name"], each["arch"], each["flavour"], each["refused"]) for each in found["kernels"]] == [
        ("generic-x86", "x86", "generic", ["VXLAN"]),
        ("cloud-x86", "x86", "cloud", ["VXLAN"]),
        ("generic-arm64", "arm64", "generic", ["VXLAN"]),
    ]


POLICY = "rules:\n  - option: VXLAN2\n    must: m\n    reason: tunnels\n"
STOP = {"what": "the config has no modules", "hint": "set MODULES=y", "where": FILE, "line": 1}


@pytest.mark.parametrize(
    ("settings", "new", "names", "error"),
    [
        (
            "config:\n  policies: [config/own.yaml]\n",
            answer({"NET": "y"}, facts=NEW),
            ["VXLAN2"],
            "config/own.yaml:2: CONFIG_VXLAN2 is n, it must be m: tunnels",
        ),
        (
            "",
            with_stop(answer({"NET": "y"}, facts=NEW), STOP),
            [],
            "config/x86/kernel-config:1: the config has no modules; set MODULES=y",
        ),
    ],
)
def test_nothing_is_written_that_a_build_stops_for(
    settings: str,
    new: Answer,
    names: list[str],
    error: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = write_project(tmp_path, **{"config/rosk.yaml": SETTINGS + settings, "config/own.yaml": POLICY})
    before = (root / "config/rosk.yaml").read_text()
    old = answer({"NET": "y"})
    monkeypatch.setattr(updating, "ask", lambda project, *_: old if project.source.version == "6.12.64" else new)
    options = ConfigOptions(root=root, arch="x86", as_json=True)
    with pytest.raises(InputError, match="would stop for 1 error in the config; nothing was written") as caught:
        run_update("6.18.3", options, write=True)
    assert list(caught.value.details) == [error]
    told = json.loads(capsys.readouterr().out)
    assert [(each["refused"], each["errors"]) for each in told["kernels"]] == [(names, [error])]
    assert (root / "config/rosk.yaml").read_text() == before and not told["written"]
    run_update("6.18.3", options, write=True, force=True)
    assert json.loads(capsys.readouterr().out)["written"]


def test_nothing_changes_between_equal_kernels() -> None:
    same = compare(answer(OLD_VALUES), answer(OLD_VALUES))
    assert not (same.fresh or same.gone or same.changed or same.lost) and FACTS.version == same.new
