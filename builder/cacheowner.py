"""Which records of the engine's build cache rosk made, and what they are.

Certain are the cache mounts whose names begin with `rosk-`, and the layers of steps that stand word for word in rosk's
Dockerfile. Layers of older versions of rosk are known by what they lie on, or by what lies on them. In doubt a record
is another's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from builder.engine.cacherecords import CACHE_MOUNT, Record
from builder.graph import IMAGES

LAYERS = ("toolchain", "source", "compile", "packages", "context")
"""The groups of layers."""

_MOUNT = re.compile(r'^cached mount .* with id "/*rosk-([A-Za-z0-9._+-]+)"$', re.S)
_EXEC = "mount / from exec /bin/sh -c "
_STEP = re.compile(r"\[(?:\S+ )?(\S+) +(\d+)/(\d+)\] (.*)", re.S)
_PROGRAM = re.compile(r"(?:[A-Z_]+=\S+ )*python3 -m builder\.stages\.([a-z]+) ")
_CONTEXT = re.compile(r"local source for rosk-(?:source|firmware|known|input-\S+)")
"""A folder that was sent; the names are those of `builder.graph`."""
_IMPORTED = re.compile(r"imported sha256:[0-9a-f]{64}")
_LAYER = re.compile(r"(?<=/)gzip\d+-\d+(?= /$)")
"""What builder.graph has for ${LAYER}, in a COPY's description: nobody else calls a folder so. The variables of a RUN
stand in its description as they are."""
_INSTRUCTION = re.compile(r"^(FROM|RUN|COPY) (.*)$", re.M)
_GROUPS = {
    **dict.fromkeys(("tools", "toolchain", "foreign-tools"), "toolchain"),
    **dict.fromkeys(("source", "patched", "patch", "journal", "kconfigtree", "headerstree", "kernel-source"), "source"),
    **dict.fromkeys(("configured", "configure", "compile", "external-base"), "compile"),
    **dict.fromkeys(("rosk-programs", "rosk-inputs"), "context"),
}
"""The group of a stage of the Dockerfile, or of a program of `builder.stages`; `packages` for any other."""


def instructions(dockerfile: str) -> dict[str, str]:
    """Every RUN and COPY of a Dockerfile, as BuildKit describes its layer, and the stage that it stands in."""
    found: dict[str, str] = {}
    stage = ""
    for kind, words in _INSTRUCTION.findall(dockerfile.replace("\\\n", "")):
        if kind == "FROM":
            stage = words.split()[-1]
        elif kind == "RUN":
            found.setdefault(_plain(re.sub(r"^(?:--\S+\s+)+", "", words)), stage)
        else:
            found.setdefault(_plain(f"[{stage}] COPY {words}"), stage)
    return found


def _plain(text: str) -> str:
    return " ".join(text.split())


def owned_records(records: Sequence[Record], known: Mapping[str, str]) -> dict[str, str]:
    """The IDs of the records that rosk made, each with its group: one of LAYERS, or a cache mount's name
    without `rosk-`.

    Args:
        known: What `instructions` returns.
    """
    owned: dict[str, str] = {}
    stages = set(known.values())
    for record in records:
        if mount := _MOUNT.match(record.description) if record.type == CACHE_MOUNT else None:
            owned[record.id] = mount[1]
        elif _CONTEXT.fullmatch(record.description):
            owned[record.id] = "context"
        elif stage := known.get(_instruction(record.description)) or _stage_of_layer(record.description, stages):
            owned[record.id] = _group(stage)
    while found := _related(records, owned, stages):
        owned.update(found)
    return owned


def _related(records: Sequence[Record], owned: Mapping[str, str], stages: set[str]) -> dict[str, str]:
    """Records that are rosk's because of those that are so already, which are their parents or their children."""
    # Nothing of rosk's is built on one of its images, but somebody's may be.
    images = {record.id for record in records if (step := _STEP.fullmatch(record.description)) and step[1] in IMAGES}
    layers = {id for id, group in owned.items() if group in LAYERS}
    bases = layers - images
    children = {parent: record for record in records if record.id in layers for parent in record.parents}
    found: dict[str, str] = {}
    for record in records:
        if record.id in owned or record.type == CACHE_MOUNT:
            continue
        step, program = _STEP.fullmatch(record.description), _PROGRAM.match(record.description.removeprefix(_EXEC))
        if (
            step
            and (step[1] in stages or _is_of_a_module(step[1]))
            and (bases.intersection(record.parents) or _is_next(step, children.get(record.id)))
        ):
            found[record.id] = _group(step[1])
        elif program and bases.intersection(record.parents):
            found[record.id] = _group(program[1])
        elif _IMPORTED.fullmatch(record.description) and record.id in children:
            found[record.id] = owned[children[record.id].id]
    return found


def _is_next(step: re.Match[str], child: Record | None) -> bool:
    """Whether a record is the next step of the same stage."""
    following = _STEP.fullmatch(child.description) if child else None
    return following is not None and following.group(1, 3) == step.group(1, 3) and int(following[2]) == int(step[2]) + 1


def _instruction(description: str) -> str:
    """A layer's instruction in the form of `instructions`."""
    if step := _STEP.fullmatch(description):
        return _plain(f"[{step[1]}] {step[4]}")
    return _plain(description.removeprefix(_EXEC)) if description.startswith(_EXEC) else ""


def _stage_of_layer(description: str, stages: set[str]) -> str:
    """The image that a COPY is a layer of, in this or an older version of rosk; empty for any other record."""
    step = _STEP.fullmatch(description)
    return step[1] if step and step[1] in stages and _LAYER.search(step[4]) else ""


def _is_of_a_module(stage: str) -> bool:
    """Whether a stage is one of those that `builder.external.dockerfile` makes."""
    return stage == "external" or stage.startswith("module-")


def _group(stage: str) -> str:
    if _is_of_a_module(stage):
        return "compile"
    if stage.startswith("source-") and stage not in ("source-package", "source-file", "source-changes"):
        return "source"
    return _GROUPS.get(stage, "packages")
