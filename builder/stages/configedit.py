"""Edit a project's config with kconfig's own menus, on this terminal, and say what that makes of the file.

Runs in a container, not in a build. Output: `result.json` with `changed` (option to its value before and after; what
the user set and what followed from it), `text` (the edited file's new text) and `left` (options that will not come out
as they were left: another file sets them). Without changes, or when the user did not save, there is no `text`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from builder.stages.common import StageError, stage_main, write_json
from builder.stages.configmake import Make, add_make, make_of, read_values
from builder.stages.configtext import assign
from builder.stages.configure import CONFIG, OWN, resolve
from builder.stages.dotconfig import format_option, is_full, is_kept, parse_config, value_of
from builder.stages.kconfig import Kconfig

_TRIES = 3


class Editing:
    """The files of a project, and what they come to.

    Args:
        folder: With `kernel-config` and `fragments/`.
    """

    def __init__(self, make: Make, obj: Path, kconfig: Kconfig, folder: Path, localversion: str) -> None:
        self.make = make
        self.obj = obj
        self.kconfig = kconfig
        self.folder = folder
        self.localversion = localversion

    def resolve(self) -> tuple[dict[str, str], dict[str, str]]:
        """The complete config in the output folder: its values, and those of its minimal form."""
        config, fragments = self.folder / "kernel-config", self.folder / "fragments"
        resolve(self.make, self.obj, lambda: self.kconfig, config, fragments, self.localversion)
        return self.read()

    def read(self) -> tuple[dict[str, str], dict[str, str]]:
        """As `resolve`, of the config that is there."""
        values = read_values(self.obj / ".config")
        self.make("savedefconfig")
        return values, read_values(self.obj / "defconfig")


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, list[str]]:
    """Option → the two values, where they differ; what the build decides is left out."""
    return {
        name: [value_of(old, name), value_of(new, name)]
        for name in (*new, *(name for name in old if name not in new))
        if name not in OWN and value_of(old, name) != value_of(new, name)
    }


def saved(file: Path, before: Mapping[str, str], minimal: Mapping[str, str], editing: Editing) -> str:
    """The text of a file with what the menus have changed, in the form that it has.

    Args:
        before, minimal: Values before, of the whole config and of its minimal form.
    """
    text = file.read_bytes().decode()  # with its own line ends
    asks = {option.name: option.value for option in parse_config(text, CONFIG)}
    full = is_full(text, parse_config(text, CONFIG))
    values, small = editing.read()
    order = list(editing.kconfig.options)
    changes: dict[str, str | None] = {}
    for name, (_, value) in differences(before, values).items():
        if name in asks or full:
            # A whole config does not name what cannot be seen.
            changes[name] = None if full and name not in values else value
    for name in differences(minimal, small):
        if name in small:
            changes[name] = small[name]
    for name in [name for name, value in changes.items() if value == "n" and name not in values and name not in asks]:
        del changes[name]  # it cannot be seen any more: there is nothing to say of it
    for _ in range(_TRIES):
        file.write_text(assign(text, changes, order))
        missing = {name: left for name, (left, _) in differences(values, editing.resolve()[0]).items()}
        missing = {name: value for name, value in missing.items() if editing.kconfig.has_prompt(name)}
        if not missing or missing.items() <= changes.items():
            break
        changes.update(missing)
    return file.read_bytes().decode()


def main() -> None:
    """Command line; see the module's text. `--file` is a name in the folder `--config`; `--work` is for a copy."""
    parser = argparse.ArgumentParser(prog="configedit", description=__doc__)
    for option in ("--tree", "--obj", "--config", "--work", "--out"):
        parser.add_argument(option, type=Path, required=True)
    for option in ("--srcarch", "--localversion", "--file", "--menu"):
        parser.add_argument(option, required=True)
    add_make(parser)
    args = parser.parse_args()
    folder = args.work
    shutil.copytree(args.config, folder, dirs_exist_ok=True)
    make = make_of(args, args.obj)
    editing = Editing(make, args.obj, Kconfig(args.tree, args.srcarch), folder, args.localversion)
    before, minimal = editing.resolve()
    whole = (args.obj / ".config").read_bytes()
    words = [word for word in make.words if word != "-s"]
    done = subprocess.run([*words, "--no-print-directory", args.menu])
    if done.returncode != 0:
        raise StageError(f"make {args.menu} failed with exit code {done.returncode}")
    values = read_values(args.obj / ".config") if (args.obj / ".config").read_bytes() != whole else before
    changed = differences(before, values)
    result: dict[str, object] = {"changed": changed}
    if changed:
        result["text"] = saved(folder / args.file, before, minimal, editing)
        came = editing.resolve()[0]
        result["left"] = [
            f"{format_option(name, values.get(name, 'n'))} will be {value_of(came, name)}"
            for name in changed
            if not is_kept(value_of(values, name), value_of(came, name))
        ]
    write_json(args.out / "result.json", result)


if __name__ == "__main__":
    stage_main(main)
