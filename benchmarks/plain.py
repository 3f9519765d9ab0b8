"""The plain side: `make bzImage modules` in a tree that a developer keeps, with the toolchain of rosk's own stage."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from benchmarks.engine import Container
from benchmarks.kit import LineEdit
from benchmarks.results import Sample
from benchmarks.workspace import Workspace
from builder.arch import X86
from builder.stages.runmake import make_environment

SOURCE, OBJECTS, PART = "/usr/src/linux", "/obj", "/part"
STAGE_ENVIRONMENT = {"PYTHONPATH": "/rosk", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
"""For the programs of rosk's stages, in the container."""

_KEPT = ("LC_ALL", "LOCALVERSION")


def jobs() -> int:
    """As many as rosk's compile stage takes."""
    return len(os.sched_getaffinity(0))


def kernel_environment(epoch: int) -> dict[str, str]:
    """What rosk sets for make, so that both make the same bytes."""
    found = make_environment(epoch)
    return {name: value for name, value in found.items() if name in _KEPT or name.startswith("KBUILD_BUILD_")}


def start_container(work: Workspace) -> Container:
    """The container that plain make, TuxMake and the packing programs run in."""
    mounts = {
        work.tree: SOURCE,
        work.folder / "plain/obj": OBJECTS,
        work.folder / "part": PART,
        work.folder / "tuxmake": "/tuxmake",
        work.folder / "packing": "/packing",
        work.code: "/rosk",
        work.logs: "/log",
    }
    return Container.start(work.container, work.image, mounts)


class PlainTree:
    """Source and object tree of plain make.

    Attributes:
        container: Where make runs.
        objects: The object tree, on this machine.
    """

    def __init__(self, work: Workspace, container: Container) -> None:
        self.work, self.container = work, container
        self.objects = work.folder / "plain/obj"

    def run(self, *targets: str) -> Sample:
        """Run make with these targets."""
        words = ["make", "-C", SOURCE, f"O={OBJECTS}", f"-j{jobs()}", f"ARCH={X86.kbuild}"]
        return self.container.run([*words, *targets], kernel_environment(self.work.state.epoch))

    def build(self) -> Sample:
        return self.run(X86.image, "modules")

    def clean(self, config: str) -> None:
        """Start over, with this .config."""
        for path in self.objects.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        self.config.write_text(config)

    @property
    def config(self) -> Path:
        return self.objects / ".config"

    def set_line(self, edit: LineEdit, value: str) -> None:
        """Make the edit that the patch of rosk's project makes."""
        (self.work.tree / edit.path).write_text(edit.text(value))

    def switch_on(self, option: str) -> None:
        """Have an option as a module; what follows from it is settled before make is timed."""
        lines = self.config.read_text().splitlines()
        rest = [line for line in lines if line != f"# {option} is not set" and not line.startswith(f"{option}=")]
        self.config.write_text("".join(f"{line}\n" for line in [*rest, f"{option}=m"]))
        self.run("olddefconfig")

    def tiny_config(self, settings: str) -> str:
        """A small kernel's whole .config: tinyconfig, with these settings over it."""
        self.run("tinyconfig")
        with self.config.open("a") as file:
            file.write(settings)
        self.run("olddefconfig")
        return self.config.read_text()

    @property
    def kernel(self) -> Path:
        return self.objects / X86.image_path
