"""The key that signs modules, and its certificate, which the kernel is given to trust.

The key is a file of this machine that only BuildKit's secrets read (`builder.graph`): rosk itself reads of it, with
openssl, the certificate and the public key. The certificate is an ordinary input of the build, so that another key has
another cache key (a secret's content has no part in those).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.errors import InputError
from builder.process import run
from builder.project import SIGNING_KEY, Project
from builder.verify.der import INTEGER, OID, SEQUENCE, read_value, values

CERTIFICATE = "signing/certificate.pem"
"""The certificate's name in the build context."""
PIN = "KBUILD_SIGN_PIN"
"""The variable of the environment with the key's passphrase: kbuild's own (Documentation/kbuild/kbuild.rst)."""

_LIMIT = 1 << 20
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_PRIVATE = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")
_ENCRYPTED = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED", re.MULTILINE)
_RSA = bytes.fromhex("2a864886f70d010101")
_EC = bytes.fromhex("2a8648ce3d0201")
_CURVES = {
    "P-192": bytes.fromhex("2a8648ce3d030101"),
    "P-256": bytes.fromhex("2a8648ce3d030107"),
    "P-384": bytes.fromhex("2b81040022"),
    "P-521": bytes.fromhex("2b81040023"),
}
"""The curves that kernels know (crypto/asymmetric_keys/x509_cert_parser.c), the last since Linux 6.10, which the build
looks at (`builder.stages.signingoptions`)."""
_SIGNATURES = frozenset(
    map(
        bytes.fromhex,
        (
            *(f"2a864886f70d0101{number}" for number in ("05", "0b", "0c", "0d", "0e")),
            *("2a8648ce3d0401", *(f"2a8648ce3d0403{number}" for number in ("01", "02", "03", "04"))),
        ),
    )
)
"""The signatures of certificates that kernels know: of RSA (PKCS #1 v1.5) and ECDSA, with SHA-1 and SHA-2."""
_RSA_BITS = (2048, 3072, 4096)
"""The lengths that the kernel takes (crypto/rsa.c, rsa_check_key_length), without those that are too short today."""
_MAKE_ONE = (
    "openssl req -new -x509 -newkey rsa:4096 -nodes -days 36500 -subj '/CN=kernel modules' -addext "
    "basicConstraints=critical,CA:FALSE -addext keyUsage=digitalSignature -keyout FILE -out FILE makes one"
)


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """A key that signs, and what is public of it.

    Attributes:
        path: The PEM file with the private key; None where only what is public of it was looked at.
        certificate: Its certificate, PEM, in one fixed form.
        sha256: The SHA-256 of the certificate (DER), hexadecimal: its fingerprint.
        subject: Whom the certificate names, on one line.
        encrypted: The key has a passphrase.
    """

    path: Path | None
    certificate: str
    sha256: str
    subject: str
    encrypted: bool

    def as_json(self) -> dict[str, Any]:
        """What the manifest says of it."""
        return {"certificate": self.sha256, "subject": self.subject}


def read_key(project: Project, *, warn: Callable[[str], object]) -> SigningKey | None:
    """The project's signing key, looked at from all sides; None where nothing is signed with one.

    Args:
        warn: Told, in a line each, what is unwise about where the key lies.

    Raises:
        InputError: It is missing, no key, not that of the certificate, or not one that a kernel can verify.
    """
    if project.signing is None:
        return None
    path = project.signing.key
    if path is None:
        hint = f"name its file with signing.key in the settings, or with {SIGNING_KEY}"
        raise InputError("the key that signs the modules is not given", where=project.signing.certificate, hint=hint)
    _need_openssl()
    content = _read(path, "signing key")
    if not _PRIVATE.search(content):
        raise InputError("this is no private key in PEM", where=path, hint=_MAKE_ONE)
    _refuse_inputs(project, path)
    for warning in _unwise(project, path):
        warn(warning)
    der = _certificate(path, content, project.signing.certificate)
    encrypted = _ENCRYPTED.search(content) is not None
    _check_pair(path, der, project.signing.certificate or path, encrypted=encrypted)
    return _described(path, der, encrypted=encrypted)


def read_certificate(project: Project, *, warn: Callable[[str], object]) -> SigningKey | None:
    """What is public of the project's signing key, for a config that is only asked for: nothing is signed.

    The private key need not be there; where the certificate is not either, that is warned of, and None is returned.

    Raises:
        InputError: The certificate is none, or not one that a kernel can verify.
    """
    wanted = project.signing
    if wanted is None:
        return None
    path = wanted.certificate or wanted.key
    assert path is not None
    if wanted.certificate is None and not path.exists():
        warn(f"the signing key {path} is not there: whether this kernel can verify what it signs is not looked at")
        return None
    _need_openssl()
    der = _certificate(path, _read(path, "signing key"), wanted.certificate)
    _check_certificate(der, path)
    return _described(None, der, encrypted=False)


