from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from builder.errors import EngineError
from builder.relay import relayed


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server on the loopback that says back what it hears, until it hears no more."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            client, _ = listening.accept()
            with client:
                while data := client.recv(100_000):
                    client.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def test_a_loopback_address_is_relayed(server: int) -> None:
    sent = bytes(range(256)) * 4000
    with relayed(f"redis://default:pw@localhost:{server}|operation-timeout=1", lambda: "127.0.0.1") as address:
        where, _, attributes = address.partition("|")
        assert attributes == "operation-timeout=1"
        assert where.startswith("redis://default:pw@127.0.0.1:")
        assert not where.endswith(f":{server}")
        with socket.create_connection(("127.0.0.1", int(where.rpartition(":")[2]))) as client:

            def send() -> None:
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)

            threading.Thread(target=send).start()
            got = b""
            while piece := client.recv(65536):
                got += piece
    assert got == sent


def no_bridge() -> str:
    raise EngineError("the engine's default network has no gateway")


@pytest.mark.parametrize("gateway", [lambda: "192.0.2.1", no_bridge])
def test_a_bridge_that_is_not_of_this_machine(gateway: Callable[[], str]) -> None:
    """The engine is rootless, or in a virtual machine: the compile says that there is no answer."""
    with relayed("redis://localhost:1", gateway) as address:
        assert address == "redis://localhost:1"


def test_another_address_is_left_alone() -> None:
    with relayed("http://cache.example/x", lambda: pytest.fail("not asked for")) as address:
        assert address == "http://cache.example/x"
