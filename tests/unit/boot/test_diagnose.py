"""Why a kernel did not come up, said from its console and its config."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from builder.boot.console import Report
from builder.boot.diagnose import OPTIONS, Diagnosis, Release, diagnose
from builder.boot.qemu import BOARDS
from tests.unit.boot.test_console import read, recorded

INIT = Path(__file__).parents[3] / "builder/boot/init.sh"
CONFIG = {
    option: "y"
    for options in (*OPTIONS.values(), [(name, "") for board in BOARDS.values() for name in board.options])
    for option, _ in options
} | dict.fromkeys(("BLK_DEV_INITRD", "BINFMT_ELF", "BINFMT_SCRIPT", "PROC_FS", "SYSFS"), "y")


def why(
    report: Report, *, config: dict[str, str] | None = None, place: str = "kernel", code: int = 0, late: bool = False
) -> Diagnosis | None:
    release = Release(board=BOARDS["x86"], config={**CONFIG, **(config or {})}, where=lambda _name: place)
    return diagnose(report, release, code=code, timed_out=late)


def wrong(*lines: str, config: dict[str, str] | None = None, place: str = "kernel", late: bool = False) -> Diagnosis:
    found = why(read(*lines), config=config, place=place, late=late)
    assert found is not None and found.hint
    return found


def test_every_check_is_known() -> None:
    named = set(re.findall(r'^ *check "?([a-z0-9$-]+)', INIT.read_text(), re.M)) - {"namespace-$each"}
    spaces = {name for name in OPTIONS if name.startswith("namespace-")}
    assert named - {"release", "console"} == OPTIONS.keys() - spaces
    (listed,) = re.findall(r"^for each in (.*); do$", INIT.read_text(), re.M)
    assert {f"namespace-{name}" for name in listed.split()} == spaces


def test_nothing_is_wrong() -> None:
    assert why(read(*recorded("good"))) is None


def test_no_console() -> None:
    found = wrong(late=True, config={"SERIAL_8250_CONSOLE": "n"})
    assert found.what == ("the kernel said nothing: it has no console on ttyS0: CONFIG_SERIAL_8250_CONSOLE is not set")


def test_silence_with_a_console() -> None:
    assert "did not start" in wrong(late=True).what
    assert wrong("qemu-system-x86_64: invalid kernel header").what.endswith("invalid kernel header")


@pytest.mark.parametrize(
    ("config", "place", "reason"),
    [
        ({"VIRTIO_BLK": "n"}, "kernel", "CONFIG_VIRTIO_BLK is not set"),
        ({"VIRTIO_BLK": "m"}, "", "CONFIG_VIRTIO_BLK is m, and virtio_blk.ko is in no package"),
        ({"VIRTIO_BLK": "m"}, "extras", "CONFIG_VIRTIO_BLK is m, and virtio_blk.ko is in the extras package only"),
        ({"VIRTIO_BLK": "m"}, "kernel", "no virtio disk appeared"),
        ({"VIRTIO_BLK": "m", "VIRTIO_MENU": "n"}, "", "CONFIG_VIRTIO_BLK is m, and virtio_blk.ko is in no package"),
    ],
)
def test_no_driver_of_the_root_disk(config: dict[str, str], place: str, reason: str) -> None:
    lines = (
        "rosk: begin 6",
        "rosk: trying virtio-disk",
        "rosk: fail virtio-disk: no virtio disk appeared",
        "rosk: end",
    )
    assert wrong(*lines, config=config, place=place).details == (f"virtio-disk: {reason}",)


def test_a_config_that_is_not_there_blames_no_option() -> None:
    report = read("rosk: begin 6", "rosk: fail ext4: no such device", "rosk: end")
    release = Release(board=BOARDS["x86"], config={}, where=lambda _name: "")
    found = diagnose(report, release, code=0, timed_out=False)
    assert found is not None and found.details == ("ext4: no such device",)


def test_no_initrd() -> None:
    panic = "[  1.0] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"
    assert "CONFIG_BLK_DEV_INITRD is not set" in wrong(panic, config={"BLK_DEV_INITRD": "n"}).what


@pytest.mark.parametrize(
    "line", ["Out of memory: Killed process 93 (nft)", "Kernel panic - not syncing: System is deadlocked on memory"]
)
def test_too_little_memory(line: str) -> None:
    found = wrong("rosk: begin 6", f"[ 2.0] {line}", "rosk: fail nat: it failed without a word", "rosk: end")
    assert found.what == f"the guest has too little memory: {line}" and "--memory" in found.hint


def test_a_module_that_panics() -> None:
    found = wrong("rosk: begin 6", "rosk: loading kernel/a/a.ko", "[ 2.0] Kernel panic - not syncing: a was loaded")
    assert found.what == "loading kernel/a/a.ko ended in a kernel panic: Kernel panic - not syncing: a was loaded"


def test_an_oops_that_it_survives_is_wrong_too() -> None:
    found = wrong("rosk: begin 6", "rosk: trying nat", "[ 2.0] kernel BUG at a.c:1!", "rosk: ok nat", "rosk: end")
    assert found.what == "a kernel bug during the check nat: kernel BUG at a.c:1!"


@pytest.mark.parametrize(
    ("line", "late", "words"),
    [
        ("rosk: trying ping", True, "hangs during the check ping"),
        ("rosk: loading kernel/a/a.ko", True, "hangs during loading kernel/a/a.ko"),
        ("rosk: loading kernel/a/a.ko", False, "restarted without a word during loading kernel/a/a.ko"),
        ("rosk: ok ping", True, "hangs between two steps"),
    ],
)
def test_a_hang(line: str, late: bool, words: str) -> None:
    found = wrong("rosk: begin 6", line, late=late)
    assert words in found.what and found.details[-1] == line


def test_a_hang_before_the_init() -> None:
    assert "hangs while it starts" in wrong("[    0.000000] Linux version 6", late=True).what
    assert "restarts before" in wrong("[    0.000000] Linux version 6").what


def test_modules_and_firmware() -> None:
    found = wrong(
        "rosk: begin 6",
        "rosk: loading kernel/a/a.ko",
        "[  2.0] a: Direct firmware load for a.bin failed with error -2",
        "rosk: module kernel/a/a.ko refused: insmod: can't insert 'a': invalid module format",
        "rosk: loading kernel/c.ko",
        "rosk: module kernel/c.ko refused: insmod: can't insert 'c': No such device",
        "rosk: end",
    )
    assert len(found.details) == 2
    assert found.details[0].startswith("kernel/a/a.ko: invalid module format")
    assert found.details[1] == "firmware a.bin was asked for and is not there"
