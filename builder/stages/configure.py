"""Complete a project's config for a kernel tree, and see that what it asks for is what comes out.

Outputs: `config` (the complete .config), `kernel.release`, `report.json` (`form`, `changed`, `warnings`),
`module-options.json` (each module the tree knows → its option) and `objects` (how many objects the compile makes).
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from builder.stages.common import StageError, stage_main, warning, write_json
from builder.stages.configmake import Make, add_make, make_of, read_values
from builder.stages.crosshost import NEEDS, refused
from builder.stages.dotconfig import (
    Option,
    format_config,
    is_full,
    is_kept,
    merge,
    parse_config,
    value_of,
)
from builder.stages.kbuild import Kbuild
from builder.stages.kconfig import Kconfig
from builder.stages.policy import FILE as POLICIES
from builder.stages.policy import enforce
from builder.stages.reproducible import KIND, findings, kernel_of
from builder.stages.signingoptions import check_options, own_options

CONFIG = "config/kernel-config"
FRAGMENTS = "config/fragments"
# What the build decides, not the file: the release's suffix.
OWN = ("LOCALVERSION", "LOCALVERSION_AUTO")
_RELEASE = "include/config/kernel.release"


def read_asks(config: Path, fragments: Path) -> tuple[str, list[list[Option]]]:
    """The config's form (`full` or `minimal`) and the options of it and of each fragment in order of name."""
    content = config.read_bytes()
    files = [parse_config(content, CONFIG)]
    for path in sorted(fragments.glob("*")):
        if path.is_file() and not path.name.startswith("."):
            files.append(parse_config(path.read_bytes(), f"{FRAGMENTS}/{path.name}"))
    return ("full" if is_full(content, files[0]) else "minimal"), files


def complete(
    make: Make, obj: Path, asks: Mapping[str, Option], localversion: str, own: Mapping[str, str] | None = None
) -> str:
    """Write `obj/.config` with what is asked for and let kbuild complete it; returns what kconfig printed."""
    values = {name: ask.value for name, ask in asks.items() if name not in OWN}
    values |= {"LOCALVERSION": f'"{localversion}"', "LOCALVERSION_AUTO": "n", **(own or {})}
    (obj / ".config").write_text(format_config(values))
    return make("olddefconfig")


def dropped(asks: Mapping[str, Option], got: Mapping[str, str]) -> list[Option]:
    """The options that did not come out as asked, in the order of the files."""
    return [ask for name, ask in asks.items() if name not in OWN and not is_kept(ask.value, value_of(got, name))]


def wanted(form: str, asks: Mapping[str, Option], kconfig: Kconfig) -> dict[str, Option]:
    """What somebody asked for: in a whole config, what has no prompt records the compiler and other options."""
    return {
        name: ask
        for name, ask in asks.items()
        if form == "minimal" or ask.where != CONFIG or not kconfig.type_of(name) or kconfig.has_prompt(name)
    }


def describe(ask: Option, got: str, reason: str) -> str:
    """One line for people: what was asked, what came out, and why."""
    return f"CONFIG_{ask.name}={ask.value} became {got}" + (f": {reason}" if reason else "")


def check_dropped(
    form: str, asks: Mapping[str, Option], got: Mapping[str, str], explain: Callable[[Option], str], *, strict: bool
) -> list[dict[str, Any]]:
    """The warnings for options that a full config has and this kernel drops.

    Raises:
        StageError: A minimal config or a fragment asks for an option that did not survive; with `strict`, a full
            config as well.
    """
    lost = dropped(asks, got)
    lines = {ask.name: describe(ask, value_of(got, ask.name), explain(ask)) for ask in lost}
    refused = [ask for ask in lost if strict or form == "minimal" or ask.where != CONFIG]
    if refused:
        first = refused[0]
        count = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise StageError(
            f"{lines[first.name]}{count}",
            hint="take the option out, or give it what it needs",
            where=first.where,
            line=first.line,
            details=[f"{ask.where}:{ask.line}: {lines[ask.name]}" for ask in refused],
        )
    return [warning("config-dropped", lines[ask.name], where=ask.where, line=ask.line) for ask in lost]


