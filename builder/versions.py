"""`rosk versions`: the newest release of each series of kernel.org, and how far the project is behind.

The facts are kernel.org's own list of current releases (https://www.kernel.org/releases.json). It names the series that
still get releases, and those whose end of life has just come; a series that it does not name gets none any more. The
last answer is kept in the cache, and stands in when kernel.org cannot be reached.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydantic
from rich.console import Console
from rich.table import Table
from rich.text import Text

from builder.inputs.fetch import MirrorError, Patience
from builder.inputs.kept import PATIENCE, age, fetch_or_keep
from builder.project import SETTINGS_FILE, Project, load_project
from builder.series import Toolchain
from builder.stages.common import StageError
from builder.stages.source import kernel_version
from builder.verify.model import shown

RELEASES_URL = "https://www.kernel.org/releases.json"
"""Where kernel.org has its list; `--from` or ROSK_RELEASES_URL name another place."""

_SERIES = re.compile(r"(\d+\.\d+)(?:\.(\d+))?")
_OF_FILE = re.compile(r"linux-(\d+\.\d+(?:\.\d+)?(?:-rc\d+)?)\.tar")


class _Released(pydantic.BaseModel):
    isodate: str


class _Entry(pydantic.BaseModel):
    """One release, with what is needed here of it."""

    version: str
    moniker: str
    iseol: bool
    released: _Released


class _List(pydantic.BaseModel):
    releases: list[_Entry]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One series as kernel.org lists it.

    Attributes:
        name: `6.12`; a release candidate is in the series that it leads to.
        kind: kernel.org's word: mainline, stable, longterm.
        newest: Its newest release (`6.12.64`, `6.13-rc1`).
        released: The date of that, `2026-01-31`.
        eol: It gets no releases any more.
    """

    name: str
    kind: str
    newest: str
    released: str
    eol: bool


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What kernel.org says, and since when that is known.

    Attributes:
        fetched: Seconds since 1970.
        stale: It is the cache's, because kernel.org was not asked or did not answer.
        why: Why it did not; empty when it was not asked.
    """

    series: tuple[Series, ...]
    url: str
    fetched: float
    stale: bool = False
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Used:
    """The kernel that a project builds.

    Attributes:
        version: Its release, as far as that is known without a build (`6.12.64`, or only the series `6.12`).
        known_from: What tells it.
        newest: The newest release of its series, if kernel.org names one.
        behind: So many releases were made in its series since; None where that cannot be told.
        eol: The series gets no releases any more.
    """

    version: str
    series: str
    known_from: str
    newest: str | None
    behind: int | None
    eol: bool

    @property
    def current(self) -> bool:
        """Nothing newer in its series, which lives. Where that cannot be told it counts as current."""
        return not self.eol and not self.behind


def list_series(
    url: str = RELEASES_URL,
    *,
    offline: bool = False,
    patience: Patience = PATIENCE,
    clock: Callable[[], float] = time.time,
) -> Listed:
    """kernel.org's list: a new one, else the one in the cache.

    Args:
        url: Where the list is.
        offline: Do not ask for a new one.

    Raises:
        FetchError: There is neither.
    """
    kept = fetch_or_keep(
        url,
        "kernel.org/releases.json",
        _parse,
        limit=1 << 20,
        what="kernel.org's list of releases",
        hint="run it once with a network; `--from URL` (ROSK_RELEASES_URL) names a mirror of the list",
        offline=offline,
        patience=patience,
        clock=clock,
    )
    return Listed(series=kept.value, url=url, fetched=kept.fetched, stale=kept.stale, why=kept.why)


def _parse(data: bytes) -> tuple[Series, ...]:
    """The series of a list, in its order; linux-next is none.

    Raises:
        MirrorError: It is no such list.
    """
    try:
        entries = _List.model_validate_json(data).releases
    except pydantic.ValidationError as error:
        raise MirrorError("answer", "what came is no list of kernel.org's releases") from error
    found = []
    for entry in entries:
        match = _SERIES.match(entry.version)
        if match is None:
            continue
        found.append(
            Series(
                name=match[1],
                kind=entry.moniker,
                newest=entry.version,
                released=entry.released.isodate,
                eol=entry.iseol,
            )
        )
    if not found:
        raise MirrorError("answer", "what came names no release")
    return tuple(found)


def used_by(project: Project, series: Sequence[Series]) -> Used | None:
    """The kernel that a project builds; None when it cannot be told without a build."""
    version, known_from, whole = _version_of(project)
    match = _SERIES.match(version)
    if match is None:
        return None
    same = [each for each in series if each.name == match[1]]
    # A series can be listed twice: as mainline's last release, and with the stable ones that followed.
    newest = max((each.newest for each in same), key=_number, default=None)
    return Used(
        version=version,
        series=match[1],
        known_from=known_from,
        newest=newest,
        behind=_behind(version, newest) if newest and whole else None,
        # A release candidate's series, or one that is not out yet, is newer than all that the list names.
        eol=all(each.eol for each in same) if same else _is_older(match[1], series),
    )


def _version_of(project: Project) -> tuple[str, str, bool]:
    """A project's kernel version as far as it is known, what tells it, and whether it names one release."""
    source = project.source
    if source.version is not None:
        return source.version, "the settings", True
    if source.kind == "tree" and source.path is not None:
        try:
            return kernel_version((source.path / "Makefile").read_text(errors="replace")), "its Makefile", True
        except (OSError, StageError):
            return "", "", False
    if built := _built(project):
        return built, "the release in dist", True
    if source.path is not None:
        match = _OF_FILE.match(source.path.name)
        return (match[1], "its name", True) if match else ("", "", False)
    return (source.package or "").removeprefix("linux-source-"), "the settings", False


