from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from builder.config import checking, reporting
from builder.config.ask import ConfigOptions
from builder.config.policy import Policy, built_in, check_values, load_policies
from builder.context import write_context
from builder.errors import InputError
from builder.project import load_project
from builder.stages.common import StageError
from builder.stages.policy import Rule, check, enforce, rules_of
from tests.unit.config.answers import FACTS, answer
from tests.unit.projects import SETTINGS, write_project

FILE = """\
title: What acme's machines need
rules:
  - option: [CONFIG_NET, INET]
    must: y
    reason: they talk
  - option: DEVMEM
    must_not: y|m
    reason: nobody reads
      memory here
  - any_of: [OVERLAY_FS, BTRFS_FS]
    should: y|m
    reason: layers
  - option: CMDLINE
    must: quiet
    kernel: ">=6.6"
    reason: less to read
"""
VALUES = {"NET": "y", "INET": "y", "OVERLAY_FS": "m", "CMDLINE": '"quiet"'}


def load(folder: Path, text: str) -> Policy:
    (folder / "acme.yaml").write_text(text)
    (policy,) = load_policies(["./acme.yaml"], folder)
    return policy


def broken(policy: Policy, values: dict[str, str], version: str = "6.12.99") -> list[Rule]:
    return [each.rule for each in check([policy.as_json()], values, version)]


def test_rules_are_read_with_their_lines(tmp_path: Path) -> None:
    policy = load(tmp_path, FILE)
    assert policy.title == "What acme's machines need"
    assert [(rule.options, rule.line) for rule in policy.rules] == [
        (("NET",), 3),
        (("INET",), 3),
        (("DEVMEM",), 6),
        (("OVERLAY_FS", "BTRFS_FS"), 10),
        (("CMDLINE",), 13),
    ]
    assert policy.rules[2].reason == "nobody reads memory here"
    assert tuple(rules_of(json.loads(json.dumps(policy.as_json())))) == policy.rules


def test_a_config_that_keeps_them(tmp_path: Path) -> None:
    policy = load(tmp_path, FILE)
    assert broken(policy, VALUES) == []
    assert broken(policy, {**VALUES, "OVERLAY_FS": "n", "BTRFS_FS": "y"}) == []


def test_each_kind_of_rule_can_be_broken(tmp_path: Path) -> None:
    policy = load(tmp_path, FILE)
    values = {"NET": "y", "INET": "n", "DEVMEM": "y", "CMDLINE": '"loud"'}
    assert [rule.describe(values) for rule in broken(policy, values)] == [
        "CONFIG_INET is n, it must be y: they talk",
        "CONFIG_DEVMEM is y, it must not be y or m: nobody reads memory here",
        "CONFIG_OVERLAY_FS is n, CONFIG_BTRFS_FS is n, CONFIG_OVERLAY_FS or CONFIG_BTRFS_FS should be y or m: layers",
        'CONFIG_CMDLINE is "loud", it must be quiet: less to read',
    ]
    assert len(broken(policy, values, "6.1.50")) == 3  # the last is for newer kernels


def test_a_build_stops_at_a_required_rule_only(tmp_path: Path) -> None:
    policy = load(tmp_path, FILE)
    file = tmp_path / "policies.json"
    file.write_text(json.dumps([policy.as_json()]))
    explain = {"INET": "needs NET (n) [net/Kconfig:7]"}
    values = {**VALUES, "OVERLAY_FS": "n"}

    def enforced(file: Path, values: dict[str, str]) -> list[dict[str, Any]]:
        return enforce(file, values, "6.12.99-acme", lambda name, _: explain.get(name, ""), lambda _: "")

    (report,) = enforced(file, values)
    assert report["rules"] == 5 and len(report["not_met"]) == 1
    with pytest.raises(StageError) as caught:
        enforced(file, {**values, "INET": "n", "DEVMEM": "m"})
    assert (caught.value.where, caught.value.line) == ("acme.yaml", 3)
    assert "they talk (needs NET (n) [net/Kconfig:7]) (and 1 more)" in caught.value.what
    assert len(caught.value.details) == 2 and caught.value.details[1].startswith("acme.yaml:6: CONFIG_DEVMEM is m")
    assert enforced(tmp_path / "none", values) == []


TYPES = {"NET": "bool", "VXLAN": "tristate", "LOG_BUF_SHIFT": "int", "PHYSICAL_START": "hex", "CMDLINE": "string"}


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("NET", "quiet", "'quiet' is no value of CONFIG_NET: its type is bool"),
        ("VXLAN", "y|17", "'17' is no value of CONFIG_VXLAN: its type is tristate"),
        ("LOG_BUF_SHIFT", "y", "'y' is no value of CONFIG_LOG_BUF_SHIFT: its type is int"),
        ("PHYSICAL_START", "1G", "'1G' is no value of CONFIG_PHYSICAL_START: its type is hex"),
    ],
)
def test_a_value_that_an_option_can_never_have_is_refused(tmp_path: Path, option: str, value: str, says: str) -> None:
    policy = load(tmp_path, f"rules:\n  - option: {option}\n    must_not: {value}\n    reason: none\n")
    with pytest.raises(InputError, match=re.escape(says)) as refused:
        check_values([policy], FACTS)
    assert (refused.value.where, refused.value.line) == ("acme.yaml", 2) and refused.value.hint
    file = tmp_path / "policies.json"
    file.write_text(json.dumps([policy.as_json()]))
    with pytest.raises(StageError, match=re.escape(says)):
        enforce(file, {}, "6.12.99", lambda *_: "", lambda name: TYPES.get(name, ""))


