"""Signs the checksums of a release with the user's key, by the user's own program: rosk never reads a private key."""

from __future__ import annotations

import tempfile
from pathlib import Path

from builder.errors import InputError
from builder.process import run_attached
from builder.release import SIGNATURES, SUMS, place_signature
from builder.settings import Sign

NAMESPACE = "rosk"
"""What an SSH signature is for (ssh-keygen(1), `-n`): one made for anything else does not count."""
_HINT = "the release is complete, but not signed: mend that, then run rosk sign"


def sign_release(sign: Sign, root: Path, dist: Path) -> Path:
    """Sign the release in `dist`; the program may ask for a passphrase on the terminal.

    Args:
        sign: With a method.
        root: What the key's path is relative to.

    Returns:
        The signature's file, beside SHA256SUMS.

    Raises:
        InputError: There is no release, no such key, or the program is missing, failed, or made no signature.
    """
    assert sign.method is not None and sign.key is not None
    key = _key(sign.method, sign.key, root)
    try:
        signed = (dist / SUMS).read_bytes()
    except OSError as error:
        hint = "build a release first, or name the folder of one"
        raise InputError(f"there is no {SUMS} to sign: {error.strerror}", where=dist, hint=hint) from error
    with tempfile.TemporaryDirectory(prefix="rosk-sign-") as folder:
        file, made = Path(folder, SUMS), Path(folder, SIGNATURES[sign.method])
        file.write_bytes(signed)
        run_attached(_argv(sign.method, key, sign.options, file, made), error=InputError, hint=_HINT)
        if not made.is_file():
            raise InputError(f"{sign.method} made no signature", hint="look at the options under sign: in the settings")
        return place_signature(dist, made.name, made.read_bytes(), signed=signed)


def sign_when_wanted(sign: Sign, root: Path, dist: Path) -> Path | None:
    """The signature of a release that was built: made now, or there already; None where the settings want none.

    Raises:
        InputError: See `sign_release`.
    """
    if sign.method is None:
        return None
    there = dist / SIGNATURES[sign.method]  # a new release removes those of the one before
    return there if there.is_file() else sign_release(sign, root, dist)


def _key(method: str, key: str, root: Path) -> str:
    """The key as its program wants it.

    Raises:
        InputError: There is no such file.
    """
    if method == "gpg" or (method == "cosign" and "://" in key):
        return key
    path = root / Path(key).expanduser()
    if not path.is_file():
        raise InputError("there is no such key", where=path, hint="see sign.key in the settings, or give --key")
    return str(path)


def _argv(method: str, key: str, options: tuple[str, ...], file: Path, made: Path) -> list[str | Path]:
    match method:
        case "minisign":
            return ["minisign", "-S", "-s", key, "-t", f"{SUMS} of a rosk release", *options, "-x", made, "-m", file]
        case "ssh":
            return ["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", key, *options, file]
        case "gpg":
            return ["gpg", "--armor", "--local-user", key, *options, "--output", made, "--detach-sign", file]
        case _:
            return ["cosign", "sign-blob", "--yes", "--key", key, *options, "--bundle", made, file]
