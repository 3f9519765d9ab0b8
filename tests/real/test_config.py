"""`rosk config` on the real default kernel's source. Nothing is compiled but kconfig's own programs."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_rosk

pytestmark = [pytest.mark.engine, pytest.mark.real]

CONFIG = "config/x86/kernel-config"
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z@]|[()][A-Z0-9]|[=>78M])|[\x0e\x0f]")
SECONDS = 120.0
"""How long a text may take to show up; on a machine that does nothing else it is two."""


@pytest.fixture
def project(engine: None, tmp_path: Path) -> Path:
    """The default project, to be changed."""
    for name in ("config", "lists"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def rosk(project: Path, *words: str) -> tuple[int, str, str]:
    done = run_rosk("config", *words, "-C", project, "--arch", "x86")
    return done.code, done.out, done.err


def test_the_default_config_is_all_that_it_asks_for(project: Path) -> None:
    code, out, err = rosk(project, "check", "--json")
    told = json.loads(out)
    assert (code, told["errors"], told["dropped"]) == (0, 0, []), err
    assert told["version"].startswith("6.12.") and told["options"] > 1500
    assert {policy["name"] for policy in told["policies"]} == {"docker", "containerd"}
    assert not [rule for policy in told["policies"] for rule in policy["broken"] if rule["required"]]
    code, out, _ = rosk(project, "diff", "defconfig", "--json")
    rows = {each["name"]: each for each in json.loads(out)["options"]}
    assert (rows["OVERLAY_FS"]["old"], rows["OVERLAY_FS"]["group"]) == ("n", "fs/overlayfs") and code == 0


def test_an_option_takes_what_it_needs_first(project: Path) -> None:
    before = (project / CONFIG).read_text()
    code, _, err = rosk(project, "set", "SND_HDA_INTEL=m")
    assert code == 3 and "needs SOUND (n)" in err
    found = re.search(r"rosk config set --arch x86 ((?:\w+=[ym] )+)SND_HDA_INTEL=m", err.replace("\n", " "))
    assert found is not None, err
    assert (project / CONFIG).read_text() == before
    code, out, err = rosk(project, "set", *found[1].split(), "SND_HDA_INTEL=m", "--json")
    told = json.loads(out)
    assert (code, told["written"]) == (0, True), err
    assert "SND_HDA_CORE" in {each["name"] for each in told["also"]}
    after = (project / CONFIG).read_text().splitlines()
    assert [line for line in after if line in before.splitlines()] == before.splitlines()


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, project: Path, *words: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            [ROOT / "rosk", "config", "edit", "-C", project, "--arch", "x86", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm"},
        )
        os.close(slave)
        self.raw = ""

    @property
    def seen(self) -> str:
        """What was written since it was last waited for, without colours, moves and blanks: a move can be a blank."""
        return re.sub(r"\s", "", _ESCAPES.sub("", self.raw))

    def read(self, seconds: float) -> bool:
        """Take what has come within a time; whether there can be more."""
        if select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:  # the other end is closed
                return False
            self.raw += data.decode(errors="replace")
        return True

    def wait(self, text: str) -> None:
        end = time.monotonic() + SECONDS
        while text.replace(" ", "") not in self.seen:
            if time.monotonic() > end or not self.read(1.0):
                pytest.fail(f"{text!r} did not show up in:\n{self.seen[-3000:]}")
        self.settle()

    def settle(self) -> None:
        """Take all that still comes, and start anew."""
        while select.select([self.master], [], [], 1.0)[0] and self.read(0):
            pass
        self.raw = ""

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def leave(self, save: bool) -> int:
        """Leave the menus, one after the other; returns the command's exit code."""
        for _ in range(12):
            self.press("\x1b\x1b")
            until = time.monotonic() + 2
            while time.monotonic() < until and "saveyournew" not in self.seen:
                self.read(0.2)
            if "saveyournew" in self.seen:
                break
        self.press("y" if save else "n")
        until = time.monotonic() + SECONDS
        while self.read(1.0) and self.process.poll() is None and time.monotonic() < until:
            pass
        return self.process.wait(timeout=60)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    started: list[Terminal] = []
    yield started
    for terminal in started:
        if terminal.process.poll() is None:
            terminal.process.terminate()
            terminal.process.wait()
        os.close(terminal.master)


@pytest.mark.parametrize("save", [True, pytest.param(False, marks=pytest.mark.heavy)])
def test_the_menus_change_one_line(project: Path, terminals: list[Terminal], save: bool) -> None:
    before = (project / CONFIG).read_text()
    terminal = Terminal(project)
    terminals.append(terminal)
    terminal.wait("General setup")
    terminal.press("/")
    terminal.wait("Search Configuration Parameter")
    terminal.press("^DUMMY$\n")
    terminal.wait("Symbol: DUMMY [=m]")
    terminal.press("1")
    terminal.wait("Dummy net driver support")
    terminal.press("y")
    terminal.settle()
    assert terminal.leave(save) == 0, terminal.seen[-3000:]
    after = before.replace("CONFIG_DUMMY=m", "CONFIG_DUMMY=y")
    assert (project / CONFIG).read_text() == (after if save else before) and after != before
    done = run_rosk("config", "edit", "-C", project)
    assert done.code == 3 and "need a terminal" in done.err
