"""Patches out of mails: a mailbox as git, mail programs and archives write it, to files as `git format-patch` does.

The commit message becomes UTF-8; the bytes of the diff stay as they are (as `git mailinfo` has it).
"""

from __future__ import annotations

import email
import email.policy
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

from builder.errors import InputError

LARGEST = 1 << 26
"""Bytes that a mailbox may have."""

# As git mailsplit knows a mailbox's separator: `From`, somebody, a time and a year.
_SEPARATOR = re.compile(rb"(?:\A|(?<=\n))From [^\n]*\d:\d\d[^\n]*\d{4}[^\n]*\n")
_PREFIXES = re.compile(r"^(?:\s*(?:\[[^\]]*\]|(?:re|aw|fwd?):))+\s*", re.IGNORECASE)
_NUMBER = re.compile(r"\[[^\]]*?\b(\d+)/(\d+)[^\]]*\]")
_REPLY = re.compile(r"\s*(?:re|aw|fwd?):", re.IGNORECASE)
_END = re.compile(rb"^(?:---[ \t]*$|diff --git |diff -|Index: |--- \S)", re.MULTILINE)
_HUNK = re.compile(rb"^@@ -\d+", re.MULTILINE)
_IN_BODY = re.compile(r"(From|Subject|Date): *(.*)")
_KEPT = ("Message-ID", "X-Rosk-Kernel")
_NO_COMMIT = "0" * 40


@dataclass(frozen=True, kw_only=True)
class MailedPatch:
    """A patch that came by mail.

    Attributes:
        subject: Without prefixes (`[PATCH 2/3]`).
        number, total: Its place in its series, where the subject tells.
        content: The file that `git format-patch` would have made of it.
    """

    subject: str
    number: int | None
    total: int | None
    content: bytes


def read_mailbox(data: bytes, where: str) -> tuple[list[MailedPatch], list[str]]:
    """The patches of a mailbox, or of one mail, in the order of their series.

    A mail that is alone in its file is taken whatever its number, as `git am` does: `git format-patch` writes a series
    so. With others it is one of a mailbox, which may be cut off, or hold more than is meant.

    Args:
        data: Its bytes, perhaps compressed with gzip as mail archives give it.
        where: Its name, for errors.

    Returns:
        The patches, and the subjects of mails that have none: cover letters, replies.

    Raises:
        InputError: It holds no patch, or of several mails not a whole series, or several versions of one.
    """
    patches: list[MailedPatch] = []
    passed: list[str] = []
    for commit, raw in _mails(_unpacked(data, where)):
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        subject = " ".join(str(mail.get("Subject", "")).split())
        text = _text(mail)
        if _REPLY.match(subject) or (not _HUNK.search(text) and b"\ndiff --git " not in text):
            passed.append(subject or "a mail without a subject")
        else:
            patches.append(_patch(mail, subject, text, commit))
    if not patches:
        raise InputError("there is no patch in it", where=where, hint="give a mailbox, or a file of `git format-patch`")
    return (_in_order(patches, where) if len(patches) + len(passed) > 1 else patches), passed


def _unpacked(data: bytes, where: str) -> bytes:
    if data.startswith(b"\x1f\x8b"):
        unpacker = zlib.decompressobj(wbits=31)
        try:
            data = unpacker.decompress(data, LARGEST + 1)
        except zlib.error as error:
            raise InputError(f"its compression is damaged: {error}", where=where, hint="get it again") from error
        if not unpacker.eof and len(data) <= LARGEST:
            raise InputError("its compression is cut off", where=where, hint="get it again")
    if len(data) > LARGEST:
        raise InputError(f"it is larger than {LARGEST >> 20} MiB", where=where, hint="give the mails of one series")
    return data


