"""Settings of signatures: with which key a release is signed, and whose signatures count."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from builder.settings.grammar import FilePath, Problem, Section, Text

Method = Literal["minisign", "ssh", "gpg", "cosign"]


class Sign(Section):
    """The key that releases are signed with, by the user's own program."""

    method: Method | None = Field(
        default=None,
        description="What signs `SHA256SUMS` of a release when it is built: `minisign`, `ssh` (ssh-keygen), `gpg` or "
        "`cosign`; nothing when not given",
    )
    key: Text | None = Field(
        default=None,
        description="The key: a file, relative to the project's folder (of `ssh` also a public key whose private one "
        "an agent has); with `gpg` a fingerprint or an address; with `cosign` also the address of a key service",
    )
    options: tuple[Text, ...] = Field(default=(), description="Further options for that program, word by word")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.method and not self.key:
            raise Problem(f"method {self.method} needs a key", "add the key `key` to this section", "method")
        for name in ("key", "options"):
            if getattr(self, name) and not self.method:
                raise Problem(f"{name} has no meaning without a method", "add `method: ssh`, for example", name)
        return self


class Trust(Section):
    """Whose signatures count."""

    keys: tuple[FilePath, ...] = Field(
        default=(),
        description="Files of public keys, relative to the project's folder: of minisign, of OpenSSH (also an "
        "allowed_signers file), an OpenPGP keyring, or of cosign. With any, `rosk verify` and `rosk pull` take, and "
        "`rosk publish` and `--push` send, no release that none of them has signed",
    )
