"""The key that signs modules: what is read of it, and what is refused before a build."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from builder.errors import InputError
from builder.project import Project, load_project
from builder.signing.key import SigningKey, read_certificate, read_key
from tests.keys import EC, PASSPHRASE, make_key, openssl
from tests.unit.projects import SETTINGS, write_project

pytestmark = pytest.mark.host_programs


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROSK_SIGNING_KEY", "KBUILD_SIGN_PIN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with `rsa.pem`, `ec.pem`, `locked.pem` (with a passphrase) and `other.pem`."""
    folder = tmp_path_factory.mktemp("keys")
    make_key(folder / "rsa.pem")
    make_key(folder / "ec.pem", *EC)
    make_key(folder / "locked.pem", passphrase=PASSPHRASE)
    make_key(folder / "other.pem")
    return folder


def project(tmp_path: Path, **signing: Path | str) -> Project:
    lines = "".join(f"  {name}: {path}\n" for name, path in signing.items())
    return load_project(
        write_project(tmp_path / "project", **{"config/rosk.yaml": SETTINGS + (f"signing:\n{lines}" if lines else "")}),
        arch="x86",
    )


def read(tmp_path: Path, **signing: Path | str) -> tuple[SigningKey, list[str]]:
    warnings: list[str] = []
    key = read_key(project(tmp_path, **signing), warn=warnings.append)
    assert key is not None
    return key, warnings


def refused(tmp_path: Path, **signing: Path | str) -> InputError:
    with pytest.raises(InputError) as caught:
        read(tmp_path, **signing)
    assert caught.value.hint
    return caught.value


def test_no_key(tmp_path: Path) -> None:
    assert read_key(project(tmp_path), warn=pytest.fail) is None


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_key_with_its_certificate(tmp_path: Path, keys: Path, kind: str) -> None:
    key, warnings = read(tmp_path, key=keys / f"{kind}.pem")
    assert (key.subject, key.encrypted, warnings) == (f"CN=modules of {kind}", False, [])
    fingerprint = openssl("x509", "-noout", "-fingerprint", "-sha256", "-in", keys / f"{kind}.pem")
    assert key.sha256 == fingerprint.strip().partition("=")[2].replace(":", "").lower()
    assert openssl("x509", "-in", keys / f"{kind}.pem").strip() == key.certificate.strip()
    assert "PRIVATE" not in key.certificate + json.dumps(key.as_json())


@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_a_certificate_of_its_own(tmp_path: Path, keys: Path, form: str) -> None:
    (tmp_path / "key.pem").write_text((keys / "rsa.pem").read_text().partition("-----BEGIN CERT")[0])
    (tmp_path / "key.pem").chmod(0o600)
    openssl("x509", "-in", keys / "rsa.pem", "-outform", form, "-out", tmp_path / "certificate")
    key, _ = read(tmp_path, key=tmp_path / "key.pem", certificate=tmp_path / "certificate")
    assert key.certificate == read(tmp_path, key=keys / "rsa.pem")[0].certificate
    assert "holds no certificate" in refused(tmp_path, key=tmp_path / "key.pem").what


