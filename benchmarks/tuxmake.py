"""The TuxMake side: on plain's source and config, in the same container, with a build folder that it keeps."""

from __future__ import annotations

import shutil
import sys
import venv
from pathlib import Path

from benchmarks.commands import run
from benchmarks.plain import SOURCE, PlainTree, jobs, kernel_environment
from benchmarks.results import Sample
from benchmarks.workspace import Workspace

VERSION = "1.45.0"


class TuxMake:
    """TuxMake, installed for this run only."""

    def __init__(self, work: Workspace, plain: PlainTree) -> None:
        self.work, self.plain = work, plain
        self.folder = work.folder / "tuxmake"
        self._install()

    def _install(self) -> None:
        """Install it in a virtual environment; the container's Python is given its pure Python package."""
        if (self.folder / "lib").exists():
            return
        environment = self.folder / "venv"
        venv.create(environment, with_pip=True, clear=True)
        run([environment / "bin/pip", "install", "--quiet", f"tuxmake=={VERSION}"], seconds=600)
        minor = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = environment / "lib" / minor / "site-packages"
        shutil.copytree(packages, self.folder / "lib.new", ignore=shutil.ignore_patterns("pip*", "__pycache__"))
        (self.folder / "lib.new").rename(self.folder / "lib")

    def clean(self) -> None:
        """Lose its build folder."""
        shutil.rmtree(self.folder / "build", ignore_errors=True)

    def build(self) -> Sample:
        """Build kernel and modules of plain's source with plain's config."""
        shutil.copyfile(self.plain.config, self.folder / "config")
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        fixed = kernel_environment(self.work.state.epoch)
        settings = [word for name, value in fixed.items() for word in ("--environment", f"{name}={value}")]
        words = ["python3", "-m", "tuxmake", "--runtime", "null", "--target-arch", "x86_64", "--toolchain", "gcc"]
        folders = ["--directory", SOURCE, "--build-dir", "/tuxmake/build", "--output-dir", "/tuxmake/out"]
        work = ["--kconfig", "/tuxmake/config", "--jobs", str(jobs()), *settings, "kernel", "modules"]
        env = {"PYTHONPATH": "/tuxmake/lib", "HOME": "/tuxmake"}
        return self.plain.container.run([*words, *folders, *work], env)

    @property
    def config(self) -> Path:
        return self.folder / "build/.config"

    @property
    def kernel(self) -> Path:
        return self.folder / "out/bzImage"
