"""The signature at the end of a module (Documentation/admin-guide/module-signing.rst).

The module, the signature (a PKCS #7 message), a block of 12 bytes (struct module_signature, which is in
include/linux/module_signature.h) and a fixed line follow one another.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from builder.verify.der import OID, SEQUENCE, SET, Value, read_value, values

MARK = b"~Module signature appended~\n"
_BLOCK = struct.Struct(
    ">5B3xI"
)  # algorithm, hash, kind of key, lengths of the signer's name, of its key's, of the rest
_PKCS7 = 2
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_KEY_ID = 0x80
_LARGEST = 1 << 20  # bytes: one signer, no certificates


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A module's signature.

    Attributes:
        message: The PKCS #7 message, in DER.
        size: Bytes of the module that it signs.
        signer: Whose key signed: issuer and serial number of the certificate, or the key's identifier (hexadecimal).
    """

    message: bytes
    size: int
    signer: str


def read_signature(module: bytes) -> Signature | None:
    """The signature of a module with this content; None when it carries none.

    Raises:
        ValueError: It is damaged; the message says how.
    """
    if not module.endswith(MARK):
        return None
    end = len(module) - len(MARK) - _BLOCK.size
    if end < 0:
        raise ValueError("its signature has no information block")
    algorithm, digest, kind, name_length, key_length, length = _BLOCK.unpack_from(module, end)
    if kind != _PKCS7 or any((algorithm, digest, name_length, key_length)):
        raise ValueError("its signature is of another kind than PKCS #7")
    if not 0 < length < end:
        raise ValueError(f"its signature of {length} bytes is longer than the module")
    if length > _LARGEST:
        raise ValueError(f"its signature of {length} bytes is larger than any")
    message = module[end - length : end]
    return Signature(message=message, size=end - length, signer=_signer(message))


def _signer(message: bytes) -> str:
    """The one signer that a message names (RFC 5652, 5.1 and 5.3)."""
    whole = read_value(message)
    kind, signed = _sequence(whole.whole, 2)
    if whole.whole != message or kind.tag != OID or kind.content != _SIGNED_DATA:
        raise ValueError("its signature is no PKCS #7 message of signed data")
    infos = list(values(read_value(signed.content).content))[-1]
    if infos.tag != SET:
        raise ValueError("its signature has no signer")
    signer = _sequence(infos.content, 2)[1]
    if signer.tag == _KEY_ID:
        return signer.content.hex()
    if signer.tag != SEQUENCE:
        raise ValueError("its signature names no signer")
    return signer.content.hex()


def _sequence(data: bytes, least: int) -> list[Value]:
    """What is in the SEQUENCE at the start of some bytes."""
    value = read_value(data)
    found = list(values(value.content)) if value.tag == SEQUENCE else []
    if len(found) < least:
        raise ValueError("its signature is no PKCS #7 message")
    return found
