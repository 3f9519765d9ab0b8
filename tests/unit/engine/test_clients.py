"""Clients of the engine that a stopped command leaves behind."""

from __future__ import annotations

import threading
import time

from builder.engine.docker import no_client_left


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
