"""What a config needs so that the kernel takes modules that are signed for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.stages.common import StageError
from builder.stages.signingoptions import PARSER, check_options
from tests.keys import make_key

DEBIAN = 'tfm = crypto_alloc_shash("sha256", 0, 0);\n'


@pytest.mark.parametrize(
    ("file", "source", "sha256", "refused"),
    [
        ("kernel/module/signing.c", DEBIAN, "n", True),
        ("kernel/module/signing.c", DEBIAN, "m", True),
        ("kernel/module_signing.c", DEBIAN, "n", True),
        ("kernel/module/signing.c", DEBIAN, "y", False),
        ("kernel/module/signing.c", "return verify_pkcs7_signature(mod);\n", "n", False),
    ],
)
def test_debians_source_needs_sha256(tmp_path: Path, file: str, source: str, sha256: str, refused: bool) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    values = {"MODULE_SIG": "y", "CRYPTO_SHA256": sha256}

    def check() -> None:
        check_options(values, signing=True, certificate=tmp_path / "none", tree=tmp_path, where="kernel-config")

    if not refused:
        check()
        return
    with pytest.raises(StageError, match="CONFIG_CRYPTO_SHA256 is not built in"):
        check()


@pytest.mark.host_programs
@pytest.mark.parametrize(
    ("curve", "source", "refused"),
    [
        ("secp521r1", "case OID_id_ansip384r1:\n", True),
        ("secp384r1", "case OID_id_ansip384r1:\n", False),
        ("secp521r1", "case OID_id_ansip384r1:\ncase OID_id_ansip521r1:\n", False),
    ],
)
def test_a_curve_that_older_kernels_do_not_know(tmp_path: Path, curve: str, source: str, refused: bool) -> None:
    key = make_key(tmp_path / "ec.pem", "ec", "-pkeyopt", f"ec_paramgen_curve:{curve}")
    certificate = key.with_name("ec.pem.crt")
    (tmp_path / PARSER).parent.mkdir(parents=True)
    (tmp_path / PARSER).write_text(source)
    values = {"MODULE_SIG": "y", "CRYPTO_ECDSA": "y", "CRYPTO_SHA256": "y"}

    def check() -> None:
        check_options(values, signing=True, certificate=certificate, tree=tmp_path, where="kernel-config")

    if not refused:
        check()
        return
    with pytest.raises(StageError, match="P-521, which this kernel does not know"):
        check()
