"""What a kernel's config says of the signatures of its modules, and has to say where the project's key signs them.

The options: kernel/module/Kconfig and certs/Kconfig; what becomes of them: certs/Makefile, scripts/Makefile.modinst and
Documentation/admin-guide/module-signing.rst.
"""

from __future__ import annotations

import base64
import binascii
import shutil
from collections.abc import Mapping
from pathlib import Path

from builder.stages.common import StageError

IN_TREE = "certs/rosk-modules.pem"
"""Where the certificate lies in the patched source. kbuild takes from CONFIG_MODULE_SIG_KEY's file the certificate for
the kernel's own ring of trusted keys, and needs the private key only to sign."""
KEY = "MODULE_SIG_KEY"
_GENERATED = '"certs/signing_key.pem"'
VERIFIERS = ("kernel/module/signing.c", "kernel/module_signing.c")
"""Where a tree verifies modules; the second is the file's place before Linux 5.19."""
PARSER = "crypto/asymmetric_keys/x509_cert_parser.c"
"""Where a tree reads certificates, and refuses those of curves that it does not know."""
_P521 = bytes.fromhex("06052b81040023")
"""The object identifier secp521r1 (RFC 5480, 2.1.1.1), in DER."""
_EC_KEY = bytes.fromhex("06072a8648ce3d0201")
"""The object identifier id-ecPublicKey (RFC 5480, 2.1.1), in DER."""


def own_options(*, signing: bool) -> dict[str, str]:
    """The options that the build decides, not a file: name (without `CONFIG_`) to value."""
    return {KEY: f'"{IN_TREE}"'} if signing else {}


def signs(config: str) -> bool:
    """Whether the project's key signs the modules of a kernel with this .config, and not kbuild."""
    return f'CONFIG_{KEY}="{IN_TREE}"\n' in config


def check_options(values: Mapping[str, str], *, signing: bool, certificate: Path, tree: Path, where: str) -> None:
    """See that the kernel will trust what is signed for it.

    Args:
        values: The options of a complete .config, by name.
        tree: The kernel's source.
        signing: The project has a key.
        certificate: Its certificate (PEM); need not exist.
        where: The config's name in the build context.

    Raises:
        StageError: Signatures mean nothing to this kernel, or nobody can make them.
    """
    if signing and values.get("MODULE_SIG") != "y":
        raise StageError(
            "the project has a signing key, but CONFIG_MODULE_SIG is off: this kernel looks at no signature",
            hint="set CONFIG_MODULE_SIG=y, or take signing out of the settings (and ROSK_SIGNING_KEY)",
            where=where,
        )
    if signing and certificate.is_file() and is_ecdsa(certificate) and values.get("CRYPTO_ECDSA") != "y":
        raise StageError(
            "the signing key is an ECDSA key, and CONFIG_CRYPTO_ECDSA is not built in: this kernel cannot verify it",
            hint="set CONFIG_MODULE_SIG_KEY_TYPE_ECDSA=y, or use an RSA key",
            where=where,
        )
    if signing and certificate.is_file() and _P521 in _der(certificate) and not knows_p521(tree):
        raise StageError(
            "the signing key is on the curve P-521, which this kernel does not know: it would not load the certificate",
            hint="use a key on P-256 or P-384, an RSA key, or Linux 6.10 or newer",
            where=where,
        )
    if values.get("MODULE_SIG") == "y" and values.get("CRYPTO_SHA256") != "y" and bans_by_sha256(tree):
        raise StageError(
            "CONFIG_CRYPTO_SHA256 is not built in: with this source the kernel takes no signed module without it",
            hint="set CONFIG_CRYPTO_SHA256=y: the SHA-256 of a module is looked for among those that are banned",
            where=where,
        )
    if (
        not signing
        and values.get("MODULE_SIG") == "y"
        and values.get(KEY) == _GENERATED
        and not shutil.which("openssl")
    ):
        raise StageError(
            "CONFIG_MODULE_SIG=y needs a key, and none is given",
            hint="name one with signing.key in the settings; or let each build generate one that nobody can reproduce: "
            "add openssl to toolchain.packages",
            where=where,
        )


def bans_by_sha256(tree: Path) -> bool:
    """Whether a tree asks for the SHA-256 of each signed module, as Debian's does (features/all/db-mok-keyring).

    Where the kernel has no SHA-256, loading the module fails (ENOENT) before its signature is looked at.
    """
    files = [tree / name for name in VERIFIERS]
    return any(b'crypto_alloc_shash("sha256"' in file.read_bytes() for file in files if file.is_file())


def knows_p521(tree: Path) -> bool:
    """Whether a tree can verify keys on the curve P-521 (since Linux 6.10); one that does not tell can."""
    parser = tree / PARSER
    return not parser.is_file() or b"OID_id_ansip521r1" in parser.read_bytes()


def is_ecdsa(certificate: Path) -> bool:
    """Whether a certificate (PEM) is for an ECDSA key."""
    return _EC_KEY in _der(certificate)


def _der(certificate: Path) -> bytes:
    """A certificate (PEM) in DER; empty when it is none."""
    lines = certificate.read_text(errors="replace").split("-----")
    try:
        return base64.b64decode("".join(lines[2].split()))
    except (IndexError, binascii.Error):
        return b""
