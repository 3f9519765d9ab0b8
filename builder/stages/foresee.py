"""Foresee which modules a configured tree makes, before anything of it is compiled.

Output: a JSON file with `built` (the paths of the modules, as under lib/modules/<release>) and `needs` (path of each
→ paths of those that it may depend on). What a module really depends on only its object file tells; `needs` has more,
and lacks a few: what Kconfig says so that a link works. A module can use the symbols of another one only where its
option, or a further option of it that is set, selects the other's option or depends on it (kconfig-language.rst,
"select" and "depends on"), or where those who select it see to that.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from builder.stages.common import stage_main, write_json
from builder.stages.configmake import read_values
from builder.stages.kbuild import Kbuild
from builder.stages.kconfig import Definition, Kconfig
from builder.stages.kexpr import LEVEL, conjuncts, evaluate, is_option, tokens

_MOD = ".mod.o"
"""Each module has an object of this name: scripts/Makefile.modfinal."""


def built_modules(kbuild: Kbuild, values: Mapping[str, str]) -> set[str]:
    """The modules that a config makes."""
    return {f"kernel/{name.removesuffix(_MOD)}.ko" for name in kbuild.object_names(values) if name.endswith(_MOD)}


def option_needs(kconfig: Kconfig, values: Mapping[str, str]) -> dict[str, set[str]]:
    """Option that is set → options that it selects, implies or depends on, and its further options.

    A further option is a bool that depends on it (EXT4_FS_SECURITY of EXT4_FS). A bool that depends on no module and
    selects none leads nowhere, and only makes the graph larger.
    """
    needs: dict[str, set[str]] = defaultdict(set)
    for target, selects in kconfig.selects.items():
        for select in selects:
            if _is_set(select.by, values) and evaluate(select.condition, values):
                needs[select.by].add(target)
    for name, entries in kconfig.options.items():
        if _is_set(name, values):
            needs[name] |= kconfig.implies.get(name, set())
            words = {word for entry in entries for condition in entry.conditions for word in tokens(condition.text)}
            modules = {word for word in words if values.get(word) == "m"} - {name}
            bools = {word for word in words if values.get(word) == "y" and kconfig.type_of(word) == "bool"} - {name}
            needs[name] |= modules | bools
            if kconfig.type_of(name) == "bool":
                for module in modules:
                    needs[module].add(name)
            elif not kconfig.has_prompt(name):
                own, users = _helps(entries)
                needs[name] |= own
                for user in users:
                    needs[user].add(name)
    return needs


def _helps(entries: Sequence[Definition]) -> tuple[set[str], set[str]]:
    """Of an option without a prompt, which others set: what it may need besides, and whose helper it may be.

    SMBFS is on where one of those who use it is: `default m if CIFS=m || SMB_SERVER=m`. NF_NAT_FTP is what joins two
    others: `default NF_NAT && NF_CONNTRACK_FTP`. Of `default NFT_REJECT` only the code tells which of both it is.
    """
    own: set[str] = set()
    users: set[str] = set()
    for text in chain(*(entry.defaults for entry in entries)):
        parts = [part for part in conjuncts(text) if any(map(is_option, tokens(part)))]
        own.update(part for part in parts if is_option(part))
        users.update(word for part in parts if "||" in tokens(part) or len(parts) == 1 for word in tokens(part))
    for condition in chain(*(entry.conditions for entry in entries)):
        users.update(word for part in conjuncts(condition.text) if "||" in tokens(part) for word in tokens(part))
    return own, set(filter(is_option, users))


def siblings(kconfig: Kconfig, values: Mapping[str, str], needs: Mapping[str, set[str]], option: str) -> set[str]:
    """What an option without a prompt may need that only those who select it say: they, and what they select beside it.

    ASYNC_PQ needs ASYNC_XOR, and only MD_RAID456, which selects both, says so.
    """
    if kconfig.has_prompt(option):
        return set()
    by = {select.by for select in kconfig.selects.get(option, ()) if _is_set(select.by, values)}
    return by.union(*(needs.get(each, set()) for each in by))


def module_needs(
    built: set[str], options: Mapping[str, Sequence[str]], needs: Mapping[str, set[str]], beside: Mapping[str, set[str]]
) -> dict[str, list[str]]:
    """Path of each built module → paths of the built modules that it may depend on.

    Where a makefile does not tell which option builds a module, it may have to do with all in its folder.

    Args:
        options: Path of each module that the tree knows → the options that build it.
        needs: See `option_needs`.
        beside: Option → its `siblings`.
    """
    modules: dict[str, set[str]] = defaultdict(set)
    folders: dict[str, set[str]] = defaultdict(set)
    for path in built:
        folders[path.rpartition("/")[0]].add(path)
        for option in options.get(path, ()):
            modules[option].add(path)
    found: dict[str, list[str]] = {}
    for path in built:
        own = set(options.get(path, ()))
        seen, todo = set(own), sorted(own)
        while todo:
            new = needs.get(todo.pop(), set()) - seen
            seen |= new
            todo += new
        seen = seen.union(*(beside.get(option, set()) for option in own))
        near = folders[path.rpartition("/")[0]]
        near = {other for other in near if not (options.get(path) and options.get(other))}
        found[path] = sorted({other for option in seen for other in modules.get(option, ())}.union(near) - {path})
    return found


def _is_set(option: str, values: Mapping[str, str]) -> bool:
    return LEVEL.get(values.get(option, "n"), 0) > 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="foresee", description=__doc__)
    parser.add_argument("--tree", type=Path, required=True)
    parser.add_argument("--configured", type=Path, required=True, help="what the configure stage wrote")
    parser.add_argument("--srcarch", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    values = read_values(args.configured / "config")
    kbuild, kconfig = Kbuild(args.tree, args.srcarch), Kconfig(args.tree, args.srcarch)
    built, options = built_modules(kbuild, values), kbuild.module_options(values)
    needs = option_needs(kconfig, values)
    beside = {option: siblings(kconfig, values, needs, option) for path in built for option in options.get(path, ())}
    found = module_needs(built, options, needs, beside)
    write_json(args.out, {"built": sorted(built), "needs": found})


if __name__ == "__main__":
    stage_main(main)
