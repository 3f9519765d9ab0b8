from __future__ import annotations

import gzip
import quopri
import subprocess
from base64 import encodebytes
from email.message import EmailMessage
from pathlib import Path

import pytest

from builder.errors import InputError
from builder.patches.mail import read_mailbox
from builder.stages.patchfile import check_patch

DIFF = "diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-a\n+b\n c\n-- \n2.39.5\n"
SEPARATOR = "From mboxrd@z Thu Jan  1 00:00:00 1970\n"


def mail(subject: str, body: str = "Why.\n", diff: str = DIFF, **headers: str) -> str:
    lines = [f"From: {headers.pop('From', 'A <a@example.org>')}", "Date: Mon, 2 Mar 2026 10:00:00 +0100"]
    lines += [f"Subject: {subject}", *(f"{name.replace('_', '-')}: {text}" for name, text in headers.items())]
    return SEPARATOR + "\n".join(lines) + f"\n\n{body}---\n x | 2 +-\n\n{diff}\n"


def reply(subject: str) -> str:
    return (
        f"{SEPARATOR}From: B <b@example.org>\nSubject: {subject}\n\n> {DIFF.replace(chr(10), chr(10) + '> ')}\nno\n\n"
    )


def test_a_series_comes_in_its_order_without_cover_and_replies() -> None:
    box = (
        reply("[PATCH 0/2] cover") + mail("[PATCH 2/2] two") + reply("Re: [PATCH 1/2] one") + mail("[PATCH v3 1/2] one")
    )
    patches, passed = read_mailbox(box.encode(), "a.mbox")
    assert [patch.subject for patch in patches] == ["one", "two"]
    assert passed == ["[PATCH 0/2] cover", "Re: [PATCH 1/2] one"]
    text = patches[0].content.decode()
    assert text.startswith(
        f"From {'0' * 40} Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nDate: Mon, 2 Mar 2026 10:00:00 +0100\n"
        "Subject: [PATCH] one\n\nWhy.\n---\n x | 2 +-\n\ndiff --git a/x b/x\n"
    )
    assert check_patch(patches[0].content, "x") == ["x"]


@pytest.mark.parametrize("encoding", ["quoted-printable", "base64", "8bit"])
@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
def test_encodings_of_the_text_and_of_the_headers(encoding: str, charset: str) -> None:
    body = "Für λ.\n".replace("λ", "µ") + "---\n\n" + DIFF.replace("+b", "+b = ü\t=20")
    data = body.encode(charset)
    packed = {"quoted-printable": quopri.encodestring(data), "base64": encodebytes(data), "8bit": data}[encoding]
    head = (
        "From: =?iso-8859-1?q?J=F6rg?= <j@example.org>\nSubject: =?utf-8?b?W1BBVENIXSBmw7xyIHg=?=\n"
        f"Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: {encoding}\n\n"
    )
    (patch,), _ = read_mailbox(head.encode() + packed, "a.eml")
    assert patch.subject == "für x"
    head_part, _, rest = patch.content.partition(b"---\n")
    assert "From: Jörg <j@example.org>\n" in head_part.decode()
    assert "Für µ.\n" in head_part.decode()
    assert "charset=UTF-8" in head_part.decode()
    assert b"+b = " + "ü".encode(charset) + b"\t=20\n" in rest


def test_somebody_elses_patch_and_folded_headers() -> None:
    box = mail("[PATCH] a subject\n that goes on", body="From: C <c@example.org>\n\nWhy.\n", Message_ID="<1@x>")
    (patch,), _ = read_mailbox(box.encode(), "a.mbox")
    text = patch.content.decode()
    assert "From: C <c@example.org>\n" in text and "a@example.org" not in text
    assert "Subject: [PATCH] a subject that goes on\nMessage-ID: <1@x>\n" in text


