"""The compiler cache that machines share: a real Redis and a server of HTTP on the loopback, and servers that do not
answer.
"""

from __future__ import annotations

import base64
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from tests.conftest import serving
from tests.graph.conftest import FakeProject

pytestmark = pytest.mark.engine

PASSWORD = "hush-hush"


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a Redis on the loopback that wants a password."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    words = ["--bind", "127.0.0.1", "--port", str(port), "--requirepass", PASSWORD, "--dir", str(folder)]
    process = subprocess.Popen(["redis-server", *words, "--save", ""], stdout=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.1)
    yield f"localhost:{port}"
    process.terminate()
    process.wait()


@pytest.fixture
def http() -> Iterator[str]:
    """`host:port` of a server on the loopback that keeps what is put there by those who have the password."""
    stored: dict[str, bytes] = {}
    allowed = "Basic " + base64.b64encode(f"rosk:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if self.is_allowed():
                stored[self.path] = content
                self.answer(201)

        def do_GET(self) -> None:
            if self.is_allowed():
                content = stored.get(self.path)
                self.answer(404 if content is None else 200, content or b"")

        do_HEAD = do_GET

        def is_allowed(self) -> bool:
            if self.headers["Authorization"] == allowed:
                return True
            self.answer(401)
            return False

        def answer(self, status: int, content: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving(Handler) as host:
        yield host


def share(fake: FakeProject, line: str) -> None:
    fake.edit("config/rosk.yaml", lambda text: f"{text}cache:\n  compiler:\n    {line}\n")


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        pytest.param("redis", f"redis://default:{PASSWORD}@HOST", id="redis"),
        pytest.param("http", f"http://rosk:{PASSWORD}@HOST/ccache", id="http", marks=pytest.mark.heavy),
    ],
)
def test_one_machine_compiles_for_another(
    fake: FakeProject, request: pytest.FixtureRequest, kind: str, address: str
) -> None:
    fake.write("cache-address", address.replace("HOST", request.getfixturevalue(kind)) + "\n")
    share(fake, "secret_file: cache-address")
    first = fake.build(scope=secrets.token_hex(4))  # empty caches, as another machine has them
    assert first.compiled["compiler_cache"]["cache_miss"] > 0
    second = fake.build(scope=secrets.token_hex(4))
    counts = second.compiled["compiler_cache"]
    assert counts.get("cache_miss", 0) == 0
    assert counts["direct_cache_hit"] == first.compiled["compiler_cache"]["cache_miss"]
    assert second.manifest["outputs"] == first.manifest["outputs"]
    for path in (fake.root / "dist").rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    "address", ["redis://localhost:1", pytest.param("http://no-host.invalid/ccache", marks=pytest.mark.heavy)]
)
def test_a_dead_server_costs_nothing_but_a_warning(fake: FakeProject, address: str) -> None:
    share(fake, f"remote: {address}")
    built = fake.build()
    assert "compiler-cache" in {notice.kind for notice in built.notices}
    assert "compiler-cache" not in {notice.kind for notice in fake.build().notices}


@pytest.mark.heavy
def test_another_server_compiles_nothing_again(fake: FakeProject, redis: str) -> None:
    """With the first server the step runs, for it has a secret then that it had not before; it finds all compiled."""
    fake.build()
    share(fake, f"remote: redis://{redis}")
    assert fake.build().compiled["objects"] == 0
    fake.edit("config/rosk.yaml", lambda text: text.replace(redis, "localhost:1"))
    assert "compile" not in fake.build().result.ran
