"""Sign the modules that were installed, with the project's key.

What comes out is what the kernel's own scripts/sign-file makes (Documentation/admin-guide/module-signing.rst): the
module, a PKCS #7 message, a block that says what it is, and a fixed line. The same module, key and hash give the same
bytes: RSA signatures have no random part (PKCS #1 v1.5), and ECDSA's is derived from what is signed (RFC 6979).

The messages are kept, by what they sign: of thousands of modules a build signs those that changed. They are public. One
that was damaged since is made again: a kernel would refuse the module.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import struct
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from builder.stages.chunkcache import ChunkCache
from builder.stages.common import StageError, progress, run, stage_main
from builder.stages.signingoptions import is_ecdsa

_MARK = b"~Module signature appended~\n"
# struct module_signature of include/linux/module_signature.h: of its fields only the kind (2: PKCS #7) and the length
# are used.
_BLOCK = struct.Struct(">5B3xI")
_PKCS7 = 2
_HASH = re.compile(r'^CONFIG_MODULE_SIG_HASH="([a-z0-9-]+)"$', re.MULTILINE)
_STEP = 100


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Makes signatures.

    Attributes:
        certificate: PEM.
        key: PEM; what it holds reaches openssl by its path alone.
        pin: A file with its passphrase; None: it has none.
        digest: The hash that is signed, in openssl's words: sha512.
    """

    certificate: Path
    key: Path
    pin: Path | None
    digest: str

    def message(self, module: Path) -> bytes:
        """The PKCS #7 message (DER) that signs a file.

        Raises:
            StageError: openssl cannot, or refuses to: key and certificate do not belong together.
        """
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "message")
            argv: list[str | Path] = ["openssl", "cms", "-sign", "-binary", "-nocerts", "-noattr", "-nosmimecap"]
            argv += ["-md", self.digest, "-outform", "DER", "-signer", self.certificate, "-inkey", self.key]
            argv += ["-passin", f"file:{self.pin}" if self.pin else "pass:"]
            argv += ["-keyopt", "nonce-type:1"] if is_ecdsa(self.certificate) else []
            done = run([*argv, "-in", module, "-out", out], check=False)
            if done.returncode != 0:
                raise self._failure(done.stderr)
            return out.read_bytes()

    def _failure(self, said: str) -> StageError:
        lines = said.strip().splitlines()
        if "nonce-type" in said or "parameter error" in said:
            return StageError(
                "this toolchain's openssl makes ECDSA signatures that no build can reproduce",
                hint="use an RSA key, or a Debian suite with openssl 3.2 or newer (trixie)",
                details=lines,
            )
        return StageError("openssl cannot sign with the project's key", hint="see what openssl says", details=lines)


def sign_modules(root: Path, signer: Signer, cache: Path, tell: Callable[[int, int], None]) -> int:
    """Sign all modules below a folder, in place.

    Args:
        cache: Where messages are kept; those of another key, hash or openssl do not get in the way.
        tell: Told, now and then, how many are signed, of how many.

    Returns:
        How many messages had to be made.

    Raises:
        StageError: One cannot be signed, or is signed already.
    """
    modules = sorted(root.rglob("*.ko"))
    openssl = run(["openssl", "version"], check=False).stdout
    kept, kind = ChunkCache(cache), _digest(signer.certificate.read_bytes(), signer.digest.encode(), openssl.encode())
    made = 0
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        try:
            for number, new in enumerate(pool.map(lambda module: _sign(module, signer, kept, kind), modules), 1):
                made += new
                if number % _STEP == 0 or number == len(modules):
                    tell(number, len(modules))
        finally:
            pool.shutdown(cancel_futures=True)
    kept.trim()
    return made


def _sign(module: Path, signer: Signer, kept: ChunkCache, kind: str) -> bool:
    """Sign one module; returns whether its message had to be made.

    Args:
        kind: A word for the key and the hash.
    """
    content = module.read_bytes()
    if content.endswith(_MARK):
        raise StageError(f"{module.name} is signed already", hint="leave signing to the project's key")
    key = _digest(kind.encode(), content)
    message = kept.get(key)
    if made := message is None:
        message = signer.message(module)
        kept.put(key, message)
    block = _BLOCK.pack(0, 0, _PKCS7, 0, 0, len(message))
    signed = module.with_name(f"{module.name}.signed")
    signed.write_bytes(content + message + block + _MARK)
    signed.chmod(module.stat().st_mode & 0o777)
    signed.replace(module)
    return made


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def hash_of(config: str) -> str:
    """The hash that signatures are of, as a .config has it.

    Raises:
        StageError: It has none.
    """
    found = _HASH.search(config)
    if found is None:
        raise StageError("the config names no CONFIG_MODULE_SIG_HASH", hint="set CONFIG_MODULE_SIG_SHA512=y")
    return found[1]


def main() -> None:
    """Command line; see the module's text. `--modules` is signed in place; `--pin` need not exist."""
    parser = argparse.ArgumentParser(prog="sign", description=__doc__)
    for option in ("--modules", "--config", "--certificate", "--key", "--pin", "--cache"):
        parser.add_argument(option, type=Path, required=True)
    args = parser.parse_args()
    if not args.key.is_file() or not args.certificate.is_file():
        raise StageError("the signing key did not reach the build", hint="see signing in the settings")
    signer = Signer(
        certificate=args.certificate,
        key=args.key,
        pin=args.pin if args.pin.is_file() else None,
        digest=hash_of(args.config.read_text()),
    )
    made = sign_modules(args.modules, signer, args.cache, lambda done, total: progress(done, total, "signatures"))
    print(f"{made} signatures were made", flush=True)


if __name__ == "__main__":
    stage_main(main)
