"""`rosk lists` through a real BuildKit, before anything is compiled and after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from builder.errors import InputError
from builder.lists.learn import ListOptions
from builder.lists.run import run_check, run_fix, run_why
from tests.graph.conftest import EXTRA_LIST, MAIN_LIST, FakeProject

pytestmark = pytest.mark.engine

MAIN, EXTRA = "lists/x86/modules.list", "lists/x86/modules-extra.list"
EXT4, VXLAN, TUNNEL = "kernel/fs/ext4/ext4.ko", "kernel/drivers/net/vxlan/vxlan.ko", "kernel/net/ipv4/udp_tunnel.ko"


class Lists:
    """The commands on a project; what they print as JSON."""

    def __init__(self, fake: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
        self.options = ListOptions(root=fake.root, arch="x86", as_json=True)
        self.capsys = capsys

    def check(self) -> dict[str, Any]:
        self.capsys.readouterr()
        try:
            run_check(self.options)
        except InputError as error:
            assert error.exit_code == 3 and error.details
        told: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return told

    def fix(self, **given: bool) -> dict[str, Any]:
        self.capsys.readouterr()
        run_fix(self.options, **given)
        told: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return told

    def why(self, module: str) -> dict[str, Any]:
        self.capsys.readouterr()
        run_why(module, self.options)
        (told,) = json.loads(self.capsys.readouterr().out)["modules"]
        return dict(told)


def kinds(told: dict[str, Any]) -> set[tuple[str, str]]:
    return {(finding["kind"], finding["path"]) for finding in told["findings"]}


def written(fake: FakeProject) -> dict[Path, int]:
    """The files of the release, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in (fake.root / "dist").rglob("*")}


def test_the_lists_are_judged_and_mended_before_any_compile(
    fake: FakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = Lists(fake, capsys)
    told = lists.check()
    # What comes along with a listed module shows only when that is compiled; until then it is a warning.
    assert told["release"] == fake.release and told["errors"] == 0
    assert {("maybe-unlisted", TUNNEL), ("maybe-unlisted", "kernel/fs/jbd2/jbd2.ko")} <= kinds(told)
    assert EXT4 in told["never_compiled"]
    assert not (fake.root / "dist").exists()

    fake.edit("config/x86/kernel-config", lambda text: text.replace("DUMMY=m", "DUMMY=y").replace("VXLAN=m", "VXLAN=n"))
    fake.write(MAIN, MAIN_LIST.replace("fakenic", "old/fakenic"))
    fake.write(EXTRA, EXTRA_LIST.replace("kernel/sound/core/snd.ko\n", ""))
    told = lists.check()
    assert told["errors"] == 1  # snd may come along with snd-timer
    assert kinds(told) >= {
        ("moved", "kernel/drivers/net/old/fakenic.ko"),
        ("built-in", "kernel/drivers/net/dummy.ko"),
        ("off", VXLAN),
        ("maybe-unlisted", "kernel/sound/core/snd.ko"),
    }
    assert lists.why("vxlan")["state"] == "off"
    assert lists.why("dummy")["option"] == "CONFIG_DUMMY=y"

    lists.fix(replace_moved=True)
    assert (fake.root / MAIN).read_text() == MAIN_LIST
    assert "kernel/sound/core/snd.ko" not in (fake.root / EXTRA).read_text()  # its first compile tells
    told = lists.check()
    assert told["errors"] == 0
    assert not {kind for kind, _ in kinds(told)} & {"moved", "unlisted"}
    # The gate of a build lets all modules pass, and there are none but those that were foreseen.
    fake.build()
    made = [(fake.root / f"dist/kernel/modules-{name}.list").read_text().split() for name in ("main", "extra")]
    assert set(told["never_compiled"]) == {path for paths in made for path in paths}
    assert lists.check()["never_compiled"] == []


def test_a_release_tells_what_depends_on_what(fake: FakeProject, capsys: pytest.CaptureFixture[str]) -> None:
    fake.build()
    before = written(fake)
    lists = Lists(fake, capsys)
    told = lists.check()
    assert told["errors"] == 0 and told["never_compiled"] == []
    assert not {kind for kind, _ in kinds(told)} & {"unlisted", "maybe-unlisted"}
    found = lists.why("udp_tunnel")
    assert (found["package"], found["through"]) == ("extras", [VXLAN, TUNNEL])
    assert found["option"] == "CONFIG_NET_UDP_TUNNEL=m" and found["size"] > 0
    nic = lists.why("fakenic")
    assert nic["firmware"]["fakenic/nic-1.bin"].endswith("lists/x86/firmware.list:1")
    assert nic["firmware"]["fakenic/nic-2.bin"] is None
    assert written(fake) == before

    fake.write(EXTRA, EXTRA_LIST.replace(f"{VXLAN}\n", ""))
    told = lists.check()
    assert {("unlisted", VXLAN), ("unlisted", TUNNEL)} <= kinds(told) and told["errors"] == 2
    with pytest.raises(InputError) as caught:
        fake.build()
    assert sorted(caught.value.details) == [VXLAN, TUNNEL]  # as the build says, minutes later
    assert lists.fix()["added"] == {"core": [], "extra": [VXLAN, TUNNEL]}
    assert lists.check()["errors"] == 0


def test_a_config_that_is_wrong_is_said_as_a_build_says_it(
    fake: FakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.edit("config/x86/kernel-config", lambda text: f"{text}CONFIG_NO_SUCH_OPTION=m\n")
    with pytest.raises(InputError, match="CONFIG_NO_SUCH_OPTION") as caught:
        run_check(ListOptions(root=fake.root, arch="x86"))
    assert Path(str(caught.value.where)) == Path("config/x86/kernel-config")
