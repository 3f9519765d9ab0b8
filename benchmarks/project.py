"""The rosk side: a project in a folder of its own, edited as a user edits it and built by the real command."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.commands import BenchmarkError, run
from benchmarks.kit import FRAGMENT, LineEdit
from benchmarks.results import Sample
from benchmarks.workspace import ROOT, Workspace

_FAKE_SETTINGS: dict[str, Any] = {
    "kernel": {"source": "tree", "path": "linux"},
    "toolchain": {"suite": "trixie"},
    "firmware": {"source": "folder", "path": "firmware"},
}
_FAKE_MAIN = ("kernel/fs/ext4/ext4.ko", "kernel/drivers/net/fakenic.ko", "kernel/drivers/net/dummy.ko")
_FAKE_EXTRA = ("kernel/crypto/crc32c_generic.ko", "kernel/drivers/net/vxlan/vxlan.ko")


class RoskProject:
    """A project and the command that builds it.

    Attributes:
        work: The workspace that it lies in.
        root: Its folder.
    """

    def __init__(self, work: Workspace) -> None:
        self.work = work
        self.root = work.project

    @property
    def dist(self) -> Path:
        return self.root / "dist"

    @property
    def home(self) -> Path:
        """What rosk keeps its downloads and memories in."""
        return self.work.folder / "home"

    def create(self) -> None:
        """Write a copy of the default project, or the made-up one, with an org of its own."""
        if self.work.kit.kind == "fake":
            self._create_fake()
            settings = dict(_FAKE_SETTINGS)
        else:
            for name in ("config", "lists", "patches", "hooks"):
                if (ROOT / name).exists():
                    shutil.copytree(ROOT / name, self.root / name)
            settings = yaml.safe_load((ROOT / "config/rosk.yaml").read_text())
        settings["org"] = self.work.org
        settings.pop("suffix", None)
        config = settings.setdefault("config", {}) or {}
        settings["config"] = {**config, "fragments": [*config.get("fragments", []), FRAGMENT]}
        if self.work.kit.kind == "quick":
            # A kernel of which nothing is run has no containers either.
            settings["config"]["policies"] = []
            settings["lists"] = {"unlisted": "extra"}
        self.write_settings(settings)
        self.write(FRAGMENT, "CONFIG_MODULES=y\n# What the benchmark switches on:\n")
        self.add_line("lists/x86/modules-extra.list", *(path for _, path in self.work.kit.options))

    def _create_fake(self) -> None:
        shutil.copytree(ROOT / "tests/faketree", self.root / "linux", symlinks=True)
        self.write("config/x86/kernel-config", self.work.kit.base_config)
        self.write("lists/x86/modules.list", "".join(f"{path}\n" for path in _FAKE_MAIN))
        self.write("lists/x86/modules-extra.list", "".join(f"{path}\n" for path in _FAKE_EXTRA))
        names = ["fakenic/nic-1.bin", *self.work.kit.firmware]
        self.write("lists/x86/firmware.list", f"{names[0]}\n")
        for name in names:
            self.write(f"firmware/{name}", f"{name}\n")
        files = "".join(f"File: {name}\n" for name in names)
        self.write("firmware/WHENCE", f"Driver: fakenic\n\n{files}\nLicence: Redistributable.\n")

    # Edits.

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def write_settings(self, settings: dict[str, Any]) -> None:
        self.write("config/rosk.yaml", yaml.safe_dump(settings, sort_keys=False))

    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load((self.root / "config/rosk.yaml").read_text())
        return found

    def add_line(self, name: str, *lines: str) -> None:
        text = (self.root / name).read_text()
        self.write(name, text + "".join(f"{line}\n" for line in lines))

    def set_line(self, edit: LineEdit, value: str) -> None:
        """Let the patch of a file give its line another value."""
        self.write(f"patches/x86/{Path(edit.path).stem}.patch", edit.patch(value))

    def move(self, module: str) -> None:
        """Move a module from the one list to the other, or back."""
        names = ["lists/x86/modules.list", "lists/x86/modules-extra.list"]
        if module in (self.root / names[1]).read_text().splitlines():
            names.reverse()
        lines = (self.root / names[0]).read_text().splitlines()
        self.write(names[0], "".join(f"{line}\n" for line in lines if line != module))
        self.add_line(names[1], module)

    # Builds.

    def build(self, *options: str, home: Path | None = None) -> Sample:
        """Run `rosk build` and time it, Python's start included.

        Args:
            home: Instead of its own.

        Returns:
            `seconds`, and what ran: `ran`, `cached`, `compiled`.
        """
        env = {
            "PYTHONPATH": str(self.work.code),
            "ROSK_CACHE": str(home or self.home),
            "ROSK_CACHE_SCOPE": self.work.state.scopes[-1],
        }
        argv: list[str | Path] = [ROOT / "rosk", "build", "--json", *options, "-C", self.root]
        done = run(argv, env=env, log=self.work.logs / "rosk.log")
        try:
            report = json.loads(done.stdout)
        except ValueError as error:
            raise BenchmarkError(f"rosk build --json printed no JSON: {done.stdout[-300:]!r}") from error
        return {"seconds": done.seconds, **{name: report.get(name) for name in ("ran", "cached", "compiled")}}

    def options(self) -> str:
        """What `rosk build --help` says."""
        env = {"PYTHONPATH": str(self.work.code), "COLUMNS": "200"}
        return run([ROOT / "rosk", "build", "--help"], env=env, seconds=300).stdout

    def check_code(self) -> None:
        """See that the command runs the copy of the code.

        Raises:
            BenchmarkError: It runs another one.
        """
        python = ROOT / ".venv/bin/python"
        argv: list[str | Path] = [python, "-c", "import builder; print(builder.__file__)"]
        found = run(argv, env={"PYTHONPATH": str(self.work.code)}, cwd=self.work.folder, seconds=300).stdout.strip()
        if not Path(found).is_relative_to(self.work.code):
            raise BenchmarkError(f"the command would run {found}, not the copy in {self.work.code}")

    def packages(self) -> dict[str, str]:
        """Name and checksum of the packages of the release, without the source."""
        outputs = json.loads((self.dist / "manifest.json").read_text())["outputs"]
        return {
            name: entry["sha256"]
            for name, entry in outputs.items()
            if name.endswith(".tar.gz") and not name.endswith("-src.tgz")
        }


def new_value() -> str:
    """A value that no edit had before."""
    return f"{time.time_ns():x}"
