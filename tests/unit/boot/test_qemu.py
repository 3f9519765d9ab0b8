"""qemu's command line and the kernel's, for each machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builder.arch import ARCHES
from builder.boot import qemu
from builder.boot.qemu import BOARDS, Machine

X86 = Machine(board=BOARDS["x86"], memory=900)


def words(machine: Machine) -> dict[str, list[str]]:
    """Each option of a command line to its values."""
    argv = qemu.command(machine, kernel="/boot/vmlinuz", initramfs="/boot/initramfs")[1:]
    found: dict[str, list[str]] = {}
    for at, word in enumerate(argv):
        if word.startswith("-"):
            value = argv[at + 1] if at + 1 < len(argv) and not argv[at + 1].startswith("-") else ""
            found.setdefault(word, []).append(value)
    return found


def test_every_architecture_has_a_machine() -> None:
    assert BOARDS.keys() == ARCHES.keys()


@pytest.mark.parametrize("name", BOARDS)
def test_nothing_outlives_the_run(name: str) -> None:
    found = words(replace(X86, board=BOARDS[name]))
    assert "-nodefaults" in found and "-no-reboot" in found and found["-display"] == ["none"]
    assert len(found["-drive"]) == 2 and all("snapshot=on" in drive for drive in found["-drive"])
    assert not {"-net", "-nic", "-netdev", "-virtfs", "-monitor"} & found.keys()


@pytest.mark.parametrize("name", BOARDS)
def test_a_panic_and_an_oops_end_the_run(name: str) -> None:
    board = BOARDS[name]
    given = qemu.parameters(replace(X86, board=board)).split()
    assert {"panic=-1", "oops=panic", "rdinit=/init", f"console={board.console}", board.early} <= set(given)


def test_emulated_and_not() -> None:
    assert words(X86)["-accel"] == ["tcg,thread=multi"] and words(X86)["-cpu"] == ["max"]
    kvm = words(replace(X86, accel="kvm"))
    assert kvm["-accel"] == ["kvm"] and kvm["-cpu"] == ["host"]


def test_a_prompt_has_the_terminal() -> None:
    found = words(replace(X86, prompt=True))
    assert found["-serial"] == ["mon:stdio"]  # Ctrl-C goes to the guest
    assert "rosk.shell=ttyS0" in found["-append"][0].split()
    assert words(X86)["-serial"] == ["stdio"]


def test_a_kernel_without_console_is_told_of_none() -> None:
    given = qemu.parameters(replace(X86, silent=True))
    assert "console=" not in given and "earlyprintk" not in given


def test_further_parameters_come_last() -> None:
    assert qemu.parameters(replace(X86, append="panic=5 quiet")).endswith(" panic=5 quiet")


def test_a_comma_in_a_file_name_is_no_option() -> None:
    argv = qemu.command(X86, kernel="k", initramfs="i", disks="/a,readonly=on")
    assert any(word.endswith(",file=/a,,readonly=on/ext4.img") for word in argv)


def test_a_trial_has_nothing_to_run() -> None:
    argv = qemu.trial("kvm", kernel="k")
    assert argv[argv.index("-accel") + 1] == "kvm" and argv[argv.index("-kernel") + 1] == "k"
    assert "-initrd" not in argv and argv[argv.index("-append") + 1].endswith(" rdinit=/none")


def test_memory_grows_with_the_initramfs() -> None:
    assert qemu.memory_for(0) < qemu.memory_for(70 << 20) < 1024
    assert qemu.memory_for(700 << 20) > 2 * 700 + 512
