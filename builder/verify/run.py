"""Runs the checks over a release, and says what came of them.

The modules of checks are imported here, which fills `CHECKS`.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from builder import files
from builder.current import own_code
from builder.errors import InputError, InterruptedBuild, NoSpaceError, RoskError, VerifyError
from builder.release import VERIFY, shown_path
from builder.releasefolder import ReleaseFolder, find_release
from builder.report.kept import keep_result
from builder.summing import Sums
from builder.verify import (
    archives,
    config,
    headers,
    hostprograms,
    images,
    indexes,
    signature,
    signatures,
    split,
    symbols,
    versions,
    wishes,
)
from builder.verify.model import (
    CHECKS,
    Check,
    Finding,
    MissingProgram,
    Status,
    count,
    shown,
    skipped,
    unchecked,
    verdict,
)
from builder.verify.proved import Proved, checked_by
from builder.verify.subject import Subject, Unreadable
from builder.verify.unpack import FULL, Contents

MODULES = (
    *(archives, versions, split, symbols, indexes, wishes, signatures, headers, hostprograms, config, images),
    signature,
)
"""Where the checks are, in the order of the output."""
SHOWN_DETAILS = 20
_ROOM = 32
"""So many times the size of the packages have to be free in memory; unpacked they are 3 to 6 times as large."""
_COLORS = {Status.OK: "green", Status.FAILED: "red", Status.SKIPPED: "dim", Status.UNCHECKED: "yellow"}


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """What to do.

    Attributes:
        only: Names of checks; all when empty.
        fast: The cheap checks only.
        allow_unchecked: A check that could not be done is no failure.
        as_json: Print the result as one JSON object, and nothing else on standard output.
        keys: Files of the public keys whose signature counts; none: it need not be signed.
    """

    only: tuple[str, ...] = ()
    fast: bool = False
    allow_unchecked: bool = False
    as_json: bool = False
    keys: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Result:
    """A check and what it found."""

    check: Check
    finding: Finding


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of the checks of a release.

    Attributes:
        results: In the order of the checks.
        packages: What the packages hold that were read for them, by kind.
    """

    release: ReleaseFolder
    results: tuple[Result, ...]
    packages: Mapping[str, Contents] = field(default_factory=dict)

    def of(self, status: Status) -> tuple[Result, ...]:
        """The results of one kind."""
        return tuple(result for result in self.results if result.finding.status is status)

    @property
    def failed(self) -> tuple[Result, ...]:
        return self.of(Status.FAILED)

    @property
    def unchecked(self) -> tuple[Result, ...]:
        return self.of(Status.UNCHECKED)


@contextmanager
def subject_of(
    root: Path,
    *,
    cheap: bool,
    keys: Sequence[Path] = (),
    sums: Sums | None = None,
    proved: Proved | None = None,
) -> Iterator[Subject]:
    """The release in a folder, to be examined; see `examine`, and `Subject` for what is known already."""
    release = find_release(root)
    with temporary_folder(release, cheap=cheap) as work, Subject(release, work, keys, sums, proved) as subject:
        yield subject


def look_ahead(subject: Subject) -> None:
    """Have what the cheap checks look at read and at hand, before a release is whole.

    What they say then is nothing, but for those that look at the packages alone and find them good.

    Raises:
        NoSpaceError: See `examine`.
    """
    chosen = choose((), cheap=True)
    _begin_all(chosen, subject)
    for each in chosen:
        finding = subject.good.get(each.name) or _run(each, subject)
        if each.of != "release" and finding.status is Status.OK:
            subject.good[each.name] = finding


