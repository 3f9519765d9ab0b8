"""Whether somebody who is trusted has signed a release: what `rosk verify` and `rosk pull` ask."""

from __future__ import annotations

import base64
import binascii
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from builder.errors import InputError, VerifyError
from builder.inputs.openpgp import binary_keys, good_signers
from builder.process import run
from builder.release import SIGNATURES, SUMS
from builder.trust.signing import NAMESPACE

LARGEST = 4 << 20
"""Bytes that no list of checksums, signature or public key has."""
PROGRAMS = {"minisign": "minisign", "ssh": "ssh-keygen", "gpg": "gpgv", "cosign": "cosign"}
"""What checks the signatures of each method."""
_SSH_KEY = re.compile(r"(?:ssh-[a-z0-9-]+|ecdsa-sha2-\S+|sk-\S+)\s+AAAA[A-Za-z0-9+/]+={0,3}")
_SECRETS = (b"PRIVATE KEY", b"encrypted secret key", b"ENCRYPTED SIGSTORE", b"ENCRYPTED COSIGN")
_KEY_HINT = "keys are files, relative to the project's folder: see trust.keys in the settings, or give --key"


class ProgramMissing(VerifyError):
    """What checks a signature is not on this machine: `program`."""

    def __init__(self, program: str) -> None:
        super().__init__(f"{program}, which checks the signature, is not installed", hint=f"install {program}")
        self.program = program


def is_signed(folder: Path) -> bool:
    """Whether there is a signature of any method, good or not, beside the release in a folder."""
    return any((folder / name).is_file() for name in SIGNATURES.values())


def check_signature(folder: Path, keys: Sequence[Path]) -> str:
    """See that a trusted key has signed SHA256SUMS of a release. Whether the files are what that says is not looked at.

    Args:
        folder: With SHA256SUMS and its signatures in it.
        keys: Files of public keys, of any method; one good signature by one of them will do.

    Returns:
        Who has signed, for people.

    Raises:
        VerifyError: Nobody who is trusted; its details say what is wrong with each signature.
        ProgramMissing: That could not be found out.
        InputError: A key cannot be used.
    """
    by_method: dict[str, list[Path]] = {}
    for key in keys:
        by_method.setdefault(_method_of(key), []).append(key)
    found = [(method, folder / name) for method, name in SIGNATURES.items() if (folder / name).is_file()]
    if not (folder / SUMS).is_file() or not found:
        raise VerifyError("it is not signed", where=folder, hint="get the signature from whoever made the release")
    wrong: list[str] = []
    missing: ProgramMissing | None = None
    for method, signature in found:
        if method not in by_method:
            wrong.append(f"{signature.name}: no trusted key is one of {method}")
        for key in by_method.get(method, ()):
            try:
                return f"{signature.name}: good, by {_signer(method, key, folder / SUMS, signature)}"
            except ProgramMissing as error:
                missing = error
            except VerifyError as error:
                wrong.append(f"{signature.name}: {key.name}: {error.what}")
    if missing:
        raise missing
    raise VerifyError(
        "no trusted key has signed it", where=folder, details=wrong, hint="do not use it; ask who made it for the key"
    )


def _method_of(key: Path) -> str:
    """Which method a file of public keys is for.

    Raises:
        InputError: It is none, or holds a private key.
    """
    data = _read(key)
    if any(word in data for word in _SECRETS):
        raise InputError("this is a private key", where=key, hint="give the public one, and keep this one to yourself")
    if data.startswith(b"untrusted comment:") and _is_minisign(data):
        return "minisign"
    if b"-----BEGIN PGP PUBLIC KEY BLOCK-----" in data or (data and data[0] & 0x80):
        return "gpg"
    if b"-----BEGIN PUBLIC KEY-----" in data:
        return "cosign"
    if _SSH_KEY.search(data.decode(errors="replace")):
        return "ssh"
    raise InputError("this is no public key of minisign, OpenSSH, OpenPGP or cosign", where=key, hint=_KEY_HINT)


