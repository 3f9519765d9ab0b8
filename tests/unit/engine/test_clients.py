"""The client of the engine: one that a stopped command leaves behind, and what it says of damage."""

from __future__ import annotations

import threading
import time

import pytest
from python_on_whales.exceptions import DockerException

from builder.engine.docker import as_engine_error, no_client_left
from builder.errors import EngineError


def test_threads_that_end_are_no_error() -> None:
    """Each thread has a list of children, which is gone with it."""
    over = threading.Event()

    def start_threads() -> None:
        while not over.is_set():
            thread = threading.Thread(target=time.monotonic)
            thread.start()
            thread.join()

    busy = threading.Thread(target=start_threads)
    busy.start()
    try:
        for _ in range(4000):  # of which a few meet a thread that ends
            with no_client_left():
                pass
    finally:
        over.set()
        busy.join()


def test_what_to_do_is_said_where_images_are_damaged() -> None:
    """The message is that of Docker Engine 26.1.5 whose data root was emptied in part."""
    said = (
        "Error response from daemon: failed to get config descriptor: rpc error: code = NotFound desc = "
        "blob sha256:5c83eec expected at /var/lib/docker/containerd/blobs/5c83eec: blob not found: not found\n"
    )
    with pytest.raises(EngineError) as raised, as_engine_error("docker image inspect rosk-base:trixie"):
        raise DockerException(["docker"], 1, stderr=said.encode())
    assert raised.value.where == "docker image inspect rosk-base:trixie"
    assert "stop it, and empty its data root" in raised.value.hint
