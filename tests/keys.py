"""Keys that sign modules, made by openssl for the tests that use them."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

from builder.verify.modulesignature import MARK, read_signature

PASSPHRASE = "correct-horse-battery-staple-7461"
RSA = ("rsa:2048",)
EC = ("ec", "-pkeyopt", "ec_paramgen_curve:secp384r1")


def openssl(*words: str | Path, **env: str) -> str:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, env={**os.environ, **env})
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_key(path: Path, *kind: str, passphrase: str = "", days: int = 3650) -> Path:
    """Write a key with its certificate into one PEM file, as certs/signing_key.pem has them."""
    secret = ("-passout", f"pass:{passphrase}") if passphrase else ("-nodes",)
    certificate = path.with_name(f"{path.name}.crt")
    subject = ("-subj", f"/CN=modules of {path.stem}", "-days", str(days))
    openssl("req", "-new", "-x509", "-newkey", *(kind or RSA), *secret, *subject, "-keyout", path, "-out", certificate)
    path.write_text(path.read_text() + certificate.read_text())
    path.chmod(0o600)
    return path


def sign(module: bytes, key: Path, certificate: Path, *more: str) -> bytes:
    """A module with its signature at its end."""
    argv = ["openssl", "cms", "-sign", "-binary", "-nocerts", "-noattr", "-nosmimecap", "-md", "sha256", *more]
    argv += ["-outform", "DER", "-signer", str(certificate), "-inkey", str(key)]
    message = subprocess.run(argv, input=module, check=True, capture_output=True).stdout
    return module + message + struct.pack(">5B3xI", 0, 0, 2, 0, 0, len(message)) + MARK


def secrets_of(key: Path) -> list[bytes]:
    """What must come out nowhere: lines of the private key, and its passphrase."""
    private = key.read_text().partition("-----BEGIN CERTIFICATE-----")[0]
    lines = [line for line in private.splitlines() if len(line) > 40 and "PRIVATE KEY" not in line]
    assert len(lines) > 5
    return [line.encode() for line in (lines[0], lines[len(lines) // 2], lines[-2], PASSPHRASE)]


def verifies(module: bytes, certificate: Path, folder: Path) -> bool:
    """Whether a module's signature is of what stands before it, by the certificate's key, as a kernel sees it.

    Args:
        folder: A folder to work in.
    """
    signature = read_signature(module)
    assert signature is not None
    (folder / "plain").write_bytes(module[: signature.size])
    (folder / "message").write_bytes(signature.message)
    argv: list[str | Path] = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", folder / "message"]
    argv += ["-content", folder / "plain", "-certfile", certificate, "-nointern", "-noverify", "-out", "/dev/null"]
    return subprocess.run(argv, capture_output=True).returncode == 0
