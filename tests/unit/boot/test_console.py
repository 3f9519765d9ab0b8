"""Consoles put together from real runs (some with most of their lines left out), read."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.boot.console import Check, Console, Outcome, Report, Trouble

HV = {
    "kernel/drivers/hv/hv_balloon.ko": ("kernel/drivers/hv/hv_vmbus.ko",),
    "kernel/a/b.ko": ("kernel/a/a.ko",),
}


def read(*lines: str) -> Report:
    console = Console(HV)
    for line in lines:
        console.feed(line)
    return console.report()


def recorded(name: str) -> list[str]:
    return (Path(__file__).parent / "consoles" / f"{name}.txt").read_text().split("\n")


def loading(*said: str, result: str, path: str = "kernel/a/a.ko") -> Report:
    """A run in which one module is loaded."""
    return read(
        "[    1.0] rosk: begin 6.12",
        f"[    2.0] rosk: loading {path}",
        *said,
        f"[    3.0] rosk: module {path} {result}",
    )


def test_a_good_one() -> None:
    report = read(*recorded("good"))
    assert report.spoke and report.begun and report.ended and report.doing == ""
    assert len(report.checks) == 32 and all(check.ok for check in report.checks)
    assert not report.incidents and not report.firmware
    assert {module.path.rpartition("/")[2]: module.outcome for module in report.modules} == {
        "usbhid.ko": Outcome.LOADED,
        "hv_vmbus.ko": Outcome.NO_DEVICE,
        "hv_balloon.ko": Outcome.DEPENDENCY,  # although the kernel speaks of symbols
        "jitterentropy_rng.ko": Outcome.REFUSED,  # although busybox speaks of a symbol
        "ptp_kvm.ko": Outcome.NO_DEVICE,
        "overlay.ko": Outcome.LOADED,
    }
    assert report.last[-1].endswith("reboot: machine restart")


def test_a_panic_before_the_init() -> None:
    report = read(*recorded("timer-panic"))
    assert report.spoke and not report.begun
    assert report.grave is not None and report.grave.kind is Trouble.PANIC and report.grave.doing == ""
    assert "dump_stack_lvl+0x4e/0x70" in report.grave.lines[-2]


@pytest.mark.parametrize("noise", ["", "qemu-system-x86_64: could not open kernel file", "SeaBIOS"])
def test_nothing(noise: str) -> None:
    report = read(noise)
    assert not report.spoke and not report.begun
    assert report.last == ((noise,) if noise else ())


def test_a_failed_check() -> None:
    report = read(
        "rosk: begin 6",
        "rosk: trying ext4",
        "rosk: fail ext4: no virtio disk: none",
        "rosk: trying nat",
        "rosk: fail nat:",
    )
    assert report.checks == (
        Check(name="ext4", why="no virtio disk: none"),
        Check(name="nat", why="it failed without a word"),
    )


def test_where_it_stands() -> None:
    report = read("[ 1.0] rosk: begin 6", "[ 1.0] rosk: ok release", "[ 1.1][    T1] rosk: trying ping")
    assert (report.doing, report.ended) == ("ping", False)


@pytest.mark.parametrize(
    ("said", "words", "outcome", "why"),
    [
        ((), "No such device", Outcome.NO_DEVICE, "No such device"),
        ((), "Input/output error", Outcome.REFUSED, "Input/output error"),
        (("a: probe failed",), "Device or resource busy", Outcome.REFUSED, "Device or resource busy (a: probe failed)"),
        (
            ("a: version magic '6.1' should be '6.12'",),
            "invalid module format",
            Outcome.MISFIT,
            "invalid module format (a: version magic '6.1' should be '6.12')",
        ),
        (
            ("a: Unknown symbol one (err -2)", "a: Unknown symbol two (err -2)"),
            "unknown symbol in module, or unknown parameter",
            Outcome.MISFIT,
            "the kernel lacks one and 1 more symbols",
        ),
        (
            ("a: disagrees about version of symbol one", "a: Unknown symbol one (err -22)"),
            "Invalid argument",
            Outcome.MISFIT,
            "the kernel has another one, a symbol",
        ),
        ((), "Key was rejected by service", Outcome.MISFIT, "Key was rejected by service"),
    ],
)
def test_refusals(said: tuple[str, ...], words: str, outcome: Outcome, why: str) -> None:
    (module,) = loading(*said, result=f"refused: insmod: can't insert '/lib/modules/6/a': {words}").modules
    assert (module.outcome, module.why) == (outcome, why)


def test_a_module_that_does_not_answer() -> None:
    (module,) = loading(result="refused: no answer in 60 s").modules
    assert module.outcome is Outcome.HUNG


def test_what_needs_a_misfit_is_one() -> None:
    lines = [
        "rosk: loading kernel/a/a.ko",
        "rosk: module kernel/a/a.ko refused: insmod: can't insert 'a': invalid module format",
        "rosk: loading kernel/a/b.ko",
        "b: Unknown symbol a (err -2)",
        "rosk: module kernel/a/b.ko refused: insmod: can't insert 'b': unknown symbol in module, or unknown parameter",
    ]
    assert [module.outcome for module in read(*lines).modules] == [Outcome.MISFIT, Outcome.MISFIT]


def test_what_a_package_lacks_is_said() -> None:
    console = Console(lacking={"kernel/a/a.ko": "it needs w.ko, which no package has"})
    console.feed("a: Unknown symbol w (err -2)")
    console.feed("rosk: module kernel/a/a.ko refused: insmod: can't insert 'a': unknown symbol in module")
    (module,) = console.report().modules
    assert (module.outcome, module.why) == (Outcome.MISFIT, "it needs w.ko, which no package has")


def test_firmware_that_is_not_there() -> None:
    report = loading(
        "[    2.1] platform regulatory.0: Direct firmware load for regulatory.db failed with error -2",
        "[    2.2] bnx2 0000:00:03.0: firmware: failed to load bnx2/bnx2-mips-09.fw (-2)",
        "[    2.3] platform regulatory.0: Direct firmware load for regulatory.db failed with error -2",
        result="loaded",
    )
    assert report.firmware == ("regulatory.db", "bnx2/bnx2-mips-09.fw")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("BUG: kernel NULL pointer dereference, address: 0000000000000000", Trouble.OOPS),
        ("Oops: general protection fault, probably for non-canonical address 0x1: 0000 [#1] SMP", Trouble.OOPS),
        ("Internal error: Oops: 0000000096000004 [#1] SMP", Trouble.OOPS),
        ("kernel BUG at mm/slub.c:4!", Trouble.BUG),
        ("Kernel panic - not syncing: Fatal exception", Trouble.PANIC),
        ("watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [insmod:77]", Trouble.STALL),
        ("rcu: INFO: rcu_sched self-detected stall on CPU", Trouble.STALL),
        ("INFO: task insmod:77 blocked for more than 120 seconds.", Trouble.STALL),
        ("WARNING: CPU: 1 PID: 77 at kernel/softirq.c:4 f+0x1/0x2", Trouble.WARNING),
    ],
)
def test_trouble(line: str, kind: Trouble) -> None:
    report = read(
        "rosk: begin 6", "[  2.0] rosk: trying nat", f"[  2.1] {line}", "[  2.2] more", "[  2.3] rosk: ok nat"
    )
    (incident,) = report.incidents
    assert (incident.kind, incident.line, incident.doing) == (kind, line, "nat")
    assert incident.lines == (line, "more")
    assert (report.grave is None) == (kind in (Trouble.STALL, Trouble.WARNING))


@pytest.mark.parametrize(
    "line",
    [
        "Warning: Processor Platform Limit event detected",
        "a: DEBUG: on",
        "rosk: okay",
        "traps: a[7] general protection fault ip:7",
    ],
)
def test_no_trouble(line: str) -> None:
    assert not read("rosk: begin 6", f"[  2.1] {line}").incidents


def test_a_module_that_ends_the_kernel() -> None:
    report = read("rosk: begin 6", "rosk: loading kernel/a/a.ko", "[ 2.0] Kernel panic - not syncing: a was loaded")
    (module,) = report.modules
    assert (module.path, module.outcome) == ("kernel/a/a.ko", Outcome.FATAL)


def test_what_moves_a_cursor_is_dropped() -> None:
    assert read("\x1b[2J\x1b[1;31m[    0.000000] Linux version 6.12\x1b[0m\r").last == (
        "[    0.000000] Linux version 6.12",
    )
