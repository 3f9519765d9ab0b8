"""Containers that run a program to its end, in which no name, network or file of this machine is used unasked.

A container here has a name of its own, and is removed on every way out: a time limit, Ctrl-C, SIGTERM. Of the client
alone that would not be so: a container goes on when its client is gone.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from python_on_whales import DockerClient
from python_on_whales.exceptions import DockerException

from builder.engine.docker import no_client_left
from builder.errors import EngineError

_NOT_RUN = (125, 126, 127)
"""The client's own exit codes: the engine refused, the program cannot be started, there is no such program."""

_MERGED = ("/bin/sh", "-c", 'exec "$@" 2>&1', "sh")
_AGAIN_SECONDS = 1.0
_DAY = 86400.0


@dataclass(frozen=True, kw_only=True)
class ContainerExit:
    """How a container ended: its program's exit code, and whether it was stopped for a time limit."""

    code: int
    timed_out: bool


def run_container(
    image: str,
    argv: Sequence[str],
    *,
    mounts: Mapping[Path, str],
    writable: Mapping[Path, str] | None = None,
    env: Mapping[str, str] | None = None,
    network: str = "none",
    timeout: float | None = None,
    silence: float | None = None,
    on_line: Callable[[str], None] | None = None,
    tty: bool = False,
    devices: Sequence[str] = (),
) -> ContainerExit:
    """Run a program in a container of a local image, as root, and wait for its end.

    Args:
        image: A local image with a /bin/sh; it is not pulled.
        argv: Program and arguments, in place of what the image would start.
        mounts: Files and folders of this machine to absolute paths in the container, where they are read-only.
        writable: Folders of this machine to absolute paths where the program may write.
        env: Variables of the program.
        network: A network of the engine, or `none`.
        timeout: Seconds after which it is stopped.
        silence: Seconds without a line of output after which it is stopped; from the start on, too.
        on_line: Called with each line of standard output and standard error, as they come, without the line's end.
            A last line that has no end comes as well, once the program has stopped.
        tty: Give it this process's terminal instead; there are no lines then, nor a limit on silence.
        devices: Devices of this machine that it gets under the same path.

    Raises:
        EngineError: It could not be started.
        KeyboardInterrupt, InterruptedBuild: The user stopped it; the container is gone.
    """
    name = f"rosk-{secrets.token_hex(6)}"
    words: dict[str, Any] = {
        "name": name,
        "entrypoint": argv[0] if tty else _MERGED[0],
        "command": list(argv[1:]) if tty else [*_MERGED[1:], *argv],
        "mounts": [
            *(_mount(path.absolute(), place) for path, place in mounts.items()),
            *(_mount(path.absolute(), place)[:-1] for path, place in (writable or {}).items()),
        ],
        "envs": dict(env or {}),
        "networks": [network],
        "devices": list(devices),
        "pull": "never",
        "log_driver": "none",
        "remove": True,
    }
    with _never_left(name), _watched(name, timeout, None if tty else silence) as watch:
        code = _on_terminal(image, words) if tty else _in_lines(image, words, watch, on_line)
    if code in _NOT_RUN and not watch.expired:
        last = watch.last.removeprefix("docker: ").strip()
        raise EngineError(
            f"the engine could not run {argv[0]}: {last or f'docker exited with code {code}'}",
            where=image,
            hint="see that the engine runs on this machine and can read its files",
        )
    return ContainerExit(code=code, timed_out=watch.expired)


def _mount(path: Path, place: str) -> list[str]:
    """The words of `--mount`, a line of CSV: a path may need quotes."""
    fields = [f"{name}={text}".replace('"', '""') for name, text in (("source", path), ("target", place))]
    return ["type=bind", *(f'"{field}"' for field in fields), "readonly"]


def _on_terminal(image: str, words: dict[str, Any]) -> int:
    """Run it on this process's terminal; its exit code."""
    try:
        DockerClient().container.run(image, **words, interactive=True, tty=True)
    except DockerException as error:
        return error.return_code
    return 0


def _in_lines(image: str, words: dict[str, Any], watch: _Watch, on_line: Callable[[str], None] | None) -> int:
    """Run it for its lines; its exit code."""
    # A process group of its own: Ctrl-C is for this process, which ends the container and then the client.
    client = DockerClient(client_call=["setsid", "docker"])
    output = client.container.run(image, **words, stream=True)
    assert isinstance(output, Iterator)
    try:
        # In this order: a client that is told to stop waits for a container that is not.
        with no_client_left(), _never_left(words["name"]):
            for _, line in output:
                watch.heard(text := line.decode(errors="replace").rstrip("\r\n"))
                if on_line is not None:
                    on_line(text)
    except DockerException as error:
        return error.return_code
    return 0


class _Watch(threading.Thread):
    """Removes a container when its time is up, again and again: the client may be about to start it only then.

    Attributes:
        expired: Its time was up.
        last: The last line that was heard, and says something.
    """

    def __init__(self, name: str, timeout: float | None, silence: float | None) -> None:
        super().__init__(daemon=True)
        self.expired = False
        self.last = ""
        self._container = name
        self._ended = threading.Event()
        self._silence = silence
        self._deadline = time.monotonic() + timeout if timeout is not None else None
        self._heard = time.monotonic()

    def heard(self, line: str) -> None:
        if line and not line.startswith("Run 'docker"):
            self.last = line
        self._heard = time.monotonic()

    def end(self) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.wait(_AGAIN_SECONDS if self.expired else self._left()):
            if self._left() <= 0:
                self.expired = True
            if self.expired:
                _remove(self._container)

    def _left(self) -> float:
        """Seconds until the next limit; a day where there is none."""
        limits = [] if self._deadline is None else [self._deadline]
        if self._silence is not None:
            limits.append(self._heard + self._silence)
        now = time.monotonic()
        return max(0.0, min(limits, default=now + _DAY) - now)


@contextmanager
def _watched(name: str, timeout: float | None, silence: float | None) -> Iterator[_Watch]:
    watch = _Watch(name, timeout, silence)
    watch.start()
    try:
        yield watch
    finally:
        watch.end()


@contextmanager
def _never_left(name: str) -> Iterator[None]:
    """A container that was not waited for to its end is removed."""
    try:
        yield
    except BaseException:
        _remove(name)
        raise


def _remove(name: str) -> None:
    """Kill and remove a container, if there is one."""
    with suppress(DockerException):
        DockerClient().container.remove(name, force=True)
