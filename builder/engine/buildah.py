"""Buildah in the place of the engine: the same Dockerfile, with no daemon at all.

Where BuildKit solves a graph with a cache of its own, this builds everything that a solve asks for in one run of
`buildah bud`, in which each stage is built once. Nothing is taken from a layer of an earlier run: buildah's layer cache
(1.28) does not see that what a step mounts has changed. What makes a build quick all the same are the cache mounts: the
object tree, the compiler cache and Debian's packages. Steps run as root in a chroot (`--isolation` in buildah-bud(1))
with the machine's network. Needs root, and buildah 1.28 (Debian 12) or newer.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import shlex
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from builder.cachespec import keys_of
from builder.engine.docker import SolveError
from builder.engine.events import NAMING
from builder.engine.stage import MOMENT
from builder.errors import EngineError
from builder.process import follow, run
from builder.stages.common import MARK

CANNOT = "buildah has no builders of buildx, and shares no stages with other machines"
_HINT = "install buildah (1.28 or newer), and run rosk as root"
_STEP = re.compile(r"(?:\[(?P<place>\d+/\d+)\] )?STEP (?P<step>\d+)/(?P<steps>\d+): (?P<text>.*)")
_STORING = re.compile(
    r"(?:\[\d+/\d+\] )?COMMIT\b.*|Getting image source signatures|Copying (?:blob|config) sha256:\w+"
    r"|Writing manifest to .*|Storing signatures"
)
_FAILED = re.compile(r'Error: building at STEP "(?P<text>.*)": .*')
_ERROR = f'{MARK}{{"event": "error"'
"""What a line starts with by which a stage program says what it failed of (`builder.stages.common.emit`)."""
_STAGE = re.compile(r"FROM .* AS (\S+)", re.IGNORECASE)
_KEPT = ("CONTAINERS_", "STORAGE_", "BUILDAH_", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR")
"""Variables of the user's that say where buildah keeps what (containers-storage.conf(5)), and who logs in where."""
_BUD = ("bud", "--layers=false", "--identity-label=false")
_FILES = "-file"
_WITH_FILES = "release"
"""The target with which the packages are exported too: there is no second run that gives them."""


