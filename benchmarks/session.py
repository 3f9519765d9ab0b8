"""One run of the benchmark: its sides, and what one repetition of each row does."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from benchmarks.cleanup import mounts
from benchmarks.commands import BenchmarkError
from benchmarks.engine import BuildCache, docker, remove_container
from benchmarks.kit import FRAGMENT, LineEdit, different_options, new_file_patch
from benchmarks.machine import pace
from benchmarks.packing import Packing
from benchmarks.part import PartOfKernel
from benchmarks.plain import PlainTree, start_container
from benchmarks.project import RoskProject, new_value
from benchmarks.registry import serve
from benchmarks.results import Results, Sample
from benchmarks.rows import OS_KERNEL, PACKING, PLAIN, ROSK, TUXMAKE, Row
from benchmarks.tuxmake import TuxMake
from benchmarks.workspace import Workspace, prepare_toolchain, resolve_config

SIDES = (PLAIN, TUXMAKE, ROSK)
_FROM_NOTHING = (PLAIN, ROSK, ROSK, PLAIN, TUXMAKE)
"""Each of rosk's turns has one of plain's beside it, before it and after it: a machine that becomes slower or faster
does so for both. From the second of rosk's on the lines have other values."""

Samples = list[tuple[str, Sample]]
"""What one repetition has measured: side and sample."""


