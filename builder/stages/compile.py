"""Compile the kernel and its modules in a folder of its own, and hand on what later stages need.

Outputs, under --out: `boot/` (vmlinuz-V, System.map-V, config-V), `modules/lib/modules/V/`, `objtree/` (the part of
the object tree that external modules need), `log/compile.log`. The settings that make the result the same for equal
input are those of Documentation/kbuild/reproducible-builds.rst.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from builder.stages.common import StageError, emit, progress, stage_main
from builder.stages.hostlink import static_arguments

# kbuild's lines for what `Kbuild.objects` estimates: objects of the kernel, not of its host tools.
_OBJECT = re.compile(r"  (?:CC|AS)(?: \[M\])? +((?!/|scripts/|tools/)\S+)$")
_NOTABLE = re.compile(
    r"(?:^|[ :])(?:fatal )?error: |^\S+:\d+(?::\d+)?: warning: |^(?:WARNING|ERROR): modpost: |\*\*\* "
    r"|^\S*ld(?:\.bfd)?: (?!.*: in function )|undefined reference to |No space left on device"
)
# The first of these that the log has, in this order, is the failure's cause; make's own line comes last of all.
_CAUSES = (
    re.compile(r"^\S+?:\d+(?::\d+)?: (?:fatal )?error: .*"),
    re.compile(r"^\S+?:\d+: Error: .*"),
    re.compile(r"^ERROR: modpost: .*"),
    re.compile(r".*undefined reference to .*|^\S*ld(?:\.bfd)?: .*(?:error|cannot|failed|undefined).*"),
    re.compile(r".*(?:^|[ :])(?:fatal )?error: .*", re.IGNORECASE),
    re.compile(r"\S*sh: (?:\d+: |line \d+: )?\S+: (?:command )?not found"),
    re.compile(r".*\*\*\* (?!Waiting for unfinished jobs|\[).*"),
    re.compile(r".*\*\*\* \[.*"),
)
_LOG_SECONDS = 7 * 86400
_NO_SPACE = "No space left on device"
_SECONDS_BETWEEN_EVENTS = 0.5
_SECONDS_TO_STOP = 5
_UNFINISHED = ".rosk-unfinished"
# An interrupted write is among the last ones; kbuild's post-processing of one object takes less than this.
_SUSPECT_SECONDS = 60
# Under the object tree; the headers stage chooses from it. Keys lie in certs/, which is not here.
_OBJTREE = (
    ".config",
    "System.map",
    "Module.symvers",
    "include/config",
    "include/generated",
    "arch/{srcarch}/include/generated",
    "arch/{srcarch}/kernel/module.lds",
    "arch/{srcarch}/kernel/ftrace-mod.o",
    "arch/{srcarch}/lib/crtsavres.o",
    "scripts",
    "tools/objtool/objtool",
    "tools/bpf/resolve_btfids/resolve_btfids",
)
# Whatever the config says (in any version's words), modules are installed as plain .ko: old kmods read no other.
_PLAIN_MODULES = tuple(f"CONFIG_MODULE_COMPRESS{suffix}=" for suffix in ("", "_ALL", "_GZIP", "_XZ", "_ZSTD"))
_NOT_IN_OBJTREE = ("*.cmd", "*.o", "*.a", "*.d")


@dataclass(frozen=True, kw_only=True)
class Build:
    """What to compile and with what.

    Attributes:
        tree: The source tree; is not written to.
        obj: The object tree; may hold an earlier build.
        arch: kbuild's ARCH: x86_64, arm64.
        image: The image's make target: bzImage, Image.
        image_path: The image in the object tree: arch/x86/boot/bzImage.
        cross_compile: The prefix of the cross compiler, or empty.
        epoch: Seconds since 1970 that date the kernel.
        release: The kernel release.
        options: The config's values by option name.
        ccache: Compile through ccache.
    """

    tree: Path
    obj: Path
    arch: str
    image: str
    image_path: Path
    cross_compile: str
    epoch: int
    release: str
    options: dict[str, str]
    ccache: bool

    def on(self, option: str) -> bool:
        return self.options.get(option) == "y"


def make_arguments(build: Build, jobs: int) -> list[str]:
    """make's command line, without targets."""
    words = ["make", "-C", str(build.tree), f"O={build.obj}", f"-j{jobs}", f"ARCH={build.arch}"]
    words.append(f"CROSS_COMPILE={build.cross_compile}")
    # gcc's plugins are host programs too, and have to be shared objects.
    if not build.on("GCC_PLUGINS"):
        words += static_arguments(build.obj / ".rosk")
    if build.ccache:
        words += [f"CC=ccache {build.cross_compile}gcc", "HOSTCC=ccache gcc"]
    return words


