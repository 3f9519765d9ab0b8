"""A project of rosk from a checkout of os-kernel."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from builder.arch import ARCHES, host_arch
from builder.errors import InputError
from builder.importing import hooks, kernel, patches
from builder.importing.choices import Taken, choose
from builder.importing.folder import File, write_project
from builder.importing.layout import ArchFiles, Checkout, read_checkout
from builder.importing.leftovers import leftovers
from builder.importing.lists import List, adapt
from builder.importing.report import Report, some
from builder.importing.settingsfile import settings_text
from builder.project import load_project
from builder.schema import schema_text
from builder.stages.common import StageError
from builder.stages.dotconfig import Option, parse_config
from builder.stages.lists import FIRMWARE, MODULES

# Options whose value names files that a checkout of os-kernel may have and a project has no place for.
_NAMING = (
    "EXTRA_FIRMWARE",
    "INITRAMFS_SOURCE",
    "SYSTEM_BLACKLIST_HASH_LIST",
    "SYSTEM_REVOCATION_KEYS",
    "SYSTEM_TRUSTED_KEYS",
)


def import_project(
    path: Path, target: Path | None = None, *, version: str | None = None, force: bool = False
) -> Report:
    """Turn a checkout into a project.

    Args:
        path: The checkout; it is only read, unless it is the target too.
        target: The project's folder; NAME-rosk in the current folder when None, by the checkout's name.
        version: The kernel's version; what the checkout says when None.
        force: Write into a folder that holds something already, and replace there what the project needs.

    Raises:
        InputError: The folder is no checkout, nothing of it can be taken over, or the target is not empty.
        NoSpaceError: The disk is full.
    """
    checkout = read_checkout(path)
    target = (target or Path(f"{checkout.root.name or 'os-kernel'}-rosk")).absolute()
    importer = _Importer(checkout)
    arches = importer.arches()
    importer.hooks()
    choice = choose(checkout, importer.taken(), version=version, target=target, report=importer.report)
    importer.files["config/rosk.yaml"] = File(data=settings_text(choice).encode())
    importer.files["config/rosk.schema.json"] = File(data=schema_text().encode())
    write_project(target, importer.files, force=force, check=lambda folder: _load(folder, arches))
    report = importer.report
    report.left += leftovers(checkout, importer.seen)
    report.project = str(target)
    report.facts = {
        "kernel": f"{choice.kernel.value} ({choice.kernel.where})",
        "org": f"{choice.org.value} ({choice.org.where})",
        "release": f"{choice.release} (what `uname -r` prints)",
        "arches": ", ".join(arches),
        "toolchain": f"gcc {kernel.GCC[choice.suite.value]} of Debian's {choice.suite.value}",
    }
    shown = [f"rosk {command} -C {target}" for command in ("plan", "build")]
    arch = "" if host_arch().name in arches else f" --arch {arches[0]}"
    report.steps += [f"{command}{arch}" for command in shown]
    return report


def _load(folder: Path, arches: Iterable[str]) -> None:
    """See that the project is one, for each of its architectures.

    Raises:
        InputError: It is none; where, as in the project's folder.
    """
    for arch in arches:
        try:
            load_project(folder, arch=arch)
        except InputError as error:
            if isinstance(error.where, Path) and error.where.is_relative_to(folder.resolve()):
                error.where = error.where.relative_to(folder.resolve())
            raise


def _lines(number: int) -> str:
    return "1 line changed" if number == 1 else f"{number} lines changed"


class _Importer:
    """Collects the project's files, and the report, while it goes through a checkout.

    Attributes:
        files: What the project is made of.
        report: What became of what.
        seen: The files of the checkout that the report speaks of.
    """

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self.report = Report()
        self.files: dict[str, File] = {}
        self.seen: set[str] = set()
        self._configs: dict[str, bytes] = {}
        self._options: dict[str, list[Option]] = {}
        self._firmware: dict[str, str] = {}

    def arches(self) -> list[str]:
        """Take over what there is for each architecture that rosk knows; returns which those are."""
        done = [name for name in ARCHES if name in self.checkout.arches and self._arch(self.checkout.arches[name])]
        if not done:
            reasons = [f"{item.what}: {item.why}" for item in self.report.left]
            raise InputError(
                "no architecture of the checkout can be taken over",
                where=self.checkout.root,
                hint=f"rosk builds for {' and '.join(ARCHES)}: config/ARCH/kernel-config has to be there, and right",
                details=reasons,
            )
        return done

    def _arch(self, arch: ArchFiles) -> bool:
        self.seen.update(arch.files)
        try:
            if arch.config is None:
                raise ValueError("it has no config/ARCH/kernel-config")
            data = self._text(arch.config)
            options = parse_config(data, arch.config)
            lists = self._lists(arch)
        except (InputError, StageError) as error:
            line = f":{error.line}" if error.line else ""
            why = f"{error.what}: nothing of {arch.name} is taken over"
            self.report.leave(f"{error.where}{line}", why, error=True)
            return self._without(arch)
        except ValueError as error:
            self.report.leave(arch.name, f"{error}: nothing of it is taken over", error=True)
            return self._without(arch)
        self._configs[arch.config], self._options[arch.name] = data, options
        same = "unchanged" if data == self.checkout.read(arch.config) else "in UTF-8"
        self._add(f"config/{arch.name}/kernel-config", data, arch.config, f"{same}, {len(options)} options")
        self._look_at(arch.config, options)
        for name, (origin, made) in lists.items():
            self._list(f"lists/{arch.name}/{name}", origin, made)
        self._patches(arch)
        return True

    def _without(self, arch: ArchFiles) -> bool:
        if arch.files:
            why = f"belongs to {arch.name}, which was not taken over"
            self.report.leave(some(list(arch.files)), why, error=True)
        return False

    def _add(self, name: str, data: bytes, origin: str, said: str) -> None:
        self.files[name] = File(data=data)
        self.report.take(origin if origin == name else f"{origin} -> {name}", said)

    def _look_at(self, config: str, options: Iterable[Option]) -> None:
        for option in options:
            if option.name in _NAMING and option.value.strip('"'):
                self.report.leave(
                    f"{config}:{option.line}",
                    f"what CONFIG_{option.name} names ({option.value}): have a hook put it into the kernel's source",
                )
            if (
                option.name.startswith("MODULE_COMPRESS_")
                and option.value == "y"
                and option.name.endswith(("GZIP", "XZ", "ZSTD"))
            ):
                self.report.change(
                    f"{config}:{option.line}",
                    f"CONFIG_{option.name} is kept, and rosk packs plain .ko files all the same",
                )

    def _lists(self, arch: ArchFiles) -> dict[str, tuple[str | None, List]]:
        """The lists of an architecture by their names in a project, each with the file that it comes from.

        Raises:
            InputError, ValueError: One cannot be read.
        """
        made: dict[str, tuple[str | None, List]] = {}
        if arch.modules is None and arch.extra is None:
            whole = b"# os-kernel had no lists here: one package had the whole kernel.\n*\n"
            made["modules.list"] = None, adapt(whole, MODULES)
        else:
            made["modules.list"] = arch.modules, self._adapted(arch.modules)
        main = made["modules.list"][1]
        made["modules-extra.list"] = arch.extra, self._adapted(arch.extra, set(main.paths))
        if arch.firmware:
            try:
                listed = adapt(self._text(arch.firmware), FIRMWARE)
            except ValueError as error:
                raise ValueError(f"{arch.firmware} is no list: {error}") from error
            made["firmware.list"] = arch.firmware, listed
            self._firmware = {**dict.fromkeys(listed.paths, arch.firmware), **self._firmware}
            if self._ships_all():
                rest = b"# As in os-kernel: what is not in firmware.list goes to the extras package.\n*\n"
                made["firmware-extra.list"] = None, adapt(rest, FIRMWARE)
        return made

    def _text(self, name: str) -> bytes:
        """A file's content in UTF-8, as rosk reads it: one of another encoding is taken for Latin-1, and said.

        Raises:
            InputError: It cannot be read.
        """
        data = self.checkout.read(name)
        try:
            data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            self.report.change(f"{name}:{line}", "is not UTF-8: the file was read as Latin-1, and is UTF-8 now")
            return data.decode("latin-1").encode()
        return data

    def _adapted(self, name: str | None, other: set[str] | None = None) -> List:
        if name is None:
            return adapt(b"# os-kernel had no such list here.\n", MODULES)
        try:
            return adapt(self._text(name), MODULES, other or ())
        except ValueError as error:
            raise ValueError(f"{name} is no list: {error}") from error

    def _ships_all(self) -> bool:
        """Whether their scripts put the rest of linux-firmware into the extras package."""
        script = "scripts/build-common"
        return script in self.checkout.files and b"firmware-extra.tar" in self.checkout.read(script)

    def _list(self, name: str, origin: str | None, made: List) -> None:
        self.files[name] = File(data=made.data)
        if origin is None:
            self.report.change(name, "is new: " + made.data.decode().splitlines()[0].removeprefix("# "))
            return
        said = "unchanged" if not made.edits else _lines(len({edit.line for edit in made.edits}))
        self.report.take(f"{origin} -> {name}", f"{said}, {len(made.paths)} paths")
        for what, lines in made.said():
            places = some([str(line) for line in lines], 10)
            self.report.change(f"{name}", f"{what} (line{'s' if len(lines) > 1 else ''} {places} of {origin})")

    def _patches(self, arch: ArchFiles) -> None:
        folder = (
            f"patches/{arch.name}" if any(p.startswith(f"patches/{arch.name}/") for p in arch.patches) else "patches"
        )
        names: list[str] = []
        for origin in arch.patches:
            try:
                data = self.checkout.read(origin)
                problem = patches.refusal(origin, data)
            except InputError as error:
                data, problem = b"", (None, error.what)
            if problem:
                line, why = problem
                self.report.leave(f"{origin}:{line}" if line else origin, why, error=True)
                continue
            name = patches.name_for(origin, folder, names)
            names.append(name)
            self._add(f"patches/{arch.name}/{name}", data, origin, "unchanged")
        if len(names) > 1:
            order = ", ".join(sorted(names))
            self.report.change(
                f"patches/{arch.name}", f"are applied in the order of their names ({order}), not in that of the folder"
            )
        if names:
            self.report.change(
                f"patches/{arch.name}", "are applied with no fuzz: one that needed some stops the build, and says where"
            )

    def hooks(self) -> None:
        """Take over the hook scripts that do not need the checkout around them."""
        for origin in self.checkout.hooks:
            name = PurePosixPath(origin).name
            self.seen.add(origin)
            try:
                data = self.checkout.read(origin)
                problem = hooks.refusal(name, data, executable=self.checkout.is_executable(origin))
            except InputError as error:
                self.report.leave(origin, error.what, error=True)
                continue
            self.files[f"hooks/{name}"] = File(data=data, executable=problem is None)
            if problem is None:
                self.report.take(f"{origin} -> hooks/{name}", "unchanged; rosk runs it in the patched source")
                continue
            line, why = problem
            kept = f"it is in hooks/{name} as it was, not executable, so that rosk does not run it before it is adapted"
            self.report.leave(f"{origin}:{line}" if line else origin, f"{why}; {kept}")

    def taken(self) -> Taken:
        """What the settings follow from."""
        return Taken(
            configs=tuple(self._configs.items()),
            options=self._options,
            firmware=self._firmware,
            ships_all=self._ships_all(),
        )
