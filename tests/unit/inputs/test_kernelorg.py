"""The resolver of kernel.org's releases, with real OpenPGP keys that sign real lists of checksums."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builder.errors import FetchError, InputError
from builder.inputs.fetch import Patience
from builder.inputs.kernelorg import MIRRORS, Release, resolve
from builder.inputs.pins import TARBALLS

from .conftest import Reply, Server

pytestmark = pytest.mark.host_programs

NAMES = [f"linux-{v}.tar.xz" for v in ("6.11", "6.11.2", "6.12", "6.12.9", "6.12.65", "6.13.1", "6.13-rc1")]
LIST = "".join(
    f"{index:064x}  {name}\n" for index, name in enumerate([*NAMES, "patch-6.12.66.xz", "ChangeLog-6.12.66"])
)
SUM = f"{NAMES.index('linux-6.12.65.tar.xz'):064x}"
SUMS = "/v6.x/sha256sums.asc"


@dataclass(frozen=True)
class Key:
    """A key pair of its own, in a folder of its own."""

    home: Path
    fingerprint: str

    @classmethod
    def make(cls, home: Path, *options: str, expire: str = "never") -> Key:
        user = "Checksums <sums@example.org>"
        _gpg(home, *options, "--passphrase", "", "--quick-gen-key", user, "ed25519", "sign", expire)
        return cls(home, re.findall(r"^fpr:+(\w+):", _gpg(home, "--with-colons", "--list-keys").decode(), re.M)[0])

    def sign(self, text: str, *options: str) -> bytes:
        return _gpg(self.home, *options, "--local-user", self.fingerprint, "--clear-sign", input=text.encode())

    def export(self, *options: str) -> bytes:
        return _gpg(self.home, *options, "--export")


def _gpg(home: Path, *words: str, input: bytes = b"") -> bytes:
    argv = ["gpg", "--homedir", str(home), "--batch", "--quiet", *words]
    return subprocess.run(argv, input=input, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def homes() -> Iterator[Path]:
    """A folder with a short name, since the agent of each key has a socket there."""
    folder = Path(tempfile.mkdtemp(prefix="rosk"))
    yield folder
    for home in folder.iterdir():
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], check=True)
    shutil.rmtree(folder)


def _home(homes: Path, name: str) -> Path:
    (homes / name).mkdir(mode=0o700)
    return homes / name


@pytest.fixture(scope="module")
def key(homes: Path) -> Key:
    return Key.make(_home(homes, "key"))


@pytest.fixture(scope="module")
def stranger(homes: Path) -> Key:
    return Key.make(_home(homes, "stranger"))


@pytest.fixture
def keyring(key: Key, tmp_path: Path) -> Path:
    path = tmp_path / "keyring.pgp"
    path.write_bytes(key.export())
    return path


@pytest.fixture
def find(server: Server, tmp_path: Path, patience: Patience, key: Key, keyring: Path) -> Any:
    """`resolve` with the server's folders as mirrors."""

    def call(version: str, *mirrors: str, **further: Any) -> Release:
        arguments: dict[str, Any] = {
            "sha256": None,
            "mirrors": [server.url(mirror) for mirror in mirrors or ("",)],
            "keys": [key.fingerprint],
            "keyring": keyring,
            "cache": tmp_path / "cache",
            "patience": patience,
            **further,
        }
        return resolve(version, **arguments)

    return call


@pytest.mark.parametrize(("version", "folder"), [("4.4.104", "v4.x"), ("6.12.64", "v6.x"), ("5.10.247", "v5.x")])
def test_a_pinned_release_needs_no_network(find: Any, server: Server, version: str, folder: str) -> None:
    urls, sha256 = find(version, mirrors=[*MIRRORS, "http://mirror.example/kernel/"])
    assert urls == (
        f"https://cdn.kernel.org/pub/linux/kernel/{folder}/linux-{version}.tar.xz",
        f"https://mirrors.edge.kernel.org/pub/linux/kernel/{folder}/linux-{version}.tar.xz",
        f"https://www.kernel.org/pub/linux/kernel/{folder}/linux-{version}.tar.xz",
        f"http://mirror.example/kernel/{folder}/linux-{version}.tar.xz",
    )
    assert sha256 == TARBALLS[version]
    assert server.requests == []


def test_the_pins_are_checksums_of_releases() -> None:
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in TARBALLS.values())
    assert len(set(TARBALLS.values())) == len(TARBALLS)


def test_the_checksum_of_the_settings_wins(find: Any) -> None:
    assert find("6.12.64", sha256="AB" * 32).sha256 == "ab" * 32


@pytest.mark.parametrize(
    "version", ["6.13-rc1", "6.12.0", "2.6.39.4", "6", "v6.12", "6.12.64-rosk", "../6.12", "", "6.1\n"]
)
def test_no_version_of_kernel_org(find: Any, version: str) -> None:
    with pytest.raises(InputError, match="is not a release of") as caught:
        find(version)
    assert "such as 6.12.64" in caught.value.hint


