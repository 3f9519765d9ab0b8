"""A registry of the benchmark's own on loopback, for the cache that outlives this machine's."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.commands import BenchmarkError

PROGRAM = "docker-registry"
_SECONDS = 15.0


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """`localhost:PORT` of a registry that keeps its content in `folder`.

    Raises:
        BenchmarkError: There is no registry to run, or it does not answer.
    """
    if shutil.which(PROGRAM) is None:
        raise BenchmarkError(f"there is no {PROGRAM} (Debian: apt-get install {PROGRAM})")
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "serve", config], stdout=log, stderr=log)
    try:
        _wait(f"http://127.0.0.1:{port}/v2/")
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait(url: str) -> None:
    end = time.monotonic() + _SECONDS
    while True:
        try:
            urlopen(url, timeout=5).close()
        except (URLError, OSError) as error:
            if time.monotonic() > end:
                raise BenchmarkError(f"{PROGRAM} does not answer: {error}") from error
            time.sleep(0.1)
        else:
            return