@pytest.mark.parametrize("charset", ["undefined", "idna", "none-such"])
def test_what_a_mail_says_of_itself_may_be_nonsense(charset: str) -> None:
    box = mail("[PATCH] x", body="Why \xfc.\n", Content_Type=f"text/plain; charset={charset}")
    box = box.replace("10:00:00 +0100", "10:00:00 +99999999999999")
    (patch,), _ = read_mailbox(box.encode("latin-1"), "a.mbox")
    assert b"Why" in patch.content and b"Date:" not in patch.content


def test_a_line_of_the_message_that_starts_with_from_is_no_mail() -> None:
    (patch,), _ = read_mailbox(mail("[PATCH] x", body="Why.\n\nFrom now on it works.\n").encode(), "a.mbox")
    assert b"\nFrom now on it works.\n" in patch.content


def test_attached_patches_and_mail_that_was_sent_with_crlf() -> None:
    message = EmailMessage()
    message["From"], message["Subject"] = "A <a@example.org>", "[PATCH] x"
    message.set_content("Why.\n")
    message.add_alternative("<p>no diff --git</p>", subtype="html")
    message.add_attachment(DIFF, subtype="x-patch", filename="x.patch")
    for data in (message.as_bytes(), message.as_bytes().replace(b"\n", b"\r\n")):
        (patch,), _ = read_mailbox(data, "a.eml")
        assert b"<p>" not in patch.content and b"\r" not in patch.content
        assert b"\n\nWhy.\n---\ndiff --git a/x b/x\n" in patch.content


def test_a_compressed_mailbox() -> None:
    data = gzip.compress(mail("[PATCH] x").encode())
    assert read_mailbox(data, "a.mbox.gz")[0][0].subject == "x"
    for damaged in (data[:-9], data[:30] + b"?????" + data[35:]):
        with pytest.raises(InputError, match="compression is"):
            read_mailbox(damaged, "a.mbox.gz")
    with pytest.raises(InputError, match="larger than 64 MiB"):
        read_mailbox(gzip.compress(bytes(1 << 27)), "a.mbox.gz")


def test_a_mail_that_is_alone_in_its_file_is_taken_whatever_its_number() -> None:
    (patch,), passed = read_mailbox(mail("[PATCH 2/3] b").encode(), "0002-b.patch")
    assert (patch.subject, passed) == ("b", [])


@pytest.mark.parametrize(
    ("box", "what"),
    [
        ("", "no patch in it"),
        (reply("Re: [PATCH] x"), "no patch in it"),
        (mail("[PATCH 1/3] a") + mail("[PATCH 3/3] c"), "there is no 2/3"),
        (reply("[PATCH 0/3] cover") + mail("[PATCH 1/3] a"), "there is no 2/3, 3/3"),
        (mail("[PATCH 1/1] a") + mail("[PATCH v2 1/1] a"), "same number twice"),
        (mail("[PATCH 1/2] a") + mail("[PATCH 2/2] a") + mail("[PATCH 1/3] b"), "more than one series"),
        (mail("[PATCH 1/1] a") + mail("[PATCH] b"), "more than one series"),
    ],
)
def test_a_mailbox_without_one_whole_series_is_refused(box: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        read_mailbox(box.encode(), "a.mbox")


@pytest.mark.host_programs
def test_git_reads_of_the_file_what_it_reads_of_the_mail(tmp_path: Path) -> None:
    box = mail(
        "[PATCH 1/1] =?utf-8?q?f=C3=BCr?= x", body="Warum: für µ.\n\nFrom here on.\n", From="Jörg <j@example.org>"
    )
    (patch,), _ = read_mailbox(box.encode(), "a.mbox")

    def mailinfo(data: bytes) -> tuple[str, bytes, bytes]:
        message, diff = tmp_path / "message", tmp_path / "diff"
        done = subprocess.run(["git", "mailinfo", message, diff], input=data, check=True, capture_output=True)
        return done.stdout.decode(), message.read_bytes(), diff.read_bytes().partition(b"diff --git")[2].rstrip()

    assert mailinfo(patch.content) == mailinfo(box.encode())
