"""The image that qemu runs in, and the programs of the guest: made by the engine, once for each Debian suite."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builder import replan
from builder.boot.qemu import Board
from builder.context import dockerfiles
from builder.engine.again import once_more
from builder.engine.base import BaseImage
from builder.engine.docker import Docker, SolveError
from builder.engine.events import BuildState, LogLine
from builder.files import locked, unpack_tar
from builder.inputs.fetch import default_cache

GUEST_PACKAGES = ("busybox-static", "iproute2", "iptables", "kmod", "nftables")
_SHOWN_LINES = 15


def boot_plan(board: Board, base: str, *, tag: str, context: Path, guest: Path) -> dict[str, Any]:
    """The bake file of what a boot needs.

    Args:
        base: The reference of the base image.
        tag: What the image that qemu runs in is to be called.
        context: An empty folder.
        guest: The tar archive that receives the guest's programs.
    """
    target = {
        "context": str(context),
        "dockerfile": str(dockerfiles() / "boot.Dockerfile"),
        "args": {
            "BASE": base,
            "GUEST_ARCH": board.debian,
            "GUEST_PACKAGES": " ".join(GUEST_PACKAGES),
            "QEMU_PACKAGE": board.package,
        },
    }
    return {
        "target": {
            "guest": {**target, "target": "guest", "output": [f"type=tar,dest={guest}"]},
            "qemu": {**target, "target": "qemu", "tags": [tag], "output": ["type=docker"]},
        }
    }


def make_image(engine: Docker, board: Board, base: BaseImage, folder: Path) -> tuple[str, Path]:
    """Have the image, and the guest's programs in a folder.

    Args:
        folder: An empty folder to work in.

    Returns:
        The image's tag, and the folder.

    Raises:
        EngineError: It could not be made.
    """
    context, tar, guest = folder / "context", folder / "guest.tar", folder / "guest"
    context.mkdir()
    tag = f"rosk-boot:{board.debian}"
    plan = boot_plan(board, base.ref, tag=tag, context=context, guest=tar)
    lock = default_cache() / "boot.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with locked(lock):  # the engine refuses to give one name to two new images at once
        once_more(lambda: _solve(engine, plan), apart=lambda: _solve_apart(engine, plan))
    unpack_tar(tar, guest)
    return tag, guest


def _solve_apart(engine: Docker, plan: Mapping[str, Any]) -> None:
    for each in replan.apart(plan):
        _solve(engine, each)


def _solve(engine: Docker, plan: Mapping[str, Any]) -> None:
    """Solve the bake file; a SolveError of it has what the steps printed at last."""
    state, tail = BuildState(), deque[str](maxlen=_SHOWN_LINES)

    def follow(line: str) -> None:
        tail.extend(event.text for event in state.feed(line.encode()) if isinstance(event, LogLine))

    try:
        engine.bake(plan, epoch=0, on_output=follow)
    except SolveError as error:
        raise SolveError(
            error.what,
            where="the image with qemu",
            hint="Debian's packages have to be reachable from the engine once; then the image is kept",
            details=tail,
        ) from error