def _mails(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The mails of a mailbox, each with the commit that git names in its first line."""
    data = data.replace(b"\r\n", b"\n") if b"\r\n" in data[: data.find(b"\n") + 1] else data
    starts = list(_SEPARATOR.finditer(data))
    if not starts or starts[0].start() > 0:
        yield _NO_COMMIT, data
        return
    for this, following in zip(starts, [*starts[1:], None], strict=True):
        commit = re.match(rb"From ([0-9a-f]{40}) ", this[0])
        yield (
            (commit[1].decode() if commit else _NO_COMMIT),
            data[this.end() : following.start() if following else None],
        )


def _text(mail: EmailMessage) -> bytes:
    """The bytes of the mail's text, decoded from its transfer encoding; attached patches follow the text."""
    texts = []
    for part in mail.walk():
        if part.is_multipart() or part.get_content_maintype() != "text" or part.get_content_subtype() == "html":
            continue
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):
            texts.append(payload.replace(b"\r\n", b"\n") if _is_sent_as_crlf(payload) else payload)
    return b"\n".join(texts)


def _is_sent_as_crlf(payload: bytes) -> bool:
    """Whether every line ends in CR LF, as mail is sent: then it is no part of the patch."""
    return payload.count(b"\r\n") == payload.count(b"\n") > 0


def _patch(mail: EmailMessage, subject: str, text: bytes, commit: str) -> MailedPatch:
    end = _END.search(text)
    at = end.start() if end else 0
    message, diff = text[:at], text[at:]
    charset = mail.get_content_charset() or "utf-8"
    try:
        words = message.decode(charset)
    except (LookupError, ValueError):  # no such charset, or bytes that are not of it
        words = message.decode("utf-8", errors="replace")
    headers, words = _in_body(words)
    numbers = _NUMBER.search(subject)
    subject = headers.get("Subject") or subject
    bare = _PREFIXES.sub("", subject)
    author = headers.get("From") or " ".join(str(mail.get("From", "")).split())
    lines = [f"From {commit} Mon Sep 17 00:00:00 2001", f"From: {author}"]
    if date := headers.get("Date") or _date(mail):
        lines.append(f"Date: {date}")
    lines.append(f"Subject: [PATCH] {bare}")
    lines += [f"{name}: {' '.join(str(mail[name]).split())}" for name in _KEPT if mail[name]]
    head = "\n".join(lines)
    if not (head + words).isascii():
        head += "\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit"
    body = f"{words.strip()}\n" if words.strip() else ""
    if not diff.startswith(b"---\n"):
        diff = b"---\n" + diff
    content = f"{head}\n\n{body}".encode() + diff
    return MailedPatch(
        subject=bare,
        number=int(numbers[1]) if numbers else None,
        total=int(numbers[2]) if numbers else None,
        content=content if content.endswith(b"\n") else content + b"\n",
    )


def _date(mail: EmailMessage) -> str:
    """The mail's date in the one form, or nothing where it has none that can be read."""
    try:
        return parsedate_to_datetime(str(mail["Date"])).strftime("%a, %-d %b %Y %H:%M:%S %z") if mail["Date"] else ""
    except (ValueError, OverflowError):
        return ""


def _in_body(text: str) -> tuple[dict[str, str], str]:
    """The headers with which a message starts that win over the mail's own, as for somebody else's patch."""
    found: dict[str, str] = {}
    lines = text.lstrip("\n").split("\n")
    while lines and (match := _IN_BODY.fullmatch(lines[0])) and match[1] not in found:
        found[match[1]] = match[2].strip()
        lines.pop(0)
    return found, "\n".join(lines) if found else text


def _in_order(patches: Sequence[MailedPatch], where: str) -> list[MailedPatch]:
    """The patches by their numbers, where they have some.

    Raises:
        InputError: One is missing, or there twice.
    """
    if all(patch.number is None for patch in patches):
        return list(patches)
    hint = "give a mailbox with one whole version of one series"
    if any(patch.number is None for patch in patches) or len({patch.total for patch in patches}) > 1:
        raise InputError("it holds patches of more than one series", where=where, hint=hint)
    numbered = {patch.number or 0: patch for patch in patches}
    if len(numbered) < len(patches):
        raise InputError("it holds a patch of the same number twice", where=where, hint=hint)
    total = patches[0].total or 0
    if missing := [f"{number}/{total}" for number in range(1, total + 1) if number not in numbered]:
        raise InputError(f"of the series there is no {', '.join(missing[:5])}", where=where, hint=hint)
    return [numbered[number] for number in sorted(numbered)]
