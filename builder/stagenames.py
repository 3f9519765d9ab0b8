"""What the stages of the Dockerfile are called where people see them, and how these hang together."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

STAGES: Mapping[str, str] = {
    "tools": "packing tools",
    "toolchain": "toolchain",
    "source": "kernel source",
    "patched": "patches",
    "configured": "config",
    "compile": "compile",
    "external": "external modules",
    "signed": "module signatures",
    "split": "module split",
    "firmware": "firmware",
    "headers": "headers",
    "kernel-package": "kernel package",
    "extras-package": "extras package",
    "headers-package": "headers package",
    "source-package": "source package",
    "os-extras": "os-extras image",
    "os-headers": "os-headers image",
    "os-kernel": "os-kernel image",
    "release": "release files",
}
"""What the user sees of the graph, in its order: a stage's name and its title."""

SHARED = frozenset({"tools", "toolchain", "source", "patched"})
"""Stages that several kernels of a project have in common, as far as their input is the same."""
OPTIONAL = frozenset({"external", "signed"})
"""Stages that run only in projects that ask for them."""

_FROM = re.compile(r"^FROM (?:--\S+ )?(\S+) AS (\S+)$", re.M)
TAKES = re.compile(r"(?:COPY --from=|--mount=type=bind,from=)([\w-]+)")
"""How a stage of the Dockerfile takes something from another one, or from a named context."""
_SHOWN_AS = {
    "kernel-source": "source",
    "kernel-firmware": "firmware",
    "kconfig": "configured",
    "foreign-tools": "tools",
    "release-modules": "release",
    "release-packages": "release",
    "whole-source": "source-package",
    "changed-source": "source-package",
    "source-changes": "release",
    **dict.fromkeys(("rosk-programs", "rosk-inputs", "packer", "image-tools"), ""),
}
FILE_SUFFIX = "-file"
"""What the name of a stage ends in that has a package alone, to be fetched."""


def shown_stage(dockerfile_stage: str) -> str:
    """The stage of `STAGES` that a stage of the Dockerfile belongs to (`os-extras-root` to `os-extras`); empty for one
    that nobody is shown: what the build context becomes, and what programs of it lie on.

    One of several builds in a solve (`builder.engine.events`) keeps its name (`os-kernel@cloud-x86`), but for what they
    share.
    """
    stage, at, name = dockerfile_stage.partition("@")
    if at:
        shown = shown_stage(stage)
        return shown if shown in SHARED or not shown else f"{shown}@{name}"
    if dockerfile_stage in _SHOWN_AS:
        return _SHOWN_AS[dockerfile_stage]
    if dockerfile_stage.startswith("module-"):
        return "external"
    if dockerfile_stage.endswith(FILE_SUFFIX):
        return "release"
    for prefix in ("source-", "firmware-", "signed-", "external-"):
        if dockerfile_stage.startswith(prefix) and dockerfile_stage not in STAGES:
            return prefix.rstrip("-")
    return dockerfile_stage.removesuffix("-root")


def stage_of(name: str, dockerfile_stage: str) -> str | None:
    """The stage of `STAGES`, for one of the builds in a solve; None for a stage of another one."""
    stage, _, other = dockerfile_stage.partition("@")
    shown = shown_stage(stage)
    return None if other and other != name and shown not in SHARED else shown


def titles(names: Sequence[str]) -> dict[str, str]:
    """`STAGES` for a solve of the builds of these names: each has rows of its own, but for what they share."""
    if len(names) < 2:
        return dict(STAGES)
    shared = {stage: title for stage, title in STAGES.items() if stage in SHARED}
    own = {stage: title for stage, title in STAGES.items() if stage not in SHARED}
    return shared | {f"{stage}@{name}": f"{name}: {title}" for name in names for stage, title in own.items()}


def shown_as(dockerfile: str, shown: Collection[str]) -> list[str]:
    """The stages in the text of the Dockerfile that belong to these of `STAGES`."""
    return [stage for _, stage in _FROM.findall(dockerfile) if shown_stage(stage) in shown]


def takes_from(dockerfile: str) -> dict[str, set[str]]:
    """Which stages of `STAGES` each of them takes from, as the text of the Dockerfile has it.

    Helper stages that several others start from (`packer`) count as what they start from themselves.
    """
    direct: dict[str, set[str]] = {}
    for name, default in re.findall(r"^ARG (\w+)=(\S*)$", dockerfile.partition("\nFROM ")[0], flags=re.M):
        dockerfile = dockerfile.replace(f"FROM ${{{name}}} ", f"FROM {default} ")
    for block in re.split(r"^(?=FROM )", dockerfile, flags=re.M)[1:]:
        base, stage = _FROM.findall(block)[0]
        direct[stage] = {base, *TAKES.findall(block)} & {*direct, *_SHOWN_AS}
    found: dict[str, set[str]] = {name: set() for name in STAGES}
    for stage in direct:
        if (shown := shown_stage(stage)) in found:
            found[shown] |= _shown_sources(stage, direct) - {shown}
    return found


def _shown_sources(stage: str, direct: Mapping[str, set[str]]) -> set[str]:
    sources: set[str] = set()
    for source in direct.get(stage, set()):
        shown = shown_stage(source)
        sources |= {shown} if shown in STAGES else _shown_sources(source, direct)
    return sources