def make_environment(epoch: int) -> dict[str, str]:
    """The environment that makes the kernel's bytes depend on its input only."""
    return {
        **os.environ,
        "LC_ALL": "C",
        "LOCALVERSION": "",
        "KBUILD_BUILD_TIMESTAMP": time.strftime("%a %b %e %H:%M:%S UTC %Y", time.gmtime(epoch)),
        "KBUILD_BUILD_USER": "rosk",
        "KBUILD_BUILD_HOST": "rosk",
        "KBUILD_BUILD_VERSION": "1",
    }


def cpus() -> int:
    """How many CPUs this process may use: its affinity, limited by the control group's quota."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(allowed, -(-int(quota) // int(period))))
    except (OSError, ValueError):  # no control group, or its quota is "max"
        return allowed


class Compiler:
    """Runs make, with all its output in a log file and what matters on standard output."""

    def __init__(self, log: Path, environment: dict[str, str], expected: int) -> None:
        self.log = log
        self.environment = environment
        self.expected = expected
        self.done = 0
        self.announced = 0.0

    def run(self, argv: Sequence[str]) -> None:
        """Run make to its end.

        Raises:
            StageError: It failed; the details are the log's lines around the first error.
        """
        with self.log.open("ab") as log:
            start = log.tell()
            log.write(f"$ {' '.join(argv)}\n".encode())
            # In a process group of its own, so that stopping this program can stop all that make has started.
            process = subprocess.Popen(
                argv,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
            try:
                assert process.stdout
                for line in process.stdout:
                    log.write(line)
                    self.follow(line.decode(errors="replace").rstrip("\n"))
                code = process.wait()
            except BaseException:
                stop_group(process)
                raise
        if code != 0:
            text = self.log.read_bytes()[start:].decode(errors="replace")
            raise explain_failure(text.splitlines(), code)

    def follow(self, line: str) -> None:
        """Report one line of make's output: progress, or a warning or error as it is."""
        if match := _OBJECT.match(line):
            self.done += 1
            now = time.monotonic()
            if now - self.announced >= _SECONDS_BETWEEN_EVENTS:
                self.announced = now
                progress(min(self.done, self.expected), self.expected, match[1])
        elif _NOTABLE.search(line):
            print(line, flush=True)


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and everything in its group: first with SIGTERM, for make to tidy up, then outright."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # a second one must not cut this short
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_STOP)


def explain_failure(lines: Sequence[str], code: int) -> StageError:
    """The error for a failed make, from the lines that it printed."""
    at, cause = _cause(lines)
    around = list(lines[max(0, at - 5) : at + 15])
    if any(_NO_SPACE in line for line in lines):
        return StageError(
            "no space left on the disk while compiling",
            hint="free some space for the container engine (its caches hold the most), then build again",
            details=around,
        )
    if code < 0 or any("Killed signal terminated program" in line for line in lines):
        return StageError(
            "the compiler was killed, most likely for lack of memory",
            hint="give the container engine more memory or fewer CPUs",
            details=around,
        )
    return StageError(cause, hint="the whole log is in dist/build.log", details=around)


def _cause(lines: Sequence[str]) -> tuple[int, str]:
    for pattern in _CAUSES:
        for number, line in enumerate(lines):
            if match := pattern.match(line):
                return number, match[0].strip()
    return max(0, len(lines) - 15), "make failed"


def heal(obj: Path) -> None:
    """Take away what a killed build may have written in part: all files of its last minute.

    make removes a target when it is told to stop, but not when it is killed outright; a half-written object would
    then look finished to it.
    """
    if not (obj / _UNFINISHED).exists():
        return
    files = [path for path in obj.rglob("*") if path.is_file() and not path.is_symlink() and path.name != _UNFINISHED]
    times = {path: path.stat().st_mtime for path in files}
    newest = max(times.values(), default=0.0)
    for path, at in times.items():
        if at > newest - _SUSPECT_SECONDS:
            path.unlink()


def put_config(config: Path, obj: Path) -> None:
    """Give the object tree its .config, without touching an equal one: kbuild goes by its time."""
    obj.mkdir(parents=True, exist_ok=True)
    target = obj / ".config"
    if not target.exists() or target.read_bytes() != config.read_bytes():
        shutil.copyfile(config, target)


