"""Bake files made of others: the same targets, solved with less of what BuildKit has kept, one by one, or with those of
other kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from builder.cachespec import NO_OUTPUT
from builder.graph import IMAGES

PROGRAMS = "rosk-programs"
"""The stage with the programs that the others run."""


def afresh(plan: Mapping[str, Any], word: str) -> dict[str, Any]:
    """A bake file whose solve takes nothing but the inputs (tools, toolchain, source) from the cache.

    The word is part of the cache key of every other stage that runs something, so that the results of other words are
    never mixed with these. An image is a COPY alone, which knows no words: it is told to run again. (A stage with a
    cache mount must not be: BuildKit empties the mounts of those.)

    Args:
        plan: A bake file of a cache scope that is new.
        word: A new word; plans of one build have the same.
    """
    targets = {}
    for name, target in plan["target"].items():
        targets[name] = {**target, "args": {**target["args"], "FRESH": word}}
        if target["target"] in IMAGES:
            targets[name]["no-cache-filter"] = [target["target"]]
    return {**plan, "target": targets}


def uncached(plan: Mapping[str, Any], stages: Sequence[str] = ()) -> dict[str, Any]:
    """A bake file whose solve makes these stages, or all, without looking for results in the cache.

    It leaves new results in the place of the old ones. Cache mounts of what is made so are emptied first (`afresh`).
    """
    changed = {}
    for name, target in plan["target"].items():
        filtered = {"no-cache-filter": [*target.get("no-cache-filter", ()), *stages]}
        changed[name] = {**target, **(filtered if stages else {"no-cache": True})}
    return {**plan, "target": changed}


def apart(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Bake files that each do the work of one target and leave its result in the engine's cache; none for one target.

    They read caches, and write none. A target that it is linked to (bake's `target:` contexts) comes with each.
    """
    if len(plan["target"]) == 1:
        return []
    alone = {name: {**target, "output": NO_OUTPUT} for name, target in plan["target"].items()}
    for target in alone.values():
        target.pop("cache-to", None)
    return [{"target": _with_linked(name, alone)} for name in alone]


def _with_linked(name: str, targets: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    found = {name: targets[name]}
    for where in targets[name].get("contexts", {}).values():
        if where.startswith("target:"):
            found |= _with_linked(where.removeprefix("target:"), targets)
    return found


def renamed(name: str, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The bake file of one of several builds (`cloud-x86`), whose targets have its name."""
    targets = {target_name(name, each): target for each, target in plan["target"].items()}
    return {"group": {"default": {"targets": list(targets)}}, "target": targets}


def joined(plans: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The bake file of several builds in one solve.

    All have the programs of the first: the steps that follow from these, and from no input of a kernel's own, are the
    same for all.
    """
    several = [renamed(name, plan)["target"] for name, plan in plans.items()]
    first = next(iter(several[0].values()))
    read = {key: first[key] for key in ("context", "dockerfile", "args", "contexts", "platforms")}
    targets = {PROGRAMS: {**read, "target": PROGRAMS, "output": NO_OUTPUT}}
    for name, target in chain.from_iterable(each.items() for each in several):
        targets[name] = {**target, "contexts": {**target["contexts"], PROGRAMS: f"target:{PROGRAMS}"}}
    return {"group": {"default": {"targets": list(targets)}}, "target": targets}


def target_name(name: str, target: str) -> str:
    """What a target of one of several builds is called in its solve."""
    return f"{name}_{target}"