class Buildah:
    """What a build asks of an engine (`builder.engine.base.Engine`).

    Attributes:
        remote: Never: buildah works here.
        brings_all: A run exports the packages too: there is no second one that gives them.
        build_cache: None: no step is taken from an earlier run.
    """

    remote = False
    brings_all = True
    build_cache = None

    def __init__(self) -> None:
        self._packages: dict[str, Path] = {}
        self._kept = TemporaryDirectory(prefix="rosk-buildah-")
        self._run("--version")

    def bake(self, plan: Mapping[str, Any], *, epoch: int, on_output: Callable[[str], None]) -> dict[str, Any]:
        """Build all targets of a bake file; see `builder.engine.docker.Docker.bake`.

        Raises:
            SolveError: It failed.
        """
        targets: Mapping[str, Mapping[str, Any]] = plan["target"]
        if targets.keys() <= self._packages.keys():
            for name, target in targets.items():
                _pack(self._packages[name], _output(target)["dest"])
            return {}
        first = next(iter(targets.values()))
        text = Path(first["dockerfile"]).read_text()
        wanted = [target["target"] for target in targets.values()]
        stages = dict.fromkeys([*wanted, *(_file_stages(text) if _WITH_FILES in targets else ())])
        with TemporaryDirectory(prefix="rosk-buildah-") as name:
            file, results = Path(name, "Dockerfile"), Path(name, "results")
            copies = "".join(f"COPY --from={stage} / /{stage}/\n" for stage in stages)
            file.write_text(f"{resolved(text, first['args'])}\nFROM scratch AS rosk-export\n{copies}")
            self._bud(first, file, results, on_output)
            return self._deliver(targets, text, results, epoch, on_output)

    def _bud(self, target: Mapping[str, Any], file: Path, results: Path, on_output: Callable[[str], None]) -> None:
        """Build the stage `rosk-export` of a Dockerfile into the folder `results`."""
        words: list[str | Path] = [*_BUD, "--isolation", "chroot", "--force-rm", "--pull=never"]
        words += ["--target", "rosk-export", "--file", file, "--output", f"type=local,dest={results}"]
        for key, value in target["args"].items():
            words += ["--build-arg", f"{key}={value}"]
        for key, value in target["contexts"].items():
            words += ["--build-context", f"{key}={value}"]
        for secret in target.get("secret", ()):
            words += ["--secret", ",".join(next(csv.reader([secret])))]
        words += ["--iidfile", file.with_name("id")]
        told = _Events(on_output)
        code = follow(
            ["buildah", *words, target["context"]], told.line, env=_environment(), error=EngineError, hint=_HINT
        )
        told.end(code)
        if code != 0:
            raise SolveError(told.last or f"buildah failed with exit code {code}")
        image = file.with_name("id").read_text().strip().removeprefix("sha256:")
        self._run("rmi", image)  # all of it is in the folder by now

    def _deliver(
        self,
        targets: Mapping[str, Mapping[str, Any]],
        text: str,
        results: Path,
        epoch: int,
        on_output: Callable[[str], None],
    ) -> dict[str, Any]:
        """Make of what was built what the targets ask for: archives and images. Packages are kept for later."""
        metadata = {}
        for name, target in targets.items():
            output, stage = _output(target), target["target"]
            if output["type"] == "tar":
                _pack(results / stage, output["dest"])
            else:
                (tag,) = target["tags"]
                _tell(on_output, {"statuses": [{"id": f"{NAMING}{tag}"}]})
                metadata[name] = {"containerimage.config.digest": self._image(stage, tag, text, results, target, epoch)}
        if _WITH_FILES in targets:
            self._packages = {name: Path(self._kept.name, name) for name in _file_stages(text)}
            for name, kept in self._packages.items():
                shutil.rmtree(kept, ignore_errors=True)
                shutil.move(results / name, kept)
        return metadata

    def _image(self, stage: str, tag: str, text: str, results: Path, target: Mapping[str, Any], epoch: int) -> str:
        """Make an image of a stage that is COPYs and its settings, from what that stage has; returns its ID."""
        block = re.search(rf"^FROM scratch AS {re.escape(stage)}$.*?(?=^FROM |\Z)", text, re.M | re.S)
        assert block is not None, stage
        file = results.parent / f"{stage}.Dockerfile"
        file.write_text(re.sub(r"^(?:COPY .*\n)+", "COPY . /\n", block[0], flags=re.M))
        words: list[str | Path] = ["--timestamp", str(epoch), "--build-arg", f"RELEASE={target['args']['RELEASE']}"]
        self._run(*_BUD, *words, "--file", file, "--tag", _local(tag), results / stage)
        found = self.image_id(tag)
        assert found is not None
        return found

    def image_id(self, reference: str) -> str | None:
        """The ID (`sha256:…`) of a local image, or None when there is no such image."""
        words = ["images", "--no-trunc", "--quiet", "--filter", f"reference={_local(reference)}"]
        found = self._run(*words).split()
        return f"sha256:{found[0].removeprefix('sha256:')}" if found else None

    def image_ids(self, references: Sequence[str]) -> dict[str, str]:
        """The IDs of local images by their references; empty when one of them is missing."""
        found = {reference: self.image_id(reference) for reference in references}
        return {} if None in found.values() else {reference: str(each) for reference, each in found.items()}

    def pull(self, reference: str, *, seconds: float | None = None) -> None:
        """Pull an image, in at most so many seconds, and know it by this name.

        Raises:
            EngineError: It could not be pulled, or not in that time.
        """
        full = reference if "/" in reference else f"docker.io/library/{reference}"
        self._run("pull", "--quiet", full, timeout=seconds)
        self._run("tag", _local(full), _local(reference))

    def import_tar(self, tar: Path, reference: str) -> None:
        """Make an image of a root file system.

        Raises:
            EngineError: It could not be unpacked.
        """
        with TemporaryDirectory(prefix="rosk-buildah-") as name:
            file = Path(name, "Dockerfile")
            file.write_text(f'FROM scratch\nADD {tar.name} /\nCMD ["/bin/sh"]\n')
            self._run(*_BUD, "--timestamp", "0", "--file", file, "--tag", _local(reference), tar.parent)

    def tag(self, image: str, reference: str) -> None:
        """Give a local image (an ID or a name) another name.

        Raises:
            EngineError: There is no such image.
        """
        self._run(
            "tag", image.removeprefix("sha256:") if image.startswith("sha256:") else _local(image), _local(reference)
        )

    def untag(self, reference: str) -> None:
        """Take a name from a local image; the image stays while it has another."""
        self._run("rmi", _local(reference))

    def load(self, tar: Path) -> None:
        """Take the images of an archive (`docker save`)."""
        self._run("pull", "--quiet", f"docker-archive:{tar}")

    def save(self, reference: str, tar: Path) -> None:
        """Write a local image as an archive of an OCI image layout, as newer engines save it."""
        self._run("push", "--quiet", _local(reference), f"oci-archive:{tar}:{reference}")

    def save_layout(self, reference: str, folder: Path) -> str:
        """For a builder elsewhere, of which there are none here."""
        raise EngineError(f"{CANNOT}: {reference} is here", hint="use --engine docker")

    def gateway(self) -> str:
        """The address of this machine as build steps see it: they share its network."""
        return "127.0.0.1"

    def _run(self, *words: str | Path, timeout: float | None = None) -> str:
        """The output of buildah.

        Raises:
            EngineError: It failed; `what` is its last line.
        """
        argv = ["buildah", *words]
        done = run(argv, env=_environment(), check=False, timeout=timeout, error=EngineError, hint=_HINT)
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise EngineError(said[-1], where=shlex.join(map(str, argv[:2])), hint="`buildah info` looks at it")
        return done.stdout


