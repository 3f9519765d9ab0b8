"""Releases of kernel.org: where a tarball is, and what its checksum must be.

The checksum of a release that is pinned nowhere comes from `sha256sums.asc` beside the tarball, which kernel.org's
checksum autosigner signs (https://www.kernel.org/signature.html).
"""

from __future__ import annotations

import itertools
import re
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from builder.errors import FetchError, InputError
from builder.inputs.fetch import PATIENCE, MirrorError, Patience, mirrors_failed, read
from builder.inputs.openpgp import binary_keys, good_signers
from builder.inputs.pins import TARBALLS
from builder.inputs.store import cache_errors, write_atomically
from builder.process import run

AUTOSIGNER = "B8868C80BA62A1FFFAF5FDA9632D3A06589DA6B1"
"""Fingerprint of the key that signs kernel.org's lists of checksums."""

MIRRORS = tuple(f"https://{host}.kernel.org/pub/linux/kernel" for host in ("cdn", "mirrors.edge", "www"))
"""kernel.org's own hosts of its folder pub/linux/kernel."""

KEY_URLS = (
    "https://openpgpkey.kernel.org/.well-known/openpgpkey/kernel.org/hu/ew8uiogxwri7d3fuioqgt7u1d5sngorx?l=autosigner",
    "https://kernel.org/.well-known/openpgpkey/hu/ew8uiogxwri7d3fuioqgt7u1d5sngorx?l=autosigner",
)
"""The key of autosigner@kernel.org in kernel.org's web key directory: the advanced and the direct method of
draft-koch-openpgp-webkey-service-19, section 3.1 (the last part is the SHA-1 of `autosigner` in Z-Base-32)."""

VERSION = re.compile(r"([3-9]|[1-9]\d+)\.\d+(\.[1-9]\d*)?")
"""A release that kernel.org has as linux-RELEASE.tar.xz: 3.0 or later, no release candidate."""

_PIN_HINT = "or pin the checksum: kernel.sha256 in the settings"


class Release(NamedTuple):
    """A release's tarball.

    Attributes:
        urls: Its address on each mirror, in the order to try them.
        sha256: Its checksum.
    """

    urls: tuple[str, ...]
    sha256: str


def resolve(
    version: str,
    *,
    sha256: str | None,
    mirrors: Sequence[str],
    keys: Collection[str],
    keyring: Path | None,
    cache: Path,
    patience: Patience = PATIENCE,
    key_urls: Sequence[str] = KEY_URLS,
) -> Release:
    """Find a release and its checksum: the one given, else rosk's table, else the mirrors' signed list.

    Args:
        version: Such as `6.12.64`.
        sha256: The checksum, when the settings pin it.
        mirrors: Addresses of `pub/linux/kernel`, in the order to try them.
        keys: Fingerprints of the (primary) keys whose signature counts.
        keyring: A file with these public keys, binary or armoured; the web key directory is asked when None.
        cache: The folder that keeps signed lists and the directory's key.

    Raises:
        InputError: There is no such version; the keyring cannot be read.
        FetchError: No mirror gave a list with a good signature.
    """
    if not VERSION.fullmatch(version):
        hint = "give a release such as 6.12.64 or 6.12; for others, use kernel source tarball or tree"
        raise InputError(f"{version!r} is not a release of kernel.org", hint=hint)
    folder, name = f"v{version.split('.', 1)[0]}.x", tarball_name(version)
    roots = [f"{mirror.rstrip('/')}/{folder}" for mirror in mirrors]
    checksum = sha256 or TARBALLS.get(version)
    if checksum is None:
        signer = _Signer(keys=keys, keyring=keyring, kept=cache / "kernel.org" / "autosigner.pgp", urls=key_urls)
        with cache_errors(cache):
            checksum = _signed_checksum(version, roots, cache / "kernel.org" / f"{folder}.asc", signer, patience)
    return Release(tuple(f"{root}/{name}" for root in roots), checksum.lower())


def tarball_name(version: str) -> str:
    """The name of a release's tarball, `linux-6.12.64.tar.xz`."""
    return f"linux-{version}.tar.xz"


