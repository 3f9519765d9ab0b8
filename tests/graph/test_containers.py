"""Containers through the real engine: what comes of them, and that none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from builder.engine.base import BaseImage
from builder.engine.containers import ContainerExit, run_container
from builder.errors import EngineError

pytestmark = pytest.mark.engine

LOOP = "while :; do echo rosk-lives; sleep 0.2; done"


def left() -> list[str]:
    """Containers of rosk that the engine still has."""
    listed = subprocess.run(
        ["docker", "ps", "--all", "--no-trunc", "--filter", "name=rosk-", "--format", "{{.Names}} {{.Command}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in listed.stdout.splitlines() if "while :" in line or "sleep 9" in line]


def sh(base: BaseImage, script: str, **options: object) -> tuple[ContainerExit, list[str]]:
    lines: list[str] = []
    done = run_container(base.ref, ["sh", "-c", script], on_line=lines.append, **{"mounts": {}, **options})  # type: ignore[arg-type]
    return done, lines


def test_what_a_program_says_and_gives(base: BaseImage, tmp_path: Path) -> None:
    odd = tmp_path / 'a,b"c'
    odd.write_text("mounted\n")
    script = 'cat /in; echo "$WORD" >&2; touch /in 2>/dev/null || echo read-only; ls /sys/class/net; printf end; exit 3'
    done, lines = sh(base, script, mounts={odd: "/in"}, env={"WORD": "from the environment"})
    assert done == ContainerExit(code=3, timed_out=False)
    assert lines == ["mounted", "from the environment", "read-only", "lo", "end"]


def test_a_program_that_takes_too_long(base: BaseImage) -> None:
    done, lines = sh(base, LOOP, timeout=3)
    assert done.timed_out and lines and set(lines) == {"rosk-lives"}
    assert not left()


def test_a_program_that_says_nothing(base: BaseImage) -> None:
    done, lines = sh(base, "echo one; printf two; sleep 999", silence=3)
    assert done.timed_out and lines == ["one", "two"]
    assert not left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_user_who_stops_it(base: BaseImage, number: signal.Signals) -> None:
    program = (
        "import sys; from builder import __main__ as m; import signal\n"
        "from builder.engine.containers import run_container\n"
        "from builder.errors import STOP_SIGNALS, InterruptedBuild\n"
        "for each in STOP_SIGNALS: signal.signal(each, m._interrupt)\n"
        "tell = lambda line: print(line, flush=True)\n"
        f"try: run_container({base.ref!r}, ['sh', '-c', {LOOP!r}], mounts={{}}, on_line=tell)\n"
        "except InterruptedBuild: sys.exit(130)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"rosk-lives\n"
        assert left()
        os.killpg(process.pid, number)
        process.stdout.read()
    assert process.returncode == 130
    assert not left()


@pytest.mark.parametrize(
    ("image", "argv", "mounts", "words"),
    [
        (None, ["nonesuch"], {}, "not found"),
        ("rosk-nonesuch:1", ["true"], {}, "No such image"),
        (None, ["true"], {Path("/nonesuch"): "/in"}, "does not exist"),
    ],
)
def test_what_cannot_be_run(
    base: BaseImage, image: str | None, argv: list[str], mounts: dict[Path, str], words: str
) -> None:
    with pytest.raises(EngineError, match=words):
        run_container(image or base.ref, argv, mounts=mounts)
