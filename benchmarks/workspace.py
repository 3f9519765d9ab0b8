"""The folder that a run works in, and what is prepared there once: rosk's code, the toolchain, the source."""

from __future__ import annotations

import json
import shutil
from compileall import compile_dir
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks.commands import run
from benchmarks.kit import KITS, Kit
from builder import graph, replan
from builder.context import dockerfiles, write_context
from builder.engine.base import BaseImage
from builder.engine.docker import Docker, SolveError
from builder.inputs.folders import firmware_folder, source_folder
from builder.project import load_project
from builder.run import prepare
from builder.solver import unpack

ROOT = Path(__file__).resolve().parent.parent
_CODE = ("builder", "dockerfiles")
_TRIES = 3


@dataclass(kw_only=True)
class State:
    """What has to outlive an interrupted run.

    Attributes:
        word: Of this run: part of the names of what it makes in the engine.
        scopes: The cache scopes that were used, the current one last.
        used: How many of the kit's edits were used up, by kind (`options`, `moves`, `firmware`).
        kernel_version, epoch, packages: Of the source and the toolchain.
        begun: Side and sample of the row `nothing` that were measured, until all of them were.
    """

    word: str
    kind: str
    commit: str
    scopes: list[str] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)
    kernel_version: str = ""
    epoch: int = 0
    packages: dict[str, str] = field(default_factory=dict)
    begun: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@dataclass(kw_only=True)
class Workspace:
    """The folder and its state."""

    folder: Path
    state: State

    @property
    def kit(self) -> Kit:
        return KITS[self.state.kind]

    @property
    def image(self) -> str:
        """The tag of the toolchain's image."""
        return f"rosk-benchmark:{self.state.word}"

    @property
    def container(self) -> str:
        return f"rosk-benchmark-{self.state.word}"

    @property
    def org(self) -> str:
        return f"bench{self.state.word}"

    @property
    def code(self) -> Path:
        """A copy of rosk, so that an image's script can be changed and nobody's edit gets in."""
        return self.folder / "rosk"

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def tree(self) -> Path:
        """The kernel source that plain make and TuxMake build."""
        return self.folder / "plain/linux"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def release(self) -> str:
        """V, and with it the name of rosk's object tree."""
        return f"{self.state.kernel_version}-{self.org}"

    def save(self) -> None:
        file = self.folder / "state.json"
        file.with_suffix(".new").write_text(json.dumps(asdict(self.state), indent=1))
        file.with_suffix(".new").replace(file)

    def new_scope(self) -> str:
        """A scope in which there is no object tree and no compiler result yet."""
        self.state.scopes.append(f"{self.state.word}-{len(self.state.scopes)}")
        self.save()
        return self.state.scopes[-1]

    def take(self, kind: str, number: int) -> int:
        """The index of the next edit of a kind, of which the kit has so many; starts over when all are used."""
        used = self.state.used.get(kind, 0)
        self.state.used[kind] = used + 1
        self.save()
        return used % number