def test_the_signed_list_has_the_checksum(find: Any, server: Server, key: Key) -> None:
    server.replies[SUMS] = [Reply(body=key.sign(LIST))]
    assert find("6.12.65") == ((server.url("/v6.x/linux-6.12.65.tar.xz"),), SUM)


def test_a_list_that_was_kept_needs_no_network(find: Any, server: Server, key: Key) -> None:
    server.replies[SUMS] = [Reply(body=key.sign(LIST))]
    find("6.12.65")
    server.replies.clear()
    assert find("6.12.65").sha256 == SUM
    assert len(server.requests) == 1


def test_a_kept_list_is_verified_again(find: Any, server: Server, key: Key, stranger: Key, tmp_path: Path) -> None:
    kept = tmp_path / "cache/kernel.org/v6.x.asc"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(stranger.sign(LIST.replace(SUM, "f" * 64)))
    server.replies[SUMS] = [Reply(body=key.sign(LIST))]
    assert find("6.12.65").sha256 == SUM


def test_a_newer_release_than_the_kept_list_knows(find: Any, server: Server, key: Key) -> None:
    server.replies[SUMS] = [Reply(body=key.sign(LIST)), Reply(body=key.sign(f"{'e' * 64}  linux-6.12.66.tar.xz\n"))]
    find("6.12.65")
    assert find("6.12.66").sha256 == "e" * 64


def test_an_armoured_keyring(find: Any, server: Server, key: Key, stranger: Key, keyring: Path) -> None:
    keyring.write_bytes(b"My keys:\n" + stranger.export("--armor", "--comment", "c: d") + b"\n" + key.export("--armor"))
    server.replies[SUMS] = [Reply(body=key.sign(LIST))]
    assert find("6.12.65").sha256 == SUM
    keyring.write_bytes(keyring.read_bytes().replace(b"\n", b"\r\n"))
    assert find("6.12.65").sha256 == SUM


def test_the_key_comes_from_the_web_key_directory(find: Any, server: Server, key: Key) -> None:
    server.replies = {SUMS: [Reply(body=key.sign(LIST))], "/hu/direct?l=a": [Reply(body=key.export())]}
    urls = [server.url("/hu/advanced?l=a"), server.url("/hu/direct?l=a")]
    assert find("6.12.65", keyring=None, key_urls=urls).sha256 == SUM
    server.replies.clear()
    assert find("6.12.65", keyring=None, key_urls=urls).sha256 == SUM


def test_a_directory_that_is_down_leaves_the_key_from_before(find: Any, server: Server, key: Key) -> None:
    server.replies = {SUMS: [Reply(body=key.sign(LIST))], "/key": [Reply(body=key.export()), Reply(status=404)]}
    find("6.12.9", keyring=None, key_urls=[server.url("/key")])
    server.replies[SUMS] = [Reply(body=key.sign(f"{'e' * 64}  linux-6.12.66.tar.xz\n"))]
    assert find("6.12.66", keyring=None, key_urls=[server.url("/key")]).sha256 == "e" * 64


def test_a_directory_with_another_key_is_no_help(find: Any, server: Server, stranger: Key) -> None:
    server.replies = {SUMS: [Reply(body=stranger.sign(LIST))], "/key": [Reply(body=stranger.export())]}
    with pytest.raises(FetchError, match="the signature is not good") as caught:
        find("6.12.65", keyring=None, key_urls=[server.url("/key")])
    assert f"signed by {stranger.fingerprint}, not by kernel.signing_keys" in caught.value.details[0]


def test_no_key(find: Any, server: Server, key: Key) -> None:
    server.replies[SUMS] = [Reply(body=key.sign(LIST))]
    with pytest.raises(FetchError, match="could not fetch the key") as caught:
        find("6.12.65", keyring=None, key_urls=[server.url("/key")])
    assert "kernel.keyring" in caught.value.hint
    assert "kernel.sha256" in caught.value.hint
    assert caught.value.details == (f"{server.url('/key')}: HTTP 404 Not Found",)


def test_only_the_signed_text_counts(find: Any, server: Server, key: Key) -> None:
    signed, evil = key.sign(LIST), f"{'6' * 64}  linux-6.12.66.tar.xz\n".encode()
    server.replies[SUMS] = [Reply(body=evil + b"\n" + signed + b"\n" + evil)]
    with pytest.raises(InputError, match="unknown kernel version"):
        find("6.12.66")
    assert find("6.12.65").sha256 == SUM


@pytest.mark.parametrize("order", [1, -1])
def test_a_second_message_by_a_stranger_spoils_it(
    find: Any, server: Server, key: Key, stranger: Key, keyring: Path, order: int
) -> None:
    keyring.write_bytes(key.export() + stranger.export())
    both = [key.sign(LIST), stranger.sign(f"{'6' * 64}  linux-6.12.66.tar.xz\n")]
    server.replies[SUMS] = [Reply(body=b"\n".join(both[::order]))]
    with pytest.raises(FetchError, match="the signature is not good"):
        find("6.12.66")


