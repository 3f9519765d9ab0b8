"""Why a kernel did not come up, or failed a check: from what its console told, its config and its packages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from builder.boot.console import BAD, Incident, Outcome, Report, Trouble
from builder.boot.qemu import Board

SHOWN = 40
"""So many things that are wrong are shown."""

Where = Callable[[str], str]
"""Tells of a module's name (`virtio_blk`) which package has it: `kernel`, `extras`, `built in`, or an empty string."""

_NETFILTER = (("NF_TABLES", "nf_tables"), ("NF_CONNTRACK", "nf_conntrack"), ("NF_NAT", "nf_nat"))

OPTIONS: Mapping[str, Sequence[tuple[str, str]]] = {
    "devtmpfs": (("DEVTMPFS", ""),),
    "virtio-disk": (
        *(("VIRTIO_MENU", ""), ("PCI", ""), ("VIRTIO_PCI", "virtio_pci"), ("BLK_DEV", "")),
        ("VIRTIO_BLK", "virtio_blk"),
    ),
    "ext4": (("EXT4_FS", "ext4"),),
    "squashfs": (("MISC_FILESYSTEMS", ""), ("SQUASHFS", "squashfs"), ("SQUASHFS_ZLIB", "")),
    "overlay": (("OVERLAY_FS", "overlay"), ("TMPFS", "")),
    "namespace-mnt": (("NAMESPACES", ""),),
    "namespace-uts": (("UTS_NS", ""),),
    "namespace-ipc": (("IPC_NS", ""),),
    "namespace-net": (("NET_NS", ""),),
    "namespace-pid": (("PID_NS", ""),),
    "namespace-user": (("USER_NS", ""),),
    "namespace-cgroup": (("CGROUPS", ""), ("NAMESPACES", "")),
    "namespaces": tuple((f"{name}_NS", "") for name in ("UTS", "IPC", "NET", "PID", "USER")),
    "bridge": (("INET", ""), ("BRIDGE", "bridge"), ("LLC", "llc"), ("STP", "stp")),
    "veth": (("NET_NS", ""), ("VETH", "veth")),
    "ping": (("INET", ""), ("PACKET", "af_packet")),
    "nftables": (*_NETFILTER, ("NF_TABLES_IPV4", ""), ("NFT_NAT", "nft_chain_nat"), ("NFT_MASQ", "nft_masq")),
    "nat": (("IP_ADVANCED_ROUTER", ""), ("NFT_MASQ", "nft_masq")),
    "iptables": (
        *_NETFILTER,
        ("NFT_COMPAT", "nft_compat"),
        ("NETFILTER_XT_MATCH_ADDRTYPE", "xt_addrtype"),
        ("NETFILTER_XT_MATCH_CONNTRACK", "xt_conntrack"),
        ("NETFILTER_XT_NAT", "xt_nat"),
        ("NETFILTER_XT_TARGET_MASQUERADE", "xt_MASQUERADE"),
    ),
    "cgroup2": (("CGROUPS", ""),),
    "cgroup-cpu": (("CGROUP_SCHED", ""), ("FAIR_GROUP_SCHED", ""), ("CFS_BANDWIDTH", "")),
    "cgroup-cpuset": (("CPUSETS", ""),),
    "cgroup-io": (("BLK_CGROUP", ""), ("BLK_DEV_THROTTLING", "")),
    "cgroup-memory": (("MEMCG", ""),),
    "cgroup-pids": (("CGROUP_PIDS", ""),),
    "cgroup-bpf": (("BPF_SYSCALL", ""), ("CGROUP_BPF", ""), ("KALLSYMS", "")),
    "seccomp": (("SECCOMP", ""), ("SECCOMP_FILTER", "")),
    "keys": (("KEYS", ""),),
    "mqueue": (("POSIX_MQUEUE", ""),),
    "devpts": (("UNIX98_PTYS", ""),),
}
"""What each check of the init needs: an option, and its module where it may be one."""

_NO_ROOT = ("Unable to mount root fs", "No working init found", "Requested init /init failed")
_INIT_OPTIONS = ("BLK_DEV_INITRD", "BINFMT_ELF", "BINFMT_SCRIPT", "TMPFS", "PROC_FS", "SYSFS")


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is known of the release that was booted.

    Attributes:
        board: The machine that it was booted on.
        config: Option without `CONFIG_` to its value (`y`, `m`, …); options that are off are missing or `n`. Empty
            when the release has no config.
        where: See `Where`.
    """

    board: Board
    config: Mapping[str, str]
    where: Where


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Why a boot is a failure: one line, further lines to show, and the next step."""

    what: str
    details: tuple[str, ...] = ()
    hint: str = ""


def diagnose(report: Report, release: Release, *, code: int, timed_out: bool) -> Diagnosis | None:
    """What is wrong with a boot, or None.

    Args:
        code: qemu's exit code.
        timed_out: It was stopped because it took too long, or said nothing for too long.
    """
    memory = next((each for each in report.incidents if each.kind == Trouble.MEMORY), None)
    if incident := memory or report.grave:
        return _memory(incident) if memory else _grave(incident, release)
    if not report.spoke:
        return _silent(report, release, code=code, timed_out=timed_out)
    if not report.begun:
        return _no_init(report, release, timed_out=timed_out)
    if not report.ended:
        return _stuck(report, timed_out=timed_out)
    return _failures(tuple(_wrong(report, release)))


