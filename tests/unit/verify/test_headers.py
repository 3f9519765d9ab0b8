"""What belongs in the headers package, and what must not: keys of every form that openssl writes, links, programs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from builder.arch import host_arch
from builder.verify.headers import (
    ALWAYS,
    headers_architecture,
    headers_complete,
    headers_links,
    headers_secrets,
)
from builder.verify.hostprograms import host_programs, host_programs_run, programs
from builder.verify.model import Status
from builder.verify.privatekeys import private_key
from tests.unit.stages.elfs import AARCH64, make_elf, make_program
from tests.unit.verify.releases import V
from tests.unit.verify.subjects import BOOT, subject

CONFIG = b'CONFIG_MODULES=y\nCONFIG_LOCALVERSION="-acme"\n# CONFIG_NET is not set\n'
KERNEL = {f"./boot/config-{V}": CONFIG}
COMPLETE = {f"./{name}": b"" for name in (*ALWAYS, "arch/x86/Makefile", "scripts/module.lds")} | {
    "./.config": CONFIG,
    "./System.map": BOOT[f"./boot/System.map-{V}"],
    "./include/config/auto.conf": b"CONFIG_MODULES=y\nCONFIG_LOCALVERSION=-acme\n",
}


def complete(tmp_path: Path, *options: str, **changes: bytes | None) -> tuple[str, ...]:
    """What is wrong with a complete package after changes; None: the file is not there. Names are without `./`."""
    config = CONFIG + b"".join(f"{option}=y\n".encode() for option in options)
    files = {**COMPLETE, "./.config": config, "./include/config/auto.conf": config}
    files |= {f"./{name}": content for name, content in changes.items() if content is not None}
    kept = {name: content for name, content in files.items() if changes.get(name[2:], b"") is not None}
    seen = subject(tmp_path, kernel={f"./boot/config-{V}": config}, headers=kept)
    return headers_complete(seen).details


def test_a_complete_package(tmp_path: Path) -> None:
    seen = subject(tmp_path, kernel=KERNEL, headers=COMPLETE)
    for run in (headers_complete, headers_secrets, headers_architecture, headers_links, host_programs):
        assert run(seen).status is Status.OK, run(seen).details


@pytest.mark.parametrize("name", ["Module.symvers", "scripts/mod/modpost", "include/generated/autoconf.h"])
def test_a_file_less(tmp_path: Path, name: str) -> None:
    assert complete(tmp_path, **{name: None}) == (f"{name} is missing",)


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("CONFIG_OBJTOOL", "tools/objtool/objtool"),
        ("CONFIG_STACK_VALIDATION", "tools/objtool/objtool"),
        ("CONFIG_DEBUG_INFO_BTF_MODULES", "tools/bpf/resolve_btfids/resolve_btfids"),
    ],
)
def test_what_the_config_asks_for(tmp_path: Path, option: str, name: str) -> None:
    assert complete(tmp_path / "without", option) == (f"{name} is missing",)
    assert complete(tmp_path / "with", option, **{name: b""}) == ()


def test_plugins_of_gcc(tmp_path: Path) -> None:
    (found,) = complete(tmp_path / "without", "CONFIG_GCC_PLUGINS")
    assert found.startswith("scripts/gcc-plugins has no plugin")
    assert complete(tmp_path / "with", "CONFIG_GCC_PLUGINS", **{"scripts/gcc-plugins/stackleak_plugin.so": b""}) == ()


def test_the_linker_script_of_an_older_kernel(tmp_path: Path) -> None:
    old = {"scripts/module.lds": None, "arch/x86/kernel/module.lds": b""}
    assert complete(tmp_path / "with", **old) == ()
    assert "scripts/module.lds is missing" in complete(tmp_path / "without", **{"scripts/module.lds": None})[0]


def test_of_another_build(tmp_path: Path) -> None:
    (found,) = complete(
        tmp_path / "conf", **{"include/config/auto.conf": b'CONFIG_MODULES=m\nCONFIG_LOCALVERSION="-acme"\n'}
    )
    assert found == "include/config/auto.conf has CONFIG_MODULES=m, .config y"


def test_other_architectures(tmp_path: Path) -> None:
    more = {"./arch/arm64/include/asm/a.h": b"", "./tools/arch/arm/include/b.h": b"", "./arch/Kconfig": b""}
    seen = subject(tmp_path, headers={**COMPLETE, **more})
    assert [line.split(" is")[0] for line in headers_architecture(seen).details] == ["arch/arm64", "tools/arch/arm"]


def test_links(tmp_path: Path) -> None:
    links = {
        "./include/good.h": "../Makefile",
        "./include/dir": "../scripts",
        "./include/absolute.h": "/usr/src/linux/x.h",
        "./include/out.h": "../../x.h",
        "./include/gone.h": "x.h",
    }
    found = headers_links(subject(tmp_path, headers={**COMPLETE, **links}))
    assert [line.split()[0] for line in found.details] == ["include/absolute.h", "include/gone.h", "include/out.h"]
    assert found.saw.startswith("5 links")


@pytest.mark.host_programs
def test_keys_of_every_form(tmp_path: Path) -> None:
    """PKCS #8, PKCS #1 and SEC 1, as PEM and DER, with a passphrase and without; PKCS #12. Certificates are none."""
    key, certificate = tmp_path / "k", tmp_path / "c"

    def openssl(*words: str | Path) -> bytes:
        return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout

    for algorithm in (("rsa", "rsa_keygen_bits:1024"), ("ec", "ec_paramgen_curve:P-256")):
        openssl("genpkey", "-algorithm", algorithm[0], "-pkeyopt", algorithm[1], "-out", key)
        forms = [key.read_bytes(), openssl("pkey", "-in", key, "-outform", "DER")]
        forms += [openssl("pkey", "-in", key, "-traditional", "-outform", form) for form in ("PEM", "DER")]
        forms.append(openssl("pkcs8", "-in", key, "-topk8", "-passout", "pass:x", "-outform", "DER"))
        forms.append(openssl("pkcs8", "-in", key, "-topk8", "-passout", "pass:x"))
        forms.append(openssl("pkey", "-in", key, "-traditional", "-aes128", "-passout", "pass:x"))
        openssl("req", "-new", "-x509", "-key", key, "-subj", "/CN=a", "-out", certificate)
        forms.append(openssl("pkcs12", "-export", "-inkey", key, "-in", certificate, "-passout", "pass:x"))
        for number, form in enumerate(forms):
            assert private_key("scripts/x", form), f"{algorithm[0]}, form {number}: {form[:40]!r}"
            assert not private_key("scripts/x", form[:-40]) or b"PRIVATE" in form
        for encoding in ("PEM", "DER"):
            assert not private_key("certs/signing_key.x509", openssl("x509", "-in", certificate, "-outform", encoding))
            public = openssl("pkey", "-in", key, "-pubout", "-outform", encoding)
            assert not private_key("scripts/x", public)


