"""The container engine, through python-on-whales: the only module that makes it do something.

python-on-whales drives the `docker` client as a process. Two of its habits are worked around here: its own exception
classes guess from log text (so only their base is caught, and the one for an image that is not there), and in streaming
mode it leaves the client running when its generator is closed (so the client gets a process group of its own, and an
end on every way out).
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from python_on_whales import DockerClient
from python_on_whales.exceptions import DockerException, NoSuchImage

from builder.engine.cacherecords import CACHE_MOUNT, BuildCache
from builder.engine.layout import have_layout
from builder.engine.linked import linked
from builder.engine.probe import client_environment
from builder.errors import EngineError
from builder.process import run

_STOP_SECONDS = 15.0
_TELL_SECONDS = 2.0
_BRIEF = ["timeout", "20", "docker"]
"""The client for what is asked when a build is stopped, too: it is not to wait for an engine that hangs."""
_LOST = "blob not found"
"""What containerd's content store says of an image whose name it has, but not all that it is made of."""


class SolveError(EngineError):
    """A solve failed. `what` is BuildKit's own message; what the stages said is among the solve's events."""


class Docker:
    """One engine, as the `docker` client finds it, and the builder that solves for it.

    Args:
        builder: A builder of buildx (`docker buildx ls`), of any driver; the engine's own when None.
        context: The client's current context, where that is known; the engine's own builder has its name.

    Attributes:
        remote: Solves run elsewhere: the builder has none of the engine's images, and gives it none by itself.
        brings_all: Never: it gives what it is asked for.
    """

    brings_all = False

    def __init__(self, builder: str | None = None, *, context: str | None = None) -> None:
        # setsid does not fork here: the client keeps its process ID and leads a group that Ctrl-C does not reach.
        self._client = DockerClient()
        own = context or self._current_context()
        self._builder = builder or own
        self.remote = self._builder != own
        if self.remote:
            self._check_builder()
        # buildx lists the client's contexts as builders, but solves with one only when it is the current context.
        self._context = builder if builder and self._is_context(builder) else None
        self._brief = DockerClient(client_call=_BRIEF)
        self._streaming = DockerClient(client_call=["setsid", "docker"], context=self._context)

    def _current_context(self) -> str:
        with as_engine_error("docker context inspect"):
            return str(self._client.context.inspect(None).name)

    def _is_context(self, name: str) -> bool:
        with as_engine_error("docker context ls"):
            return any(context.name == name for context in self._client.context.list())

    def _check_builder(self) -> None:
        with as_engine_error(f"docker buildx inspect {self._builder}"):
            self._client.buildx.inspect(self._builder, bootstrap=True)

    def bake(self, plan: Mapping[str, Any], *, epoch: int, on_output: Callable[[str], None]) -> dict[str, Any]:
        """Solve all targets of a bake file.

        Args:
            plan: The bake file.
            epoch: SOURCE_DATE_EPOCH for the images' metadata, seconds since 1970.
            on_output: Called with each line of buildx's `--progress rawjson`.

        Returns:
            The metadata of each target (`containerimage.digest` and so on).

        Raises:
            SolveError: It failed.
            KeyboardInterrupt: The user stopped it; the solve is stopped too.
        """
        plan = linked(plan)
        with TemporaryDirectory(prefix="rosk-") as folder:
            metadata = Path(folder, "metadata.json")
            lines = self._streaming.buildx.bake(
                files=[_bake_file(plan, folder)],
                targets=list(plan["target"]),
                builder=self._builder,
                progress="rawjson",  # type: ignore[arg-type]  # passed through as it is
                metadata_file=metadata,
                variables={
                    "SOURCE_DATE_EPOCH": str(epoch),
                    # buildx leaves the Dockerfiles that it writes for bake's `dockerfile-inline`.
                    "TMPDIR": folder,
                    "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
                    "BUILDX_BAKE_ENTITLEMENTS_FS": "0",
                    # Nothing that rosk makes says it, and buildx starts git some times for each target.
                    "BUILDX_GIT_INFO": "0",
                },
                stream_logs=True,
            )
            assert isinstance(lines, Iterator)
            try:
                with no_client_left():
                    for line in lines:
                        on_output(line)
            except DockerException as error:
                raise SolveError(_last_words(error)) from error
            found: dict[str, Any] = json.loads(metadata.read_text()) if metadata.exists() else {}
            return found

    def print_plan(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """The bake file as buildx understands it (`bake --print`): what it does not know is gone from it.

        Raises:
            EngineError: buildx refuses the file.
        """
        with TemporaryDirectory(prefix="rosk-") as folder, as_engine_error("docker buildx bake --print"):
            printed = self._client.buildx.bake(
                files=[_bake_file(plan, folder)], targets=list(plan["target"]), print=True
            )
        assert isinstance(printed, dict)
        return printed

    def image_id(self, reference: str) -> str | None:
        """The ID (`sha256:…`) of a local image, or None when there is no such image."""
        with as_engine_error(f"docker image inspect {reference}"):
            try:
                return self._brief.image.inspect(reference).id
            except NoSuchImage:
                return None

    def image_ids(self, references: Sequence[str]) -> dict[str, str]:
        """The IDs of local images by their references; empty when one of them is missing."""
        # One client for all of them, where python-on-whales starts one for each.
        argv = [*_BRIEF, "image", "inspect", "--format", "{{.Id}}", "--", *references]
        ids = run(argv, env=client_environment(), check=False).stdout.split()
        return dict(zip(references, ids, strict=True)) if len(ids) == len(references) else {}

    def pull(self, reference: str, *, seconds: float | None = None) -> None:
        """Pull an image, in at most so many seconds.

        Raises:
            EngineError: It could not be pulled, or not in that time.
        """
        client = self._client if seconds is None else DockerClient(client_call=["timeout", f"{seconds:g}", "docker"])
        with as_engine_error(f"docker pull {reference}"):
            client.image.pull(reference, quiet=True)

    def import_tar(self, tar: Path, reference: str) -> None:
        """Make an image of a root file system; equal archives give the same digest, on any machine.

        BuildKit makes it, for what it builds on an image of its engine that it did not make or unpack itself, it
        forgets with each prune of anything: with the containerd image store it takes the layer for one that is not
        there yet, asks for it under a context that is cancelled already (`Prune` in control/control.go, `isLazy` in
        cache/refs.go), and removes all results above it from its cache keys.

        Raises:
            EngineError: The engine refused it.
        """
        with TemporaryDirectory(dir=tar.parent) as name:
            folder, output = Path(name), "type=docker,compression=gzip,compression-level=1"
            (folder / tar.name).hardlink_to(tar)
            (folder / "Dockerfile").write_text(f'FROM scratch\nADD {json.dumps([tar.name, "/"])}\nCMD ["/bin/sh"]\n')
            target = {"context": name, "tags": [reference], "output": [output]}
            self.bake({"target": {"base": target}}, epoch=0, on_output=lambda _line: None)

    def gateway(self) -> str:
        """The address of the engine's machine as containers and build steps of its default network see it.

        Raises:
            EngineError: There is no such network.
        """
        with as_engine_error("docker network inspect bridge"):
            networks = self._client.network.inspect("bridge").ipam.config
        gateways = [network.get("Gateway") for network in networks or ()]
        if not gateways or not gateways[0]:
            raise EngineError("the engine's default network has no gateway", hint="see docker network inspect bridge")
        return str(gateways[0])

    def load(self, tar: Path) -> None:
        """Take the images of an archive that a solve exported.

        Raises:
            EngineError: The engine refused it.
        """
        with as_engine_error(f"docker load {tar}"):
            self._client.image.load(tar, quiet=True)  # else the client prints where programs may read JSON

    def save_layout(self, reference: str, folder: Path) -> str:
        """Write a local image as an OCI image layout, for a builder that does not have it.

        Returns:
            What BuildKit calls it: `oci-layout://FOLDER@sha256:…`.

        Raises:
            EngineError: The engine gave no such layout (Docker Engine has since version 25).
        """
        have_layout(folder, partial(self.save, reference))
        try:
            digest = json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]
        except (OSError, ValueError, LookupError) as error:
            raise EngineError(f"the engine saves {reference} in no OCI layout", hint="use a newer engine") from error
        return f"oci-layout://{folder}@{digest}"

    def tag(self, image: str, reference: str) -> None:
        """Give a local image another name, in the place of the image that has it.

        Args:
            image: An ID (`sha256:…`) or a name.

        Raises:
            EngineError: There is no such image.
        """
        with as_engine_error(f"docker tag {image} {reference}"):
            self._brief.image.tag(image, reference)

    def untag(self, reference: str) -> None:
        """Take a name from a local image; the image stays while it has another."""
        with as_engine_error(f"docker rmi {reference}"):
            self._brief.image.remove(reference)

    def tags(self, org: str) -> list[str]:
        """The tags of local images whose names start with `org/`.

        Raises:
            EngineError: The engine cannot tell.
        """
        with as_engine_error("docker images"):
            images = self._client.image.list(filters=[("reference", f"{org}/*")])
        return sorted({tag for image in images for tag in image.repo_tags if tag.startswith(f"{org}/")})

    def save(self, reference: str, tar: Path) -> None:
        """Write a local image as an archive.

        Raises:
            EngineError: It could not be written.
        """
        with as_engine_error(f"docker save {reference}"):
            self._client.image.save(reference, output=tar)

    @property
    def build_cache(self) -> BuildCache:
        """The build cache of the builder that solves."""
        return BuildCache(self._builder, self._context)

    def drop_cache_mounts(self, scope: str) -> None:
        """Remove the cache mounts of a scope (see `builder.graph.build_plan`).

        Raises:
            EngineError: One is left: a step that uses it has not ended yet, or the builder cannot be asked.
        """
        cache = self.build_cache

        def mounts() -> list[str]:
            found = (record for record in cache.records() if record.type == CACHE_MOUNT)
            return [record.id for record in found if record.description.endswith(f'-{scope}"')]

        cache.prune(mounts())
        if left := mounts():
            raise EngineError(f"{len(left)} cache mounts of {scope} are in use")