def _memory(incident: Incident) -> Diagnosis:
    return Diagnosis(
        what=f"the guest has too little memory: {incident.line}",
        details=incident.lines,
        hint="give it more with --memory MIB",
    )


def _failures(wrong: Sequence[str]) -> Diagnosis | None:
    """What a kernel that came up fails at."""
    if not wrong:
        return None
    more = [f"and {len(wrong) - SHOWN} more; --json has all"] if len(wrong) > SHOWN else []
    things = "one thing is" if len(wrong) == 1 else f"{len(wrong)} things are"
    return Diagnosis(what=f"the kernel boots, but {things} wrong", details=(*wrong[:SHOWN], *more), hint=_AFTER_FAILURE)


_AFTER_FAILURE = "change config, lists or firmware and build again; `rosk boot --shell` gives a prompt to look around"


def missing_options(release: Release, options: Sequence[tuple[str, str]]) -> list[str]:
    """Which of these are the reason that something does not work without the extras, a line each."""
    found = []
    for option, module in options:
        value = release.config.get(option, "n")
        if value == "n" and release.config:
            found.append(f"CONFIG_{option} is not set")
        elif value == "m" and module and (place := release.where(module)) != "kernel":
            package = "in the extras package only" if place == "extras" else "in no package"
            found.append(f"CONFIG_{option} is m, and {module}.ko is {package}")
    # Options that newer kernels no longer have (NF_TABLES_IPV4 and the like) look off: one that names a module counts.
    return [line for line in found if "is m," in line] or found


def _wrong(report: Report, release: Release) -> Iterator[str]:
    for check in report.checks:
        if not check.ok:
            reasons = missing_options(release, OPTIONS.get(check.name, ()))
            yield f"{check.name}: {'; '.join(reasons) or check.why}"
    for module in report.modules:
        if module.outcome in BAD:
            yield f"{module.path}: {module.why}"
    for name in report.firmware:
        yield f"firmware {name} was asked for and is not there"


def _grave(incident: Incident, release: Release) -> Diagnosis:
    if any(words in line for words in _NO_ROOT for line in (incident.line, *incident.lines)):
        reasons = missing_options(release, [(option, "") for option in _INIT_OPTIONS])
        return Diagnosis(
            what=f"the kernel found no init in its initramfs: {'; '.join(reasons) or incident.line}",
            details=incident.lines,
            hint="an OS that starts from an initrd cannot boot this kernel: set the option and build again",
        )
    if incident.doing.endswith(".ko"):
        what = f"loading {incident.doing} ended in a kernel {incident.kind.value}: {incident.line}"
        hint = "take the module from the lists, or find out why; `rosk boot --modules none` boots without loading any"
        return Diagnosis(what=what, details=incident.lines, hint=hint)
    when = f"during the check {incident.doing}" if incident.doing else "before or between checks"
    return Diagnosis(
        what=f"a kernel {incident.kind.value} {when}: {incident.line}",
        details=incident.lines,
        hint="the lines above are the kernel's own; `--console FILE` keeps the whole console",
    )


def _silent(report: Report, release: Release, *, code: int, timed_out: bool) -> Diagnosis:
    if report.last and not timed_out:
        return Diagnosis(
            what=f"qemu did not run the kernel: {report.last[-1]}",
            details=report.last,
            hint="see that vmlinuz is whole (`rosk verify`), and that --memory is enough",
        )
    reasons = missing_options(release, [(option, "") for option in release.board.options])
    if reasons:
        return Diagnosis(
            what=f"the kernel said nothing: it has no console on {release.board.console}: {'; '.join(reasons)}",
            hint="set these options to y, so that the kernel has a serial console, and build again",
        )
    ended = "nothing came until the time limit" if timed_out else f"qemu ended with code {code}"
    return Diagnosis(
        what=f"the kernel said nothing ({ended}): it did not start, or stopped before its console",
        details=report.last,
        hint="see that vmlinuz is whole and for this architecture (`rosk verify`)",
    )


def _no_init(report: Report, release: Release, *, timed_out: bool) -> Diagnosis:
    reasons = missing_options(release, [(option, "") for option in _INIT_OPTIONS])
    how = "hangs while it starts" if timed_out else "restarts before it reaches its init"
    return Diagnosis(
        what=f"the kernel {how}{': ' if reasons else ''}{'; '.join(reasons)}",
        details=report.last,
        hint="the last lines of its console are above; `--console FILE` keeps all of it",
    )


def _stuck(report: Report, *, timed_out: bool) -> Diagnosis:
    doing = f"loading {report.doing}" if report.doing.endswith(".ko") else f"the check {report.doing}"
    how = "hangs" if timed_out else "restarted without a word"
    hung = [module.path for module in report.modules if module.outcome == Outcome.HUNG]
    return Diagnosis(
        what=f"the kernel {how} {f'during {doing}' if report.doing else 'between two steps of the init'}",
        details=(*(f"did not answer before: {path}" for path in hung), *report.last),
        hint="raise --timeout if the machine was only slow; else the last lines above tell what it was doing",
    )
