"""The same build elsewhere: with one CPU, by another user in another folder, and on another day."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.engine.base import BaseImage
from builder.engine.docker import Docker
from tests.conftest import ROOT, Rosk
from tests.graph.conftest import FakeProject
from tests.graph.edits import setting

DAYS = 3
"""How far ahead the other day is: in a week a build clears away the logs that others of this engine may be writing."""
_SOCKET = Path("/var/run/docker.sock")
_ANOTHER_DAY = f"""\
FROM {{base}}
COPY another-day.so /usr/local/lib/
# Debian's lists of packages are valid for a week.
RUN echo 'Acquire::Check-Valid-Until "false";' > /etc/apt/apt.conf.d/another-day.conf \\
    && echo /usr/local/lib/another-day.so > /etc/ld.so.preload \\
    && test $(($(date +%s) - $(stat -c %Y /etc/ld.so.preload))) -ge {DAYS * 86400 - 3600}
"""


def sh(*words: str | Path, check: bool = True, **env: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **env})
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


# One CPU.


@contextmanager
def one_cpu(root: Path) -> Iterator[str]:
    """The name of a builder: a Docker engine of its own, as a context of the client, that has one CPU.

    Args:
        root: A folder for what it keeps.
    """
    name = f"rosk{secrets.token_hex(3)}"
    (root / "daemon.json").write_text(json.dumps({"features": {"containerd-snapshotter": True}}))
    sh("ip", "link", "add", name, "type", "bridge")
    sh("ip", "address", "add", "172.31.79.1/24", "dev", name)
    sh("ip", "link", "set", name, "up")
    folders: list[str | Path] = ["--data-root", root / "data", "--exec-root", root / "exec", "--pidfile", root / "pid"]
    # Other users come to its socket, too.
    with tempfile.TemporaryDirectory(prefix="rosk-test-") as folder, (root / "log").open("wb") as log:
        Path(folder).chmod(0o711)
        host = f"unix://{folder}/sock"
        engine = subprocess.Popen(
            ["taskset", "-c", "0", "dockerd", "--config-file", root / "daemon.json", *folders, "-H", host, "-b", name],
            stdout=log,
            stderr=log,
        )
        try:
            for _ in range(300):
                if subprocess.run(["docker", "-H", host, "info"], capture_output=True).returncode == 0:
                    break
                time.sleep(0.1)
            else:
                pytest.fail(f"the second engine did not start: {(root / 'log').read_text()}")
            sh("docker", "context", "create", name, "--docker", f"host={host}")
            yield name
        finally:
            sh("docker", "context", "rm", "--force", name, check=False)
            engine.terminate()
            engine.wait(60)
            sh("ip", "link", "delete", name, check=False)
            shutil.rmtree(root / "data", ignore_errors=True)


def cpus(builder: str = "default") -> int:
    """How many CPUs an engine has, by a context of the client."""
    return int(sh("docker", "--context", builder, "info", "--format", "{{.NCPU}}"))


def jobs(dist: Path) -> set[int]:
    """How many jobs make was told to run at once, each time that it was run for a release."""
    return {int(number) for number in re.findall(r"^\$ make .* -j(\d+) ", (dist / "build.log").read_text(), re.M)}


# Another user.


@dataclass(frozen=True)
class Stranger:
    """A user of this machine who is not root, and may use the engine as those of the group docker may.

    Attributes:
        home: A folder that is this user's.
        reads_all: With the right to read every file (and to write their own only).
    """

    home: Path
    reads_all: bool = False
    UID = 54321
    """Nobody's."""

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command as this user, who has a group of their own that may write what they make."""
        who = (f"--reuid={self.UID}", f"--regid={self.UID}", f"--groups={_SOCKET.stat().st_gid}")
        right = "-all,+dac_read_search" if self.reads_all else "-all"
        return subprocess.run(
            ("setpriv", *who, f"--inh-caps={right}", f"--ambient-caps={right}", *words),
            umask=0o002,
            cwd=self.home,
            env={"HOME": str(self.home), "USER": "stranger", "TZ": "Asia/Kathmandu", "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            errors="replace",
        )

    def rosk(self, *words: str | Path) -> Rosk:
        done = self.run(ROOT / "rosk", *words)
        return Rosk(done.returncode, done.stdout, done.stderr)

    def take(self, project: FakeProject) -> FakeProject:
        """A copy of a project that is this user's."""
        root = self.home / f"of a stranger, {secrets.token_hex(3)}"
        shutil.copytree(project.root, root, symlinks=True, ignore=shutil.ignore_patterns("dist"))
        for path in (root, *root.rglob("*")):
            os.chown(path, self.UID, self.UID, follow_symlinks=False)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o020)
        return FakeProject(root, project.base)


@contextmanager
def stranger() -> Iterator[Stranger]:
    """A user as long as the block lasts, whose home is not below a folder of pytest's: these are closed to others.

    This user may read every file only where the checkout, or the Python of its .venv, lies in a folder of root's own.
    """
    with tempfile.TemporaryDirectory(prefix="rosk-test-") as folder:
        os.chown(folder, Stranger.UID, Stranger.UID)
        made = Stranger(Path(folder))
        if made.run("test", "-x", ROOT / ".venv/bin/python").returncode != 0:
            made = Stranger(Path(folder), reads_all=True)
        yield made


# Another day.


@contextmanager
def another_day(base: BaseImage, root: Path) -> Iterator[BaseImage]:
    """A base image in which it is another day, as long as the block lasts.

    All programs have another clock that ask the system's C library for the time: the shell, make, the compiler, Python
    and Debian's. What is linked statically has today's, as kbuild's host programs are, and so has the engine. The times
    of files that are written are of today: the kernel sets them.

    Args:
        root: A folder to make it in; must not exist.
    """
    root.mkdir()
    source = Path(__file__).parent / "another-day.c"
    sh("gcc", f"-DDAYS={DAYS}", "-O1", "-fPIC", "-shared", "-o", root / "another-day.so", source)
    (root / "Dockerfile").write_text(_ANOTHER_DAY.format(base=base.ref))
    ref = f"rosk-test:another-day-{secrets.token_hex(4)}"
    sh("docker", "build", "--quiet", "--provenance=false", "--tag", ref, root, DOCKER_BUILDKIT="1")
    try:
        ahead = int(sh("docker", "run", "--rm", "--network=none", ref, "date", "+%s")) - time.time()
        assert abs(ahead - DAYS * 86400) < 3600
        yield BaseImage(ref=ref, id=Docker().image_id(ref) or "", origin="local")
    finally:
        sh("docker", "rmi", ref, check=False)


# All of it.


def build_elsewhere(project: FakeProject, user: Stranger, builder: str, day: BaseImage) -> Path:
    """Build a copy of a project, with no cache, in the engine `builder`, with that base image, as that user.

    Returns:
        Its `dist`.
    """
    copy = user.take(project)
    setting("  suite: trixie\n", f"  suite: trixie\n  base: {day.ref}\n").apply(copy)
    host = sh("docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}", builder).strip()
    created = user.run("docker", "context", "create", builder, "--docker", f"host={host}")
    assert created.returncode == 0, created.stderr
    done = user.rosk("build", "-C", copy.root, "--builder", builder, "--cache-scope", secrets.token_hex(6))
    assert done.code == 0, done.out[-4000:] + done.err[-4000:]
    assert re.search(r"^compile: done", done.out, re.M)
    return copy.root / "dist"