_APT_MOUNTS = re.compile(
    r"(--mount=type=cache,id=rosk-apt-archives\S*) \\\n *(--mount=type=cache,id=rosk-apt-lists\S*) \\\n"
)


def resolved(dockerfile: str, args: Mapping[str, str]) -> str:
    """A Dockerfile as buildah 1.28 needs it. FROM lines name their stages: with a variable it does not find out what a
    stage needs. And no stage is but another name of one: each has a label, for it removes an image that two have twice.
    A stage declares what the one before it does: it has not got these arguments otherwise.
    Of the locks of a step it lets go only that of the last cache, and would wait for the others in the next step for
    ever; nor that, when `apt-get update` has removed it with all that is no list. So apt's archives come last, and are
    locked for both. Isolated by chroot alone, steps are on this machine's network, and can be on no other.

    Args:
        args: The build arguments; the Dockerfile's own values hold for the others.
    """
    values = {**dict(re.findall(r"^ARG (\w+)=(\S*)$", dockerfile, re.M)), **args}

    own = dockerfile.replace("RUN --network=none ", "RUN ")
    unlocked = own.replace("target=/var/lib/apt/lists,sharing=locked", "target=/var/lib/apt/lists")
    unlocked = _APT_MOUNTS.sub(r"\2 \\\n    \1 \\\n", unlocked)
    lines: list[str] = []
    declared: dict[str, list[str]] = {}
    stage = ""
    for line in unlocked.splitlines():
        if line.startswith("FROM "):
            plain = line.replace("--platform=${BUILDPLATFORM} ", "")
            named = re.sub(r"\$\{(\w+)\}", lambda name: values.get(name[1], name[0]), plain)
            _, parent, _, stage = named.split()
            declared[stage] = [*declared.get(parent, ())]
            lines += [named, *declared[stage], f"LABEL rosk.stage={stage}"]
            continue
        if stage and line.startswith("ARG "):
            declared[stage].append(line)
        lines.append(line)
    return "\n".join([*lines, ""])


