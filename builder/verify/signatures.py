"""Whether the modules are signed, and by a key that the kernel trusts."""

from __future__ import annotations

import shutil
from base64 import encodebytes
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from builder.process import run
from builder.verify.kernelimage import certificates
from builder.verify.model import Finding, MissingProgram, Status, check, count, skipped, verdict
from builder.verify.modulesignature import Signature, read_signature
from builder.verify.shipped import config, is_on
from builder.verify.subject import Subject

_NONE = "no module is signed, and the config asks for none of it"


@check("module-signatures", meaning="the kernel refuses a module that is not signed, or is tainted by it")
def module_signatures(subject: Subject) -> Finding:
    """Where the build signs modules (CONFIG_MODULE_SIG_ALL), or the kernel insists: all are signed, with one key."""
    if why := _no_signatures(subject):
        return skipped(why)
    wrong: list[str] = []
    signers: Counter[str] = Counter()
    unsigned = []
    for path, content in _modules(subject):
        try:
            signature = read_signature(content)
        except ValueError as error:
            wrong.append(f"{path}: {error}")
            continue
        if signature is None:
            unsigned.append(path)
        else:
            signers[signature.signer] += 1
    if not signers and not wrong and not _asked_for(subject):
        return skipped(_NONE)
    wrong += [f"{path} is not signed" for path in unsigned]
    if len(signers) > 1:
        wrong += [f"{count(number, 'module')} signed by {signer[:40]}" for signer, number in signers.most_common()]
    return verdict(f"{count(signers.total(), 'signature')} by {count(len(signers), 'key')}", wrong)


@check("module-signatures-valid", meaning="the kernel refuses a module: its signature does not fit", cheap=False)
def module_signatures_valid(subject: Subject) -> Finding:
    """Each signature fits its module and a certificate that is in the kernel image."""
    if why := _no_signatures(subject):
        return skipped(why)
    signed = [(path, content, found) for path, content in _modules(subject) if (found := _readable(content))]
    if not signed:
        return skipped(_NONE if not _asked_for(subject) else "no module is signed")
    if shutil.which("openssl") is None:
        raise MissingProgram("openssl")
    boot, v = subject.tree("kernel") / "boot", subject.release.v
    try:
        image, system_map = (boot / f"vmlinuz-{v}").read_bytes(), (boot / f"System.map-{v}").read_bytes()
        trusted = certificates(image, system_map, subject.work)
    except (OSError, ValueError) as error:
        return Finding(status=Status.UNCHECKED, saw=f"what the kernel trusts is not known: {error}")
    with TemporaryDirectory(prefix="signatures-", dir=subject.work) as folder:
        store = Path(folder, "trusted.pem")
        store.write_bytes(b"".join(map(_pem, trusted)))
        wrong = [
            f"{path}: its signature does not fit, or is by a key that the kernel does not have"
            for path, content, signature in signed
            if not _fits(content, signature, store)
        ]
    saw = f"{count(len(signed), 'signature')} against {count(len(trusted), 'certificate')} in the kernel image"
    return verdict(saw, wrong)


def _no_signatures(subject: Subject) -> str:
    return "" if is_on(config(subject), "MODULE_SIG") else "CONFIG_MODULE_SIG is off: the kernel looks at no signature"


def _asked_for(subject: Subject) -> bool:
    values = config(subject)
    return is_on(values, "MODULE_SIG_ALL") or is_on(values, "MODULE_SIG_FORCE")


def _modules(subject: Subject) -> Iterator[tuple[str, bytes]]:
    for kind in ("kernel", "extras"):
        for path in subject.modules[kind].modules:
            yield path, (subject.modules_folder(kind) / path).read_bytes()


def _readable(content: bytes) -> Signature | None:
    """A module's signature; one that is damaged is for `module-signatures` to say."""
    try:
        return read_signature(content)
    except ValueError:
        return None


def _pem(certificate: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + encodebytes(certificate) + b"-----END CERTIFICATE-----\n"


def _fits(content: bytes, signature: Signature, store: Path) -> bool:
    """Whether openssl finds the signature to be of this content, by one of the certificates in `store`."""
    module, message = store.with_name("module"), store.with_name("signature")
    module.write_bytes(content[: signature.size])
    message.write_bytes(signature.message)
    argv: list[str | Path] = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", message]
    argv += ["-content", module, "-certfile", store, "-nointern", "-noverify", "-out", "/dev/null"]
    return run(argv, check=False).returncode == 0