def examine(
    root: Path,
    *,
    cheap: bool,
    only: Sequence[str] = (),
    keys: Sequence[Path] = (),
    ahead: Subject | None = None,
    proved: Proved | None = None,
) -> Report:
    """Run checks over the release in a folder, and print nothing.

    Args:
        root: A folder with the packages, or with a folder `kernel` that has them.
        cheap: Leave out what takes long, or an engine or other programs.
        only: Names of checks; all when empty.
        keys: Files of the public keys whose signature counts.
        ahead: The same folder, at which `look_ahead` has looked when nothing but the packages was there.
        proved: What is known of an earlier release: of a package that is the same what it is good for is not looked at
            again. What is found is the same.

    Raises:
        InputError: There is no release, or no such check.
        NoSpaceError: The packages cannot be unpacked, for want of room.
    """
    chosen = choose(only, cheap=cheap)
    with nullcontext(ahead) if ahead else subject_of(root, cheap=cheap, keys=keys, proved=proved) as subject:
        subject.release = find_release(root)
        _begin_all(chosen, subject)
        results = tuple(
            Result(check=each, finding=subject.good.get(each.name) or _run(each, subject)) for each in chosen
        )
        return Report(release=subject.release, results=results, packages=subject.packages)


def choose(only: Sequence[str], *, cheap: bool) -> list[Check]:
    """The checks of these names, or all of them, in the order of `MODULES`.

    Raises:
        InputError: There is no such check.
    """
    for name in only:
        if name not in CHECKS:
            near = difflib.get_close_matches(name, CHECKS, 1)
            hint = f"did you mean {near[0]}?" if near else "`rosk verify --list` names them"
            raise InputError(f"there is no check {name!r}", hint=hint)
        if cheap and not CHECKS[name].cheap:
            raise InputError(f"{name} is none of the fast checks", hint="leave out --fast")
    places = {module.__name__: place for place, module in enumerate(MODULES)}
    chosen = [each for each in CHECKS.values() if (not only or each.name in only) and (each.cheap or not cheap)]
    return sorted(chosen, key=lambda each: places.get(each.run.__module__, len(places)))


def _begin_all(chosen: Sequence[Check], subject: Subject) -> None:
    """Have among the good what is known of an earlier release, and begin what the other checks need."""
    for each in chosen:
        if each.of == "headers" and (finding := subject.proved_of_headers(each.name)):
            subject.good[each.name] = finding
        else:
            _begin(each, subject)


def _begin(check: Check, subject: Subject) -> None:
    """Begin what a check has to be begun ahead; what is wrong then the check says itself."""
    try:
        if check.ahead is not None:
            check.ahead(subject)
    except (InterruptedBuild, NoSpaceError):
        raise
    except Exception:
        return


def _run(check: Check, subject: Subject) -> Finding:
    """What a check finds; also where it cannot be done, or has an error itself."""
    try:
        return check.run(subject)
    except Unreadable as error:
        return skipped(str(error))
    except MissingProgram as error:
        return unchecked(str(error))
    except (InterruptedBuild, NoSpaceError):
        raise
    except RoskError as error:
        return verdict("the check came to no end", [str(error), *error.details])
    except OSError as error:
        if error.errno in FULL:
            raise
        said = error.strerror or str(error)
        return verdict("the check came to no end", [f"{said}: {error.filename}" if error.filename else said])
    except Exception as error:
        # An error of rosk, not of the release: a build goes on, and `rosk verify` does not pass.
        wrong = shown(f"{type(error).__name__}: {error}")
        return Finding(status=Status.UNCHECKED, saw="the check itself failed; please report it", details=(wrong,))


def temporary_folder(release: ReleaseFolder, *, cheap: bool) -> AbstractContextManager[Path]:
    """A folder to unpack a release into; see `builder.files.temporary_folder`."""
    return files.temporary_folder("rosk-verify-", _memory(release) if cheap else None)


