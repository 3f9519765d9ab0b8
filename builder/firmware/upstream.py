"""What linux-firmware itself has by now, of its table of contents alone: no clone, and no firmware, is fetched.

Every file of linux-firmware is in its WHENCE, or its own checks fail (check_whence.py there).
"""

from __future__ import annotations

import time
from pathlib import Path

from builder.errors import InputError
from builder.firmware.model import Upstream
from builder.inputs.fetch import MirrorError
from builder.inputs.kept import age, fetch_or_keep
from builder.stages.common import StageError
from builder.stages.whence import parse_whence
from builder.verify.model import count

WHENCE_URL = "https://git.kernel.org/pub/scm/linux/kernel/git/firmware/linux-firmware.git/plain/WHENCE"
"""Where kernel.org has it; `--from` or ROSK_WHENCE_URL name another place."""
_LIMIT = 1 << 21


def read_upstream(where: str = WHENCE_URL) -> Upstream:
    """What is upstream.

    Args:
        where: The address of a WHENCE, such a file of this machine, or a folder with one.

    Raises:
        FetchError: It cannot be had, and none was ever fetched.
        InputError: The file of this machine is none.
    """
    if "://" not in where:
        return _of_this_machine(Path(where))
    kept = fetch_or_keep(
        where,
        "linux-firmware/WHENCE.json",
        _parse,
        limit=_LIMIT,
        what="linux-firmware's WHENCE",
        hint="run it once with a network; `--from` (ROSK_WHENCE_URL) names a mirror, or a clone of this machine",
    )
    said = f"{count(len(kept.value), 'file')} of linux-firmware upstream"
    if kept.stale:
        said += f", as of {age(time.time() - kept.fetched)} ago ({kept.why})"
    return Upstream(names=kept.value, url=where, fetched=kept.fetched, stale=kept.stale, said=said)


def _of_this_machine(path: Path) -> Upstream:
    file = path / "WHENCE" if path.is_dir() else path
    try:
        with file.open("rb") as opened:
            names = _parse(opened.read(_LIMIT))
    except (OSError, MirrorError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(
            f"linux-firmware's WHENCE cannot be read: {what}", where=file, hint="give its address, or a clone of it"
        ) from error
    return Upstream(
        names=names,
        url=str(path),
        fetched=file.stat().st_mtime,
        stale=False,
        said=f"{count(len(names), 'file')} of linux-firmware in {path}",
    )


def _parse(data: bytes) -> frozenset[str]:
    """The firmware and its further names.

    Raises:
        MirrorError: It is no such file.
    """
    try:
        whence = parse_whence(data.decode(errors="replace"))
    except StageError as error:
        raise MirrorError("answer", f"this WHENCE is not to be trusted: {error.what}") from error
    if not whence.files:
        raise MirrorError("answer", "what came is no WHENCE of linux-firmware")
    return frozenset((*whence.files, *whence.links))
