"""The form of `dist/manifest.json`: what went into a release, what came out, and how to make it again.

`python -m builder.manifestschema` writes `config/manifest.schema.json` anew; a unit test fails when it is not current.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SCHEMA_FILE = Path("config/manifest.schema.json")

Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Digest = Annotated[str, StringConstraints(pattern="^sha256:[0-9a-f]{64}$")]
Output = Annotated[str, StringConstraints(pattern="^kernel/[^/]+$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Described(_Part):
    """A file."""

    size: int = Field(ge=0, description="In bytes")
    sha256: Sha256 = Field(description="Its checksum, hexadecimal")


class Source(_Part):
    """The kernel's source, before the patches."""

    kind: Literal["debian", "archive", "tree"] = Field(
        description="`debian`: a source package; `archive`: a tarball; `tree`: a folder"
    )
    origin: str = Field(alias="from", description="Where it was taken from, for people")
    kernel_version: str = Field(description="What its Makefile calls it (`6.12.64`)")
    package_version: str | None = Field(description="The version of Debian's package, where it is from one")
    sha256: Sha256 | None = Field(description="The checksum of its archive, where it is one")


class Toolchain(_Part):
    """What compiled it."""

    base: str = Field(description="The image that the stages start from")
    base_digest: Digest = Field(description="The ID of that image")
    packages: dict[str, str] = Field(description="Every Debian package of the toolchain, with its version")


class Firmware(_Part):
    """The firmware that ships."""

    revision: str | None = Field(description="The linux-firmware revision or tag, as in lib/firmware/.git-commit")
    sha256: Sha256 | None = Field(description="The checksum of its archive, where it is one")


class Signing(_Part):
    """What is public of the key that signed the modules."""

    certificate: Sha256 = Field(description="The SHA-256 of its certificate (DER)")
    subject: str = Field(description="Whom the certificate names")


class ExternalModule(_Part):
    """A source of external modules."""

    name: str = Field(description="Its name in the settings")
    source: Literal["folder", "tarball", "git"]
    origin: str = Field(alias="from", description="Where it was taken from, for people")
    revision: str | None = Field(description="git's commit, where it has one")
    sha256: Sha256 = Field(description="The checksum of its archive, or over all files of its folder")


class Manifest(_Part):
    """What went into a release of rosk, what came out, and the command that makes it again."""

    form: Literal[1] = Field(
        alias="schema", description="The form of this file; 2 when a key changes its meaning or goes away"
    )
    rosk: str = Field(description="The version of rosk that built it")
    release: str = Field(min_length=1, description="The kernel release: what `uname -r` prints")
    arch: Literal["x86", "arm64"] = Field(description="The package architecture")
    source_date_epoch: int = Field(ge=0, description="The time of every file in the release, in seconds since 1970")
    reproduce: list[str] = Field(
        min_length=1, description="The command that builds the same again, word by word, in the project's folder"
    )
    source: Source
    toolchain: Toolchain
    inputs: dict[str, Described] = Field(
        description="The project's files that went in, by their names in the build: config, lists, patches, hooks"
    )
    settings: dict[str, Any] = Field(description="The project's settings as they were resolved, with every default")
    outputs: dict[Output, Described] = Field(
        description="The files of the release, relative to `dist`", json_schema_extra={"additionalProperties": False}
    )
    images: dict[str, Digest] = Field(description="The images' tags and their digests, in the order of `dist/images`")
    firmware: Firmware
    modules: list[ExternalModule] = Field(
        default=[], description="The external modules, in the order they were built, where there are some"
    )
    signing: Signing | None = Field(default=None, description="Whose key signed the modules, where it was an input")


def manifest_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of `dist/manifest.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Manifest.model_json_schema()}


def schema_text() -> str:
    """`manifest_schema` as the bytes of the schema file."""
    return json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"


def main(argv: list[str]) -> None:
    """Write the schema to the file named in `argv`, or to `config/manifest.schema.json` of the current folder."""
    (Path(argv[0]) if argv else SCHEMA_FILE).write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
