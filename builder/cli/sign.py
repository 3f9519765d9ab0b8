"""`rosk sign`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from builder.cli.app import app
from builder.cli.options import ArchOption, DistArgument, FlavourOption, JsonOption, ProjectOption, release_folder


class SignMethod(StrEnum):
    """What can sign."""

    MINISIGN = "minisign"
    SSH = "ssh"
    GPG = "gpg"
    COSIGN = "cosign"


@app.command()
def sign(
    dist: DistArgument = None,
    project: ProjectOption = Path(),
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    method: Annotated[
        SignMethod | None,
        typer.Option("--method", help="The program that signs.", show_default="sign.method of the settings"),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="Its key: a file, or what names it.", show_default="sign.key"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Sign the checksums of a release with your key: SHA256SUMS.minisig, .sig (ssh), .asc (gpg) or .sigstore.json.

    Your own program signs (minisign, ssh-keygen, gpg or cosign), and asks for a passphrase where it needs one; rosk
    reads no private key. `rosk build` signs by itself when the settings say how. Exits with 10 when the release is
    damaged.

    rosk sign --method ssh --key ~/.ssh/id_ed25519
    """
    import json  # noqa: PLC0415

    from builder.release import shown_path  # noqa: PLC0415 - quicker --help
    from builder.trust.run import run_sign  # noqa: PLC0415

    folder = release_folder(dist, project, arch=arch, flavour=flavour)
    made = run_sign(project, folder, method=method.value if method else None, key=key)
    print(json.dumps({"signature": str(made)}) if as_json else f"signed: {shown_path(made.resolve())}")