def _memory(release: ReleaseFolder) -> Path | None:
    """A file system in memory (shm_overview(7)), unless TMPDIR says otherwise or there is little memory.

    Unpacked, a release is a few times as large, and is read once: the disk of a busy machine would take seconds for it.
    """
    folder, meminfo = Path("/dev/shm"), Path("/proc/meminfo")
    if "TMPDIR" in os.environ or not (os.access(folder, os.W_OK) and meminfo.is_file()):
        return None
    available = re.search(r"^MemAvailable: +(\d+) kB$", meminfo.read_text(), re.MULTILINE)
    free = min(shutil.disk_usage(folder).free, 1024 * int(available[1]) if available else 0)
    needed = sum(path.stat().st_size for kind, path in release.packages.items() if kind != "source")
    return folder if needed * _ROOM < free else None


def run_verify(root: Path, options: VerifyOptions) -> Report:
    """Run the checks over the release in a folder, and print what came of them on standard output.

    A release that rosk built keeps what all of them found, for its report.

    Raises:
        VerifyError: A check failed, or could not be done.
        InputError, NoSpaceError: See `examine`.
    """
    code = own_code()
    report = examine(root, cheap=options.fast, only=options.only, keys=options.keys)
    if not options.only:
        keep_result(report.release, VERIFY, {**checked_by(code), **as_json(report, options)})
    if options.as_json:
        print(json.dumps(as_json(report, options), indent=1))
    else:
        console = Console(highlight=False, emoji=False, soft_wrap=True)
        for line in text(report):
            console.print(line)
    if not passed(report, options):
        raise failure(report)
    return report


def passed(report: Report, options: VerifyOptions) -> bool:
    """Whether the release passes."""
    return not report.failed and (options.allow_unchecked or not report.unchecked)


def text(report: Report) -> Iterator[str]:
    """The report for people, a line each, with rich's markup."""
    release = report.release
    yield f"[bold]Kernel {escape(shown(release.v))} for {release.a}[/] in {escape(shown_path(release.root))}"
    width = max((len(result.check.name) for result in report.results), default=0)
    for result in report.results:
        check, finding = result.check, result.finding
        status = f"[{_COLORS[finding.status]}]{finding.status:<9}[/]"
        yield f"  {status}  {check.name:{width}}  {escape(finding.saw)}"
        for line in finding.details[:SHOWN_DETAILS]:
            yield f"             {escape(line)}"
        if len(finding.details) > SHOWN_DETAILS:
            yield f"             and {len(finding.details) - SHOWN_DETAILS} more (all of them: --json)"
        if finding.status is Status.FAILED:
            yield f"             [bold]it means:[/] {escape(check.meaning)}"
    counted = Counter(result.finding.status for result in report.results)
    yield f"{count(len(report.results), 'check')}: " + ", ".join(
        f"{counted[each]} {each}" for each in Status if counted[each]
    )


def as_json(report: Report, options: VerifyOptions) -> dict[str, Any]:
    """The report for programs."""
    return {
        "release": report.release.v,
        "arch": report.release.a,
        "folder": str(report.release.root),
        "passed": passed(report, options),
        "checks": [
            {
                "name": result.check.name,
                "status": result.finding.status,
                "saw": result.finding.saw,
                "details": list(result.finding.details),
                "meaning": result.check.meaning,
            }
            for result in report.results
        ],
    }


def failure(report: Report) -> VerifyError:
    """The error of a report that does not pass."""
    where = report.release.root
    if report.failed:
        names = ", ".join(result.check.name for result in report.failed)
        return VerifyError(
            f"{len(report.failed)} of {len(report.results)} checks failed: {names}",
            where=where,
            hint="do not use this release; what each check saw, and what that means, is said above",
        )
    names = ", ".join(result.check.name for result in report.unchecked)
    return VerifyError(
        f"{len(report.unchecked)} of {len(report.results)} checks could not be done: {names}",
        where=where,
        hint="install what they need, or accept that with --allow-unchecked",
    )


def print_checks() -> None:
    """`rosk verify --list`: every check, and what it means when one fails."""
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    width = max(map(len, CHECKS))
    for each in choose((), cheap=False):
        console.print(f"{each.name:{width}}  {'fast' if each.cheap else 'slow'}  {escape(each.meaning)}")
