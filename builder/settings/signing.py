"""Settings of the signatures of modules."""

from __future__ import annotations

from pydantic import Field

from builder.settings.grammar import FilePath, Section


class Signing(Section):
    """Whose key signs the modules."""

    key: FilePath | None = Field(
        default=None,
        description="PEM file with the private key (RSA or ECDSA), and its certificate unless `certificate` names it. "
        "ROSK_SIGNING_KEY in the environment wins; a passphrase is taken from KBUILD_SIGN_PIN",
    )
    certificate: FilePath | None = Field(
        default=None,
        description="The key's certificate (PEM or DER): public, so it may lie in the project. Where it is given, its "
        "key has to be too",
    )
