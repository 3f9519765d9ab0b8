"""What several targets of a solve read of this machine, read by one target that the others are linked to.

Each target is solved in a session of its own, and a folder of this machine belongs to the session that sends it. Of
all that follows from one, no two targets have a step in common: BuildKit finds out as it goes, for each step anew,
that they are equal, and loses track of one when the target that it came from is done before the other ("failed to get
state for index", "inconsistent graph state": moby/buildkit#3635). Steps of linked targets are the same ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from builder.cachespec import NO_OUTPUT, reads_caches

INPUTS_STAGE = "rosk-inputs"
"""The stage of a Dockerfile that alone reads the build context."""

_READ_HERE = ("/", ".")
"""How a named context starts that is a folder of this machine. An image layout (`oci-layout://`) is sent piece by
piece, when a step needs it, which the session of a target that is done cannot."""


def linked(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A bake file with a target more for each folder that several targets read; the other targets give the same.

    Of what a Dockerfile reads of the build context itself, the stage INPUTS_STAGE takes part. A plan that reads caches
    stays as it is: what a step that targets share has of one is fetched in the session of one of them, and that fails
    when this target is done before ("Unavailable: connection error" of BuildKit 0.13); the step then runs.
    """
    targets: Mapping[str, Mapping[str, Any]] = plan["target"]
    if reads_caches(plan):
        return dict(plan)
    sources = Counter(source for target in targets.values() for source in _sources(target))
    readers: dict[tuple[str, str], str] = {}
    added: dict[str, dict[str, Any]] = {}
    changed: dict[str, dict[str, Any]] = {}
    for name, target in targets.items():
        contexts = dict(target.get("contexts", {}))
        for source in _sources(target):
            if sources[source] > 1:
                reader = readers.setdefault(source, f"rosk-context-{len(readers)}")
                added.setdefault(reader, _reader(target, *source))
                contexts[source[0]] = f"target:{reader}"
        changed[name] = {**target, "contexts": contexts}
    return {**plan, "target": {**added, **changed}} if added else dict(plan)


def _sources(target: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a target reads of this machine: the name by which its Dockerfile calls it, and where it is."""
    yield INPUTS_STAGE, target["context"]
    for name, where in target.get("contexts", {}).items():
        if where.startswith(_READ_HERE):
            yield name, where


def _reader(target: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    """A target that is what the client sends, with no step that copies it (but for the build context)."""
    reader = {"context": target["context"], "output": NO_OUTPUT}
    reader |= {key: target[key] for key in ("platforms", "no-cache", "no-cache-filter") if key in target}
    if name == INPUTS_STAGE:
        # BuildKit tells a stage's name only where there are two.
        return {**reader, "dockerfile-inline": f"FROM scratch AS {name}\nCOPY . /\nFROM {name}\n"}
    return {**reader, "dockerfile-inline": f"FROM {name}\n", "contexts": {name: where}}