def _tampered(signed: bytes) -> bytes:
    return signed.replace(SUM.encode(), b"f" * 64)


def test_a_list_that_was_changed(find: Any, server: Server, key: Key) -> None:
    server.replies[SUMS] = [Reply(body=_tampered(key.sign(LIST)))]
    with pytest.raises(FetchError) as caught:
        find("6.12.65")
    assert str(caught.value) == "could not fetch sha256sums.asc: the signature is not good"
    assert "BAD signature" in caught.value.details[0]
    assert "pin kernel.sha256" in caught.value.hint


def test_a_list_that_is_not_signed(find: Any, server: Server) -> None:
    server.replies[SUMS] = [Reply(body=LIST.encode())]
    with pytest.raises(FetchError, match="the signature is not good") as caught:
        find("6.12.65")
    assert caught.value.details == (f"{server.url(SUMS)}: it is not signed",)


def test_a_key_that_has_expired(find: Any, server: Server, homes: Path, keyring: Path) -> None:
    old = Key.make(_home(homes, "old"), "--faked-system-time", "20200101T000000", expire="1d")
    keyring.write_bytes(old.export())
    # That clock goes on: the key is of some seconds later, where making one takes long.
    server.replies[SUMS] = [Reply(body=old.sign(LIST, "--faked-system-time", "20200101T120000"))]
    with pytest.raises(FetchError, match="the signature is not good") as caught:
        find("6.12.65", keys=[old.fingerprint])
    assert "the signing key has expired" in caught.value.details[0]


def test_a_bad_mirror_gives_way_to_a_good_one(find: Any, server: Server, key: Key, stranger: Key) -> None:
    server.replies = {
        f"/html{SUMS}": [Reply(body=b"<html><body>moved</body></html>")],
        f"/tampered{SUMS}": [Reply(body=_tampered(key.sign(LIST)))],
        f"/stranger{SUMS}": [Reply(body=stranger.sign(LIST))],
        f"/old{SUMS}": [Reply(body=key.sign(f"{'a' * 64}  linux-6.12.tar.xz\n"))],
        f"/good{SUMS}": [Reply(status=503), Reply(body=key.sign(LIST))],
    }
    found = find("6.12.65", "/404", "/html", "/tampered", "/stranger", "/old", "/good")
    assert found.sha256 == SUM
    assert found.urls[-1] == server.url("/good/v6.x/linux-6.12.65.tar.xz")


def test_every_mirror_says_what_happened(find: Any, server: Server) -> None:
    server.replies = {f"/html{SUMS}": [Reply(body=b"<html>")], f"/500{SUMS}": [Reply(status=500)]}
    with pytest.raises(FetchError, match=r"could not fetch sha256sums\.asc") as caught:
        find("6.12.65", "/html", "/500", "/404")
    assert [line.split(": ")[1][:10] for line in caught.value.details] == ["a web page", "HTTP 500 I", "HTTP 404 N"]


def test_an_unknown_version_names_the_latest_of_its_series(find: Any, server: Server, key: Key) -> None:
    server.replies[SUMS] = [Reply(body=key.sign(LIST))]
    with pytest.raises(InputError) as caught:
        find("6.12.999")
    assert caught.value.what == "unknown kernel version 6.12.999"
    assert caught.value.hint == "the latest are 6.12.65, 6.12.9, 6.12"


def test_an_unknown_series_names_the_latest_of_the_others(find: Any, server: Server, key: Key) -> None:
    server.replies[SUMS] = [Reply(body=key.sign(LIST))]
    with pytest.raises(InputError) as caught:
        find("6.99")
    assert caught.value.hint == "the latest are 6.13.1, 6.12.65, 6.11.2"


def test_a_folder_that_kernel_org_does_not_have(find: Any) -> None:
    with pytest.raises(InputError, match=r"unknown kernel version 99\.1"):
        find("99.1", "/a", "/b")


def test_no_gpgv(find: Any, server: Server, key: Key, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server.replies[SUMS] = [Reply(body=key.sign(LIST))]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="gpgv is not installed") as caught:
        find("6.12.65")
    assert "kernel.sha256" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "the keyring cannot be read: No such file"),
        (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEY\n-----END PGP PUBLIC KEY BLOCK-----\n", "armour is damaged"),
    ],
)
def test_a_keyring_that_is_none(
    find: Any, server: Server, key: Key, keyring: Path, content: bytes | None, what: str
) -> None:
    keyring.unlink()
    if content is not None:
        keyring.write_bytes(content)
    server.replies[SUMS] = [Reply(body=key.sign(LIST))]
    with pytest.raises(InputError, match=what) as caught:
        find("6.12.65")
    assert caught.value.where == keyring
