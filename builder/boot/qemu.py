"""The virtual machines that kernels are booted on, and qemu's command line for them: pure functions.

Sources: qemu(1); Documentation/admin-guide/kernel-parameters.txt of Linux 6.12.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Accel = Literal["kvm", "tcg"]
"""How the guest's instructions run: by the processor itself, or translated by qemu (TCG), which works everywhere."""

DISKS = ("ext4", "squashfs")
"""The virtio disks: file system, file name and serial number in one."""

DISK_FOLDER = "/usr/share/rosk"
"""Where the image of dockerfiles/boot.Dockerfile has them."""

_BASE_MIB = 768


@dataclass(frozen=True, kw_only=True)
class Board:
    """What is particular to the virtual machine of an architecture.

    Attributes:
        program: qemu's.
        package: The Debian package that has it.
        debian: Debian's name of the architecture.
        machine, cpu: What qemu is to be; `cpu` is for TCG.
        console: The serial port, as the kernel calls it.
        early: The parameter for output before there is a console driver.
        own: Further parameters: an emulated timer on a busy host would not pass the kernel's test of x86 timers.
        options: The options that make the serial port a console.
    """

    program: str
    package: str
    debian: str
    machine: str
    cpu: str
    console: str
    early: str
    own: tuple[str, ...] = ()
    options: tuple[str, ...]


BOARDS = {
    "x86": Board(
        program="qemu-system-x86_64",
        package="qemu-system-x86",
        debian="amd64",
        machine="pc",
        cpu="max",
        console="ttyS0",
        early="earlyprintk=serial,ttyS0,115200",
        own=("no_timer_check",),
        options=("PRINTK", "TTY", "SERIAL_8250", "SERIAL_8250_CONSOLE"),
    ),
    "arm64": Board(
        program="qemu-system-aarch64",
        package="qemu-system-arm",
        debian="arm64",
        machine="virt",
        cpu="cortex-a72",
        console="ttyAMA0",
        early="earlycon=pl011,mmio32,0x9000000",
        options=("PRINTK", "TTY", "SERIAL_AMBA_PL011", "SERIAL_AMBA_PL011_CONSOLE"),
    ),
}
"""Package architecture to board."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One run of qemu.

    Attributes:
        board: Of the kernel's architecture.
        accel: See `Accel`.
        memory: MiB.
        cpus: How many processors the guest has; with TCG each is a thread of the host.
        prompt: Somebody sits at the console.
        append: Further parameters of the kernel, which win.
        silent: Give the kernel no console at all, which is how one without a driver for it behaves.
    """

    board: Board
    accel: Accel = "tcg"
    memory: int = 1024
    cpus: int = 2
    prompt: bool = False
    append: str = ""
    silent: bool = False


def parameters(machine: Machine) -> str:
    """The kernel's command line.

    A panic ends the run at once (qemu does not reboot), and so does an oops: what follows one proves nothing. The
    init writes to /dev/kmsg, whose lines come on the console whole and in the order of the kernel's own.
    """
    words = [*machine.board.own, "panic=-1", "oops=panic", "printk.devkmsg=on", "rdinit=/init"]
    if not machine.silent:
        words = [machine.board.early, f"console={machine.board.console}", *words]
    if machine.prompt:
        words += ["loglevel=4", f"rosk.shell={machine.board.console}"]
    return " ".join([*words, machine.append]).strip()


def command(machine: Machine, *, kernel: str, initramfs: str, disks: str = DISK_FOLDER) -> list[str]:
    """qemu's command line: no devices but those that are named here, and nothing that outlives the run.

    Args:
        kernel, initramfs: Files, as qemu finds them.
        disks: The folder with `ext4.img` and `squashfs.img`; what the guest writes to them is thrown away.
    """
    serial = "mon:stdio" if machine.prompt else "stdio"
    return [
        *_board(machine),
        *("-serial", serial),
        *("-kernel", kernel, "-initrd", initramfs, "-append", parameters(machine)),
        *(word for name in DISKS for word in _disk(name, f"{disks}/{name}.img")),
    ]


def trial(accel: Accel, *, kernel: str) -> list[str]:
    """qemu's command line with which an x86 kernel starts, finds nothing to run, and ends in a panic.

    Source: prepare_namespace() and mount_root_generic() in init/do_mounts.c of Linux 6.12.
    """
    machine = Machine(board=BOARDS["x86"], accel=accel, append="rdinit=/none")
    return [*_board(machine), "-serial", "stdio", "-kernel", kernel, "-append", parameters(machine)]


def _board(machine: Machine) -> list[str]:
    board = machine.board
    accel = "kvm" if machine.accel == "kvm" else "tcg,thread=multi"
    cpu = "host" if machine.accel == "kvm" else board.cpu
    return [
        board.program,
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-machine", board.machine, "-accel", accel, "-cpu", cpu),
        *("-smp", str(machine.cpus), "-m", str(machine.memory)),
    ]


def _disk(name: str, file: str) -> Sequence[str]:
    drive = f"if=none,id={name},format=raw,snapshot=on,file={file.replace(',', ',,')}"
    return ("-drive", drive, "-device", f"virtio-blk-pci,drive={name},serial={name}")


def memory_for(initramfs: int) -> int:
    """MiB for a guest with an initramfs of so many bytes: it is there twice while it is unpacked, then modules load."""
    return _BASE_MIB + round(2.5 * initramfs / (1 << 20))
