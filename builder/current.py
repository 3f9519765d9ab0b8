"""Whether the release in `dist` is what a build would give again; then there is nothing to solve.

A build leaves in `dist/build.json` a checksum over all that the release follows from (its key), and what it noticed.
The release is current while the key is the same, every file of it still has the content that the manifest names, what
lies beside it is about that manifest, and the engine has the images. Nothing is believed for its time: inputs and
outputs are compared by content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from builder import graph
from builder.context import dockerfiles
from builder.engine.base import BaseImage, Engine
from builder.project import Project
from builder.release import BUILD, IMAGES, MANIFEST, REPORT, SUMMED, SUMS, VERIFY, describe, describe_inputs
from builder.reports import Notice

_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Current:
    """A release that needs no build: its manifest, and what the build that made it noticed."""

    manifest: Mapping[str, Any]
    notices: tuple[Notice, ...]


def own_code() -> str:
    """A checksum over rosk itself, Dockerfiles and image scripts included: to be taken before a build reads them."""
    found = hashlib.sha256()
    for folder, pattern in ((_PACKAGE, "*.py"), (_PACKAGE / "report/web", "*"), (dockerfiles(), "*")):
        found.update(_digest_of(folder, pattern))
    return found.hexdigest()


def release_key(
    project: Project,
    context: graph.Context,
    resolved: graph.Resolved,
    base: BaseImage,
    *,
    command: Sequence[str],
    code: str,
) -> str | None:
    """A checksum over all that the release follows from; None where that cannot be told without reading it all.

    That is a source or firmware that is a folder of this machine: BuildKit finds out what changed in it.

    Args:
        context: Its folder is filled.
        base: The image that the toolchain is installed in.
        command: What the manifest will name as the command that reproduces the build.
        code: What `own_code` gave.
    """
    if project.source.kind == "tree" or project.settings.firmware.source == "folder":
        return None
    plan = graph.build_plan(project, context, resolved, output=Path("-"))
    targets = {
        name: [target["target"], target["args"], target.get("tags"), target["platforms"]]
        for name, target in plan["target"].items()
    }
    archives = [context.archives(project), [module.as_json() for module in context.modules]]
    # What the manifest says beside that, also of inputs that nothing is built from: a patch for other kernel versions.
    said = [str(project.source), project.source.sha256, describe_inputs(project, context.folder)]
    settings = project.settings.model_dump(mode="json")
    seen = [targets, archives, asdict(resolved), base.id, settings, said, list(command), code]
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode() + _digest_of(context.folder, "*")).hexdigest()


def _digest_of(folder: Path, pattern: str) -> bytes:
    """A checksum over the files below a folder: names, contents, and which can be executed."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob(pattern)):
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found.update(f"{path.relative_to(folder)}\0{path.stat().st_mode & 0o100:o} {content}\n".encode())
    return found.digest()


def find_current(project: Project, engine: Engine, key: str) -> Current | None:
    """The release in `dist`, when it is the one of this key and whole, and the engine has its images."""
    try:
        record = json.loads((project.dist / BUILD).read_text())
        manifest = json.loads((project.dist / MANIFEST).read_text())
        images = dict(manifest["images"])
        if record["key"] != key or not images:
            return None
        with ThreadPoolExecutor(1) as beside:
            found = beside.submit(engine.image_ids, list(images))
            if not _is_whole(project.dist, manifest):
                return None
        # A build that is killed while it takes its place can leave the files of two releases.
        about = describe(project.dist / MANIFEST)["sha256"]
        verified = json.loads((project.dist / VERIFY).read_text())
        if (record["manifest"], verified["manifest"]) != (about, about) or not (project.dist / REPORT).is_file():
            return None
        notices = tuple(Notice(**notice) for notice in record["notices"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # none, half of one, or one of another rosk
        return None
    if found.result() != images:
        return None
    return Current(manifest=manifest, notices=notices)


def _is_whole(dist: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether every file of a release, and nothing beside them, is what its manifest says."""
    outputs = manifest["outputs"]
    if {f"kernel/{path.name}" for path in (dist / "kernel").iterdir()} != set(outputs):
        return False
    sums = {name: sum for sum, name in (line.split("  ", 1) for line in (dist / SUMS).read_text().splitlines())}
    if (dist / IMAGES).read_text().split() != list(manifest["images"]):
        return False
    if sums != {
        **{name: row["sha256"] for name, row in outputs.items()},
        **{name: describe(dist / name)["sha256"] for name in SUMMED},
    }:
        return False
    with ThreadPoolExecutor() as pool:
        return all(pool.map(lambda name: describe(dist / name) == outputs[name], outputs))
