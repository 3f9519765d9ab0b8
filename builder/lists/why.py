"""Why a module is where it is: which line names it, which option builds it, who depends on it. A pure function."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from builder.errors import InputError
from builder.lists.boot import boot_reason
from builder.lists.check import may_bring, maybe_comes
from builder.lists.model import Kernel, Policy
from builder.stages.lists import Entry
from builder.stages.modules import normal
from builder.stages.split import Lists, Placed, place

CORE, EXTRAS = "kernel", "extras"


@dataclass(frozen=True, kw_only=True)
class Why:
    """What there is to say of one module.

    Attributes:
        path: As under lib/modules/<release>.
        state: `module`, `built-in`, `off` (its option is) or `unknown` (only a list names it).
        package: `kernel`, `extras`, or None: it is no module, or no list names it and that stops a build, or may do so.
        because: One line: why it is there.
        lines: The lines that name it, `file:line`, with the pattern where it is one.
        through: From a listed module to this one, each depending on the next; empty where a line names it.
        option: The option that builds it with its value (`CONFIG_EXT4_FS=m`); None where that is not known.
        depends, needed_by: Modules that it cannot be loaded without, and that cannot without it.
        softdeps: What it would like to have loaded before it → the modules that provide that.
        wanted_by: The modules that would like to have it.
        may_need: Modules that it may depend on: it was never compiled.
        firmware: File that it may ask for → the line of a firmware list that names it, or None.
        size: In bytes; None where it is not known.
        license: As it says; None where it is not known.
        boot: Why a machine may need it to boot.
    """

    path: str
    state: str
    package: str | None
    because: str
    lines: tuple[str, ...]
    through: tuple[str, ...] = ()
    option: str | None = None
    depends: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()
    softdeps: Mapping[str, Sequence[str]]
    wanted_by: tuple[str, ...] = ()
    may_need: tuple[str, ...] = ()
    firmware: Mapping[str, str | None]
    size: int | None = None
    license: str | None = None
    boot: str | None = None


def explain(
    wanted: str, kernel: Kernel, lists: Lists, policy: Policy, firmware: Sequence[Entry] = ()
) -> tuple[Why, ...]:
    """What there is to say of a module; of several where their names are the same.

    Args:
        wanted: A path (`kernel/fs/ext4/ext4.ko`), a name (`ext4`, `snd-timer`) or an alias (`crypto-crc32c`).
        firmware: The lines of the firmware lists.

    Raises:
        InputError: Neither the kernel nor a list knows it.
    """
    paths = _find(wanted, kernel, lists)
    if not paths:
        known = {normal(path) for path in (*kernel.built.modules, *kernel.known.options)}
        close = difflib.get_close_matches(normal(wanted), sorted(known), n=3, cutoff=0.7)
        hint = f"is it {' or '.join(close)}?" if close else "give a module's name or its path as in the lists"
        raise InputError(f"neither the kernel {kernel.v} nor a list has the module {wanted}", hint=hint)
    placed = place(kernel.built, lists, softdeps=policy.softdeps)
    return tuple(_explain(path, kernel, lists, policy, placed, firmware) for path in paths)


def _find(wanted: str, kernel: Kernel, lists: Lists) -> list[str]:
    """The modules of a path, a name or an alias: those that are built, else built in, known, or only listed."""
    built, name = kernel.built, normal(wanted)
    if wanted in built.modules or wanted in kernel.known.options:
        return [wanted]
    listed = [entry.path for entry in (*lists.main, *lists.extra) if not entry.is_pattern]
    if "/" in wanted:
        return [wanted] if wanted in (*listed, *built.builtin.values()) else []
    known = sorted(path for path in kernel.known.options if normal(path) == name)
    in_image = [built.builtin[name]] if name in built.builtin else []
    return built.providers(wanted) or in_image or known or [path for path in listed if normal(path) == name]


def _explain(path: str, kernel: Kernel, lists: Lists, policy: Policy, placed: Placed, firmware: Sequence[Entry]) -> Why:
    built = kernel.built
    lines = tuple(
        f"{entry.place} ({entry.path})" if entry.is_pattern else entry.place
        for entry in (*lists.main, *lists.extra)
        if entry.select([path])
    )
    module = built.modules.get(path)
    option = kernel.option(path)
    if module is None:
        state, because = _not_a_module(path, kernel)
        return Why(
            path=path, state=state, package=None, because=because, lines=lines, option=option, softdeps={}, firmware={}
        )
    seen = path not in kernel.unseen
    package, because, through = _package(path, kernel, placed, policy, lines)
    return Why(
        path=path,
        state="module",
        package=package,
        because=because,
        lines=lines,
        through=through,
        option=option,
        depends=tuple(built.depends(path)),
        needed_by=tuple(other for other in built.modules if path in built.depends(other)),
        softdeps={name: _providers(kernel, name) for name in module.softdeps},
        wanted_by=tuple(
            other.path for other in built.modules.values() if any(path in built.providers(n) for n in other.softdeps)
        ),
        may_need=() if seen else tuple(kernel.needs.get(path, ())),
        firmware={
            name: next((entry.place for entry in firmware if entry.select([name])), None) for name in module.firmware
        },
        size=module.size if seen else None,
        license=module.license,
        boot=boot_reason(path),
    )


def _providers(kernel: Kernel, name: str) -> Sequence[str]:
    return ["the kernel image"] if kernel.built.is_builtin(name) else kernel.built.providers(name)


def _not_a_module(path: str, kernel: Kernel) -> tuple[str, str]:
    """The state of what is no module, and why it is none."""
    option = kernel.option(path)
    if normal(path) in kernel.built.builtin:
        return "built-in", "it is part of the kernel image" + (f" ({option})" if option else "")
    if option:
        return "off", f"it is not built: {option}"
    if same := kernel.built.names.get(normal(path)):
        return "unknown", f"this kernel has it as {same[0]}"
    return "unknown", "this kernel does not have it"


def _package(
    path: str, kernel: Kernel, placed: Placed, policy: Policy, lines: Sequence[str]
) -> tuple[str | None, str, tuple[str, ...]]:
    """The package of a module, why, and the way from a listed module to it."""
    package = CORE if path in placed.main else EXTRAS if path in placed.extra else None
    if package is None:
        return *_unlisted(path, kernel, placed, policy), ()
    named = placed.named_main if package == CORE else placed.named_extra
    if path in named:
        return package, "a list names it", ()
    outside = {other for other in placed.main if not other.startswith("kernel/")} if package == CORE else set()
    if path in outside:
        return package, "it is outside kernel/", ()
    through = _way(kernel, named | outside, path)
    if not through:
        return package, "it is a soft dependency of the kernel package, which the settings pull", ()
    listed = " although modules-extra.list names it" if path in placed.named_extra else ""
    return package, f"{through[0]}, which is listed, cannot be loaded without it{listed}", through


def _unlisted(path: str, kernel: Kernel, placed: Placed, policy: Policy) -> tuple[str | None, str]:
    """The package of a module that has no place, and why."""
    to, why = policy.destination(path)
    fixed = f"`rosk lists fix` would put it in {to} ({why})" if to != "error" else f"you decide ({why})"
    by = may_bring(kernel, placed).get(path)
    if by:
        fixed = f"{maybe_comes(by)}: the first compile tells"
    if policy.unlisted == "extra":
        return EXTRAS, f"no list names it: the settings send it to the extras; {fixed}"
    if by:
        return None, f"no list names it; {fixed}"
    return None, f"no list names it: that stops a build; {fixed}"


def _way(kernel: Kernel, starts: Iterable[str], path: str) -> tuple[str, ...]:
    """The shortest way from one of the starts to a module, both included, along dependencies."""
    came: dict[str, str | None] = dict.fromkeys(sorted(starts))
    todo = list(came)
    for at in todo:
        if at == path:
            way = [at]
            while (before := came[way[-1]]) is not None:
                way.append(before)
            return tuple(reversed(way))
        for other in kernel.built.depends(at):
            if other not in came:
                came[other] = at
                todo.append(other)
    return ()
