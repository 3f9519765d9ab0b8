"""Puts the listed firmware in the packages: files, the links to them, and which revision they are of.

Sources: Debian's firmware-* packages, a linux-firmware release archive, a folder (a linux-firmware checkout or any
other), or none.
"""

from __future__ import annotations

import argparse
import hashlib
import lzma
import posixpath
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from builder.stages.common import StageError, run, stage_main, warning, write_json
from builder.stages.firmwarefetch import from_archive, git_head
from builder.stages.firmwaretree import REPOSITORY, FirmwareTree, scan
from builder.stages.licence import read_licences
from builder.stages.lists import FIRMWARE, Entry, check_disjoint, parse_list

Report = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What one package gets, and the lines of its list that name nothing."""

    files: set[str]
    links: set[str]
    absent: list[Entry]


def choose(source: FirmwareTree, entries: Sequence[Entry]) -> Choice:
    """What the lines of one list name, with the links to it."""
    files: set[str] = set()
    links: set[str] = set()
    absent = []
    for entry in entries:
        named = entry.select([*source.firmware, *source.links]) if entry.is_pattern else [entry.path]
        found = False
        for path in named:
            some_files, some_links = source.find(path)
            if some_files:
                found = True
                files |= some_files
                links |= some_links
        if not found:
            absent.append(entry)
    return Choice(files=files, links=links | source.links_to(files), absent=absent)


def absent_warnings(source: FirmwareTree, entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """A warning for each line of a list that names nothing in the source."""
    return [
        warning(
            "firmware-absent",
            f"{entry.path} does not ship: {_reason(source, entry)}",
            where=entry.where,
            line=entry.line,
        )
        for entry in entries
    ]


def _reason(source: FirmwareTree, entry: Entry) -> str:
    """Why a line of a list names nothing."""
    if entry.is_pattern:
        return "it matches nothing in the firmware source"
    if REPOSITORY.fullmatch(entry.path):
        return "it is a file of the firmware repository, no firmware"
    end, used = source.resolve(entry.path)
    if used:
        return f"it is a link to {end}, which the firmware source lacks"
    if any(file.startswith(f"{end}/") for file in source.files):
        return f"it is a folder; for all below it write {end}/**"
    return "the firmware source lacks it"


def write(source: FirmwareTree, files: Iterable[str], links: Iterable[str], target: Path) -> None:
    """Write files, decompressed, and relative links below the folder `target` (lib/firmware of a package)."""
    for name in sorted(files):
        to = target / name
        to.parent.mkdir(parents=True, exist_ok=True)
        _unpack(source.files[name], to)
        to.chmod(0o644)
    for name in sorted(links):
        to = target / name
        to.parent.mkdir(parents=True, exist_ok=True)
        to.symlink_to(posixpath.relpath(source.links[name], posixpath.dirname(name) or "."))


def _unpack(held: Path, to: Path) -> None:
    """Copy a file, decompressed when only the source's name has a compression's suffix."""
    if held.suffix == to.suffix or held.suffix not in (".xz", ".zst"):
        shutil.copyfile(held, to)
    elif held.suffix == ".zst":
        run(["zstd", "-q", "-d", "-o", to, held])
    else:
        try:
            with lzma.open(held) as packed, to.open("wb") as out:
                shutil.copyfileobj(packed, out)
        except (lzma.LZMAError, EOFError) as error:
            raise StageError(f"{held.name} is damaged: {error}", hint="get the firmware source again") from None


def ship(
    source: FirmwareTree, revision: str | None, main: Sequence[Entry], extra: Sequence[Entry], out: Path
) -> Report:
    """Fill OUT/main and OUT/extra; what is in both lists' choices goes to main."""
    first, second = choose(source, main), choose(source, extra)
    write(source, first.files, first.links, out / "main/lib/firmware")
    write(source, second.files - first.files, second.links - first.links, out / "extra/lib/firmware")
    if revision is not None:
        (out / "main/lib/firmware").mkdir(parents=True, exist_ok=True)
        (out / "main/lib/firmware/.git-commit").write_text(f"{revision}\n")
    names = source.names_of(first.files | second.files, first.links | second.links)
    return {
        "revision": revision,
        "files": sorted(names),
        **told_licences(source, names),
        "sums": {package: sums(out / package / "lib/firmware") for package in ("main", "extra")},
        "warnings": absent_warnings(source, [*first.absent, *second.absent]),
    }