def earlier_workspace(folder: Path) -> Workspace | None:
    """The workspace that an earlier run has left in a folder."""
    try:
        state = State(**json.loads((folder / "state.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return Workspace(folder=folder, state=state)


def new_workspace(folder: Path, kind: str) -> Workspace:
    """A workspace in place of whatever is in the folder, with a copy of rosk in it."""
    if folder.exists():
        shutil.rmtree(folder)
    (folder / "logs").mkdir(parents=True)
    work = Workspace(folder=folder, state=State(word=uuid4().hex[:6], kind=kind, commit=_commit()))
    for name in _CODE:
        shutil.copytree(ROOT / name, work.code / name, ignore=shutil.ignore_patterns("__pycache__"))
    # As `rosk setup` does: with PYTHONDONTWRITEBYTECODE each start would compile rosk.
    compile_dir(work.code / "builder", quiet=1)
    work.new_scope()
    return work


def _commit() -> str:
    commit = run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"]).stdout.strip()
    changed = run(["git", "-C", ROOT, "status", "--porcelain", "--", *_CODE]).stdout.strip()
    return f"{commit} and changes not committed" if changed else commit


def prepare_toolchain(work: Workspace) -> None:
    """Solve the toolchain as an image of the engine, and bring the kernel's source to where plain make builds it."""
    engine, _, _, plan = _plan(work)
    shared = plan["target"]["resolve"]
    tar, image = work.folder / "tree.tar", work.folder / "image.tar"
    targets = {
        "resolve": shared,
        "image": {**shared, "target": "toolchain", "output": [f"type=tar,dest={image}"]},
        "source": _extract(work, "kernel-source", "/usr/src/linux", shared, tar),
    }
    _solve(engine, targets)
    engine.import_tar(image, work.image)
    image.unlink()
    resolved = work.folder / "resolved"
    unpack(work.folder / "resolved.tar", resolved)
    source = json.loads((resolved / "source.json").read_text())
    rows = (line.split() for line in (resolved / "packages").read_text().splitlines())
    work.state.packages = {name: version for name, version, *_ in rows}
    work.tree.mkdir(parents=True)
    _unpack_tree(tar, work.tree)
    work.state.kernel_version, work.state.epoch = source["kernel_version"], source["epoch"]
    work.save()


def resolve_config(work: Workspace) -> str:
    """The complete .config of the project as it is, as rosk's own stage makes it."""
    engine, base, context, _ = _plan(work)
    resolved = graph.Resolved(
        kernel_version=work.state.kernel_version,
        epoch=work.state.epoch,
        packages=work.state.packages,
        base=base.ref,
        base_digest=base.id,
    )
    tar, out = work.folder / "config.tar", work.folder / "configured"
    out.mkdir(exist_ok=True)
    plan = graph.build_plan(load_project(work.project), context, resolved, output=tar)
    # By the word no stage of a measured build is taken from this one.
    shared = replan.afresh(plan, work.state.word)["target"]["release"]
    targets = {
        "config": _extract(work, "configured", "/out/configured", shared, tar),
        # Fetched before anything is timed, as the source is.
        "firmware": {**shared, "target": "kernel-firmware", "output": ["type=cacheonly"]},
    }
    _solve(engine, targets)
    _unpack_tree(tar, out)
    return (out / "config").read_text()


def _solve(engine: Docker, targets: dict[str, Any]) -> None:
    """Solve targets one after another; again when the engine had lost what it took for cached."""
    for name, target in targets.items():
        for tries_left in reversed(range(_TRIES)):
            try:
                engine.bake({"target": {name: target}}, epoch=0, on_output=lambda _line: None)
                break
            except SolveError:
                if not tries_left:
                    raise


def _plan(work: Workspace) -> tuple[Docker, BaseImage, graph.Context, dict[str, Any]]:
    """The engine, and the plan that names source and toolchain."""
    project = load_project(work.project)
    toolchain = project.settings.toolchain
    engine, base = prepare(toolchain.suite, toolchain.base, allow_install=True, note=print)
    folder = work.folder / "context"
    if folder.exists():
        shutil.rmtree(folder)
    write_context(project, folder)
    source, epoch = source_folder(project, print)
    firmware, revision = firmware_folder(project)
    context = graph.Context(
        folder=folder,
        dockerfile=dockerfiles() / "kernel.Dockerfile",
        source=source,
        source_epoch=epoch,
        firmware=firmware,
        firmware_revision=revision,
    )
    plan = graph.resolve_plan(project, context, base=base.ref, output=work.folder / "resolved.tar")
    return engine, base, context, plan


def _extract(work: Workspace, stage: str, path: str, shared: dict[str, Any], tar: Path) -> dict[str, Any]:
    """A target that exports one folder of a stage, as `tree/` of an archive."""
    dockerfile = work.folder / f"{stage}.Dockerfile"
    text = (dockerfiles() / "kernel.Dockerfile").read_text()
    dockerfile.write_text(f"{text}\nFROM scratch AS benchmark\nCOPY --from={stage} {path} /tree\n")
    return {**shared, "dockerfile": str(dockerfile), "target": "benchmark", "output": [f"type=tar,dest={tar}"]}


def _unpack_tree(tar: Path, folder: Path) -> None:
    """Unpack what `_extract` exported; a kernel's source has too many files for Python's own tarfile."""
    run(["tar", "-xf", tar, "-C", folder, "--strip-components=1"])
    tar.unlink()