def _bake_file(plan: Mapping[str, Any], folder: str) -> Path:
    path = Path(folder, "docker-bake.json")
    # Bake evaluates templates in JSON too (HCL's `${…}` and `%{…}`): text is to stay text.
    path.write_text(json.dumps(plan, indent=1).replace("${", "$${").replace("%{", "%%{"))
    return path


@contextmanager
def as_engine_error(command: str) -> Iterator[None]:
    """Raise EngineError with what the client printed, for a command that failed."""
    try:
        yield
    except DockerException as error:
        what = _last_words(error)
        # No command of the engine mends it: it can neither remove such an image nor make or list others.
        hint = "the engine's images are damaged: stop it, and empty its data root" if _LOST in what else ""
        raise EngineError(what, hint=hint, where=command) from error


def _last_words(error: DockerException) -> str:
    """The last line that the client printed that is no progress event: its error."""
    lines = [line.strip() for line in (error.stderr or error.stdout or "").splitlines()]
    plain = [line for line in lines if line and line[0] not in '{}[]"']
    return plain[-1].removeprefix("ERROR: ") if plain else f"docker exited with code {error.return_code}"


def _children() -> set[int]:
    """The process IDs of this process's children (proc_pid_children(5): each thread has those that it started)."""
    while True:
        lists = Path("/proc/self/task").glob("*/children")
        # A thread that ends meanwhile leaves its children to another one, which may have been read already.
        with suppress(FileNotFoundError, ProcessLookupError):
            return {int(pid) for children in lists for pid in children.read_text().split()}


@contextmanager
def no_client_left() -> Iterator[None]:
    """Whatever ends the block, no client that it started goes on: a stopped client stops its solve."""
    before = _children()
    try:
        yield
    except BaseException:
        for pid in _children() - before:
            _stop(pid)
        raise


def _stop(pid: int) -> None:
    """Interrupt a client, with its process group where it leads one, as a terminal would; kill it when it goes on."""
    deadline = time.monotonic() + _STOP_SECONDS
    while not _has_ended(pid):
        # A client that has just started can lose an interrupt: it is told again.
        number = signal.SIGINT if time.monotonic() < deadline else signal.SIGKILL
        with suppress(ProcessLookupError):
            (os.killpg if os.getpgid(pid) == pid else os.kill)(pid, number)
        told = time.monotonic()
        while time.monotonic() < told + _TELL_SECONDS and not _has_ended(pid):
            time.sleep(0.05)


def _has_ended(pid: int) -> bool:
    """Whether a child has ended; its status is left (WNOWAIT) to python-on-whales, whose child it is."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