def compile_kernel(build: Build, compiler: Compiler, out: Path) -> None:
    """Build the image and the modules, and install the modules under `out`."""
    words = make_arguments(build, cpus())
    unfinished = build.obj / _UNFINISHED
    unfinished.touch()
    try:
        _make(build, compiler, words, out)
    except StageError:  # make itself came to its end, and took half-made targets away
        unfinished.unlink()
        raise
    unfinished.unlink()


def _make(build: Build, compiler: Compiler, words: Sequence[str], out: Path) -> None:
    if not build.on("MODULES"):
        compiler.run([*words, build.image])
        return
    compiler.run([*words, build.image, "modules"])
    progress(compiler.expected, compiler.expected, "modules_install")
    install = [f"INSTALL_MOD_PATH={out / 'modules'}", "INSTALL_MOD_STRIP=1", "DEPMOD=true"]
    compiler.run([*words, *install, *_PLAIN_MODULES, "modules_install"])


def collect(build: Build, out: Path) -> None:
    """Bring the image, the modules and the object tree's useful part into their final form under `out`."""
    release = build.release
    boot = out / "boot"
    boot.mkdir(parents=True, exist_ok=True)
    for source, name in (
        (build.image_path, "vmlinuz"),
        (Path("System.map"), "System.map"),
        (Path(".config"), "config"),
    ):
        if not (build.obj / source).is_file():
            raise StageError(
                f"the build made no {source}", hint="see that the image's target and path fit the architecture"
            )
        shutil.copyfile(build.obj / source, boot / f"{name}-{release}")
    installed = out / "modules/lib/modules"
    installed.mkdir(parents=True, exist_ok=True)
    others = [path.name for path in installed.iterdir() if path.name != release]
    if others:
        raise StageError(f"the modules were installed as {others[0]}, not {release}", hint="build from a clean source")
    (installed / release).mkdir(exist_ok=True)
    for link in ("build", "source"):
        (installed / release / link).unlink(missing_ok=True)
    srcarch = build.image_path.parts[1]
    copy_objtree(build.obj, out / "objtree", (name.format(srcarch=srcarch) for name in _OBJTREE))


def copy_objtree(obj: Path, out: Path, names: Iterable[str]) -> None:
    """Copy files and folders of the object tree, as far as they exist, without objects and kbuild's notes."""
    for name in names:
        source, target = obj / name, out / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_IN_OBJTREE))
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _stopped(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def new_log(folder: Path, release: str) -> Path:
    """A file for the log that no other build has, in a folder that builds share; old ones are cleared on the way."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.log"):
        if old.stat().st_mtime < time.time() - _LOG_SECONDS:
            old.unlink(missing_ok=True)
    file, name = tempfile.mkstemp(prefix=f"{release}-", suffix=".log", dir=folder)
    os.close(file)
    return Path(name)


def main() -> None:
    """Command line; see the module's text. The folder --configured is the output of the configure stage."""
    parser = argparse.ArgumentParser(prog="compile", description=__doc__)
    for option in ("--tree", "--configured", "--obj", "--image-path", "--log", "--out"):
        parser.add_argument(option, type=Path, required=True)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--cross-compile", default="")
    parser.add_argument("--epoch", type=int, required=True)
    parser.add_argument("--ccache", action="store_true")
    args = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopped)

    config = args.configured / "config"
    build = Build(
        tree=args.tree.resolve(),
        obj=args.obj.resolve(),
        arch=args.arch,
        image=args.image,
        image_path=args.image_path,
        cross_compile=args.cross_compile,
        epoch=args.epoch,
        release=(args.configured / "kernel.release").read_text().strip(),
        options=dict(re.findall(r"^CONFIG_(\w+)=(.*)$", config.read_text(), re.MULTILINE)),
        ccache=args.ccache,
    )
    out = args.out.resolve()
    log = new_log(args.log, build.release)
    heal(build.obj)
    put_config(config, build.obj)
    compiler = Compiler(log, make_environment(build.epoch), int((args.configured / "objects").read_text()))
    try:
        compile_kernel(build, compiler, out)
        collect(build, out)
    except OSError as error:
        raise StageError(f"the compile stage cannot go on: {error}", hint="see the disk's free space") from error
    except StageError:
        # Of a step that failed only the cache mounts survive: the host fetches the log from there by its name.
        emit({"event": "log", "name": log.name})
        raise
    (out / "log").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(log, out / "log/compile.log")
    log.unlink()


if __name__ == "__main__":
    stage_main(main)
