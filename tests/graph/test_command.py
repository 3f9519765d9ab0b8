"""The command itself, as a process: exit codes, what it prints, and what Ctrl-C leaves behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from tests import contract
from tests.conftest import ROOT, run_rosk, serving
from tests.faultproxy import Fault, fault_proxy
from tests.graph.conftest import FakeProject
from tests.graph.kills import running

pytestmark = pytest.mark.engine


def test_push_to_one_dead_and_two_living_registries(fake: FakeProject, registry: str, mirror: str) -> None:
    done = run_rosk(
        *("build", "-C", fake.root, "--push"),
        *("--registry", registry, "--registry", "localhost:1", "--registry", f"{mirror}/team"),
    )
    assert done.code == 7
    for name in ("os-extras", "os-headers", "os-kernel", "os-kernel-release"):
        for host in (registry, f"{mirror}/team"):
            assert re.search(rf"{host}/\w+/{name}:{fake.release} +sha256:[0-9a-f]{{64}} +sent", done.out)
        assert f"/{name}:{fake.release}" in done.err
    assert "not pushed: localhost:1/" in done.err
    assert "Traceback" not in done.err
    assert (fake.root / "dist/kernel/config").exists()


@pytest.mark.heavy
def test_push_to_a_registry_that_never_answers(fake: FakeProject, registry: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        host = f"localhost:{deaf.getsockname()[1]}"
        done = run_rosk("build", "-C", fake.root, "--push", "--registry", host, "--registry", registry)
    assert done.code == 7
    assert f"not pushed: {host}/" in done.err
    assert "no answer" in done.err
    assert f"pushed {registry}/" in done.out


@pytest.mark.parametrize("status", [401, *(pytest.param(status, marks=pytest.mark.heavy) for status in (404, 500))])
def test_push_to_a_registry_that_refuses(fake: FakeProject, status: int) -> None:
    with serve_status(status) as host:
        done = run_rosk("build", "-C", fake.root, "--push", "--registry", host)
    assert done.code == 7
    assert f"not pushed: {host}/" in done.err
    assert str(status) in done.err or "denied" in done.err or "not found" in done.err
    assert "Traceback" not in done.err


def test_interrupted_while_pushing(fake: FakeProject, registry: str) -> None:
    """SIGTERM ends the push, also when the registry does not say anything any more; no tag is there."""
    with fault_proxy(registry, Fault("dead", lambda method, path: method == "PATCH")) as proxy:
        words = [str(ROOT / "rosk"), "build", "-C", str(fake.root), "--push", "--registry", proxy.host]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: proxy.sent("PATCH"))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)
        assert process.returncode == 130
        assert not [each for each in proxy.sent("PUT") if "/manifests/" in each.path]


def test_push_to_nowhere(fake: FakeProject) -> None:
    done = run_rosk("build", "-C", fake.root, "--push")
    assert done.code == 3
    assert "registr" in done.err


def test_two_builds_of_one_project_at_once(fake: FakeProject) -> None:
    words = [str(ROOT / "rosk"), "build", "-C", str(fake.root)]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    contract.check_release(contract.find_release(fake.root / "dist"))


def test_no_engine(fake: FakeProject) -> None:
    done = run_rosk("build", "-C", fake.root, DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.code == 5
    assert "/nowhere/docker.sock" in done.err
    assert "next:" in done.err
    assert "Traceback" not in done.err


def test_what_the_client_is_asked(fake: FakeProject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each start of the client takes as long as a tenth of a build with nothing to do."""
    folder = tmp_path_factory.mktemp("bin")
    asked = folder / "asked"
    client = folder / "docker"
    client.write_text(f'#!/bin/sh\necho "$*" >>{asked}\nexec {shutil.which("docker")} "$@"\n')
    client.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    fake.build()
    fake.edit("lists/x86/modules.list", lambda text: text.replace("kernel/fs/ext4/ext4.ko\n", ""))
    fake.edit("lists/x86/modules-extra.list", lambda text: text + "kernel/fs/ext4/ext4.ko\n")
    assert run_rosk("build", "-C", fake.root, PATH=path).code == 0
    lines = asked.read_text().splitlines()
    base = [line for line in lines if line.startswith("image inspect ") and "/os-" not in line]
    assert len(base) in {1, 2, 3}  # rosk's own, and Debian's by two names, until one is there
    others = sorted(" ".join(line.split()[:2]) for line in lines if line not in base)
    assert others == ["buildx bake", "image inspect", "info --format"]


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, *(pytest.param(number, marks=pytest.mark.heavy) for number in (signal.SIGTERM, signal.SIGHUP))],
)
def test_interrupted(fake: FakeProject, number: signal.Signals) -> None:
    """The solve stops, nothing is left running, and the release before is as it was."""
    fake.build()
    before = {path.name: path.read_bytes() for path in (fake.root / "dist/kernel").iterdir()}
    marker = f"9{time.time_ns() % 10_000_000}"
    fake.write("hooks/01-wait", f"#!/bin/sh\necho waiting\nexec sleep {marker}\n")
    (fake.root / "hooks/01-wait").chmod(0o755)
    process = subprocess.Popen(
        [ROOT / "rosk", "build", "-C", fake.root, "-v"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: running(marker))
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in err
    assert "Traceback" not in err
    wait_for(lambda: not running(marker))
    assert not running(str(fake.root / "dist"))
    assert {path.name: path.read_bytes() for path in (fake.root / "dist/kernel").iterdir()} == before
    assert not [path for path in (fake.root / "dist").iterdir() if path.name.startswith(".")]


@contextmanager
def serve_status(status: int) -> Iterator[str]:
    """A server on loopback that answers everything with one status."""

    class Handler(BaseHTTPRequestHandler):
        default_request_version = "HTTP/1.1"  # a TLS hello is answered in HTTP, which tells what this is

        def answer(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving(Handler) as host:
        yield host


def wait_for(condition: object) -> None:
    assert callable(condition)
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail("it did not happen in a minute")