def _described(path: Path | None, der: bytes, *, encrypted: bool) -> SigningKey:
    pem = _to_pem(der)
    subject = _openssl("x509", "-noout", "-subject", "-nameopt", "RFC2253", input=pem).removeprefix("subject=").strip()
    return SigningKey(
        path=path, certificate=pem, sha256=hashlib.sha256(der).hexdigest(), subject=subject, encrypted=encrypted
    )


def _need_openssl() -> None:
    if shutil.which("openssl") is None:
        raise InputError("openssl is not installed, which reads the signing key", hint="apt-get install openssl")


def _read(path: Path, what: str) -> bytes:
    _refuse_others(path, what)
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT + 1)
    except OSError as error:
        hint = f"see signing in the settings, and {SIGNING_KEY} in the environment"
        raise InputError(f"the {what} cannot be read: {error.strerror}", where=path, hint=hint) from error
    if len(content) > _LIMIT:
        raise InputError(f"this is too large for a {what}", where=path, hint=_MAKE_ONE)
    return content


def _refuse_others(path: Path, what: str) -> None:
    """See that this is a file that can be read more than once, by other programs too: openssl and BuildKit do."""
    if any(part.startswith("pkcs11:") for part in path.parts) and not path.exists():
        hint = "name a PEM file: a key that cannot leave its token cannot sign in a build"
        raise InputError("keys in a token (PKCS #11) are not supported", where="signing.key", hint=hint)
    if path.is_relative_to("/dev/fd") or path.is_relative_to("/proc") or path.is_fifo():
        hint = "put it in a file, as in /dev/shm, that nobody else can read, and remove it after the build"
        raise InputError(
            f"the {what} is read more than once, and by other programs: here it cannot be", where=path, hint=hint
        )


def _refuse_inputs(project: Project, path: Path) -> None:
    """See that the key is in nothing that a build reads as a whole: it would be in a layer, or in a package."""
    settings, key = project.settings, path.resolve()
    folders = {"kernel.path": settings.kernel.path, "firmware.path": settings.firmware.path}
    folders |= {f"path of the module {module.name}": module.path for module in settings.modules}
    for name, folder in folders.items():
        if folder is not None and key.is_relative_to((project.root / folder).resolve()):
            raise InputError(f"the signing key lies in what {name} names", where=path, hint="move it elsewhere")
    if key in {each.resolve() for each in project.inputs.values()}:
        raise InputError("the signing key is an input of the build", where=path, hint="move it elsewhere")


def _unwise(project: Project, path: Path) -> Iterator[str]:
    if path.stat().st_mode & 0o044:
        yield f"the signing key {path} can be read by others: chmod 600 it"
    if path.resolve().is_relative_to(project.root):
        yield f"the signing key {path} lies in the project's folder: see that it is never committed or published"


def _certificate(key: Path, content: bytes, path: Path | None) -> bytes:
    """The certificate, in DER: the first of its own file, else of the key's."""
    if path is not None:
        content = _read(path, "certificate")
        if content[:1] == bytes([SEQUENCE]):
            return content
    if found := _CERTIFICATE.search(content):
        try:
            return _to_der(found[0].decode("ascii"))
        except ValueError:
            raise InputError("the certificate is damaged", where=path or key, hint="get it again") from None
    if path is not None:
        raise InputError("this is no certificate (PEM or DER)", where=path, hint=_MAKE_ONE)
    hint = "put the certificate behind the key, as in certs/signing_key.pem, or name it with signing.certificate"
    raise InputError("the signing key's file holds no certificate", where=key, hint=hint)


def _check_certificate(der: bytes, certificate: Path) -> bytes:
    """The public key (DER), once it is one that a kernel can verify, in a certificate that is good now."""
    pem = _to_pem(der)
    public = _openssl("x509", "-noout", "-pubkey", input=pem)
    if not public:
        raise InputError("the certificate cannot be read by openssl", where=certificate, hint="get it again")
    if not _openssl("x509", "-noout", "-checkend", "0", input=pem):
        date = _openssl("x509", "-noout", "-enddate", input=pem).strip().partition("=")[2]
        hint = "give the key a new certificate: openssl req -new -x509 -key FILE -days 36500"
        raise InputError(f"the certificate has expired ({date})", where=certificate, hint=hint)
    date = _openssl("x509", "-noout", "-startdate", input=pem).strip().partition("=")[2]
    if _seconds(date) > time.time():
        hint = "see that the clock is right, and give the key a certificate that is valid now"
        raise InputError(f"the certificate is not valid yet (from {date})", where=certificate, hint=hint)
    found = _der(public)
    _check_algorithm(found, certificate)
    _check_form(der, certificate)
    return found


