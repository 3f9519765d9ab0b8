"""Two releases side by side, going by their manifests: files, images, and what the builds started from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from builder.differ import short, unequal
from builder.repro.model import Compared, Proof


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> Proof:
    """Compare two releases by their manifests."""
    outputs, others = first["outputs"], second["outputs"]
    names = sorted({*outputs, *others})
    files = [Compared(name=name, first=_sum(outputs.get(name)), second=_sum(others.get(name))) for name in names]
    built = dict(zip(first["images"], second["images"].values(), strict=True))
    images = [Compared(name=tag, first=digest, second=built[tag]) for tag, digest in first["images"].items()]
    return Proof(compared=(*files, *images), inputs=tuple(_other_inputs(first, second)))


def _sum(entry: Mapping[str, Any] | None) -> str:
    return f"sha256:{entry['sha256']}" if entry else ""


def _other_inputs(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    """What two builds of one project did not have in common from their start."""
    for key, value, other in unequal(first["toolchain"]["packages"], second["toolchain"]["packages"]):
        yield f"the toolchain's package {key} was {value or 'absent'} and is {other or 'absent'} now"
    for name, key in (("toolchain", "base_digest"), ("source", "kernel_version"), ("source", "package_version")):
        if (value := first[name][key]) != (other := second[name][key]):
            yield f"the {name}'s {key.replace('_', ' ')} was {value} and is {other} now"
    for key in ("source_date_epoch", "firmware"):
        if first[key] != second[key]:
            yield f"the {key.replace('_', ' ')} was {short(first[key])} and is {short(second[key])} now"
    if first["source"]["kind"] == "tree":  # which no checksum in the manifest stands for
        for name in first["outputs"]:
            if "-src." in name and _sum(first["outputs"][name]) != _sum(second["outputs"].get(name)):
                yield "the source tree is not as it was, going by its package: build first"
