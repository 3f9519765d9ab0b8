"""New patches for a project: from mailboxes, or from commits of a git tree on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from builder.errors import InputError
from builder.files import file_errors
from builder.inputs.store import write_atomically
from builder.patches.mail import LARGEST, read_mailbox
from builder.patches.series import PatchFile, same_changes, same_diff
from builder.process import run
from builder.stages.common import StageError
from builder.stages.patchfile import parse_patch
from builder.stages.patchlimits import read_limits

LONGEST_NAME = 64
"""Characters of a file name, as `git format-patch` cuts it."""

_SUFFIX = ".patch"
_NUMBERED = re.compile(r"((?:z+-)?)(\d+)[-_.]")
_PREFIXES = ("", "z-", "zz-", "zzz-")
"""What may be before the number, so that a patch comes after those whose names start with a letter."""


@dataclass(frozen=True, kw_only=True)
class New:
    """A patch that is to be imported.

    Attributes:
        subject: What its name is made of.
        content: The file's bytes.
        source: Where it is from, for errors.
    """

    subject: str
    content: bytes
    source: str


def from_mailbox(path: Path) -> tuple[list[New], list[str]]:
    """The patches of a mailbox, and the subjects of its mails that have none.

    Raises:
        InputError: It cannot be read, or is no mailbox with whole series of patches.
    """
    try:
        with path.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", where=path, hint="give a mailbox, or a file of `git format-patch`"
        ) from error
    patches, passed = read_mailbox(data, str(path))
    return [New(subject=patch.subject, content=patch.content, source=str(path)) for patch in patches], passed


def from_git(tree: Path, commits: str) -> list[New]:
    """The commits of a git tree of this machine, as `git format-patch` writes them.

    Args:
        commits: As git format-patch takes them: `v6.12..topic`, or `v6.12` for all since.

    Raises:
        InputError: There is no such tree, or no such commits.
    """
    if commits.startswith("-"):
        raise InputError(f"{commits!r} is no range of commits", hint="give one such as v6.12..HEAD")
    with TemporaryDirectory(prefix="rosk-") as folder:
        argv: list[str | Path] = ["git", "-C", tree, "format-patch", "--quiet", "--no-numbered", "--no-attach"]
        argv += [
            "--filename-max-length=200",
            "--no-ext-diff",
            "--no-textconv",
            "--no-cover-letter",
            f"--suffix={_SUFFIX}",
            "--binary",
        ]
        argv += ["--output-directory", folder, "--find-renames", "--src-prefix=a/", "--dst-prefix=b/", commits, "--"]
        _run_git(argv, tree)
        files = sorted(Path(folder).iterdir())
        source = f"{tree} {commits}"
        news = [
            New(subject=_subject(file), content=file.read_bytes(), source=f"{source}: {file.name}") for file in files
        ]
    if not news:
        raise InputError(f"there are no commits in {commits}", where=tree, hint="merges are left out; see `git log`")
    return news


def _run_git(argv: Sequence[str | Path], tree: Path) -> None:
    hint = "give the folder of a git tree, and commits that it has"
    done = run(argv, check=False, error=InputError, hint=hint)
    if done.returncode != 0:
        what, *more = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise InputError(f"git says: {what.removeprefix('fatal: ')}", where=tree, hint=hint, details=more)


def _subject(file: Path) -> str:
    """The subject in a name of `git format-patch`, cleaned already."""
    return file.name.removesuffix(_SUFFIX).partition("-")[2]


def file_name(number: int, subject: str, width: int = 4, prefix: str = "") -> str:
    """The name of a patch, as `git format-patch` makes it of number and subject.

    Args:
        width: How many digits the number has at least.
        prefix: What is before it.
    """
    words = re.sub(r"\.+", ".", re.sub(r"[^A-Za-z0-9._]+", "-", subject)).strip("-").rstrip(".-")
    stem = f"{prefix}{number:0{width}}-{words}"
    return f"{stem[: LONGEST_NAME - len(_SUFFIX) - 1]}{_SUFFIX}"


def named(news: Sequence[New], patches: Sequence[PatchFile]) -> dict[str, New]:
    """A name for each new patch, after all those that there are.

    Raises:
        InputError: One is no patch, is there already or is given twice, or no name comes after those that there are.
    """
    last = max((os.fsencode(patch.name) for patch in patches), default=b"")
    prefix = _prefix(last)
    numbers = [match[2] for patch in patches if (match := _NUMBERED.match(patch.name)) and match[1] == prefix]
    width = len(numbers[-1]) if numbers else 4
    number = max(map(int, numbers), default=0)
    found: dict[str, New] = {}
    for new in news:
        _check(new, patches, found.values())
        number += 1
        found[file_name(number, new.subject, width, prefix)] = new
    for name in found:
        if name.encode() <= last:
            raise InputError(
                f"the new patch would be {name}, which comes before {os.fsdecode(last)}",
                hint="name the patches that are there with numbers of one width (0001-…), so that new ones follow",
            )
    return found


def _prefix(last: bytes) -> str:
    """What is before the numbers of new patches: what the last one has, if that is numbered, else what comes after it.

    A project may have names without numbers, as those of an os-kernel checkout: they stay, and a series follows them.
    """
    if match := _NUMBERED.match(os.fsdecode(last)):
        return match[1]
    return next((prefix for prefix in _PREFIXES if f"{prefix}0".encode() > last), "")


def _check(new: New, patches: Sequence[PatchFile], before: Iterable[New]) -> None:
    try:
        parse_patch(new.content, new.source)
        read_limits(new.content, new.source)
    except StageError as error:
        subject = f" ({new.subject})" if new.subject else ""
        raise InputError(f"{error.what}{subject}", where=new.source, hint=error.hint) from error
    if other := same_diff(new.content, patches):
        raise InputError(
            f"{new.subject!r} is there already as {other.name}", where=new.source, hint="import only what is new"
        )
    for each in before:
        if each.subject == new.subject and same_changes(each.content, new.content):
            what = f"{new.subject!r} is given twice, first by {each.source}"
            raise InputError(what, where=new.source, hint="give each patch once")


def write_patches(folder: Path, news: dict[str, New]) -> None:
    """Write new patches: all of them, or none.

    Raises:
        InputError: The folder cannot be written.
        NoSpaceError: The disk is full.
    """
    written: list[Path] = []
    hint = "see that patches/ can be written"
    with file_errors(folder, name="folder of the patches", full="free some space", refused=hint):
        try:
            for name, new in news.items():
                written.append(folder / name)
                write_atomically(folder / name, new.content)
        except BaseException:
            for path in written:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            raise