def _built(project: Project) -> str:
    """The kernel version of the release in `dist`, when it was built from the source that the settings name now."""
    try:
        source = json.loads((project.dist / "manifest.json").read_text())["source"]
        return str(source["kernel_version"]) if source["from"] == str(project.source) else ""
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _behind(version: str, newest: str) -> int | None:
    """How many releases of one series lie between two; None where one of them is a candidate, or no plain release."""
    if not (_SERIES.fullmatch(version) and _SERIES.fullmatch(newest)):
        return None
    return max(0, _number(newest) - _number(version))


def _number(version: str) -> int:
    """Which release of its series it is; a candidate comes before the first."""
    match = _SERIES.fullmatch(version)
    return int(match[2] or 0) if match else -1


def _is_older(name: str, series: Sequence[Series]) -> bool:
    return bool(series) and _numbers(name) < max(_numbers(each.name) for each in series)


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(map(int, name.split(".")))


def as_json(listed: Listed, used: Used | None, toolchain: Toolchain | None = None) -> dict[str, Any]:
    """What is known, for programs."""
    project: Mapping[str, Any] | None = {**asdict(used), "current": used.current} if used else None
    return {
        "url": listed.url,
        "fetched": datetime.fromtimestamp(listed.fetched, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "stale": listed.stale,
        "series": [asdict(series) for series in listed.series],
        "project": project,
        "toolchain": asdict(toolchain) if toolchain else None,
    }


def run_versions(
    root: Path,
    *,
    kernel: str | None = None,
    arch: str | None = None,
    flavour: str | None = None,
    url: str = RELEASES_URL,
    offline: bool = False,
    json_wanted: bool = False,
) -> Used | None:
    """Print the series of kernel.org and what a project uses of them.

    Args:
        root: The project's folder; one that is no project uses nothing.
        kernel, arch, flavour: As for `builder.project.load_project`.

    Returns:
        What the project uses; None when there is none, or when that cannot be told.

    Raises:
        FetchError: See `list_series`.
        InputError: The project is wrong.
    """
    project = None
    if (root / SETTINGS_FILE).is_file():
        project = load_project(root, kernel=kernel, arch=arch, flavour=flavour)
    listed = list_series(url, offline=offline)
    used = used_by(project, listed.series) if project else None
    if json_wanted:
        print(json.dumps(as_json(listed, used, project.toolchain if project else None), indent=1))
        return used
    if listed.stale:
        told = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
        old = age(time.time() - listed.fetched)
        told.print(f"from the cache, {old} old" + (f": {listed.why}" if listed.why else ""), markup=False)
    console = Console(highlight=False, emoji=False)
    console.print(_table(listed.series, used))
    if project:
        console.print(_sentence(used), markup=False, soft_wrap=True)
        if project.toolchain:
            console.print(f"compiled by {project.toolchain}: {project.toolchain.why}", markup=False, soft_wrap=True)
    return used


def _table(series: Sequence[Series], used: Used | None) -> Table:
    found = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("series", "kind", "newest", "released", "", "project"):
        found.add_column(name, no_wrap=True)
    for each in series:
        mine = used.version if used and used.series == each.name else ""
        cells = (each.name, each.kind, each.newest, each.released, "end of life" if each.eol else "", mine)
        found.add_row(*(Text(shown(cell)) for cell in cells))
    return found


def _sentence(used: Used | None) -> str:
    """What the project uses, in words."""
    if used is None:
        return "the project's kernel version is not known before it is built"
    start = f"the project builds {used.version} (from {used.known_from})"
    if used.newest is None:
        rest = "kernel.org lists no such series: its life has ended" if used.eol else "kernel.org does not list it yet"
    elif used.behind is None:
        rest = f"the newest of its series is {used.newest}"
    elif used.behind:
        rest = f"{used.behind} release{'s' if used.behind > 1 else ''} behind {used.newest}"
    else:
        rest = "the newest of its series"
    ended = "; the series is at its end of life" if used.eol and used.newest else ""
    return f"{start}: {rest}{ended}"
