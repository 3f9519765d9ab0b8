"""The table of a project's patches: `patches/ARCH/README.md`, between `<!-- patches -->` and `<!-- /patches -->`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from builder.errors import InputError
from builder.inputs.store import write_atomically
from builder.patches.series import PatchFile

NAME = "README.md"

_BLOCK = re.compile(r"<!-- patches -->.*?<!-- /patches -->", re.DOTALL)
_COLUMNS = ("patch", "subject", "author", "origin", "upstream", "kernels")
_IN_VERSION = re.compile(r"in (\d\S*)$")
_NEW = "# Patches\n\nApplied with `-p1` and no fuzz, in the order of their names.\n\n"


def rows(patches: Sequence[PatchFile], upstream: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """The table's rows, column to text.

    Args:
        upstream: Patch to the kernel version that was found to have it already.
    """
    found = []
    for patch in patches:
        version = (upstream or {}).get(patch.name)
        about = patch.about
        in_version = f"in {version}" if version else ""
        status = "; ".join(filter(None, (about.upstream, in_version)))
        cells = (patch.name, about.subject, about.author, about.origin, status, about.limits)
        found.append(dict(zip(_COLUMNS, cells, strict=True)))
    return found


def table(patches: Sequence[PatchFile], upstream: Mapping[str, str] | None = None) -> str:
    """The table as Markdown."""
    lines = [_row(_COLUMNS), _row(["---"] * len(_COLUMNS))]
    lines += [
        _row([_cell(cell, code=name == "patch") for name, cell in row.items()]) for row in rows(patches, upstream)
    ]
    return "".join(f"{line}\n" for line in lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str, *, code: bool) -> str:
    """Text that Markdown shows as it is, in one cell."""
    text = " ".join(text.encode(errors="replace").decode().split()).replace("|", "\\|")
    if code:
        return f"`{text}`"
    if re.fullmatch(r"https?://[^\s<>|\\]+", text):
        return f"<{text}>"
    return re.sub(r"(?=[<>*_`\[\]])", r"\\", text)


def updated(text: str, patches: Sequence[PatchFile], upstream: Mapping[str, str] | None = None) -> str:
    """A README with its table made anew, at its end when it has none yet.

    Args:
        upstream: As for `rows`; None: what the table says of patches that are still there stays.
    """
    known = known_upstream(text) if upstream is None else upstream
    end = "\r\n" if "\r\n" in text else "\n"
    block = f"<!-- patches -->\n{table(patches, known)}<!-- /patches -->".replace("\n", end)
    if _BLOCK.search(text):
        return _BLOCK.sub(lambda _: block, text, count=1)
    start = text if not text or text.endswith(end * 2) else f"{text.rstrip()}{end * 2}"
    return f"{start or _NEW}{block}{end}"


def known_upstream(text: str) -> dict[str, str]:
    """Patch to the version that has it already, as a table says."""
    block = _BLOCK.search(text)
    found = {}
    for line in block[0].splitlines() if block else ():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == len(_COLUMNS) and (match := _IN_VERSION.search(cells[_COLUMNS.index("upstream")])):
            found[cells[0].strip("`")] = match[1]
    return found


def read_table(folder: Path) -> str:
    """The README of a folder of patches; empty when there is none.

    Raises:
        InputError: It cannot be read.
    """
    path = folder / NAME
    try:
        return path.read_bytes().decode()  # with its own line ends
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=path, hint="it holds the table of the patches") from error


def is_stale(folder: Path, patches: Sequence[PatchFile], upstream: Mapping[str, str] | None = None) -> bool:
    """Whether there is a table that does not say what the patches say."""
    text = read_table(folder)
    return bool(_BLOCK.search(text)) and updated(text, patches, upstream) != text


def write_table(folder: Path, patches: Sequence[PatchFile], upstream: Mapping[str, str] | None = None) -> bool:
    """Bring the table up to date; returns whether it changed. Arguments are those of `updated`."""
    old = read_table(folder)
    new = updated(old, patches, upstream)
    if new != old:
        write_atomically(folder / NAME, new.encode())
    return new != old