def _is_minisign(data: bytes) -> bool:
    """Whether the second line is a public key of minisign: `Ed`, its ID and the key, 42 bytes in base64."""
    lines = data.splitlines()
    try:
        key = base64.b64decode(lines[1], validate=True)
    except (IndexError, binascii.Error):
        return False
    return len(key) == 42 and key.startswith(b"Ed")


def _read(path: Path) -> bytes:
    """A small file.

    Raises:
        InputError: It cannot be read, or is no small file.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}", where=path, hint=_KEY_HINT) from error
    if len(data) > LARGEST:
        raise InputError(f"it is larger than {LARGEST >> 20} MiB", where=path, hint=_KEY_HINT)
    return data


def _signer(method: str, key: Path, sums: Path, signature: Path) -> str:
    """Who of a key's file has made a good signature.

    Raises:
        VerifyError: Nobody; `what` is what the program said.
        ProgramMissing: There is no such program.
    """
    if shutil.which(PROGRAMS[method]) is None:
        raise ProgramMissing(PROGRAMS[method])
    with tempfile.TemporaryDirectory(prefix="rosk-signature-") as name:
        work = Path(name)
        # Copies: names in a release are anybody's, and what is read once cannot change meanwhile.
        (work / SUMS).write_bytes(_read(sums))
        (work / signature.name).write_bytes(_read(signature))
        check = {"minisign": _minisign, "ssh": _ssh, "gpg": _gpg, "cosign": _cosign}[method]
        return check(key.resolve(), work / SUMS, work / signature.name)


def _minisign(key: Path, sums: Path, signature: Path) -> str:
    _checked(["minisign", "-V", "-p", key, "-x", signature, "-m", sums])
    return f"the minisign key {key.name}"


def _ssh(key: Path, sums: Path, signature: Path) -> str:
    allowed = sums.with_name("allowed_signers")
    allowed.write_text("".join(f"{_allowed(line)}\n" for line in _read(key).decode(errors="replace").splitlines()))
    # Whom the file has for this key comes first: its names may be patterns.
    found = _checked(["ssh-keygen", "-Y", "find-principals", "-s", signature, "-f", allowed]).splitlines()
    if not found:
        raise VerifyError("the file has nobody with the key that signed")
    verify: list[str | Path] = ["ssh-keygen", "-Y", "verify", "-n", NAMESPACE, "-I", found[0], "-f", allowed]
    _checked([*verify, "-s", signature], sums.read_bytes())
    return f"the SSH key of {found[0]} in {key.name}"


def _allowed(line: str) -> str:
    """A line of allowed_signers (ssh-keygen(1)); of a plain public key, the one that lets it sign releases."""
    return f'"{NAMESPACE}" namespaces="{NAMESPACE}" {line.strip()}' if _SSH_KEY.match(line.strip()) else line


def _gpg(key: Path, sums: Path, signature: Path) -> str:
    ring = sums.with_name("keyring.pgp")
    ring.write_bytes(binary_keys(key, _KEY_HINT))
    status = _checked(["gpgv", "--homedir", sums.parent, "--status-fd", "1", "--keyring", ring, signature, sums])
    signers = good_signers(status)
    if not signers:
        raise VerifyError("the signing key has expired or was revoked")
    return f"the OpenPGP key {', '.join(sorted(signers))}"


def _cosign(key: Path, sums: Path, signature: Path) -> str:
    # The key itself is trusted: what a public log says of it adds nothing, and would need a network.
    _checked(["cosign", "verify-blob", "--key", key, "--insecure-ignore-tlog=true", "--bundle", signature, sums])
    return f"the cosign key {key.name}"


def _checked(argv: Sequence[str | Path], input: bytes | None = None) -> str:
    """What a program prints that finds the signature good.

    Raises:
        VerifyError: It does not; `what` is its last line.
    """
    done = run(argv, input=input, check=False, timeout=60, error=VerifyError)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or [f"exit code {done.returncode}"]
        raise VerifyError(f"the signature is not good: {said[-1]}")
    return done.stdout
