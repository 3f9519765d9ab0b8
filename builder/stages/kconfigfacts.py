"""What a kernel tree says of its options, whatever the project asks for: types, prompts, help, defaults.

Output: `facts.json` with `version` (`make kernelversion`), `options` (by name in the order of the Kconfig files, each
with `type`, `prompt`, `help` (its first line), `where`, `line`, `selects`, `needs` (all options that its conditions
name) and `choice`, a name of the choice that it is a member of), `defaults` (make alldefconfig) and `defconfig` (make
defconfig; null where the tree has none). kbuild's output folder is left as it is: configuring with it need not compile
kconfig again.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from builder.stages.common import StageError, stage_main
from builder.stages.configmake import Make, add_make, make_of, read_values
from builder.stages.kconfig import Definition, Kconfig
from builder.stages.kexpr import is_option, tokens

_PROMPT = re.compile(r"\s*(?:bool|tristate|string|int|hex|prompt)\s+(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)')")
_NEXT = re.compile(r"\s*(?:config|menuconfig|choice|endchoice|if|endif|menu|endmenu|source|comment)\b")
_HELP = re.compile(r"\s*(?:help|---help---)\s*$")
_SHOWN = 160


class Texts:
    """Prompts and help texts of a tree, which `builder.stages.kconfig` has no use for."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.files: dict[str, list[str]] = {}

    def of(self, entry: Definition) -> tuple[str, str]:
        """The prompt of an entry and the first line of its help; each may be empty."""
        if entry.where not in self.files:
            self.files[entry.where] = (self.tree / entry.where).read_text(errors="replace").splitlines()
        prompt = ""
        lines = self.files[entry.where][entry.line :]
        for at, line in enumerate(lines):
            if _HELP.match(line):
                return prompt, next((text.strip()[:_SHOWN] for text in lines[at + 1 :] if text.strip()), "")
            if _NEXT.match(line):
                break
            if not prompt and (match := _PROMPT.match(line)):
                prompt = (match[1] or match[2] or "")[:_SHOWN]
        return prompt, ""


def describe(kconfig: Kconfig, texts: Texts) -> dict[str, dict[str, Any]]:
    """Each option of the tree; see the module's text."""
    selects: dict[str, list[str]] = {}
    for target, each in kconfig.selects.items():
        for select in each:
            selects.setdefault(select.by, []).append(target)
    found = {}
    for name, entries in kconfig.options.items():
        said = [texts.of(entry) for entry in entries]
        needs = {word for entry in entries for part in entry.conditions for word in tokens(part.text)}
        choice = kconfig.choice_of(name)
        found[name] = {
            "type": kconfig.type_of(name),
            "prompt": next((prompt for prompt, _ in said if prompt), ""),
            "help": next((text for _, text in said if text), ""),
            "where": entries[0].where,
            "line": entries[0].line,
            "selects": list(dict.fromkeys(selects.get(name, ()))),
            "needs": sorted(word for word in needs if is_option(word)),
            **({"choice": f"{choice.where}:{choice.line}"} if choice else {}),
        }
    return found


def defconfig(make: Make, obj: Path) -> dict[str, str] | None:
    """The architecture's own defconfig, without what is off; None where the tree has none."""
    (obj / ".config").unlink(missing_ok=True)
    try:
        make("defconfig")
    except StageError:
        return None
    return {name: value for name, value in read_values(obj / ".config").items() if value != "n"}


def main() -> None:
    """Command line; `--obj` and `--defaults` are what `builder.stages.kconfigdefaults` has made."""
    parser = argparse.ArgumentParser(prog="kconfigfacts", description=__doc__)
    for option in ("--tree", "--obj", "--defaults", "--out"):
        parser.add_argument(option, type=Path, required=True)
    parser.add_argument("--srcarch", required=True)
    add_make(parser)
    args = parser.parse_args()
    make = make_of(args, args.obj)
    given = {name[len("CONFIG_") :]: value for name, value in json.loads(args.defaults.read_text()).items()}
    facts = {
        "version": make("kernelversion").split()[-1],
        "options": describe(Kconfig(args.tree, args.srcarch), Texts(args.tree)),
        "defaults": given,
        "defconfig": defconfig(make, args.obj),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "facts.json").write_text(json.dumps(facts) + "\n")  # the order of the options says where they stand


if __name__ == "__main__":
    stage_main(main)