def test_the_environment_wins(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROSK_SIGNING_KEY", str(keys / "ec.pem"))
    assert read(tmp_path)[0].subject == "CN=modules of ec"
    assert read(tmp_path, key=keys / "rsa.pem")[0].path == keys / "ec.pem"


def test_a_passphrase(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "KBUILD_SIGN_PIN is not set" in refused(tmp_path, key=keys / "locked.pem").what
    monkeypatch.setenv("KBUILD_SIGN_PIN", "wrong")
    error = refused(tmp_path, key=keys / "locked.pem")
    assert "does not open" in error.what
    assert "wrong" not in f"{error} {error.hint} {error.details}"
    monkeypatch.setenv("KBUILD_SIGN_PIN", PASSPHRASE)
    assert read(tmp_path, key=keys / "locked.pem")[0].encrypted


def test_keys_that_do_not_fit(tmp_path: Path, keys: Path) -> None:
    error = refused(tmp_path, key=keys / "rsa.pem", certificate=keys / "other.pem.crt")
    assert "do not belong together" in error.what
    assert "is not given" in refused(tmp_path, certificate=keys / "rsa.pem.crt").what
    make_key(tmp_path / "short.pem", "rsa:1024")
    assert "1024 bits" in refused(tmp_path, key=tmp_path / "short.pem").what
    make_key(tmp_path / "ed.pem", "ed25519")
    assert "neither RSA nor ECDSA" in refused(tmp_path, key=tmp_path / "ed.pem").what


def on_curve(name: str, *more: str) -> tuple[str, ...]:
    return ("ec", "-pkeyopt", f"ec_paramgen_curve:{name}", *more)


@pytest.mark.parametrize("curve", ["prime256v1", "secp384r1", "secp521r1"])
def test_curves_that_kernels_know(tmp_path: Path, curve: str) -> None:
    assert read(tmp_path, key=make_key(tmp_path / "ec.pem", *on_curve(curve)))[0].subject == "CN=modules of ec"


@pytest.mark.parametrize(
    "kind",
    [on_curve("secp256k1"), on_curve("brainpoolP256r1"), on_curve("P-256", "-pkeyopt", "ec_param_enc:explicit")],
    ids=["secp256k1", "brainpoolP256r1", "in numbers"],
)
def test_curves_that_no_kernel_knows(tmp_path: Path, kind: tuple[str, ...]) -> None:
    error = refused(tmp_path, key=make_key(tmp_path / "ec.pem", *kind))
    assert "none of the curves that kernels verify: P-192, P-256, P-384, P-521" in error.what


def test_a_signature_of_a_certificate_that_no_kernel_reads(tmp_path: Path, keys: Path) -> None:
    pss = ("-sigopt", "rsa_padding_mode:pss")
    certificate = tmp_path / "pss.crt"
    openssl("req", "-new", "-x509", "-key", keys / "rsa.pem", "-subj", "/CN=pss", *pss, "-out", certificate)
    error = refused(tmp_path, key=keys / "rsa.pem", certificate=certificate)
    assert "own signature is of a kind that kernels do not read" in error.what


def test_bytes_after_a_certificate(tmp_path: Path, keys: Path) -> None:
    certificate = tmp_path / "certificate"
    openssl("x509", "-in", keys / "rsa.pem", "-outform", "DER", "-out", certificate)
    certificate.write_bytes(certificate.read_bytes() + b"more\n")
    error = refused(tmp_path, key=keys / "rsa.pem", certificate=certificate)
    assert "is followed by 5 bytes" in error.what


@pytest.mark.parametrize(
    ("start", "end", "what"),
    [
        ("20200101000000Z", "20210101000000Z", "has expired (Jan  1 00:00:00 2021 GMT)"),
        ("20900101000000Z", "20910101000000Z", "is not valid yet (from Jan  1 00:00:00 2090 GMT)"),
    ],
)
def test_a_certificate_of_another_time(tmp_path: Path, keys: Path, start: str, end: str, what: str) -> None:
    private, request = tmp_path / "key.pem", tmp_path / "request"
    private.write_text((keys / "rsa.pem").read_text().partition("-----BEGIN CERT")[0])
    openssl("req", "-new", "-key", private, "-subj", "/CN=old", "-out", request)
    (tmp_path / "index").touch()
    (tmp_path / "ca.conf").write_text(
        f"[ca]\ndefault_ca = a\n[a]\ndatabase = {tmp_path}/index\nserial = {tmp_path}/serial\nrand_serial = yes\n"
        f"new_certs_dir = {tmp_path}\ndefault_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n"
    )
    dates = ("-startdate", start, "-enddate", end)
    sign = ("ca", "-batch", "-selfsign", "-config", tmp_path / "ca.conf", "-keyfile", private, *dates)
    openssl(*sign, "-in", request, "-out", tmp_path / "certificate")
    error = refused(tmp_path, key=private, certificate=tmp_path / "certificate")
    assert what in error.what


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "cannot be read: No such file"),
        ("", "no private key"),
        ("x" * (1 << 21), "too large"),
        ("-----", "no private"),
    ],
)
def test_files_that_are_no_keys(tmp_path: Path, content: str | None, what: str) -> None:
    if content is not None:
        (tmp_path / "key.pem").write_text(content)
    assert what in refused(tmp_path, key=tmp_path / "key.pem").what


