"""Splitting and packing: what packing takes by itself, and a whole distribution kernel beside os-kernel's scripts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.commands import BenchmarkError, empty_folder, run
from benchmarks.engine import Container
from benchmarks.plain import STAGE_ENVIRONMENT
from benchmarks.results import Sample
from benchmarks.workspace import Workspace

_MAIN, _EXTRA = "modules.list", "modules-extra.list"


class Packing:
    """Packing programs in the container; its /packing is the workspace's folder `packing`."""

    def __init__(self, work: Workspace, container: Container) -> None:
        self.work, self.container = work, container
        self.folder = work.folder / "packing"

    def again(self, packages: Iterable[Path]) -> Sample:
        """Time rosk's packing program on the content of finished packages, with nothing kept from before."""
        seconds, names = 0.0, []
        for package in packages:
            root = self.folder / "again"
            empty_folder(root)
            run(["tar", "-xzf", package, "-C", root])
            seconds += self._pack("/packing/again", "/packing/again.tar.gz")
            names.append(package.name)
        return {"seconds": seconds, "packages": names}

    def _pack(self, root: str, out: str) -> float:
        words = ["python3", "-m", "builder.stages.pack", "--root", root, "--deliver", out]
        return float(self.container.run([*words, "--epoch", str(self.work.state.epoch)], STAGE_ENVIRONMENT)["seconds"])

    def prepare(self, scripts: Path | None) -> dict[str, Any]:
        """Get the distribution's kernel, and the lists that both sides split it by.

        Args:
            scripts: A checkout of os-kernel, whose list then says what the kernel package has.

        Returns:
            What kernel it is: `package`, `version`, `release`, `modules`, `bytes`.
        """
        file = self.folder / "kernel/kernel.json"
        if not file.exists():
            self.container.run(["python3", "/bench/debiankernel.py", "/packing/kernel"])
        told: dict[str, Any] = json.loads(file.read_text())
        source = self.work.project / "lists/x86" / _MAIN
        if scripts is not None:
            source = scripts / "modules/x86" / _MAIN
            if not (scripts / "scripts/build-common").is_file() or not source.is_file():
                raise BenchmarkError(f"{scripts} is no checkout of os-kernel: it lacks scripts/build-common or a list")
            empty_folder(self.folder / "os-kernel")
            shutil.copytree(scripts / "scripts", self.folder / "os-kernel/scripts")
        built = (self.folder / "kernel/modules").read_text().split()
        main, extra = divide_modules(built, source.read_text())
        empty_folder(self.folder / "lists")
        (self.folder / "lists" / _MAIN).write_text(main)
        (self.folder / "lists" / _EXTRA).write_text(extra)
        return {**told, "main": main.count("\n")}

    def rosk(self, release: str) -> Sample:
        """Split and pack it with the programs of rosk's stages, from the archive to the two packages."""
        empty_folder(self.folder / "rosk")
        (self.folder / "rosk/options.json").write_text("{}")
        (self.folder / "rosk/in").mkdir()
        at, boot = "/packing/rosk", "/packing/rosk/in/boot"
        inputs = ["--modules", f"{at}/in", "--lists", "/packing/lists", "--config", f"{boot}/config-{release}"]
        inputs += ["--module-options", f"{at}/options.json", "--system-map", f"{boot}/System.map-{release}"]
        split = ["python3", "-m", "builder.stages.split", *inputs, "--release", release, "--out", f"{at}/out"]
        steps = [["tar", "-xf", "/packing/kernel/kernel.tar", "-C", f"{at}/in"], split]
        steps += [["mv", boot, f"{at}/out/main/boot"]]
        seconds = sum(float(self.container.run(step, STAGE_ENVIRONMENT)["seconds"]) for step in steps)
        for name, root in (("kernel", "main"), ("extras", "extra")):
            seconds += self._pack(f"{at}/out/{root}", f"{at}/{name}.tar.gz")
        return {"seconds": seconds, "sizes": self._sizes("rosk")}

    def os_kernel(self, release: str) -> Sample:
        """The same with os-kernel's scripts."""
        empty_folder(self.folder / "theirs")
        lists = [f"/packing/lists/{name}" for name in (_MAIN, _EXTRA)]
        words = ["bash", "/bench/oskernel.sh", "/packing/os-kernel/scripts", "/packing/kernel/kernel.tar", release]
        done = self.container.run([*words, *lists, "/packing/theirs"])
        return {**done, "sizes": self._sizes("theirs/dist/kernel")}

    def _sizes(self, folder: str) -> dict[str, int]:
        return {name: (self.folder / folder / f"{name}.tar.gz").stat().st_size for name in ("kernel", "extras")}


def divide_modules(built: Iterable[str], main_list: str) -> tuple[str, str]:
    """The two lists that name each built module once: in the first those that `main_list` names as well."""
    named = {line.partition("#")[0].strip() for line in main_list.splitlines()}
    lists: dict[bool, list[str]] = {True: [], False: []}
    for path in built:
        lists[path in named].append(f"{path}\n")
    return "".join(lists[True]), "".join(lists[False])
