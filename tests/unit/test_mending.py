"""What is tried where the engine's build cache has lost results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from builder.context import dockerfiles
from builder.engine.cacherecords import Record
from builder.engine.events import EXPORT
from builder.errors import EngineError
from builder.mending import Mending

ID = "r7c6dbhl0bq7os5whzsl339b5"
GONE = f"failed to solve: snapshot {ID} does not exist: not found"
DOCKERFILE = str(dockerfiles() / "kernel.Dockerfile")
PLAN: dict[str, Any] = {"target": {"a": {"dockerfile": DOCKERFILE}, "b": {"dockerfile": DOCKERFILE}}}


class Store:
    """A build cache with one step of rosk's, which it gives up, keeps, or fails to."""

    def __init__(self, *, gives: bool = True, fails: bool = False) -> None:
        self.gives = gives
        self.fails = fails

    def records(self) -> list[Record]:
        return [Record(id=ID, description="local source for rosk-source")]

    def prune(self, ids: Sequence[str]) -> list[Record]:
        if self.fails:
            raise EngineError("no")
        return self.records() if self.gives else []


def keys(plan: Any) -> dict[str, Any]:
    """What a target has more than that of PLAN; all have the same."""
    first, second = ({key: target[key] for key in target if key != "dockerfile"} for target in plan["target"].values())
    assert first == second
    return dict(first)


def test_steps_of_rising_cost() -> None:
    said: list[str] = []
    mending = Mending(PLAN, Store(), said.append)
    assert mending.next(GONE, "split") == PLAN
    stages = keys(mending.next(GONE, "split@cloud-x86"))["no-cache-filter"]
    assert {"split", "compile", "configured"} <= set(stages)
    assert not {"toolchain", "patched", "kernel-package"} & set(stages)
    assert keys(mending.next(GONE, "split")) == keys(mending.next(GONE, "split")) == {"no-cache": True}
    assert [line.partition(": ")[2][-13:] for line in said] == ["is made again"] + ["re made again"] * 3


@pytest.mark.parametrize("store", [None, Store(gives=False), Store(fails=True)])
def test_what_cannot_be_removed_costs_no_try(store: Store | None) -> None:
    mending = Mending(PLAN, store, lambda _line: None)
    assert "split" in keys(mending.next(GONE, "split"))["no-cache-filter"]
    assert keys(mending.next(GONE, "split")) == {"no-cache": True}


def test_a_failure_that_is_of_no_stage() -> None:
    mending = Mending(PLAN, None, lambda _line: None)
    assert keys(mending.next("failed to mount /x: [y]: no such file or directory", "")) == {"no-cache": True}


def test_what_cannot_be_exported_costs_no_compile_at_first() -> None:
    said: list[str] = []
    mending = Mending(PLAN, None, said.append)
    stages = set(keys(mending.next(GONE, EXPORT))["no-cache-filter"])
    there = set(re.findall(r"^FROM .* AS (\S+)$", dockerfiles().joinpath("kernel.Dockerfile").read_text(), re.M))
    assert {"kernel-package", "os-kernel", "os-kernel-root", "release"} <= stages <= there
    assert {"source-file", "source-changes", "kernel-file"} <= stages
    assert not {"toolchain", "patched", "compile", "split", "headers"} & stages
    assert keys(mending.next(GONE, EXPORT)) == {"no-cache": True}
    assert [line.partition(": ")[2] for line in said] == [
        "packages, images and their cache mounts are made again",
        "all stages and their cache mounts are made again",
    ]
