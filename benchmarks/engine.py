"""The container engine as the benchmark uses it: containers of the toolchain, and what the build cache holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commands import HOUR, BenchmarkError, run
from benchmarks.results import Sample

INSIDE = Path(__file__).resolve().parent / "inside"
_PASSES = 40


def docker(*words: str | Path, seconds: float = HOUR) -> str:
    """What a call of the client prints."""
    return run(["docker", *words], seconds=seconds).stdout


@dataclass(frozen=True, kw_only=True)
class Container:
    """A running container of the toolchain image, in which programs are timed.

    Attributes:
        name: Of the container; `log` is the file in it that the programs' output goes to.
    """

    name: str
    log: str = "/log/commands.log"

    @staticmethod
    def start(name: str, image: str, mounts: Mapping[Path, str]) -> Container:
        """Start one, in place of one of the same name.

        Args:
            mounts: Folder of this machine to where it is seen.
        """
        remove_container(name)
        for folder in mounts:
            folder.mkdir(parents=True, exist_ok=True)
        volumes = [word for folder, at in mounts.items() for word in ("-v", f"{folder}:{at}")]
        options = ["--detach", "--init", "--network", "host", "--name", name, *volumes, "-v", f"{INSIDE}:/bench:ro"]
        docker("run", *options, image, "sleep", "infinity")
        return Container(name=name)

    def run(self, argv: Sequence[str], env: Mapping[str, str] | None = None, cwd: str = "/") -> Sample:
        """Run a program in it, and time it there.

        Raises:
            BenchmarkError: It failed.
        """
        settings = [word for name, value in (env or {}).items() for word in ("-e", f"{name}={value}")]
        timed = ["python3", "/bench/timed.py", self.log, *argv]
        done = json.loads(docker("exec", "-w", cwd, *settings, self.name, *timed, seconds=4 * HOUR))
        if done["code"]:
            raise BenchmarkError(f"{' '.join(argv[:4])} … failed in the container:\n{done['tail']}")
        return {"seconds": done["seconds"]}


def remove_container(name: str) -> None:
    """Remove a container, if it is there."""
    with suppress(BenchmarkError):
        docker("rm", "--force", name)


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record of BuildKit's cache; `mount` is the id of a cache mount, or empty."""

    id: str
    mount: str
    reclaimable: bool


def parse_records(text: str) -> list[Record]:
    """The records that `docker buildx du --verbose` prints."""
    found = []
    for block in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^(ID|Description|Reclaimable):\s*(.*)$", block, re.MULTILINE))
        if "ID" in fields:
            mount = re.search(r'cached mount .* with id "/?([^"]*)"\s*$', fields.get("Description", ""))
            reclaimable = fields.get("Reclaimable") == "true"
            found.append(Record(id=fields["ID"], mount=mount[1] if mount else "", reclaimable=reclaimable))
    return found


class BuildCache:
    """The cache of the engine's own builder."""

    def __init__(self) -> None:
        self.builder = docker("context", "show").strip()

    def records(self) -> list[Record]:
        return parse_records(docker("buildx", "du", "--builder", self.builder, "--verbose"))

    def forget_mount(self, name: str) -> int:
        """Remove the cache mounts of that id; returns how many there were."""
        ids = [record.id for record in self.records() if record.mount == name]
        if left := self.forget(ids):
            raise BenchmarkError(f"the cache mount {name} cannot be removed: {left} records are in use")
        return len(ids)

    def forget(self, ids: Iterable[str]) -> int:
        """Remove records, also those that an image shares; returns how many stay, since others need them."""
        wanted = set(ids)
        for _ in range(_PASSES):
            # A record that another one is based on goes only after it.
            here = wanted & {record.id for record in self.records()}
            for record in sorted(here):
                docker("buildx", "prune", "--builder", self.builder, "--all", "--force", "--filter", f"id={record}")
            left = wanted & {record.id for record in self.records()}
            if not left or left == here:
                return len(left)
        return len(left)