def _signed_checksum(version: str, roots: Sequence[str], kept: Path, signer: _Signer, patience: Patience) -> str:
    """The checksum from the list that was kept, or else from the first mirror whose list has the version."""
    name = tarball_name(version)
    if kept.is_file() and signer.has_key():
        # A release's checksum never changes, so an old list that has it will do, and needs no network.
        try:
            return _checksums(signer.signed_text(kept.read_bytes()))[name]
        except (MirrorError, KeyError):
            pass
    known: dict[str, str] = {}
    failures: list[tuple[str, MirrorError]] = []
    key_is_new = False
    for root in roots:
        url = f"{root}/sha256sums.asc"
        try:
            data = read(url, patience=patience)
            if not key_is_new:
                signer.get_key(patience)
                key_is_new = True
            known |= _checksums(signer.signed_text(data))
        except MirrorError as failure:
            failures.append((url, failure))
        else:
            write_atomically(kept, data)
        if name in known:
            return known[name]
    if known or all(failure.kind == "missing" for _, failure in failures):
        raise _unknown_version(version, known)
    raise mirrors_failed("sha256sums.asc", failures)


def _checksums(text: str) -> dict[str, str]:
    """File name to checksum, from the lines of `sha256sum`."""
    return {name: digest for digest, name in re.findall(r"^([0-9a-f]{64})  (\S+)$", text, re.M)}


def _unknown_version(version: str, names: Iterable[str]) -> InputError:
    """The error for a version that no list has; it names the latest of its series, else of the other series."""
    found = (re.fullmatch(r"linux-([\d.]+)\.tar\.xz", name) for name in names)
    releases = sorted((_numbers(match[1]) for match in found if match and VERSION.fullmatch(match[1])), reverse=True)
    near = [release for release in releases if release[:2] == _numbers(version)[:2]]
    if not near:
        near = [next(series) for _, series in itertools.groupby(releases, key=lambda release: release[:2])]
    shown = [".".join(map(str, release)) for release in near[:5]]
    hint = f"the latest are {', '.join(shown)}" if shown else "kernel.org has no such series; look at its front page"
    return InputError(f"unknown kernel version {version}", where="kernel.org", hint=hint)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


@dataclass(frozen=True, kw_only=True)
class _Signer:
    """Whose signature on a list of checksums counts.

    Attributes:
        keys: Fingerprints of primary keys.
        keyring: The user's file of public keys, if there is one.
        kept: The file that keeps the key from `urls` otherwise.
    """

    keys: Collection[str]
    keyring: Path | None
    kept: Path
    urls: Sequence[str]

    def has_key(self) -> bool:
        """Whether a signature can be checked without a network."""
        return self.keyring is not None or self.kept.is_file()

    def get_key(self, patience: Patience) -> None:
        """Bring the kept key up to date; the old one does when it cannot be fetched.

        Raises:
            FetchError: There is no key at all.
        """
        if self.keyring is not None:
            return
        failures: list[tuple[str, MirrorError]] = []
        for url in self.urls:
            try:
                write_atomically(self.kept, read(url, patience=patience))
            except MirrorError as failure:
                failures.append((url, failure))
            else:
                return
        if not self.kept.is_file():
            raise FetchError(
                "could not fetch the key that signs kernel.org's checksums",
                hint=f"give the key in kernel.keyring, {_PIN_HINT}",
                details=[f"{url}: {failure}" for url, failure in failures],
            )

    def signed_text(self, data: bytes) -> str:
        """What a clearsigned message says: only the text that the signature covers.

        Raises:
            MirrorError: It is not signed, or not by these keys, or its signature is bad.
            FetchError: There is no gpgv.
        """
        if b"-----BEGIN PGP SIGNED MESSAGE-----" not in data:
            raise MirrorError("signature", "it is not signed")
        with tempfile.TemporaryDirectory(prefix="rosk-") as name:
            folder = Path(name)
            message, text, ring = folder / "message", folder / "text", folder / "keyring.pgp"
            message.write_bytes(data)
            hint = "kernel.keyring is relative to the project's folder"
            ring.write_bytes(binary_keys(self.keyring or self.kept, hint))
            done = run(
                ["gpgv", "--homedir", folder, "--status-fd", "1", "--keyring", ring, "--output", text, message],
                check=False,
                error=FetchError,
                hint=f"install gpgv, {_PIN_HINT}",
            )
            signers = good_signers(done.stdout)
            if done.returncode != 0:
                said = done.stderr.strip().splitlines() or ["gpgv says nothing"]
                raise MirrorError("signature", f"the signature is not good: {said[-1].removeprefix('gpgv: ')}")
            if not signers:
                raise MirrorError("signature", "the signing key has expired or was revoked")
            if not signers <= {key.upper() for key in self.keys}:
                raise MirrorError("signature", f"signed by {', '.join(sorted(signers))}, not by kernel.signing_keys")
            return text.read_text(errors="replace")
