"""The patch files of a project, and what each of them says of itself.

Understood are the headers and trailers of git and of the kernel's own mails (Documentation/process/
submitting-patches.rst), those of the stable trees (stable-kernel-rules.rst: `commit SHA upstream.`), and the fields of
Debian's patch tagging guidelines (DEP-3, https://dep-team.pages.debian.net/deps/dep3/).
"""

from __future__ import annotations

import email
import email.policy
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.errors import InputError
from builder.stages.common import StageError
from builder.stages.patchfile import parse_patch
from builder.stages.patchlimits import Limits, read_limits

_DIFF = re.compile(rb"^(?:diff --git |--- \S|Index: )", re.MULTILINE)
_MBOX_FROM = re.compile(r"From ([0-9a-f]{40}) ")
_PREFIX = re.compile(r"^(?:\s*\[[^\]]*\])+\s*")
_FIELD = re.compile(r"([A-Za-z][A-Za-z-]*):[ \t]+(\S.*?)\s*")
_COMMIT = re.compile(
    r"commit ([0-9a-f]{12,40}) upstream\.?|\[ ?upstream commit ([0-9a-f]{12,40}) ?\]"
    r"|\(cherry[- ]picked from commit ([0-9a-f]{7,40})[^)]*\)",
    re.IGNORECASE,
)
_SHOWN_COMMIT = 12


@dataclass(frozen=True, kw_only=True)
class About:
    """What a patch says of itself; what it does not say is empty.

    Attributes:
        subject: Its first line, without `[PATCH …]`.
        author: Name and address.
        origin: Where it is from: an upstream commit, an address, or what DEP-3's Origin says.
        upstream: What became of it upstream, by DEP-3's Applied-Upstream and Forwarded, or the trailers of a backport.
        limits: The kernel versions that it is meant for.
    """

    subject: str
    author: str
    origin: str
    upstream: str
    limits: str


@dataclass(frozen=True, kw_only=True)
class PatchFile:
    """A patch of the project.

    Attributes:
        path: The file.
        error: Why it is no patch, if it is none.
    """

    path: Path
    content: bytes
    about: About
    error: StageError | None = None

    @property
    def name(self) -> str:
        return self.path.name


def read_series(*folders: Path) -> list[PatchFile]:
    """The patches of folders in the order in which they are applied: that of their names, bytewise.

    Args:
        folders: Of two patches of one name, that of the later folder counts.

    Raises:
        InputError: One cannot be read. One that is no patch is no error here.
    """
    by_name = {path.name: path for folder in folders for path in folder.glob("*.patch")}
    return [read_patch(by_name[name]) for name in sorted(by_name, key=os.fsencode)]


def read_patch(path: Path) -> PatchFile:
    """One patch file.

    Raises:
        InputError: It cannot be read.
    """
    hint = "it has to be a file that you can read: mend it, or remove it"
    try:
        if path.is_fifo():  # reading would wait for a writer
            raise InputError("cannot be read: it is a pipe", where=path, hint=hint)
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=path, hint=hint) from error
    limits, wrong = Limits(), None
    try:
        parse_patch(content, path.name)
        limits = read_limits(content, path.name)
    except StageError as error:
        wrong = error
    return PatchFile(path=path, content=content, about=about(content, limits.text), error=wrong)


def header_of(content: bytes) -> str:
    """The text before a patch's first diff."""
    match = _DIFF.search(content)
    return content[: match.start() if match else None].decode("utf-8", errors="replace")


def about(content: bytes, limits: str = "") -> About:
    """What a patch says of itself."""
    text = header_of(content)
    sha = match[1] if (match := _MBOX_FROM.match(text)) else None
    if text.startswith("From "):
        text = text.partition("\n")[2]
    fields = _fields(text)
    origin, upstream = _origin(text, fields), _upstream(text, fields)
    if not origin and sha and sha.strip("0"):
        origin = f"commit {sha[:_SHOWN_COMMIT]} of a local tree"
    subject = _PREFIX.sub("", _first(fields, "subject") or _first(fields, "description"))
    author = _first(fields, "from") or _first(fields, "author") or _first(fields, "signed-off-by")
    return About(subject=subject or _first_line(text), author=author, origin=origin, upstream=upstream, limits=limits)


def _fields(text: str) -> dict[str, list[str]]:
    """The lines `Name: value` of a header or a message, names in lower case; folded mail headers are put together."""
    found: dict[str, list[str]] = {}
    mail = email.message_from_string(text, policy=email.policy.default)
    for name in ("From", "Subject", "Message-ID"):
        for value in mail.get_all(name, []):
            found.setdefault(name.lower(), []).append(" ".join(str(value).split()))
    for line in text.splitlines():
        match = _FIELD.fullmatch(line)
        if match and match[1].lower() not in ("from", "subject", "message-id"):
            found.setdefault(match[1].lower(), []).append(match[2])
    return found


def _first(fields: dict[str, list[str]], name: str) -> str:
    return fields.get(name, [""])[0]


def _first_line(text: str) -> str:
    """A plain text's first line with words, where there is no subject."""
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and not _FIELD.fullmatch(line) and line != "---"), "")


def _commit(text: str) -> str:
    """The upstream commit that a backport names."""
    match = _COMMIT.search(text)
    return next(sha for sha in match.groups() if sha)[:_SHOWN_COMMIT] if match else ""


def _origin(text: str, fields: dict[str, list[str]]) -> str:
    if origin := _first(fields, "origin"):
        return origin
    if commit := _commit(text):
        return f"commit {commit}"
    if link := _first(fields, "link"):
        return link.split()[0]
    if mail := _first(fields, "message-id"):
        return f"mail {mail}"
    return _first(fields, "bug")


def _upstream(text: str, fields: dict[str, list[str]]) -> str:
    if applied := _first(fields, "applied-upstream"):
        return f"applied: {applied}"
    if forwarded := _first(fields, "forwarded"):
        words = {"no": "not forwarded", "not-needed": "not for upstream", "yes": "forwarded"}
        return words.get(forwarded.lower(), f"forwarded: {forwarded}")
    return "backport" if _commit(text) or "backport" in _first(fields, "origin").lower() else ""


def same_diff(content: bytes, patches: Sequence[PatchFile]) -> PatchFile | None:
    """The patch among these that makes the very same changes, if there is one."""
    return next((patch for patch in patches if same_changes(patch.content, content)), None)


def same_changes(one: bytes, other: bytes) -> bool:
    """Whether two patches make the very same changes."""
    return _diff(one) == _diff(other)


def _diff(content: bytes) -> list[bytes]:
    """The lines of a patch that say what changes, without those that say at which line."""
    match = _DIFF.search(content)
    lines = content[match.start() :].split(b"\n") if match else []
    return [line for line in lines if line.startswith((b"+", b"-", b" ")) and line not in (b"-- ", b"--")]
