"""Signatures by the real programs, with keys of their own: made, found good, and not when anything is wrong."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builder import release
from builder.errors import InputError, VerifyError
from builder.process import run_attached
from builder.settings import Sign
from builder.trust import check, signing
from builder.trust.check import ProgramMissing, check_signature, is_signed
from builder.trust.run import run_sign, trusted_keys
from builder.verify.model import Status
from builder.verify.run import examine
from tests.conftest import ROOT
from tests.unit.trust.test_documents import build

pytestmark = pytest.mark.host_programs

METHODS = ("minisign", "ssh", "gpg")


def sh(*words: str | Path, **env: str) -> None:
    subprocess.run(words, check=True, capture_output=True, stdin=subprocess.DEVNULL, env={**os.environ, **env})


@dataclass(frozen=True)
class Key:
    """How to sign with a key, and the file of its public half."""

    sign: Sign
    public: Path


def make_key(method: str, folder: Path, gnupg: Path) -> Key:
    folder.mkdir(parents=True, exist_ok=True)
    secret, public = folder / f"{method}.key", folder / f"{method}.pub"
    if method == "minisign":
        sh("minisign", "-G", "-W", "-f", "-s", secret, "-p", public)
    elif method == "ssh":
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", secret)
        public = secret.with_suffix(".key.pub")
    else:
        user = f"{folder.name} <{folder.name}@example.org>"
        sh("gpg", "--batch", "--passphrase", "", "--quick-gen-key", user, "ed25519", "sign", GNUPGHOME=str(gnupg))
        sh("gpg", "--batch", "--armor", "--output", public, "--export", user, GNUPGHOME=str(gnupg))
        return Key(Sign(method="gpg", key=f"{folder.name}@example.org"), public)
    return Key(Sign.model_validate({"method": method, "key": str(secret)}), public)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Key]]:
    """A key of each method, and another of each (`other-ssh`)."""
    with tempfile.TemporaryDirectory(prefix="g") as gnupg:  # its agent's socket needs a short name
        Path(gnupg).chmod(0o700)
        folder = tmp_path_factory.mktemp("keys")
        os.environ["GNUPGHOME"] = gnupg
        try:
            yield {
                f"{prefix}{method}": make_key(method, folder / f"{prefix or 'own'}", Path(gnupg))
                for prefix in ("", "other-")
                for method in METHODS
            }
        finally:
            del os.environ["GNUPGHOME"]
            subprocess.run(["gpgconf", "--homedir", gnupg, "--kill", "all"], capture_output=True)


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    return build(tmp_path)


def sign(key: Key, dist: Path) -> Path:
    return signing.sign_release(key.sign, dist.parent, dist)


@pytest.mark.parametrize("method", METHODS)
def test_a_good_signature(keys: dict[str, Key], dist: Path, method: str) -> None:
    made = sign(keys[method], dist)
    assert made == dist / release.SIGNATURES[method]
    others = [keys[f"other-{other}"].public for other in METHODS]
    assert "good" in check_signature(dist, [*others, keys[method].public])
    assert not list(dist.parent.rglob("*.new"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("damage", ["other-key", "sums", "signature", "empty", "garbage", "gone", "no-key-of-it"])
def test_a_bad_one(keys: dict[str, Key], dist: Path, method: str, damage: str) -> None:
    made = sign(keys["other-" + method if damage == "other-key" else method], dist)
    trusted = [keys[method].public]
    if damage == "sums":
        (dist / release.SUMS).write_text((dist / release.SUMS).read_text().replace("a", "b", 1))
    elif damage == "signature":
        text = made.read_bytes()
        middle = len(text) // 2
        made.write_bytes(text[:middle] + (b"A" if text[middle : middle + 1] != b"A" else b"B") + text[middle + 1 :])
    elif damage in ("empty", "garbage"):
        made.write_bytes(b"" if damage == "empty" else b"\xff\x00 no signature")
    elif damage == "gone":
        made.unlink()
    elif damage == "no-key-of-it":
        trusted = [keys[other].public for other in METHODS if other != method]
    with pytest.raises(VerifyError) as caught:
        check_signature(dist, trusted)
    assert not isinstance(caught.value, ProgramMissing)


def test_a_signature_for_something_else(keys: dict[str, Key], dist: Path) -> None:
    """SSH keys sign mails and commits too: a signature of another namespace is none of a release."""
    made = dist / release.SIGNATURES["ssh"]
    sh("ssh-keygen", "-Y", "sign", "-n", "git", "-f", str(keys["ssh"].sign.key), dist / release.SUMS)
    assert made.is_file()
    with pytest.raises(VerifyError):
        check_signature(dist, [keys["ssh"].public])


def test_allowed_signers(keys: dict[str, Key], dist: Path, tmp_path: Path) -> None:
    sign(keys["ssh"], dist)
    line = " ".join(keys["ssh"].public.read_text().split()[:2])
    allowed = tmp_path / "allowed"
    allowed.write_text(f'# who may\njane@example.org,*@acme.org namespaces="rosk,git" {line}\n')
    assert "jane@example.org" in check_signature(dist, [allowed])
    allowed.write_text(f'jane@example.org namespaces="git" {line}\n')
    with pytest.raises(VerifyError):
        check_signature(dist, [allowed])


def test_the_keyring_without_armour(keys: dict[str, Key], dist: Path, tmp_path: Path) -> None:
    sign(keys["gpg"], dist)
    ring = tmp_path / "ring.pgp"
    sh("gpg", "--batch", "--output", ring, "--export", "own@example.org")
    assert "good" in check_signature(dist, [ring])


@pytest.mark.parametrize("method", METHODS)
def test_a_private_key_is_no_public_key(keys: dict[str, Key], dist: Path, tmp_path: Path, method: str) -> None:
    secret = tmp_path / "secret"
    if method == "gpg":
        sh("gpg", "--batch", "--armor", "--output", secret, "--export-secret-keys", "own@example.org")
    else:
        shutil.copyfile(str(keys[method].sign.key), secret)
    with pytest.raises(InputError, match="private key"):
        check_signature(dist, [secret])


@pytest.mark.parametrize("text", [None, "", "hello", "untrusted comment: x\nRWQ=\n"])
def test_a_file_that_is_no_key(dist: Path, tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "key"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as caught:
        check_signature(dist, [path])
    assert caught.value.where == path and caught.value.hint


def test_signing_fails(keys: dict[str, Key], dist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copyfile(keys["ssh"].public, tmp_path / "alone.pub")  # its private key is with no agent
    for key, what in (("no/such", "no such key"), ("alone.pub", "failed with exit code")):
        with pytest.raises(InputError, match=what) as caught:
            signing.sign_release(Sign(method="ssh", key=key), tmp_path, dist)
        assert caught.value.hint
    (tmp_path / "cosign.key").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="cosign is not installed"):
        signing.sign_release(Sign(method="cosign", key="cosign.key"), tmp_path, dist)
    assert not is_signed(dist)


def test_the_program_that_checks_is_missing(
    keys: dict[str, Key], dist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(keys["minisign"], dist)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProgramMissing, match="minisign"):
        check_signature(dist, [keys["minisign"].public])
    (result,) = examine(dist, cheap=True, only=["signature"], keys=[keys["minisign"].public]).results
    assert result.finding.status is Status.UNCHECKED


def test_the_check_of_rosk_verify(keys: dict[str, Key], dist: Path) -> None:
    def status(*trusted: Path) -> Status:
        (result,) = examine(dist, cheap=True, only=["signature"], keys=trusted).results
        return result.finding.status

    assert status() is Status.SKIPPED
    assert status(keys["ssh"].public) is Status.FAILED
    sign(keys["ssh"], dist)
    assert status(keys["ssh"].public) is Status.OK
    assert status(keys["other-ssh"].public) is Status.FAILED


def test_a_new_release_takes_the_signature_away(keys: dict[str, Key], dist: Path) -> None:
    made = sign(keys["ssh"], dist)
    assert signing.sign_when_wanted(keys["ssh"].sign, dist.parent, dist) == made
    build(dist.parent, {"config/x86/kernel-config": "CONFIG_MODULES=y\n"})
    assert not is_signed(dist)
    assert signing.sign_when_wanted(Sign(), dist.parent, dist) is None
    assert signing.sign_when_wanted(keys["ssh"].sign, dist.parent, dist) == made and made.is_file()


def test_another_release_came_while_a_passphrase_was_typed(
    keys: dict[str, Key], dist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*words: Any, **more: Any) -> None:
        run_attached(*words, **more)
        build(dist.parent, {"config/x86/kernel-config": "CONFIG_MODULES=y\n"})

    monkeypatch.setattr("builder.trust.signing.run_attached", slow)
    with pytest.raises(InputError, match="took the place"):
        sign(keys["ssh"], dist)
    assert not is_signed(dist)


def test_a_damaged_release_is_not_signed(keys: dict[str, Key], dist: Path) -> None:
    (dist / "kernel/config").write_text("another")
    key = keys["ssh"].sign
    with pytest.raises(VerifyError, match="damaged"):
        run_sign(dist.parent, dist, method=key.method, key=key.key)
    assert not is_signed(dist)


def test_which_keys_a_project_trusts(tmp_path: Path) -> None:
    assert trusted_keys(tmp_path, ()) == ()
    (tmp_path / "config").mkdir()
    (tmp_path / "config/rosk.yaml").write_text(
        "org: acme\nkernel:\n  version: '6.12'\ntrust:\n  keys:\n    - keys/acme.pub\n"
    )
    assert trusted_keys(tmp_path, ()) == (tmp_path / "keys/acme.pub",)
    assert trusted_keys(tmp_path, [Path("mine.pub")]) == (Path("mine.pub"),)


def test_a_passphrase_is_asked_for_on_the_terminal(dist: Path, tmp_path: Path) -> None:
    key = tmp_path / "locked"
    sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "open sesame", "-f", key)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(ROOT / "rosk", ["rosk", "sign", str(dist), "--method", "ssh", "--key", str(key)])
    said = b""
    try:
        while b"passphrase" not in said:
            said += os.read(terminal, 1024)
        os.write(terminal, b"open sesame\n")
        while piece := os.read(terminal, 1024):
            said += piece
    except OSError:  # the end, on a terminal
        pass
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said
    assert b"signed: " in said
    assert b"sesame" not in said
    assert "good" in check_signature(dist, [key.with_suffix(".pub")])


def test_every_method_has_all_that_it_needs() -> None:
    assert set(release.SIGNATURES) == set(check.PROGRAMS) == {"minisign", "ssh", "gpg", "cosign"}
