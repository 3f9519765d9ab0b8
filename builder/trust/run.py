"""`rosk sign`, and which keys a project trusts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from builder.errors import InputError, VerifyError
from builder.project import SETTINGS_FILE
from builder.settings import Sign, load_settings
from builder.settings.trust import Method
from builder.trust.check import is_signed
from builder.trust.signing import sign_release
from builder.verify.run import examine


def trusted_keys(root: Path, given: Sequence[Path]) -> tuple[Path, ...]:
    """The files of public keys that count: those given on the command line, else the ones of a project's settings.

    Args:
        root: A folder that may be a project's.

    Raises:
        InputError: The settings are wrong.
    """
    if given or not (root / SETTINGS_FILE).is_file():
        return tuple(given)
    return tuple(root / key.expanduser() for key in load_settings(root / SETTINGS_FILE).trust.keys)


def required_keys(root: Path, folder: Path, given: Sequence[Path], *, allow_unsigned: bool) -> tuple[Path, ...]:
    """The keys of which one must have signed the release in `folder`; none where it may go unsigned, and is."""
    return () if allow_unsigned and not is_signed(folder) else trusted_keys(root, given)


def run_sign(root: Path, dist: Path, *, method: Method | None, key: str | None) -> Path:
    """Sign the release in `dist`, once its files are those that are signed, and return the signature's file.

    Args:
        root: The project's folder; its settings say how, unless method and key do.

    Raises:
        InputError: It is not said how to sign; see also `sign_release`.
        VerifyError: The release is damaged: it is not signed.
    """
    if method and key:
        sign, base = Sign(method=method, key=key), Path()
    elif method or key:
        raise InputError("a method and a key belong together", hint="give both --method and --key, or neither")
    else:
        sign, base = load_settings(root / SETTINGS_FILE).sign, root
        if sign.method is None:
            raise InputError(
                "it is not said what to sign with",
                where=root / SETTINGS_FILE,
                hint="write `sign:` with `method:` and `key:` into the settings, or give --method and --key",
            )
    for result in examine(dist, cheap=True, only=("checksums",)).failed:
        raise VerifyError(
            f"it is not signed, for it is damaged: {result.finding.saw}",
            where=dist,
            details=result.finding.details,
            hint="build the release again",
        )
    return sign_release(sign, base.resolve(), dist)