def told_licences(source: FirmwareTree, names: Iterable[str]) -> Report:
    """What the report says of licences, for a bill of materials.

    Returns:
        `licences`: file → its licence in one line; `sections`: file → where that is said (the driver that a section of
        WHENCE is about, or the Debian package). A file of which nothing is said is in neither.
    """
    told = {name: licence for name in names if (licence := source.licence(name)) is not None}
    return {
        "licences": {name: licence.text for name, licence in told.items() if licence.text},
        "sections": {name: licence.section for name, licence in told.items() if licence.section},
    }


def sums(folder: Path) -> dict[str, dict[str, str]]:
    """The checksums that a bill of materials names (SPDX wants SHA-1), by the paths of the files below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            digests = {"sha1": hashlib.sha1(content).hexdigest(), "sha256": hashlib.sha256(content).hexdigest()}
            found[path.relative_to(folder).as_posix()] = digests
    found.pop(".git-commit", None)
    return found


def _entries(path: Path | None) -> list[Entry]:
    """A firmware list's lines; none when there is no such file."""
    return parse_list(path.read_bytes(), f"lists/{path.name}", FIRMWARE) if path and path.exists() else []


def source_parser(text: str | None, common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """A command line that names a firmware source, which `open_source` opens, and has the options of `common`."""
    parser = argparse.ArgumentParser(description=text)
    kinds = parser.add_subparsers(dest="kind", required=True)
    archive = kinds.add_parser("archive", parents=[common], help="a linux-firmware release")
    archive.add_argument("--dir", type=Path, required=True, help="holds the archive and nothing else")
    folder = kinds.add_parser(
        "folder", parents=[common], help="a linux-firmware checkout, Debian's packages, any folder"
    )
    folder.add_argument("--dir", type=Path, required=True)
    folder.add_argument("--revision", help="what the folder is a checkout of (default: what its .git says)")
    folder.add_argument("--licences", type=Path, help="the licences of its files, as firmwarefetch wrote them")
    kinds.add_parser("none", parents=[common], help="no firmware")
    return parser


def open_source(options: argparse.Namespace, temp: Path) -> tuple[FirmwareTree, str] | None:
    """The source that a command line of `source_parser` names, and its revision; None for no firmware."""
    if options.kind == "none":
        return None
    if options.kind == "archive":
        root, revision = from_archive(options.dir, temp)
        return scan(root), revision
    source = scan(options.dir)
    if options.licences:
        source = replace(source, licences=read_licences(options.licences))
    return source, options.revision or git_head(options.dir) or "unknown"


def _choose_and_ship(options: argparse.Namespace, temp: Path) -> Report:
    """Ship what the lists name of the source that the command line names."""
    main_list, extra_list = _entries(options.list), _entries(options.extra_list)
    check_disjoint(main_list, extra_list)
    found = open_source(options, temp)
    if found is None:
        warnings = _all_absent([*main_list, *extra_list])
        return {"revision": None, "files": [], "licences": {}, "sections": {}, "warnings": warnings}
    return ship(*found, main_list, extra_list, options.out)


def _all_absent(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The one warning for lists of firmware without a source of it."""
    if not entries:
        return []
    what = f"nothing of the {len(entries)} lines of firmware ships: the firmware source is none"
    return [warning("firmware-absent", what, where=entries[0].where, line=entries[0].line)]


def main() -> None:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--list", type=Path, required=True, help="firmware of the kernel package")
    common.add_argument("--extra-list", type=Path, help="firmware of the extras package; may be absent")
    common.add_argument("--strict", action="store_true", help="a listed file that the source lacks is an error")
    common.add_argument("--out", type=Path, required=True)
    options = source_parser(__doc__, common).parse_args()
    for package in ("main", "extra"):
        (options.out / package).mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as temp:
        report = _choose_and_ship(options, Path(temp))
    if report["warnings"] and options.strict:
        raise _absent(report["warnings"])
    write_json(options.out / "report.json", report)


def _absent(warnings: Sequence[dict[str, Any]]) -> StageError:
    """The error for listed firmware that the source lacks."""
    first, *others = warnings
    return StageError(
        first["what"],
        hint="choose a firmware source that has it, or remove the line from the list",
        where=first["where"],
        line=first["line"],
        details=[other["what"] for other in others],
    )


if __name__ == "__main__":
    stage_main(main)
