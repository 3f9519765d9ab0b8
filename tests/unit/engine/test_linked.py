"""What several targets read of this machine is read by a target of its own."""

from __future__ import annotations

import json
from typing import Any

from builder.engine.linked import linked


def target(stage: str, context: str = "/context", **contexts: str) -> dict[str, Any]:
    return {
        "context": context,
        "dockerfile": "/Dockerfile",
        "target": stage,
        "args": {"A": stage},
        "contexts": {name.replace("_", "-"): where for name, where in contexts.items()},
        "platforms": ["linux/amd64"],
        "output": [f"type=tar,dest={stage}.tar"],
    }


def test_one_target_stays_as_it_is() -> None:
    plan = {"target": {"a": target("a", source="/source")}}
    assert linked(plan) == plan


def test_folders_that_targets_share_are_read_by_a_target_of_their_own() -> None:
    plan = {
        "group": {"default": {"targets": ["a", "b"]}},
        "target": {
            "a": target("a", source="/source", debian="oci-layout:///base@sha256:1", known="/known"),
            "b": target("b", source="/source", debian="oci-layout:///base@sha256:1", other="docker-image://x"),
        },
    }
    before = json.dumps(plan)
    found = linked(plan)
    assert json.dumps(plan) == before
    read = {"context": "/context", "platforms": ["linux/amd64"], "output": ["type=cacheonly"]}
    assert found["target"] == {
        "rosk-context-0": {**read, "dockerfile-inline": "FROM scratch AS rosk-inputs\nCOPY . /\nFROM rosk-inputs\n"},
        "rosk-context-1": {**read, "dockerfile-inline": "FROM source\n", "contexts": {"source": "/source"}},
        "a": {
            **target("a"),
            "contexts": {
                "source": "target:rosk-context-1",
                "debian": "oci-layout:///base@sha256:1",
                "known": "/known",
                "rosk-inputs": "target:rosk-context-0",
            },
        },
        "b": {
            **target("b"),
            "contexts": {
                "source": "target:rosk-context-1",
                "debian": "oci-layout:///base@sha256:1",
                "other": "docker-image://x",
                "rosk-inputs": "target:rosk-context-0",
            },
        },
    }
    assert found["group"] == plan["group"]


def test_a_platform_is_that_of_the_targets() -> None:
    plan = {"target": {name: {"context": "/context", "dockerfile": "/Dockerfile", "target": name} for name in "ab"}}
    assert linked(plan)["target"]["rosk-context-0"] == {
        "context": "/context",
        "output": ["type=cacheonly"],
        "dockerfile-inline": "FROM scratch AS rosk-inputs\nCOPY . /\nFROM rosk-inputs\n",
    }


def test_targets_that_read_caches_are_left_alone() -> None:
    plan = {"target": {name: {**target(name, source="/source"), "cache-from": ["type=local,src=/c"]} for name in "ab"}}
    assert linked(plan) == plan


def test_targets_of_other_contexts_share_nothing() -> None:
    plan = {"target": {"a": target("a", "/one", source="/1"), "b": target("b", "/two", source="/2")}}
    assert linked(plan) == plan


def test_what_is_made_without_the_cache_is_read_without_it() -> None:
    for key, value in (("no-cache", True), ("no-cache-filter", ["rosk-inputs"])):
        found = linked({"target": {name: {**target(name), key: value} for name in ("a", "b")}})["target"]
        assert found["rosk-context-0"][key] == value
