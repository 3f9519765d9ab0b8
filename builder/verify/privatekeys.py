"""Tells private keys from other files, by name and by content."""

from __future__ import annotations

from builder.stages.source import PRIVATE_KEY
from builder.verify.der import SEQUENCE, read_value

_SUFFIXES = ("pem", "key", "priv", "p12", "pfx", "pkcs8")
_PGP = b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n"
# What follows the outer SEQUENCE in DER: version and algorithm (PKCS #8, RFC 5958), version and modulus (PKCS #1, RFC
# 8017), version and key (EC, RFC 5915), version (PKCS #12, RFC 7292); and the algorithm PBES2 (encrypted PKCS #8).
_DER = (
    b"\x02\x01\x00\x30",
    b"\x02\x01\x01\x30",
    b"\x02\x01\x00\x02",
    b"\x02\x01\x01\x04",
    b"\x02\x01\x03\x30",
)
_PBES2 = bytes.fromhex("06092a864886f70d01050d")


def private_key(name: str, content: bytes) -> str:
    """Why a file is a private key, or may be one: a few words; empty when it is none.

    A certificate is none, but a file with a key's name is taken for one whatever is in it: the kernel's build keeps key
    and certificate together in `certs/signing_key.pem`.

    Args:
        name: The file's; where it is empty, only the content counts.
    """
    stem, _, suffix = name.rpartition("/")[2].rpartition(".")
    if stem and suffix.lower() in _SUFFIXES:
        return "has the name of a private key"
    if b"PRIVATE KEY" in content and (PRIVATE_KEY.search(content) or _PGP in content):
        return "holds a private key (PEM)"
    if is_der_key(content):
        return "is a private key (DER)"
    return ""


def is_der_key(content: bytes) -> bool:
    """Whether a file is one DER value of the form of a private key."""
    if content[:1] != bytes([SEQUENCE]):
        return False
    try:
        value = read_value(content)
    except ValueError:
        return False
    return value.whole == content and (value.content.startswith(_DER) or _PBES2 in value.content[:16])