class _Events:
    """Tells of buildah's lines what BuildKit would report (`builder.engine.events`).

    A step is begun for as long as its stage begins no other: those of several stages can be at once, for one that needs
    another stage waits for it. What it prints after that stands below another stage's step: of what a program says of
    its failure, buildah's own error tells which step it is of.
    """

    def __init__(self, on_output: Callable[[str], None]) -> None:
        self._on_output = on_output
        self._stages: dict[str, str] = {}
        self._begun: dict[str, dict[str, Any]] = {}
        self._count = 0
        self._at = ""
        self._failure: list[str] = []
        self.last = ""

    def line(self, line: str) -> None:
        """Take the next line of buildah's output."""
        if step := _STEP.fullmatch(line):
            self._begin(step["place"] or "", step["step"], step["steps"], step["text"])
        elif _STORING.fullmatch(line):  # the stage has come to its end
            self._complete(self._at)
        elif line.startswith(_ERROR):
            self._failure.append(line)
        elif self._at in self._begun:
            self._log(self._at, line)
        if line.startswith("Error: "):
            self.last = line.removeprefix("Error: ")
        if failed := _FAILED.fullmatch(line):
            texts = {place: vertex["name"].partition("] ")[2] for place, vertex in self._begun.items()}
            named = (place for place, text in texts.items() if text.split() == failed["text"].split())
            self._at = next(named, self._at)

    def _log(self, place: str, line: str) -> None:
        data = base64.b64encode(f"{line}\n".encode()).decode()
        self._tell({"logs": [{"vertex": self._begun[place]["digest"], "stream": 1, "data": data}]})

    def end(self, code: int) -> None:
        """Say that buildah has ended; when it failed, it did so in the step that it names, or began last."""
        if self._at in self._begun:
            for line in self._failure:
                self._log(self._at, line)
        for place in list(self._begun):
            failed = code and place == self._at
            self._complete(place, error=(self.last or f"exit code {code}") if failed else "")

    def _begin(self, place: str, step: str, steps: str, text: str) -> None:
        self._complete(place)
        if stage := _STAGE.fullmatch(text):
            self._stages[place] = stage[1]
        self._count += 1
        name = f"[{self._stages.get(place, 'stage-0')} {step}/{steps}] {text}"
        now = datetime.now(UTC)
        self._begun[place] = {"digest": str(self._count), "name": name, "inputs": ["-"], "started": now.isoformat()}
        self._at = place
        self._tell({"vertexes": [self._begun[place]]})

    def _complete(self, place: str, error: str = "") -> None:
        if vertex := self._begun.pop(place, None):
            # There is no cache here: however short a step was, it ran.
            shortest = datetime.fromisoformat(vertex["started"]) + timedelta(seconds=2 * MOMENT)
            ended = {"completed": max(datetime.now(UTC), shortest).isoformat(), **({"error": error} if error else {})}
            self._tell({"vertexes": [{**vertex, **ended}]})

    def _tell(self, report: Mapping[str, Any]) -> None:
        _tell(self._on_output, report)


def _tell(on_output: Callable[[str], None], report: Mapping[str, Any]) -> None:
    """Give out a report as BuildKit's client would."""
    on_output(f"{json.dumps(report)}\n")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(_KEPT)}


def _local(reference: str) -> str:
    """A name as buildah stores it: one without a registry is of `localhost`."""
    host = reference.partition("/")[0]
    has_host = "/" in reference and (host == "localhost" or any(char in host for char in ".:"))
    return reference if has_host else f"localhost/{reference}"


def _file_stages(dockerfile: str) -> list[str]:
    """The stages that are a package each."""
    return re.findall(rf"^FROM scratch AS (\S+{_FILES})$", dockerfile, re.M)


def _output(target: Mapping[str, Any]) -> dict[str, str]:
    """The one output of a target, field by field."""
    (spec,) = target["output"]
    return keys_of(spec)


def _pack(folder: Path, tar: str) -> None:
    """Write a folder's content as the archive that was asked for."""
    with tarfile.open(tar, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
