"""The headers package: everything an external module needs to be built, and nothing that must not leave the builder.

What it takes is what upstream's scripts/package/install-extmod-build ships, and what kbuild uses by the config.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from builder.arch import ARCHES
from builder.stages.dotconfig import set_options
from builder.verify.links import Shipped, links_of, problem
from builder.verify.model import Finding, check, count, skipped, verdict
from builder.verify.privatekeys import private_key
from builder.verify.shipped import config, is_on
from builder.verify.subject import Subject, plain

ALWAYS = (
    *("Makefile", "Kconfig", ".config", "Module.symvers", "System.map"),
    *("include/config/auto.conf", "include/config/kernel.release"),
    *("include/generated/autoconf.h", "include/generated/utsrelease.h"),
    *("scripts/Makefile.build", "scripts/Makefile.modpost", "scripts/basic/fixdep", "scripts/mod/modpost"),
)
# The linker script of modules: since Linux 5.10; before, of some architectures and of all.
LINKER_SCRIPTS = ("scripts/module.lds", "arch/{}/kernel/module.lds", "scripts/module-common.lds")
# Options, either of which has kbuild run a program on each module: objtool's was another one before Linux 5.19.
BY_OPTION = {
    "OBJTOOL": "tools/objtool/objtool",
    "STACK_VALIDATION": "tools/objtool/objtool",
    "DEBUG_INFO_BTF_MODULES": "tools/bpf/resolve_btfids/resolve_btfids",
}


@check("headers-complete", meaning="no external module (VirtualBox, ZFS, WireGuard …) can be built", of="headers")
def headers_complete(subject: Subject) -> Finding:
    """All that the build of an external module reads is there, and of this kernel."""
    files, v = subject.headers, subject.release.v
    values = config(subject)
    wanted = [*ALWAYS, *dict.fromkeys(path for option, path in BY_OPTION.items() if is_on(values, option))]
    srcarch = _srcarch(subject)
    if srcarch:
        wanted.append(f"arch/{srcarch}/Makefile")
    wrong = [f"{name} is missing" for name in wanted if files.read(name) is None]
    scripts = [name.format(srcarch or "*") for name in LINKER_SCRIPTS]
    if not any(files.matching(name) for name in scripts):
        wrong.append(f"{scripts[0]} is missing (before Linux 5.10: {' or '.join(scripts[1:])})")
    if is_on(values, "GCC_PLUGINS") and not files.matching("scripts/gcc-plugins/*.so"):
        wrong.append("scripts/gcc-plugins has no plugin, although CONFIG_GCC_PLUGINS is on")
    wrong += _stale(subject)
    return verdict(f"{count(len(wanted) + 1, 'file')} that the config asks for, of {v}", wrong)


def _stale(subject: Subject) -> Iterator[str]:
    """auto.conf, which kbuild reads, against the .config it was made of."""
    whole, made = (subject.headers.read(name) for name in (".config", "include/config/auto.conf"))
    if whole is None or made is None:
        return
    values, auto = (set_options(content.decode(errors="replace")) for content in (whole, made))
    for option in sorted(values.keys() | auto.keys()):
        mine, read = values.get(option, "n"), auto.get(option, "n")
        if _unquoted(mine) != _unquoted(read):
            yield f"include/config/auto.conf has {option}={read}, .config {mine}"


def _unquoted(value: str) -> str:
    """A value without the quotes and escapes of a string, which the auto.conf of newer kernels has not."""
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


@check("headers-secrets", meaning="who has the package can sign modules that this kernel trusts", of="headers")
def headers_secrets(subject: Subject) -> Finding:
    """No file is a private key, by its name or by its content."""
    files = subject.headers
    found = ((name, private_key(name, files.read(name) or b"")) for name in files.names)
    wrong = [f"{name} {why}" for name, why in found if why]
    return verdict(f"{count(len(files.names), 'file')}, by name and content", wrong)


@check("headers-architecture", meaning="the package is several times as large as it needs to be", of="headers")
def headers_architecture(subject: Subject) -> Finding:
    """Of the architectures' own folders only this one's is there."""
    srcarch = _srcarch(subject)
    if not srcarch:
        return skipped(f"the architecture {subject.release.a} is unknown")
    found: dict[str, int] = {}
    for member in subject.members("headers"):
        parts = plain(member.name).split("/")
        below = parts[1:] if parts[0] == "tools" else parts
        if below[:1] == ["arch"] and (len(below) > 2 or (len(below) == 2 and member.isdir())):
            folder = "/".join(parts[: len(parts) - len(below) + 2])
            found[folder] = found.get(folder, 0) + 1
    wrong = [
        f"{folder} is of another architecture ({count(number, 'member')})"
        for folder, number in sorted(found.items())
        if not folder.endswith(f"/{srcarch}")
    ]
    return verdict(f"arch/{srcarch} with {count(found.get(f'arch/{srcarch}', 0), 'member')}", wrong)


@check("headers-links", meaning="building a module stops at a file that is not there", of="headers")
def headers_links(subject: Subject) -> Finding:
    """Each link leads to something in the package, by a path that is valid wherever it is unpacked."""
    members = subject.members("headers")
    links, names = links_of(members), Shipped(plain(member.name) for member in members)
    wrong = [what for link in sorted(links) if (what := problem(link, links, names))]
    hard = [member for member in members if member.islnk()]
    for member in hard:
        goal = PurePosixPath(member.linkname)
        leaves = goal.is_absolute() or ".." in goal.parts  # which another check says
        if not leaves and plain(member.linkname) not in names:
            wrong.append(f"{plain(member.name)} is a hard link to {goal}, which does not ship")
    good = "" if wrong else ", all relative and inside the package"
    return verdict(f"{count(len(links) + len(hard), 'link')}{good}", wrong)


def _srcarch(subject: Subject) -> str:
    arch = ARCHES.get(subject.release.a)
    return arch.srcarch if arch else ""
