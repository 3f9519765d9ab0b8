"""A services repository on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from builder.errors import InputError
from builder.osrepo.changes import apply
from builder.osrepo.repository import find_branches, plan_services
from builder.osrepo.serve import make_server, serve
from tests.unit.osrepo.consumer import modern


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    apply(root, plan_services(root, find_branches(root, ["v1.5.8"]), "acme", None))
    return root


@pytest.fixture
def host(root: Path) -> Iterator[str]:
    (root / "secret.yml").write_text("x")
    (root / "top/k").mkdir(parents=True)
    (root / "top/k/other.yml").write_text("x")
    (root / "master/k/link.yml").symlink_to("/etc/passwd")
    server = make_server(root, {"master": "master", "v1.5.8": "v1.5.8"}, 0)
    thread = threading.Thread(target=serve, args=(server,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_os_reads_it(host: str) -> None:
    def get(url: str) -> bytes:
        answer = requests.get(url, timeout=10)
        answer.raise_for_status()
        return answer.content

    for branch in ("master", "v1.5.8"):
        machine = modern(get, f"{host}/{branch}", "6.12.64-acme")
        assert machine.service("kernel-headers")["image"] == "docker.io/acme/os-headers:6.12.64-acme"
    head = requests.head(f"{host}/master/index.yml", timeout=10)
    assert head.status_code == 200 and not head.content and int(head.headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/master",
        "/master/",
        "/secret.yml",
        "/top/k/other.yml",
        "/master/../secret.yml",
        "/master/%2e%2e/secret.yml",
        "/master/k/link.yml",
        "/master/k/none.yml",
        "/other/index.yml",
        "/master/k/%00.yml",
    ],
)
def test_nothing_else_is_offered(host: str, path: str) -> None:
    session = requests.Session()
    request = requests.Request("GET", host).prepare()
    request.url = host + path  # as it is: requests would take the dots away
    assert session.send(request, timeout=10).status_code == 404


def test_a_port_that_is_taken(host: str, root: Path) -> None:
    with pytest.raises(InputError, match="cannot listen"):
        make_server(root, {}, int(host.rpartition(":")[2]))