def release_of(make: Make, obj: Path, wanted: str) -> str:
    """The kernel release of `obj/.config`, as kbuild makes it.

    kbuild first has kconfig read all its files once more, to write what is written here: none of it is missing or stale
    then (the rule of include/config/auto.conf in the top Makefile). Whether strings are quoted there depends on the
    version; of them scripts/setlocalversion reads one. What comes out is believed when it is what is wanted.
    """
    synced = obj / "include/config/auto.conf"
    synced.parent.mkdir(parents=True, exist_ok=True)
    synced.with_name("auto.conf.cmd").write_text("")
    lines = [line for line in (obj / ".config").read_text().splitlines() if line.startswith("CONFIG_")]
    bare = (line.replace('"', "") if line.startswith("CONFIG_LOCALVERSION=") else line for line in lines)
    synced.write_text("".join(f"{line}\n" for line in bare))
    with suppress(StageError, FileNotFoundError):
        if _release(make, obj) == wanted:
            return wanted
    synced.unlink()
    return _release(make, obj)


def _release(make: Make, obj: Path) -> str:
    make(_RELEASE)
    return (obj / _RELEASE).read_text().strip()


def explain_release(tree: Path, release: str, wanted: str) -> StageError:
    """The error for a kernel release that is not the wanted one, with where the difference comes from."""
    files = [path.name for path in sorted(tree.glob("localversion*")) if not path.name.endswith("~")]
    details = [f"the file {name} in the source tree adds to it" for name in files]
    makefile = (tree / "Makefile").read_text(errors="replace")
    details += [f"the top Makefile says {line}" for line in makefile.splitlines()[:12] if " =" in line]
    return StageError(
        f"this source makes the kernel release {release}, not {wanted}",
        hint="set the project's kernel version to the source's, or take its localversion file away with a patch",
        details=details,
    )


def localversion_warning(asks: Mapping[str, Option], localversion: str) -> list[dict[str, Any]]:
    """A warning when a file sets another CONFIG_LOCALVERSION than the project's."""
    ask = asks.get("LOCALVERSION")
    if ask is None or ask.value in ('""', f'"{localversion}"'):
        return []
    what = f"CONFIG_LOCALVERSION={ask.value} is replaced by the project's {localversion}"
    return [warning("config-localversion", what, where=ask.where, line=ask.line)]


def reproducible_warnings(asks: Mapping[str, Option], values: Mapping[str, str], release: str) -> list[dict[str, Any]]:
    """A warning for each option that makes two builds of the same input differ, with the place that asks for it."""
    warnings = []
    for finding in findings(values, kernel_of(release)):
        ask = asks.get(finding.option)
        place = {} if ask is None else {"where": ask.where, "line": ask.line}
        warnings.append({**warning(KIND, finding.what), **place})
    return warnings


def check_cross(asks: Mapping[str, Option], values: Mapping[str, str]) -> None:
    """See that the programs which building modules takes can be made for the machine that will build them.

    Raises:
        StageError: One cannot.
    """
    option = refused(values)
    if option is None:
        return
    ask = asks.get(option)
    raise StageError(
        f"with CONFIG_{option}=y modules are built with {NEEDS[option]}, which cannot be cross-compiled",
        hint="switch it off, or build on a machine of the kernel's architecture",
        where=ask.where if ask else None,
        line=ask.line if ask else None,
    )


def overruled(files: Sequence[Sequence[Option]], kconfig: Kconfig) -> set[str]:
    """The options that one file switches on and a later file overrules by another member of the same choice."""
    found = set()
    chosen: dict[int, tuple[str, int]] = {}
    for number, options in enumerate(files):
        for option in options:
            choice = kconfig.choice_of(option.name) if option.value == "y" else None
            if choice is None:
                continue
            earlier, at = chosen.get(id(choice), (option.name, number))
            if at < number and earlier != option.name:
                found.add(earlier)
            chosen[id(choice)] = (option.name, number)
            found.discard(option.name)
    return found


def module_options(kbuild: Kbuild, kconfig: Kconfig, values: Mapping[str, str]) -> dict[str, str]:
    """Each module the tree knows, built or not, with the option that builds it: `kernel/fs/ext4/ext4.ko`."""
    return {
        path: f"CONFIG_{options[0]}"
        for path, options in kbuild.module_options(values).items()
        if any(kconfig.type_of(option) == "tristate" for option in options)
    }


