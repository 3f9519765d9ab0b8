"""`rosk doctor`: what this machine lacks for building, and how to get it. It changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from builder.engine.install import plan_install
from builder.engine.probe import EngineState, check, probe
from builder.errors import EngineError, InputError
from builder.inputs.fetch import default_cache
from builder.plan import told_version, toolchain_facts
from builder.project import SETTINGS_FILE, load_project
from builder.release import human_size

NEEDED_BYTES = 12_000_000_000
"""Room in the engine's data root for a first build of a real kernel: source, object tree, packages and images."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at; a fatal one keeps `rosk build --no-install` from working."""

    text: str
    fatal: bool = False


def examine(root: Path, *, arch: str | None = None, flavour: str | None = None) -> list[Finding]:
    """Look at the engine, the room that it has, and the programs that rosk may call on this machine.

    Args:
        root: A folder that may be a project's: then also at what compiles its kernel.
        arch, flavour: Of that kernel.
    """
    state = probe()
    found: list[Finding] = []
    try:
        notes = check(state)
    except EngineError as error:
        found.append(Finding(text=f"missing  {error}\n         {error.hint}", fatal=True))
        found += _remedy(state)
    else:
        store = "containerd" if state.containerd_store else "classic"
        found.append(
            Finding(text=f"ok       Docker Engine {state.engine} with buildx {state.buildx}, {store} image store")
        )
        found += [Finding(text=f"note     {note}") for note in notes]
    if state.free_bytes is not None:
        enough = state.free_bytes >= NEEDED_BYTES
        room = f"{human_size(state.free_bytes)} free in {state.data_root}"
        found.append(
            Finding(text=f"{'ok' if enough else 'note':8} {room}, a first build takes about {human_size(NEEDED_BYTES)}")
        )
    for program, use in (
        ("mmdebstrap", "to make a base image where none can be pulled"),
        ("gpgv", "to verify kernel.org's checksums"),
    ):
        has = shutil.which(program) is not None
        found.append(
            Finding(text=f"{'ok' if has else 'note':8} {program} is {'there' if has else 'not installed'}, {use}")
        )
    found.append(Finding(text=f"ok       downloads are kept in {default_cache()}"))
    return [*found, *(toolchain(root, arch, flavour) if (root / SETTINGS_FILE).is_file() else ())]


def toolchain(root: Path, arch: str | None, flavour: str | None) -> Iterator[Finding]:
    """What compiles a project's kernel, and why."""
    try:
        project = load_project(root, arch=arch, flavour=flavour)
    except InputError as error:
        yield Finding(text=f"note     the project here cannot be built: {error}\n         {error.hint}")
        return
    rows = toolchain_facts(project, told_version(project))
    for number, (name, value) in enumerate(rows):
        yield Finding(text=f"{'' if number else 'ok':8} {f'{name}: ' if name else ''}{value}")


def _remedy(state: EngineState) -> list[Finding]:
    """What `rosk setup` would do about a missing engine."""
    try:
        plan = plan_install(state)
    except EngineError:
        return []
    return [Finding(text=f"         `rosk setup` would {line}") for line in (plan.lines if plan else ())]
