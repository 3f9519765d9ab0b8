"""The server that machines share their compiler cache (ccache) on, for a build.

It reaches the compile as a secret of BuildKit: no layer, log or cache key has it. A build without a server asks for no
secret, see `builder.context.without_secret`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from builder.errors import InputError
from builder.project import SETTINGS_FILE, Project
from builder.relay import on_loopback, relayed
from builder.reports import Notice

_ADDRESS = re.compile(r"(?:redis|http)://[^\s/|]+(?:/[^\s|]*)?(?:\|[^\s]*)?")

_FAR = "a builder elsewhere does not reach this machine's localhost: give cache.compiler an address that it reaches"


@contextmanager
def ccache_config(project: Project, folder: Path, gateway: Callable[[], str]) -> Iterator[Path | None]:
    """Write ccache's configuration file (`man ccache`) into `folder`, where there is a server; it is good while the
    block runs.

    Args:
        gateway: Gives this machine's address as the engine's build steps see it.

    Raises:
        InputError: The address of the shared cache cannot be read, or is none.
    """
    address = _address(project)
    if address is None:
        yield None
        return
    if "$" in address:
        raise InputError(
            "the address of the shared compiler cache has a $, which ccache takes for the name of a variable",
            where=project.root / (project.settings.cache.compiler.secret_file or SETTINGS_FILE),
            hint="give the server a password without it",
        )
    file = folder / "ccache.conf"
    file.touch(mode=0o600)
    with relayed(address, gateway) as reached:
        file.write_text(f"remote_storage = {reached}\n")
        yield file


def compile_notices(project: Project, compiled: Mapping[str, Any], *, remote: bool) -> list[Notice]:
    """What a compile noticed of its cache: that the server does not answer, and why, where that is known.

    Args:
        compiled: What the compile did; empty when it was cached.
        remote: A builder that may be elsewhere has solved.
    """
    warnings = compiled.get("warnings", ())
    address = _address(project) if warnings and remote else None
    why = f"; {_FAR}" if address and on_loopback(address) else ""
    return [Notice(kind=each["kind"], what=f"{each['what']}{why}") for each in warnings]


def _address(project: Project) -> str | None:
    wanted = project.settings.cache.compiler
    if wanted.secret_file is None:
        return wanted.remote
    secret = project.root / wanted.secret_file
    try:
        address = secret.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the address of the shared compiler cache cannot be read: {error}",
            where=secret,
            hint="see cache.compiler.secret_file in the settings",
        ) from error
    if not _ADDRESS.fullmatch(address):
        raise InputError(
            "this file holds no address of a shared compiler cache",
            where=secret,
            hint="write one line: redis://default:PASSWORD@host:port or http://user:PASSWORD@host/path",
        )
    return address