def test_what_only_looks_like_a_key() -> None:
    script = b"grep -q -e '-----BEGIN PRIVATE KEY-----' certs/signing_key\n"
    assert not private_key("scripts/x.sh", script)
    assert not private_key("x", b"\x30\x10")
    assert not private_key("x", b"\x30\xff" + b"\0" * 64)
    assert private_key("certs/signing_key.PEM", b"")
    assert private_key("certs/..pem", b"") and private_key("x.key", b"")
    assert not private_key("x.pem/key", b"") and not private_key("certs/.key", b"")


def test_a_key_fails_the_check(tmp_path: Path) -> None:
    seen = subject(tmp_path, headers={**COMPLETE, "./certs/signing_key.priv": b""})
    assert headers_secrets(seen).details == ("certs/signing_key.priv has the name of a private key",)


@pytest.mark.host_programs
def test_programs_are_static(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int main(void) { return 1; }\n")
    for name, option in (("static", "-static"), ("dynamic", "-rdynamic"), ("pie", "-static-pie")):
        subprocess.run(["gcc", option, tmp_path / "a.c", "-o", tmp_path / name], check=True)
    subprocess.run(["gcc", "-c", tmp_path / "a.c", "-o", tmp_path / "a.o"], check=True)
    built = {f"./scripts/{name}": (tmp_path / name).read_bytes() for name in ("static", "dynamic", "pie", "a.o")}
    other = bytearray(make_elf({".text": b""}, machine=AARCH64))
    other[16] = 2  # ET_EXEC
    arm = {"./scripts/arm": bytes(other), "./x.so": make_program("libc.so.6")}
    seen = subject(tmp_path, headers={**built, **arm})
    assert [program.name for program in programs(seen) if program.dynamic] == ["scripts/dynamic"]
    found = host_programs(seen)
    assert found.saw.startswith("4 programs")
    assert "scripts/arm is for another machine (ELF machine 183)" in found.details
    (line,) = (line for line in found.details if line.startswith("scripts/dynamic is not static: it needs /lib"))
    assert "libc.so.6" in line


@pytest.mark.host_programs
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a chroot")
def test_programs_start_with_no_library(tmp_path: Path) -> None:
    sources = {
        "scripts/basic/fixdep": ("-static", "int main(void) { return 1; }"),
        "scripts/mod/modpost": ("-rdynamic", "int main(void) { return 0; }"),
        "tools/objtool/objtool": ("-static", "int main(void) { __builtin_trap(); }"),
    }
    files = {}
    for name, (option, text) in sources.items():
        out = tmp_path / Path(name).name
        subprocess.run(["gcc", option, "-xc", "-", "-o", out], input=text.encode(), check=True)
        files[f"./{name}"] = out.read_bytes()
    found = host_programs_run(subject(tmp_path, a=host_arch().name, headers=files))
    assert found.details == (
        "scripts/mod/modpost needs a loader or a library that is not there",
        "tools/objtool/objtool ended by signal 4"
        if host_arch().name == "x86"
        else "tools/objtool/objtool ended by signal 5",
    )


def test_programs_of_another_machine_are_not_run(tmp_path: Path) -> None:
    other = "arm64" if host_arch().name == "x86" else "x86"
    assert host_programs_run(subject(tmp_path, a=other)).status is Status.SKIPPED