def resolve(
    make: Make,
    obj: Path,
    kconfig: Callable[[], Kconfig],
    config: Path,
    fragments: Path,
    localversion: str,
    *,
    signing: bool = False,
) -> tuple[str, list[list[Option]], dict[str, Option], dict[str, str]]:
    """Have a complete .config of what the project asks for in `obj`.

    Args:
        kconfig: Gives the tree's Kconfig files; called where several files may stand against each other.
        signing: The project's key signs the modules.

    Returns:
        The config's form, what each of its files asks for, what of that counts by option, and the values that came out.
    """
    form, files = read_asks(config, fragments)
    asks = merge(*files)
    for name in overruled(files, kconfig()) if len(files) > 1 else ():
        del asks[name]
    own = own_options(signing=signing)
    for name in own:
        asks.pop(name, None)
    complete(make, obj, asks, localversion, own)
    return form, files, asks, read_values(obj / ".config")


def configure(args: argparse.Namespace) -> None:
    """Do the stage's work."""
    obj = args.obj
    srcarch = {"x86_64": "x86", "i386": "x86"}.get(args.arch, args.arch)
    make = make_of(args, obj)
    signing = args.signing == "key"
    with ThreadPoolExecutor(1) as beside:
        read = beside.submit(Kconfig, args.tree, srcarch).result
        form, _, asks, values = resolve(
            make, obj, read, args.config, args.fragments, args.localversion, signing=signing
        )
        kconfig = read()
    if args.cross_compile:
        check_cross(asks, values)
    check_options(values, signing=signing, certificate=args.certificate, tree=args.tree, where=CONFIG)
    warnings = localversion_warning(asks, args.localversion)
    asked_for = wanted(form, asks, kconfig)
    explain = partial(_explain, kconfig, values)
    warnings += check_dropped(form, asked_for, values, explain, strict=args.strict)
    kbuild = Kbuild(args.tree, srcarch)
    with ThreadPoolExecutor(1) as beside:
        made = beside.submit(release_of, make, obj, args.release)
        objects, modules = kbuild.objects(values), module_options(kbuild, kconfig, values)
        release = made.result()
    if release != args.release:
        raise explain_release(args.tree, release, args.release)
    warnings += reproducible_warnings(asks, values, release)
    kept = enforce(
        args.config.with_name(Path(POLICIES).name),
        values,
        release,
        lambda option, value: kconfig.explain(option, value, values),
        kconfig.type_of,
    )
    changed = {f"CONFIG_{ask.name}": value_of(values, ask.name) for ask in dropped(asked_for, values)}
    args.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(obj / ".config", args.out / "config")
    (args.out / "kernel.release").write_text(f"{release}\n")
    (args.out / "objects").write_text(f"{objects}\n")
    write_json(args.out / "module-options.json", modules)
    asked = {f"CONFIG_{ask.name}": place_of(ask) for ask in asks.values() if ask.name not in OWN}
    by_default = {"by": "make alldefconfig", "values": json.loads(args.defaults.read_text())}
    report = {"form": form, "changed": changed, "asked": asked, "defaults": by_default, "warnings": warnings}
    if kept:
        report["policies"] = kept
    write_json(args.out / "report.json", report)


def place_of(ask: Option) -> dict[str, Any]:
    """An option that was asked for, for a report."""
    return {"value": ask.value, "where": ask.where, "line": ask.line}


def _explain(kconfig: Kconfig, values: Mapping[str, str], ask: Option) -> str:
    return kconfig.explain(ask.name, ask.value, values)


def add_signing(parser: argparse.ArgumentParser) -> None:
    """The options `--signing` and `--certificate`."""
    parser.add_argument("--signing", choices=["none", "key"], default="none", help="key: the project's key signs")
    parser.add_argument("--certificate", type=Path, default=Path("none"), help="that key's; need not exist")


def main() -> None:
    """Command line; see the module's text. `--config` and `--fragments` are files of the build context.

    `--obj` and `--defaults` are what `builder.stages.kconfigdefaults` has made.
    """
    parser = argparse.ArgumentParser(prog="configure", description=__doc__)
    for option in ("--tree", "--obj", "--defaults", "--config", "--fragments", "--out"):
        parser.add_argument(option, type=Path, required=True)
    for option in ("--localversion", "--release"):
        parser.add_argument(option, required=True)
    add_make(parser)
    add_signing(parser)
    parser.add_argument("--strict", action="store_true")
    args = parser.parse_args()
    configure(args)


if __name__ == "__main__":
    stage_main(main)
