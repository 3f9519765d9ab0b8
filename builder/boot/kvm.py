"""Whether a guest can run on KVM: what no device file tells, and a trial does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from builder.boot import qemu
from builder.boot.console import Console, Trouble
from builder.engine.containers import run_container

Kvm = Literal["auto", "on", "off"]
"""Whether a guest is to run on KVM; `auto`: when a trial shows that it does."""

DEVICE = Path("/dev/kvm")

_SILENCE = 15.0
_LIMIT = 60.0
"""Seconds. A kernel that runs on KVM says something in each, and is through in two or three."""


def kvm_works(image: str, kernel: Path, *, note: Callable[[str], None]) -> bool:
    """Whether a kernel runs on this machine's KVM: as far as the panic that a missing root file system ends in.

    On some machines, virtual ones above all, there is a device, the firmware runs, and Linux hangs when it starts.

    Args:
        image: Has qemu; see `builder.boot.image`.
        kernel: An x86 kernel, which may be broken: it is not the trial that tells.
        note: Is told why not, where there is a device.

    Raises:
        EngineError: The engine could not start the container.
    """
    if not DEVICE.exists():
        return False
    console = Console()
    run_container(
        image,
        qemu.trial("kvm", kernel="/boot/vmlinuz"),
        mounts={kernel: "/boot/vmlinuz"},
        devices=[str(DEVICE)],
        timeout=_LIMIT,
        silence=_SILENCE,
        on_line=console.feed,
    )
    found = console.report()
    if any(each.kind is Trouble.PANIC for each in found.incidents):
        return True
    last = found.last[-1] if found.last else "nothing"
    note(f"{DEVICE} is there, but the kernel does not start on it (the last word: {last}): the guest is emulated")
    return False
