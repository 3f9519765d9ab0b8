"""`rosk boot` from its first look at the release to its report."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console as Screen
from rich.markup import escape

from builder.arch import ARCHES, host_arch
from builder.boot import diagnose as why
from builder.boot import qemu
from builder.boot.console import BAD, Console, Outcome, Report
from builder.boot.image import make_image
from builder.boot.kvm import DEVICE, Kvm, kvm_works
from builder.boot.payload import Modules, Payload, make_payload
from builder.engine.base import AUTO
from builder.engine.containers import run_container
from builder.errors import BootError, InputError
from builder.release import BOOT
from builder.releasefolder import ReleaseFolder, find_release
from builder.report.kept import keep_result
from builder.run import prepare
from builder.verify.model import count

SUITE = "trixie"
"""The Debian suite whose qemu and programs are used."""

_SILENCE = 150.0
"""Seconds: the init lets nothing be silent for longer than 90."""
_SHOWN_MODULES = 30
_CPUS = 2


@dataclass(frozen=True, kw_only=True)
class BootOptions:
    """How to boot.

    Attributes:
        modules: Which modules are loaded; see `builder.boot.payload`.
        memory: MiB of the guest; None: enough for its initramfs.
        timeout: Seconds that the guest may take in all. 150 of silence end it sooner.
        kvm: See `builder.boot.kvm`.
        shell: Give a prompt in the guest instead of checking anything.
        base: Image to install qemu in; see `builder.engine.base`.
        allow_install: What is missing on this machine may be installed and started.
        console: A file that receives the whole console.
        as_json: Print the report as one JSON object, and nothing else on standard output.
        external: Modules from elsewhere to load as well.
        append: Further parameters of the kernel.
        silent: Give the kernel no console, as if it had no driver for one; for tests.
    """

    modules: Modules = "all"
    memory: int | None = None
    timeout: float = 900.0
    kvm: Kvm = "auto"
    shell: bool = False
    base: str = AUTO
    allow_install: bool = True
    console: Path | None = None
    as_json: bool = False
    external: tuple[Path, ...] = ()
    append: str = ""
    silent: bool = False


@dataclass(frozen=True, kw_only=True)
class Boot:
    """A boot that came to an end.

    Attributes:
        release: What was booted.
        accel: How.
        seconds: How long qemu ran.
        report: What the console told.
        extras: The modules of the report that are of the extras package.
        diagnosis: What is wrong; None when nothing is.
    """

    release: ReleaseFolder
    accel: qemu.Accel
    seconds: float
    report: Report
    extras: frozenset[str]
    diagnosis: why.Diagnosis | None


def run_boot(dist: Path, options: BootOptions) -> None:
    """Boot the release in a folder and print what happened on standard output; it is kept for the release's report.

    Raises:
        BootError: The kernel did not come up, or something is wrong with what it does.
        InputError: There is no release in the folder, or it cannot be booted as asked for.
        EngineError: The engine is missing, or could not run qemu.
    """
    screen = Screen(highlight=False, emoji=False, soft_wrap=True)
    told = Screen(highlight=False, emoji=False, soft_wrap=True, stderr=True)
    found = boot(find_release(dist), options, note=lambda line: told.print(line, markup=False))
    if found is None:
        return
    keep_result(found.release, BOOT, as_json(found))
    if options.as_json:
        print(json.dumps(as_json(found), indent=1))
    else:
        print_boot(screen, found)
    _check(found)


def load_external(
    release: ReleaseFolder, modules: Sequence[Path], *, allow_install: bool, note: Callable[[str], None]
) -> None:
    """Boot a release and load modules that were built elsewhere, one after another.

    Raises:
        BootError: The kernel did not come up, or refuses one.
        EngineError: See `run_boot`.
    """
    options = BootOptions(modules="none", external=tuple(modules), allow_install=allow_install)
    found = boot(release, options, note=note)
    assert found is not None
    _check(found)
    note(f"{count(len(modules), 'module')} loaded into {release.v}, and unloaded")


def _check(found: Boot) -> None:
    if found.diagnosis is not None:
        told = found.diagnosis
        raise BootError(told.what, where=found.release.root, hint=told.hint, details=told.details)


def boot(release: ReleaseFolder, options: BootOptions, *, note: Callable[[str], None]) -> Boot | None:
    """Boot a release; None after a session at its prompt."""
    board = _board(release)
    if options.shell and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError("--shell needs a terminal", hint="run it in one, without redirecting input or output")
    with TemporaryDirectory(prefix="rosk-") as name:
        work = Path(name)
        engine, base = prepare(SUITE, options.base, allow_install=options.allow_install, note=note)
        note(f"making the machine: {board.package} of Debian {SUITE} in a container (kept for the next time)")
        image, guest = make_image(engine, board, base, work)
        payload = make_payload(
            release,
            board,
            guest,
            work / "release",
            modules="none" if options.shell else options.modules,
            external=options.external,
        )
        machine = qemu.Machine(
            board=board,
            accel=_accel(release, image, payload.kernel, options, note),
            memory=options.memory or qemu.memory_for(payload.initramfs.stat().st_size),
            cpus=_CPUS,
            prompt=options.shell,
            silent=options.silent,
            append=options.append,
        )
        return _run(release, payload, machine, image, options, note)


def _board(release: ReleaseFolder) -> qemu.Board:
    try:
        return qemu.BOARDS[release.a]
    except KeyError:
        raise InputError(
            f"a kernel for {release.a} cannot be booted", where=release.root, hint=f"known are {', '.join(qemu.BOARDS)}"
        ) from None


def _run(
    release: ReleaseFolder,
    payload: Payload,
    machine: qemu.Machine,
    image: str,
    options: BootOptions,
    note: Callable[[str], None],
) -> Boot | None:
    """Run qemu in a container of the image, and read its console."""
    mounts = {payload.kernel: "/boot/vmlinuz", payload.initramfs: "/boot/initramfs"}
    argv = qemu.command(machine, kernel="/boot/vmlinuz", initramfs="/boot/initramfs")
    devices = [str(DEVICE)] if machine.accel == "kvm" else []
    if machine.prompt:
        note("starting; Ctrl-A X ends qemu at once")
        run_container(image, argv, mounts=mounts, devices=devices, tty=True)
        return None
    note(f"booting {release.v} under {_accel_name(machine.accel)} with {len(payload.order)} modules to load")
    console = Console(payload.depends, payload.lacking)
    with ExitStack() as stack:
        log = stack.enter_context(options.console.open("w")) if options.console else None

        def read(line: str) -> None:
            console.feed(line)
            if log is not None:
                log.write(f"{line}\n")

        began = time.monotonic()
        silence = min(_SILENCE, options.timeout)
        ended = run_container(
            image, argv, mounts=mounts, devices=devices, timeout=options.timeout, silence=silence, on_line=read
        )
        seconds = time.monotonic() - began
    report = console.report()
    known = why.Release(board=machine.board, config=payload.config, where=payload.where)
    return Boot(
        release=release,
        accel=machine.accel,
        seconds=seconds,
        report=report,
        extras=payload.extras,
        diagnosis=why.diagnose(report, known, code=ended.code, timed_out=ended.timed_out),
    )


def _accel(
    release: ReleaseFolder, image: str, kernel: Path, options: BootOptions, note: Callable[[str], None]
) -> qemu.Accel:
    if options.kvm != "auto":
        return "kvm" if options.kvm == "on" else "tcg"
    x86 = ARCHES["x86"]
    own = release.a == x86.name and host_arch() == x86
    return "kvm" if own and kvm_works(image, kernel, note=note) else "tcg"


def _accel_name(accel: qemu.Accel) -> str:
    return "KVM" if accel == "kvm" else "TCG (emulated)"


def as_json(found: Boot) -> dict[str, Any]:
    """The report, for programs."""
    report = found.report
    return {
        "release": found.release.v,
        "arch": found.release.a,
        "accel": found.accel,
        "seconds": round(found.seconds, 1),
        "ok": found.diagnosis is None,
        "diagnosis": found.diagnosis and asdict(found.diagnosis),
        "checks": [{"name": check.name, "ok": check.ok, "why": check.why} for check in report.checks],
        "modules": [
            {**asdict(module), "package": "extras" if module.path in found.extras else "kernel"}
            for module in report.modules
        ],
        "firmware_missing": list(report.firmware),
        "incidents": [asdict(incident) for incident in report.incidents],
        "console": list(report.last),
    }


def print_boot(screen: Screen, found: Boot) -> None:
    """The report, for people; what is wrong is said once more by the error that follows."""
    report = found.report
    screen.print(
        f"[bold]Linux {escape(found.release.v)} for {found.release.a}[/] under {_accel_name(found.accel)}, "
        f"{found.seconds:.0f} s"
    )
    for check in report.checks:
        mark = "ok    " if check.ok else "[bold red]failed[/]"
        screen.print(f"  {mark}  {check.name:18}{escape(check.why)}".rstrip())
    for package, mine in (("kernel", False), ("extras", True)):
        modules = [module for module in report.modules if (module.path in found.extras) == mine]
        if modules:
            counts = Counter(module.outcome for module in modules)
            told = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome if counts[outcome])
            screen.print(f"modules of the {package} package: {len(modules)}: {told}")
    quiet = (Outcome.LOADED, Outcome.NO_DEVICE, Outcome.DEPENDENCY)
    shown = sorted(
        (each for each in report.modules if each.outcome not in quiet), key=lambda each: each.outcome not in BAD
    )
    for module in shown[:_SHOWN_MODULES]:
        screen.print(f"  {module.outcome.value:8}  {escape(module.path)}: {escape(module.why)}")
    if len(shown) > _SHOWN_MODULES:
        screen.print(f"  and {len(shown) - _SHOWN_MODULES} more (--json has all)")
    if found.diagnosis is None:
        screen.print(f"[bold green]The kernel boots and passes {len(report.checks)} checks[/]")
    for incident in report.incidents:
        during = f" during {incident.doing}" if incident.doing else ""
        screen.print(escape(f"{incident.kind.value}{during}: {incident.line}"))