def test_places_that_can_be_read_but_once(tmp_path: Path, keys: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with (keys / "rsa.pem").open() as file:
        for path in (tmp_path / "fifo", Path(f"/dev/fd/{file.fileno()}"), Path(f"/proc/self/fd/{file.fileno()}")):
            assert "is read more than once" in refused(tmp_path, key=path).what
    assert "is read more than once" in refused(tmp_path, key=keys / "rsa.pem", certificate=tmp_path / "fifo").what


def test_a_key_in_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROSK_SIGNING_KEY", "pkcs11:token=acme;object=modules?pin-source=/etc/pin")
    assert "PKCS #11" in refused(tmp_path).what


def test_a_damaged_key(tmp_path: Path, keys: Path) -> None:
    lines = (keys / "rsa.pem").read_text().splitlines()
    (tmp_path / "key.pem").write_text("\n".join([lines[0], *lines[4:]]))
    error = refused(tmp_path, key=tmp_path / "key.pem")
    assert "cannot be read by openssl" in error.what
    assert lines[5] not in f"{error} {error.hint} {error.details}"


def test_where_a_key_should_not_lie(tmp_path: Path, keys: Path) -> None:
    inside = tmp_path / "project/keys/rsa.pem"
    inside.parent.mkdir(parents=True)
    inside.write_bytes((keys / "rsa.pem").read_bytes())
    inside.chmod(0o644)
    warnings = read(tmp_path, key="keys/rsa.pem")[1]
    assert [word in line for word, line in zip(("read by others", "committed"), warnings, strict=True)] == [True, True]
    tree = (
        SETTINGS.replace('kernel.org\n  version: "6.12.64"', "tree\n  path: keys") + "signing:\n  key: keys/rsa.pem\n"
    )
    root = write_project(tmp_path / "project", **{"config/rosk.yaml": tree})
    with pytest.raises(InputError, match=r"lies in what kernel\.path names"):
        read_key(load_project(root, arch="x86"), warn=print)
    module = f"{SETTINGS}signing:\n  key: keys/rsa.pem\nmodules:\n  - name: own\n    source: folder\n    path: keys\n"
    (root / "config/rosk.yaml").write_text(module)
    with pytest.raises(InputError, match=r"lies in what path of the module own names"):
        read_key(load_project(root, arch="x86"), warn=print)


def test_a_question_takes_the_certificate_alone(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The private key need not be there, nor be opened."""
    warnings: list[str] = []
    public = tmp_path / "public.pem"
    openssl("x509", "-in", keys / "rsa.pem", "-out", public)
    away = project(tmp_path, key=tmp_path / "away.pem", certificate=public)
    found = read_certificate(away, warn=warnings.append)
    assert found is not None and (found.path, found.encrypted) == (None, False)
    assert found.certificate == read(tmp_path, key=keys / "rsa.pem")[0].certificate
    assert read_certificate(project(tmp_path, certificate=public), warn=warnings.append) == found
    locked = read_certificate(project(tmp_path, key=keys / "locked.pem"), warn=warnings.append)
    assert locked is not None and locked.subject == "CN=modules of locked" and not warnings
    assert read_certificate(project(tmp_path), warn=warnings.append) is None and not warnings
    assert read_certificate(project(tmp_path, key=tmp_path / "away.pem"), warn=warnings.append) is None
    assert len(warnings) == 1 and str(tmp_path / "away.pem") in warnings[0]
    with pytest.raises(InputError, match="no certificate"):
        read_certificate(project(tmp_path, certificate=tmp_path / "project/config/rosk.yaml"), warn=pytest.fail)
