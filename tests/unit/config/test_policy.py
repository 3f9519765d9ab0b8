from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.config.policy import Policy, built_in, load_policies
from builder.context import write_context
from builder.errors import InputError
from builder.project import load_project
from builder.stages.common import StageError
from builder.stages.policy import Rule, check, enforce, rules_of
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
    (report,) = enforce(file, values, "6.12.99-acme", lambda name, _: explain.get(name, ""))
    assert report["rules"] == 5 and len(report["not_met"]) == 1
    with pytest.raises(StageError) as caught:
        enforce(file, {**values, "INET": "n", "DEVMEM": "m"}, "6.12.99-acme", lambda name, _: explain.get(name, ""))
    assert (caught.value.where, caught.value.line) == ("acme.yaml", 3)
    assert "they talk (needs NET (n) [net/Kconfig:7]) (and 1 more)" in caught.value.what
    assert len(caught.value.details) == 2 and caught.value.details[1].startswith("acme.yaml:6: CONFIG_DEVMEM is m")
    assert enforce(tmp_path / "none", values, "6.12.99", lambda *_: "") == []


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("    must: y\n", "", 3, "one of must"),
        ("    must: y\n", "    must: y\n    should: y\n", 3, "one of must"),
        ("    must: y\n", "    must: true\n", 4, "value of an option"),
        ("    must: y\n", "    must: []\n", 4, "value of an option"),
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
