"""What a source and a toolchain were found to be, remembered, so that a build need not ask the engine first.

A memory is a guess: the build itself tells what its source and toolchain were, and the guess is checked against that
(`builder.solver`). A wrong one costs a second solve, never a wrong release.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from builder.context import dockerfiles
from builder.engine.base import BaseImage
from builder.graph import Context, Resolved, resolve_plan
from builder.inputs.fetch import default_cache
from builder.project import Project

_KEPT = 100


def _memory(project: Project, context: Context, base: BaseImage) -> Path:
    """The file that remembers it: its name is a checksum over all that the answer follows from."""
    plan = resolve_plan(project, context, base=base.ref, output=Path("-"))
    seen: list[object] = [plan["target"]["resolve"]["args"], base.id]
    if context.source is not None and project.source.kind == "tree":
        seen.append((context.source / "Makefile").read_text(errors="replace"))
    elif context.source is not None:
        seen += [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(context.source.iterdir())]
    seen += [path.read_text() for path in (dockerfiles() / "kernel.Dockerfile", context.folder / "stages/source.py")]
    return default_cache() / "resolved" / f"{hashlib.sha256(json.dumps(seen).encode()).hexdigest()}.json"


def recall(project: Project, context: Context, base: BaseImage) -> Resolved | None:
    """What an earlier build found, or None."""
    try:
        return Resolved(**json.loads(_memory(project, context, base).read_text()))
    except (OSError, ValueError, TypeError):  # none, or damaged
        return None


def remember(project: Project, context: Context, base: BaseImage, resolved: Resolved) -> None:
    """Keep what this build found; that it cannot be kept is no failure."""
    with suppress(OSError):
        file = _memory(project, context, base)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(resolved)))
        temporary.replace(file)
        for old in sorted(file.parent.glob("*.json"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
            old.unlink(missing_ok=True)
