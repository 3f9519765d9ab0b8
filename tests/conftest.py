"""Real parts for the tests: the engine, and registries of their own on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from builder.engine.base import BaseImage, resolve_base
from builder.engine.docker import Docker

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Rosk:
    """One finished run of the command `rosk`."""

    code: int
    out: str
    err: str


def run_rosk(*words: str | Path, cwd: Path = ROOT, **env: str) -> Rosk:
    """Run the installed command as a user does, with no terminal."""
    done = subprocess.run(
        [ROOT / "rosk", *words], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, errors="replace"
    )
    return Rosk(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def engine() -> None:
    """A real engine. A missing one is a failure, never a skip."""
    done = subprocess.run(["docker", "info"], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.fail(f"no container engine answers; tests/run starts one\n{done.stderr}")


@pytest.fixture(scope="session")
def base(engine: None) -> BaseImage:
    """The image that the toolchain of most tests is installed in."""
    return resolve_base(Docker(), "trixie", "auto", allow_install=True, say=print)


@contextmanager
def serve_registry(storage: Path) -> Iterator[str]:
    """A real registry (Debian's docker-registry) on a free loopback port, with its content in `storage`."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    config = storage / "config.yml"
    config.write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {storage / 'data'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with (storage / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
    try:
        for _ in range(100):
            try:
                requests.get(f"http://127.0.0.1:{port}/v2/", timeout=5).raise_for_status()
                break
            except requests.RequestException:
                time.sleep(0.1)
        else:
            pytest.fail(f"docker-registry did not start: {(storage / 'log').read_text()}")
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """`127.0.0.1:PORT` of an HTTP server with this handler."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of an empty registry."""
    with serve_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a second empty registry."""
    with serve_registry(tmp_path_factory.mktemp("mirror")) as host:
        yield host