def test_a_value_of_the_type_is_none_to_refuse(tmp_path: Path) -> None:
    words = {"NET": "y|m", "VXLAN": "m", "LOG_BUF_SHIFT": '"18"', "PHYSICAL_START": '"16"', "CMDLINE": "y", "NONE": "x"}
    for option, value in words.items():
        check_values([load(tmp_path, f"rules: [{{option: {option}, must: {value}, reason: none}}]\n")], FACTS)


@pytest.mark.parametrize(
    ("value", "got", "kept"),
    [
        ('"16777216"', "0x1000000", True),
        ("0x1000000", "0x1000000", True),
        ("0x1000001", "0x1000000", False),
        ("018", "18", True),
        ("'\"yes\"'", '"yes"', True),
        ("18", '"018"', False),
    ],
)
def test_a_number_is_the_same_however_it_is_written(tmp_path: Path, value: str, got: str, kept: bool) -> None:
    policy = load(tmp_path, f"rules: [{{option: A, must: {value}, reason: none}}]\n")
    assert (broken(policy, {"A": got}) == []) == kept


def test_a_rule_of_an_option_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is kept, and says nothing: `must_not` of a name with a typing error."""
    text = "rules:\n  - {option: VXLANN, must_not: y, reason: none}\n  - {option: VXLAN, must_not: y, reason: none}\n"
    settings = SETTINGS + "config:\n  policies: [config/acme.yaml]\n"
    root = write_project(tmp_path, **{"config/rosk.yaml": settings, "config/acme.yaml": text})
    for module in (checking, reporting):
        monkeypatch.setattr(module, "ask", lambda *_: answer({"NET": "y"}))
    note = "Linux 6.12.99 has no CONFIG_VXLANN"
    checking.run_check(ConfigOptions(root=root, arch="x86"))
    assert f"warning: config/acme.yaml:2: {note}\n" in capsys.readouterr().out
    reporting.run_policy([], ConfigOptions(root=root, arch="x86"))
    out = capsys.readouterr().out
    assert f"kept    CONFIG_VXLANN=n: none\n          {note}\n" in out and "CONFIG_VXLAN=" not in out
    checking.run_check(ConfigOptions(root=root, arch="x86", as_json=True))
    (policy,) = json.loads(capsys.readouterr().out)["policies"]
    assert policy["idle"] == [{"options": ["VXLANN"], "where": "config/acme.yaml", "line": 2}]


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("    must: y\n", "", 3, "one of must"),
        ("    must: y\n", "    must: y\n    should: y\n", 3, "one of must"),
        ("    must: y\n", "    must: true\n", 4, "value of an option"),
        ("    must: y\n", "    must: []\n", 4, "value of an option"),
        ("    must: y\n", "    must: yes\n", 4, "yes is not the value of an option"),
        ("    must: y\n", "    must: y|M\n", 4, "M is not the value of an option"),
        ("    must: y\n", "    mustt: y\n", 4, "unknown key mustt"),
        ("    reason: they talk\n", "", 3, "no reason"),
        ("  - option: DEVMEM\n", "  - reasons: DEVMEM\n", 6, "unknown key reasons"),
        ("option: DEVMEM", "option: DEV-MEM", 6, "name of an option"),
        ("any_of: [OVERLAY_FS, BTRFS_FS]", "any_of: []", 10, "list of options is empty"),
        ('">=6.6"', "6.6 and later", 15, "kernel is not understood"),
        ("title: What acme's machines need\n", "name: acme\n", 1, "unknown key name"),
        (
            "  - option: DEVMEM\n    must_not: y|m\n",
            "  - DEVMEM\n  - option: A\n    must: y\n",
            6,
            "a rule is a mapping",
        ),
    ],
)
def test_a_mistake_is_shown_with_its_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in FILE
    with pytest.raises(InputError, match=says) as caught:
        load(tmp_path, FILE.replace(old, new, 1))
    assert (caught.value.where, caught.value.line) == ("acme.yaml", line)
    assert caught.value.hint


def test_an_unknown_name_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no policy 'docke'") as caught:
        load_policies(["docke"], tmp_path)
    assert "is it docker?" in caught.value.hint
    with pytest.raises(InputError, match="report"):
        load_policies(["hardening"], tmp_path)
    with pytest.raises(InputError, match="no such policy file"):
        load_policies(["config/none.yaml"], tmp_path)


@pytest.mark.parametrize("text", ["", "- NET\n"])
def test_what_is_no_policy_is_told_what_one_says(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    assert "a list `rules:`" in caught.value.hint and "org" not in caught.value.hint


def test_what_ships_can_be_read_and_says_why(tmp_path: Path) -> None:
    assert built_in() == ["containerd", "docker"]
    for policy in load_policies(built_in(), tmp_path):
        assert len(policy.rules) > 20
        assert {rule.required for rule in policy.rules} == {True, False}
        assert len({rule.options for rule in policy.rules}) == len(policy.rules)


def test_a_build_is_handed_the_policies_of_the_settings(tmp_path: Path) -> None:
    settings = SETTINGS + "config:\n  policies: [docker, config/acme.yaml, docker]\n"
    files = {"config/rosk.yaml": settings, "config/acme.yaml": FILE}
    project = load_project(write_project(tmp_path / "p", **files), arch="x86")
    write_context(project, tmp_path / "context")
    handed = json.loads((tmp_path / "context/config/policies.json").read_text())
    assert [policy["name"] for policy in handed] == ["docker", "config/acme.yaml"]
    assert handed[1]["rules"][0]["where"] == "config/acme.yaml"
    # One without policies is handed none: nothing of it is built again for them.
    plain = load_project(write_project(tmp_path / "q"), arch="x86")
    write_context(plain, tmp_path / "other")
    assert not (tmp_path / "other/config/policies.json").exists()
