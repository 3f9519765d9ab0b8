"""What gpgv needs and says: keyrings without armour, and who made the good signatures."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from builder.errors import InputError


def good_signers(status: str) -> set[str]:
    """Primary fingerprints of the good signatures in GnuPG's status lines (doc/DETAILS in its source).

    An expired or revoked key has no GOODSIG; the last word of VALIDSIG is the primary key's fingerprint.
    """
    lines = [line.split() for line in status.splitlines()]
    good = [words for words in lines if words[1:2] == ["GOODSIG"]]
    valid = {words[-1] for words in lines if words[1:2] == ["VALIDSIG"]}
    return valid if len(good) >= len(valid) else set()


def binary_keys(file: Path, where: str) -> bytes:
    """The public keys of a file without their ASCII armour (RFC 9580, 6.2), as gpgv wants them.

    Args:
        where: What the user is told of where the file should be.

    Raises:
        InputError: It cannot be read, or its armour is damaged.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"the keyring cannot be read: {error.strerror}", where=file, hint=where) from error
    blocks = re.findall(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\s*?\n(.*?)-----END PGP", data, re.S)
    if not blocks:
        return data
    try:
        return b"".join(map(_without_armour, blocks))
    except binascii.Error as error:
        hint = "export the key again with `gpg --export`"
        raise InputError("the keyring's ASCII armour is damaged", where=file, hint=hint) from error


def _without_armour(block: bytes) -> bytes:
    body = re.sub(rb"\A(?:\S+: [^\n]*\n)*\s*", b"", block)  # the headers and the empty line after them
    lines = [line for line in body.splitlines() if not line.startswith(b"=")]  # all but the checksum line
    return base64.b64decode(b"".join(lines), validate=True)
