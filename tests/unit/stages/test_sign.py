"""Signing modules: what the kernel's sign-file makes, the same bits each time, and only what changed anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.stages.common import StageError
from builder.stages.sign import Signer, hash_of, sign_modules
from builder.stages.signingoptions import is_ecdsa, signs
from tests.keys import EC, PASSPHRASE, make_key, openssl, verifies
from tests.unit.stages.elfs import make_elf


def quiet(_done: int, _total: int) -> None:
    pass


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_key(folder / "rsa.pem")
    make_key(folder / "locked.pem", passphrase=PASSPHRASE)
    make_key(folder / "ec.pem", *EC)
    return folder


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    for name in ("kernel/a", "kernel/fs/b", "extra/c"):
        path = tmp_path / f"modules/{name}.ko"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_elf({".modinfo": f"name={name}\0".encode()}))
    (tmp_path / "modules/modules.order").write_text("kernel/a.ko\n")
    return tmp_path / "modules"


def signer(keys: Path, kind: str = "rsa", pin: Path | None = None) -> Signer:
    return Signer(certificate=keys / f"{kind}.pem.crt", key=keys / f"{kind}.pem", pin=pin, digest="sha512")


def verified(module: Path, keys: Path, kind: str) -> bool:
    return verifies(module.read_bytes(), keys / f"{kind}.pem.crt", keys)


def test_every_module_is_signed(tmp_path: Path, keys: Path, modules: Path) -> None:
    plain = {path: path.read_bytes() for path in modules.rglob("*.ko")}
    told: list[tuple[int, int]] = []
    assert sign_modules(modules, signer(keys), tmp_path / "cache", lambda *seen: told.append(seen)) == 3
    assert told == [(3, 3)]
    assert all(path.read_bytes().startswith(content) for path, content in plain.items())
    assert all(verified(path, keys, "rsa") for path in plain)
    assert (modules / "modules.order").read_text() == "kernel/a.ko\n"
    assert sorted(path.name for path in modules.rglob("*") if path.is_file() and "signed" in path.name) == []


def test_as_the_kernels_own_program_signs(tmp_path: Path, keys: Path, modules: Path) -> None:
    """CMS_sign() with no certificates and no attributes, as scripts/sign-file.c calls it."""
    message = signer(keys).message(modules / "kernel/a.ko")
    printed = openssl(
        "cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", _write(tmp_path / "message", message)
    )
    assert "certificates:\n      <ABSENT>" in printed
    assert "signedAttrs:\n          <ABSENT>" in printed
    assert "sha512" in printed and "rsaEncryption" in printed


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_the_same_key_gives_the_same_bits(tmp_path: Path, keys: Path, modules: Path) -> None:
    """With and without what an earlier build kept."""
    again = Path(shutil.copytree(modules, tmp_path / "again"))
    kept = Path(shutil.copytree(modules, tmp_path / "kept"))
    assert sign_modules(modules, signer(keys), tmp_path / "cache", quiet) == 3
    assert sign_modules(again, signer(keys), tmp_path / "other", quiet) == 3
    (kept / "extra/c.ko").write_bytes(make_elf({".modinfo": b"name=changed\0"}))
    assert sign_modules(kept, signer(keys), tmp_path / "cache", quiet) == 1
    for name in ("kernel/a.ko", "kernel/fs/b.ko"):
        assert len({(folder / name).read_bytes() for folder in (modules, again, kept)}) == 1
    assert (modules / "extra/c.ko").read_bytes() == (again / "extra/c.ko").read_bytes()


@pytest.mark.parametrize(
    "damaged",
    [lambda _: b"", lambda message: message[:-9], lambda message: message[:-1] + bytes([message[-1] ^ 1])],
    ids=["empty", "cut", "one bit"],
)
def test_a_damaged_message_is_made_again(
    tmp_path: Path, keys: Path, modules: Path, damaged: Callable[[bytes], bytes]
) -> None:
    again, later = (Path(shutil.copytree(modules, tmp_path / name)) for name in ("again", "later"))
    sign_modules(modules, signer(keys), tmp_path / "cache", quiet)
    for message in files(tmp_path / "cache"):
        message.write_bytes(damaged(message.read_bytes()))
    assert sign_modules(again, signer(keys), tmp_path / "cache", quiet) == 3
    assert all(verified(path, keys, "rsa") for path in again.rglob("*.ko"))
    assert sign_modules(later, signer(keys), tmp_path / "cache", quiet) == 0


def test_a_message_that_no_build_asks_for_goes(tmp_path: Path, keys: Path, modules: Path) -> None:
    fewer = Path(shutil.copytree(modules, tmp_path / "fewer"))
    (fewer / "extra/c.ko").unlink()
    sign_modules(modules, signer(keys), tmp_path / "cache", quiet)
    for message in files(tmp_path / "cache"):
        os.utime(message, (0, 0))
    assert sign_modules(fewer, signer(keys), tmp_path / "cache", quiet) == 0
    assert len(files(tmp_path / "cache")) == 2


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_another_key_signs_anew(tmp_path: Path, keys: Path, modules: Path) -> None:
    make_key(tmp_path / "other.pem")
    again = Path(shutil.copytree(modules, tmp_path / "again"))
    sign_modules(modules, signer(keys), tmp_path / "cache", quiet)
    assert sign_modules(again, signer(tmp_path, "other"), tmp_path / "cache", quiet) == 3
    assert verified(again / "kernel/a.ko", tmp_path, "other")
    assert not verified(again / "kernel/a.ko", keys, "rsa")


def test_a_key_with_a_passphrase(tmp_path: Path, keys: Path, modules: Path) -> None:
    pin = tmp_path / "pin"
    pin.write_text(PASSPHRASE)
    assert sign_modules(modules, signer(keys, "locked", pin), tmp_path / "cache", quiet) == 3
    assert verified(modules / "kernel/a.ko", keys, "locked")
    pin.write_text("another")
    with pytest.raises(StageError, match="cannot sign") as caught:
        signer(keys, "locked", pin).message(modules / "kernel/a.ko")
    assert "another" not in "\n".join(caught.value.details)


def test_an_ecdsa_key(tmp_path: Path, keys: Path, modules: Path) -> None:
    """The same bits too, or, where openssl is too old for that, none."""
    assert is_ecdsa(keys / "ec.pem.crt") and not is_ecdsa(keys / "rsa.pem.crt")
    version = tuple(int(number) for number in openssl("version").split()[1].split(".")[:2])
    module = modules / "kernel/a.ko"
    if version < (3, 2):
        with pytest.raises(StageError, match="no build can reproduce"):
            signer(keys, "ec").message(module)
        return
    assert signer(keys, "ec").message(module) == signer(keys, "ec").message(module)
    sign_modules(modules, signer(keys, "ec"), tmp_path / "cache", quiet)
    assert verified(module, keys, "ec")


def test_what_is_refused(tmp_path: Path, keys: Path, modules: Path) -> None:
    sign_modules(modules, signer(keys), tmp_path / "cache", quiet)
    with pytest.raises(StageError, match="is signed already"):
        sign_modules(modules, signer(keys), tmp_path / "cache", quiet)
    wrong = Signer(certificate=keys / "locked.pem.crt", key=keys / "rsa.pem", pin=None, digest="sha512")
    with pytest.raises(StageError, match="cannot sign"):
        wrong.message(modules / "kernel/a.ko")
    with pytest.raises(StageError, match="MODULE_SIG_HASH"):
        hash_of("CONFIG_MODULES=y\n")


def test_what_a_config_says() -> None:
    assert hash_of('CONFIG_MODULES=y\nCONFIG_MODULE_SIG_HASH="sha3-256"\n') == "sha3-256"
    assert signs('CONFIG_MODULE_SIG_KEY="certs/rosk-modules.pem"\n')
    assert not signs('CONFIG_MODULE_SIG_KEY="certs/signing_key.pem"\n')