def _check_form(der: bytes, certificate: Path) -> None:
    """See that this is one certificate and no more, with a signature that kernels can read (RFC 5280, 4.1)."""
    value = read_value(der)
    if more := len(der) - len(value.whole):
        what = f"the certificate is followed by {more} bytes that are no part of it"
        raise InputError(what, where=certificate, hint="write it anew: openssl x509 -in FILE -out NEW")
    _, algorithm, *_ = values(value.content)
    if next(values(algorithm.content)).content not in _SIGNATURES:
        what = "the certificate's own signature is of a kind that kernels do not read: they would not load it"
        hint = "have it signed with RSA (PKCS #1 v1.5, not PSS) or ECDSA, and with SHA-2"
        raise InputError(what, where=certificate, hint=hint)


def _check_pair(key: Path, der: bytes, certificate: Path, *, encrypted: bool) -> None:
    """See that key and certificate belong together, and that a kernel can verify what they sign."""
    public = _check_certificate(der, certificate)
    # Without -passin openssl would ask; an empty passphrase opens no key that has one.
    own = _openssl("pkey", "-in", key, "-pubout", "-passin", f"env:{PIN}", env={PIN: os.environ.get(PIN, "")})
    if not own:
        if encrypted:
            what = (
                "does not open the signing key" if os.environ.get(PIN) else "is not set, and the key has a passphrase"
            )
            raise InputError(f"{PIN} {what}", where=key, hint=f"set {PIN} to the key's passphrase")
        raise InputError("the signing key cannot be read by openssl", where=key, hint=_MAKE_ONE)
    if _der(own) != public:
        where = "" if certificate == key else f" {certificate}"
        hint = "give the certificate of this very key"
        raise InputError(f"the signing key and its certificate{where} do not belong together", where=key, hint=hint)


def _check_algorithm(public: bytes, certificate: Path) -> None:
    """See that the kernel knows keys of this kind (RFC 5280, 4.1: SubjectPublicKeyInfo)."""
    algorithm, key = list(values(read_value(public).content))
    (kind, *parameters) = values(algorithm.content)
    if kind.tag == OID and kind.content == _EC:
        if not parameters or parameters[0].tag != OID or parameters[0].content not in _CURVES.values():
            what = f"the ECDSA key is on none of the curves that kernels verify: {', '.join(_CURVES)}"
            raise InputError(what, where=certificate, hint=_MAKE_ONE)
        return
    if kind.tag != OID or kind.content != _RSA:
        what = "the key is neither RSA nor ECDSA: kernels verify no others"
        raise InputError(what, where=certificate, hint=_MAKE_ONE)
    # A BIT STRING: one byte that says how many bits of the last are unused, then the modulus and the exponent.
    modulus = next(values(read_value(key.content[1:]).content))
    bits = int.from_bytes(modulus.content, "big").bit_length() if modulus.tag == INTEGER else 0
    if bits not in _RSA_BITS:
        what = f"the RSA key has {bits} bits; kernels verify {', '.join(map(str, _RSA_BITS))}"
        raise InputError(what, where=certificate, hint=_MAKE_ONE)


def _der(pem: str) -> bytes:
    return _to_der(
        pem.strip().replace("BEGIN PUBLIC KEY", "BEGIN CERTIFICATE").replace("END PUBLIC KEY", "END CERTIFICATE")
    )


def _to_pem(der: bytes) -> str:
    import ssl  # noqa: PLC0415 - takes longer to import than most builds, which sign nothing, have for it

    return ssl.DER_cert_to_PEM_cert(der)


def _to_der(pem: str) -> bytes:
    import ssl  # noqa: PLC0415 - see _to_pem

    return ssl.PEM_cert_to_DER_cert(pem)


def _seconds(date: str) -> int:
    import ssl  # noqa: PLC0415 - see _to_pem

    return ssl.cert_time_to_seconds(date)


def _openssl(*words: str | Path, input: str = "", env: dict[str, str] | None = None) -> str:
    """What openssl prints; empty when it fails."""
    done = run(["openssl", *words], input=input.encode(), env=env, check=False, timeout=60, error=InputError)
    return (done.stdout or "ok") if done.returncode == 0 else ""
