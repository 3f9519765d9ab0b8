"""`rosk services` and `rosk install-into`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from builder.cli.app import app
from builder.cli.options import ArchOption, FlavourOption, JsonOption, ProjectOption, release_folder

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the diff, write nothing.")]
DistOption = Annotated[
    Path | None,
    typer.Option("--dist", metavar="DIST", help="The folder of a release.", show_default="dist of the project"),
]


@app.command()
def services(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A clone of a services repository, or a folder for a web server.")
    ],
    project: ProjectOption = Path(),
    versions: Annotated[
        list[str] | None,
        typer.Option(
            "--os",
            metavar="VERSION",
            help="A version of the OS (v1.5.8, v2.0.x, master); may be given several times.",
            show_default="master; in a clone, the branch that is checked out",
        ),
    ] = None,
    dist: DistOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    dry_run: DryRunOption = False,
    serve: Annotated[bool, typer.Option("--serve", help="Offer it on loopback, for a try, until Ctrl-C.")] = False,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="The port of --serve; 0 takes a free one.")
    ] = 8080,
    as_json: JsonOption = False,
) -> None:
    """Write the services repository in which RancherOS and BurmillaOS find kernel-extras and kernel-headers.

    In a clone of rancher/os-services, burmilla/os-services or your own, the branch that is checked out is edited, and
    all other services stay. Any other folder gets one folder per branch: master, and those that the versions ask for.
    """
    from builder.osrepo.servicesrun import ServicesOptions, run_services  # noqa: PLC0415 - quicker --help

    meant = (arch, flavour) != (None, None)  # else there need not be a release
    options = ServicesOptions(
        project=project,
        dist=release_folder(dist, project, arch=arch, flavour=flavour) if meant else dist,
        versions=tuple(versions or ()),
        dry_run=dry_run,
        port=port if serve else None,
        as_json=as_json,
    )
    run_services(folder, options)


@app.command("install-into")
def install_into(
    checkout: Annotated[
        Path, typer.Argument(metavar="OS_CHECKOUT", help="A clone of rancher/os or burmilla/os, or of a fork.")
    ],
    project: ProjectOption = Path(),
    dist: DistOption = None,
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="Have the OS's build download the kernel package from there, instead of copying it into the checkout; "
            "with a slash at its end, the folder that has it.",
        ),
    ] = None,
    dry_run: DryRunOption = False,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Leave out the fast checks of the release.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put the release's kernel into a clone of the OS, and say what to run next.

    The package becomes assets/kernel.tar.gz, or Dockerfile.dapper gets its URL. An edit that does not match exactly one
    line fails, and then nothing is written.
    """
    from builder.osrepo.install import InstallOptions, run_install  # noqa: PLC0415

    options = InstallOptions(
        dist=release_folder(dist, project, arch=arch, flavour=flavour),
        url=url,
        dry_run=dry_run,
        verify=not no_verify,
        as_json=as_json,
    )
    run_install(checkout, options)