class Session:
    """Everything that rows are measured with.

    Attributes:
        stale: The sides whose tree does not have the last edit yet.
        tuxmake_works: It did not fail yet.
        backwards: The sides take their turns the other way round, as they do in each second repetition.
    """

    def __init__(self, work: Workspace, results: Results, os_kernel: Path | None) -> None:
        self.work, self.results, self.os_kernel = work, results, os_kernel
        self.project = RoskProject(work)
        fresh = not work.state.kernel_version
        if fresh:
            self.project.create()
            prepare_toolchain(work)
        self.container = start_container(work)
        self.plain = PlainTree(work, self.container)
        self.tuxmake = TuxMake(work, self.plain)
        self.packing = Packing(work, self.container)
        self.part = PartOfKernel(self.plain)
        self.cache = BuildCache()
        self.module, self.builtin = self._edit(work.kit.module), self._edit(work.kit.builtin)
        self.tuxmake_works = True
        self.backwards = False
        self.stale = set(SIDES)
        self.project.check_code()
        if fresh or not self.plain.config.exists():
            self._begin()

    def _edit(self, path: str) -> LineEdit:
        original = self.work.folder / "originals" / path
        if not original.exists():
            original.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.work.tree / path, original)
        return LineEdit(path=path, original=original.read_text())

    def _begin(self) -> None:
        """Give both sides the first values of the lines and the same config."""
        for edit in (self.module, self.builtin):
            self.set_line(edit)
        if self.work.kit.kind == "quick":
            self.project.write("config/x86/kernel-config", self.plain.tiny_config(self.work.kit.base_config))
        self.plain.clean(resolve_config(self.work))

    def close(self) -> None:
        remove_container(self.container.name)

    # What rows are made of.

    def set_line(self, edit: LineEdit) -> None:
        """Change a line on both sides to a value that it never had."""
        value = new_value()
        self.project.set_line(edit, value)
        self.plain.set_line(edit, value)
        self.stale = set(SIDES)

    def build(self, side: str) -> Sample:
        builds: dict[str, Callable[[], Sample]] = {
            PLAIN: self.plain.build,
            TUXMAKE: self.tuxmake.build,
            ROSK: self.project.build,
        }
        os.sync()  # what one side has written is not for the next one to wait for
        sample = builds[side]()
        self.stale.discard(side)
        return sample

    def settle(self, *sides: str) -> None:
        """Build what has not been built yet, untimed, so that what is measured next is one change alone."""
        self.build_all(*(side for side in sides if side in self.stale))

    def build_all(self, *sides: str) -> Samples:
        """Build the sides in turn; TuxMake is left out from its first failure on, and the page says why."""
        samples: Samples = []
        for side in reversed(sides) if self.backwards else sides:
            try:
                if side != TUXMAKE or self.tuxmake_works:
                    samples.append((side, self.build(side)))
            except BenchmarkError as error:
                if side != TUXMAKE:
                    raise
                self.tuxmake_works = False
                lines = [line for line in str(error).splitlines() if "***" in line or "FAIL" in line]
                self.results.facts.append(f"TuxMake failed and was left out: {'; '.join(lines[:2]) or error}")
        return samples

    def measure(self, row: Row) -> None:
        """One repetition of a row.

        Raises:
            BenchmarkError: It cannot be measured.
        """
        self.backwards = self.results.repeated(row) % 2 == 1
        samples: Samples = getattr(self, f"row_{row.name}")()
        for side, sample in sorted(samples, key=lambda found: found[0] == ROSK):
            self.results.add(row.name, side, sample)

    # One repetition of each row.

    def row_nothing(self) -> Samples:
        """rosk: no cache mount, and no stage from the patches on; plain and TuxMake: an empty object tree.

        It takes hours on a slow machine: what a side has taken is kept, and `--resume` goes on with the next one.
        """
        begun = self.work.state.begun
        if begun:
            done = ", ".join(side for side, _ in begun)
            self.results.note("nothing", f"it was interrupted: {done} had been measured before")
        for turn, side in list(enumerate(_FROM_NOTHING))[len(begun) :]:
            if not turn or side == ROSK == _FROM_NOTHING[turn - 1]:
                for edit in (self.module, self.builtin):
                    self.set_line(edit)
            self._clean(side)
            before = pace()
            begun += self.build_all(side)
            paces = f"{before:.2f} s before it and {pace():.2f} s after it"
            self.results.note("nothing", f"{side} took its turn while a loop in Python took {paces}")
            self.work.save()
        self._compare_kernels()
        self.work.state.begun = []
        self.work.save()
        return begun

    def _clean(self, side: str) -> None:
        """Lose what a side has of earlier builds; of what rosk has in the engine nothing is used again."""
        if side == PLAIN:
            self.plain.clean(self.plain.config.read_text())
        elif side == TUXMAKE:
            self.tuxmake.clean()
        else:
            self.work.new_scope()
            self.project.add_line(FRAGMENT, f"# {new_value()}")
            for folder in (self.project.dist, self.project.home):
                shutil.rmtree(folder, ignore_errors=True)

    def _compare_kernels(self) -> None:
        """Whether the sides had the same config, and have made the same kernel."""
        config = (self.project.dist / "kernel/config").read_text()
        for name, other in (("plain make", self.plain.config), ("TuxMake", self.tuxmake.config)):
            if other.exists() and (others := different_options(other.read_text(), config)):
                self.results.note("nothing", f"the .config of {name} is not rosk's: it differs in {others}")
        (package,) = (self.project.dist / "kernel").glob("linux-*.tar.gz")
        with tarfile.open(package) as tar:
            file = tar.extractfile(f"./boot/vmlinuz-{self.work.release}")
            assert file is not None
            ours = hashlib.sha256(file.read()).digest()
        for name, kernel in (("plain make", self.plain.kernel), ("TuxMake", self.tuxmake.kernel)):
            same = kernel.exists() and hashlib.sha256(kernel.read_bytes()).digest() == ours
            self.results.note(
                "nothing", f"the kernel image of {name} is {'' if same else 'not '}bit-identical to rosk's"
            )

    def row_noop(self) -> Samples:
        self.settle(*SIDES)
        return self.build_all(*SIDES)

    def row_module(self) -> Samples:
        return self._line(self.module)

    def row_builtin(self) -> Samples:
        return self._line(self.builtin)

    def _line(self, edit: LineEdit) -> Samples:
        self.settle(*SIDES)
        self.set_line(edit)
        return self.build_all(*SIDES)

    def row_config(self) -> Samples:
        self.settle(PLAIN, ROSK)
        options = self.work.kit.options
        fragment = self.project.root / FRAGMENT
        rest = [option for option, _ in options if f"{option}=m" not in fragment.read_text()]
        if not rest:
            raise BenchmarkError("every option of the kit is on already: start anew, without --resume")
        self.project.add_line(FRAGMENT, f"{rest[0]}=m")
        self.plain.switch_on(rest[0])
        self.stale = set(SIDES)
        samples = self.build_all(PLAIN, ROSK)
        if self.plain.config.read_text() != (self.project.dist / "kernel/config").read_text():
            self.results.note("config", "plain's config differs from rosk's after the change")
        return samples

    def row_list(self) -> Samples:
        self.settle(PLAIN, ROSK)
        before = self.project.packages()
        moves = self.work.kit.moves
        self.project.move(moves[self.work.take("moves", len(moves))])
        return self._repacked(before, "list")

    def row_firmware(self) -> Samples:
        self.settle(PLAIN, ROSK)
        before = self.project.packages()
        listed = (self.project.root / "lists/x86/firmware.list").read_text().split()
        rest = [name for name in self.work.kit.firmware if name not in listed]
        if not rest:
            raise BenchmarkError("every firmware file of the kit is listed already: start anew, without --resume")
        self.project.add_line("lists/x86/firmware.list", rest[0])
        return self._repacked(before, "firmware")

    def _repacked(self, before: dict[str, str], row: str) -> Samples:
        """Time a build that only packs, beside plain make with nothing changed and the packing by itself."""
        samples = self.build_all(PLAIN, ROSK)
        after = self.project.packages()
        changed = [self.project.dist / name for name in after if after[name] != before.get(name)]
        if not changed:
            self.results.note(row, "a repetition changed no package")
        return [*samples, (PACKING, self.packing.again(changed))]

    def row_script(self) -> Samples:
        self.settle(ROSK)
        with (self.work.code / "dockerfiles/images/extra.sh").open("a") as script:
            script.write(f"# {new_value()}\n")
        return self.build_all(ROSK)

    def row_objects(self) -> Samples:
        """Lose the object tree; a patch that no object is made from makes the compile stage run."""
        self.settle(ROSK)
        mount = f"rosk-obj-x86-{self.work.release}-{self.work.state.scopes[-1]}"
        if not self.cache.forget_mount(mount):
            raise BenchmarkError(f"there is no cache mount {mount} to lose")
        self.project.write("patches/x86/note.patch", new_file_patch("Documentation/rosk-benchmark", new_value()))
        sample = self.build(ROSK)
        if again := sorted({"tools", "toolchain", "source"} & set(sample["ran"])):
            self.results.note("objects", f"the engine forgot {', '.join(again)} with the mount: that is in its time")
        return [(ROSK, sample)]

    def row_ccache(self) -> Samples:
        """A part of the kernel with an empty compiler cache, and with none."""
        return self.part.build_both(backwards=self.backwards)

    def row_registry(self) -> Samples:
        """Export the cache, lose every stage, mount, memory and result, and build from what the registry has."""
        if "--cache-from" not in self.project.options():
            raise BenchmarkError("this rosk has no --cache-from")
        self.settle(ROSK)
        settings = self.project.settings()
        # Another word for Debian's packages gives the whole graph, toolchain and source too, a name of its own.
        marked = {**settings, "toolchain": {**settings["toolchain"], "as_of": uuid4().hex}}
        self.project.write_settings(marked)
        try:
            with serve(self.work.folder / "registry") as host:
                return [(ROSK, self._from_registry(f"{host}/{self.work.org}/cache"))]
        finally:
            self.project.write_settings(settings)
            self.stale = {*self.stale, ROSK}
            shutil.rmtree(self.work.folder / "registry", ignore_errors=True)

    def _from_registry(self, reference: str) -> Sample:
        before = {record.id for record in self.cache.records()}
        self.project.build("--cache-to", reference)
        packages = self.project.packages()
        for tag in (self.project.dist / "images").read_text().split():
            docker("image", "rm", tag)
        shutil.rmtree(self.project.dist)
        for mount in mounts(self.work, self.cache):
            self.cache.forget_mount(mount)
        made = {record.id for record in self.cache.records()} - before
        if left := self.cache.forget(made):
            raise BenchmarkError(f"{left} of {len(made)} records of the local cache cannot be removed")
        home = self.work.folder / "home-lost"
        shutil.rmtree(home, ignore_errors=True)
        sample = self.project.build("--cache-from", reference, home=home)
        same = self.project.packages() == packages
        self.results.note("registry", f"the packages are {'' if same else 'not '}the same as before the loss")
        return sample

    def row_packing(self) -> Samples:
        told = self.packing.prepare(self.os_kernel)
        size = f"{told['modules']:,} modules, {told['bytes'] / 1e6:,.0f} MB"
        self.results.note(
            "packing", f"Debian's {told['package']} {told['version']}: {size}, {told['main']} of them in the main list"
        )
        samples = [(ROSK, self.packing.rosk(told["release"]))]
        if self.os_kernel is None:
            self.results.note("packing", "os-kernel's scripts were not given (`--os-kernel`): rosk's time only")
        else:
            samples.append((OS_KERNEL, self.packing.os_kernel(told["release"])))
        for side, sample in samples:
            sizes = ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in sample["sizes"].items())
            self.results.note("packing", f"sizes of {side}: {sizes}")
        return samples
