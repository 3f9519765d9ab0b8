"""Bake files made of others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder import graph, replan
from builder.cachespec import Caches
from builder.project import Project, load_project
from tests.unit.projects import write_project
from tests.unit.test_graph import CONTEXT, RESOLVED


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return load_project(write_project(tmp_path), arch="x86")


def test_a_target_alone_does_the_same_work_and_hands_nothing_on(project: Project) -> None:
    caches = Caches(sources=("type=local,src=/c",), targets=("type=local,dest=/c",))
    plan = graph.build_plan(project, CONTEXT, RESOLVED, output=Path("/out"), caches=caches)
    before = json.dumps(plan)
    alone = replan.apart(plan)
    assert [list(one["target"]) for one in alone] == [[name] for name in plan["target"]]
    for one in alone:
        for name, target in one["target"].items():
            whole = {key: value for key, value in plan["target"][name].items() if key != "cache-to"}
            assert target == {**whole, "output": ["type=cacheonly"]}
    assert json.dumps(plan) == before
    assert replan.apart(alone[0]) == []


def test_a_target_alone_has_what_it_is_linked_to() -> None:
    plan = {"target": {"a": {"contexts": {"x": "target:b"}}, "b": {"contexts": {"y": "target:c"}}, "c": {}}}
    assert [sorted(each["target"]) for each in replan.apart(plan)] == [["a", "b", "c"], ["b", "c"], ["c"]]


def test_stages_that_are_made_without_the_cache() -> None:
    plan = {"group": {}, "target": {"a": {"no-cache-filter": ["a"]}, "b": {}}}
    assert replan.uncached(plan, ["x", "y"])["target"] == {
        "a": {"no-cache-filter": ["a", "x", "y"]},
        "b": {"no-cache-filter": ["x", "y"]},
    }
    assert replan.uncached(plan) == {
        "group": {},
        "target": {"a": {"no-cache-filter": ["a"], "no-cache": True}, "b": {"no-cache": True}},
    }
