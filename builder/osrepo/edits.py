"""The lines of a Dockerfile.dapper that say which kernel an OS is built with."""

from __future__ import annotations

import re

from builder.arch import Arch
from builder.errors import InputError
from builder.osrepo.checkout import DOCKERFILE, Checkout

_LINE = re.compile(r"([ \t]*ARG[ \t]+\w+=)(\"[^\"]*\"|'[^']*'|[^\s\"']*)([ \t]*\r?)", re.IGNORECASE)
_V = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*")
_URL = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9._~:/?#\[\]!&()*+,;=%-]*")
"""What a URL may be made of: nothing that a Dockerfile or a shell would take for something else; no password (`@`)."""


def edited(checkout: Checkout, arch: Arch, v: str, url: str | None) -> str:
    """The Dockerfile with this kernel in it.

    Args:
        v: V, the kernel's release.
        url: Where the kernel package is; None: nothing is downloaded, since it is an asset.

    Raises:
        InputError: A line is not there exactly once, or is not as it is known; or V or the URL cannot stand in it.
    """
    if not _V.fullmatch(v):
        raise InputError(f"{v!r} is no kernel release", hint="it comes from the name of the kernel package")
    text, version = checkout.dockerfile, checkout.version_argument(arch.oci)
    if version is not None:
        text = _set(checkout, text, version, v)
    return _set(checkout, text, f"KERNEL_URL_{arch.oci}", _written(checkout, version, v, url))


def _written(checkout: Checkout, version: str | None, v: str, url: str | None) -> str:
    """The URL as the line has it: by the version's name where the OS has one, so that the next edit is one line."""
    if url is None:
        return checkout.no_download
    if not _URL.fullmatch(url):
        raise InputError(
            f"{url!r} is no URL that can stand in a Dockerfile",
            hint="give an http or https URL without a password, spaces, quotes, $, @ or \\",
        )
    return url if version is None else url.replace(v, f"${{{version}}}")


def _set(checkout: Checkout, text: str, name: str, value: str) -> str:
    """The text with another value in the one line `ARG NAME=…`."""
    file = checkout.root / DOCKERFILE
    found = checkout.arguments.get(name, ())
    if not found:
        raise InputError(
            f"it has no line ARG {name}=",
            where=file,
            hint="this version of the OS takes no kernel of this architecture",
        )
    if len(found) > 1:
        numbers = " and ".join(str(number + 1) for number in found)
        raise InputError(
            f"ARG {name} is there more than once, in the lines {numbers}", where=file, hint="leave one of them"
        )
    lines = text.split("\n")
    match = _LINE.fullmatch(lines[found[0]])
    if match is None:
        raise InputError(
            f"the line is not ARG {name}=VALUE",
            where=file,
            line=found[0] + 1,
            hint="write it in one line, with this argument alone",
        )
    lines[found[0]] = f"{match[1]}{value}{match[3]}"
    return "\n".join(lines)
