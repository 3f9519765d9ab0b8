"""What `rosk cache` prints, and what it refuses; `tests/graph/test_cache_command.py` runs it on a real engine."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import builder.cli.cache  # noqa: F401 - the commands are registered by it
from builder.cli.app import app
from builder.engine.cacherecords import CACHE_MOUNT, Record
from builder.errors import InputError

DAY = 86400.0
AB = "ab" * 32
MOUNT = 'cached mount /x from exec /bin/sh -c x with id "/rosk-{}"'


class Engine:
    """An engine with a compiler cache, two days old, and packages for the toolchain that a build uses."""

    asked: list[str] = []
    builders: list[str | None] = []

    def __init__(self, builder: str | None) -> None:
        self.builders.append(builder)

    @property
    def build_cache(self) -> Engine:
        return self

    def records(self) -> list[Record]:
        ccache, apt = MOUNT.format("ccache"), MOUNT.format("apt-archives")
        return [
            Record(id="c", description=ccache, type=CACHE_MOUNT, size=1500, idle=2 * DAY),
            Record(id="a", description=apt, type=CACHE_MOUNT, size=60, in_use=True),
        ]

    def prune(self, ids: Sequence[str]) -> list[Record]:
        self.asked += ids
        return [record for record in self.records() if record.id in ids]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of downloads, with one of three weeks ago."""
    file = tmp_path / f"sha256/{AB}/linux.tar.xz"
    file.parent.mkdir(parents=True)
    file.write_text("x" * 100)
    os.utime(file, (time.time() - 21 * DAY,) * 2)
    monkeypatch.setattr("builder.cacherun.Docker", Engine)
    monkeypatch.setattr(Engine, "asked", [])
    monkeypatch.setattr(Engine, "builders", [])
    return tmp_path


def rosk(cache: Path, *words: str, **env: str) -> Result:
    return CliRunner().invoke(app, ["cache", *words], env={"ROSK_CACHE": str(cache), "COLUMNS": "160", **env})


@pytest.mark.parametrize("words", [(), ("show",)])
def test_what_is_kept(cache: Path, words: tuple[str, ...]) -> None:
    lines = [" ".join(line.split()) for line in rosk(cache, *words).stdout.splitlines()]
    assert lines[0] == "what size last used when it is lost"
    assert lines[1] == "compiler cache 1.5 kB 2 days ago a build whose object tree is gone too compiles every file"
    assert lines[2].startswith("downloads 100 B 21 days ago ")
    assert lines[3].startswith("Debian packages 60 B now ")
    assert lines[-1] == "1.7 kB in all; `rosk cache prune` makes room"


@pytest.mark.parametrize("words", [("--json",), ("show", "--json")])
def test_for_programs(cache: Path, words: tuple[str, ...]) -> None:
    first, *others = json.loads(rosk(cache, *words).stdout)
    cost = "a build whose object tree is gone too compiles every file"
    assert first == {"what": "compiler cache", "cost": cost, "size": 1500, "idle": 2 * DAY, "in_use": False}
    assert [row["what"] for row in others] == ["downloads", "Debian packages"]


@pytest.mark.parametrize(("words", "gone"), [((), False), (("--all",), True), (("--keep", "500B"), True)])
@pytest.mark.parametrize("dry", [True, False])
def test_what_goes(cache: Path, words: tuple[str, ...], gone: bool, dry: bool) -> None:
    done = rosk(cache, "prune", *words, *(["--dry-run"] if dry else []))
    assert done.stdout.splitlines()[-3:] == [
        "   100 B  downloads",
        "Debian packages: some stays, in use by a build",
        f"{'1.6 kB' if gone else '100 B'} {'would be' if dry else 'were'} freed; {'60 B' if gone else '1.6 kB'} kept",
    ]
    assert ("  1.5 kB  compiler cache" in done.stdout) == gone
    assert Engine.asked == (["c"] if gone and not dry else [])
    assert (cache / f"sha256/{AB}").exists() == dry
    as_json = json.loads(rosk(cache, "prune", "--all", "--dry-run", "--json").stdout)
    assert as_json["left"] == 60
    assert as_json["stayed"] == ["Debian packages: some stays, in use by a build"]


@pytest.mark.parametrize("option", [("--builder", "far"), ("--json",)])
@pytest.mark.parametrize("command", ["show", "prune", "export", "import"])
def test_an_option_before_the_command(cache: Path, option: tuple[str, ...], command: str) -> None:
    """It would be lost there, and with it whose cache is meant."""
    done = rosk(cache, *option, command)
    assert isinstance(done.exception, InputError)
    assert f"{option[0]} stands before {command}" in done.exception.what
    assert f"`rosk cache {command} …`" in done.exception.hint
    assert Engine.builders == []


def test_whose_cache(cache: Path) -> None:
    rosk(cache, "--builder", "one")
    rosk(cache, "prune", "--builder", "two")
    rosk(cache, "prune", ROSK_BUILDER="three")
    assert Engine.builders == ["one", "two", "three"]
