"""`rosk boot`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from builder.cli.app import app
from builder.cli.options import (
    ArchOption,
    DistArgument,
    FlavourOption,
    JsonOption,
    NoInstallOption,
    ProjectOption,
    release_folder,
)


class ModulesChoice(StrEnum):
    """Which modules are loaded one by one."""

    ALL = "all"
    KERNEL = "kernel"
    NONE = "none"


class KvmChoice(StrEnum):
    """Whether the guest runs on KVM."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


@app.command()
def boot(
    dist: DistArgument = None,
    project: ProjectOption = Path(),
    arch: ArchOption = None,
    flavour: FlavourOption = None,
    shell: Annotated[bool, typer.Option("--shell", help="Give a prompt in the guest instead.")] = False,
    modules: Annotated[
        ModulesChoice, typer.Option("--modules", help="Load each module: of both packages, of the kernel's, none.")
    ] = ModulesChoice.ALL,
    memory: Annotated[
        int | None,
        typer.Option("--memory", metavar="MIB", min=64, help="Memory of the guest.", show_default="what it needs"),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=1, help="Stop a guest that takes longer.")
    ] = 900,
    kvm: Annotated[
        KvmChoice, typer.Option("--kvm", help="Run on KVM: when a trial shows that it works, always, never.")
    ] = KvmChoice.AUTO,
    append: Annotated[
        str, typer.Option("--append", metavar="TEXT", help="Further parameters for the kernel.", show_default=False)
    ] = "",
    console: Annotated[
        Path | None, typer.Option("--console", metavar="FILE", help="Write the whole console to this file.")
    ] = None,
    base: Annotated[
        str, typer.Option("--base", metavar="IMAGE", help="Debian image to install qemu in (as toolchain.base).")
    ] = "auto",
    no_install: NoInstallOption = False,
    as_json: JsonOption = False,
) -> None:
    """Boot the release in qemu: load its modules, and try what an OS and Docker need of a kernel."""
    from builder.boot.run import BootOptions, run_boot  # noqa: PLC0415 - the engine's client is slow to import

    options = BootOptions(
        modules=modules.value,
        memory=memory,
        timeout=timeout,
        kvm=kvm.value,
        shell=shell,
        base=base,
        allow_install=not no_install,
        append=append,
        console=console,
        as_json=as_json,
    )
    run_boot(release_folder(dist, project, arch=arch, flavour=flavour), options)
