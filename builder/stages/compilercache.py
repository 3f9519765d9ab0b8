"""The compiler cache: ccache, set up so that it never gives what a compiler would not.

In its depend mode (`CCACHE_DEPEND`) ccache takes an earlier result when the source, the command and all files that
the earlier compile had listed as dependencies are the same. What is not in that list is put there, or into ccache's
keys: what the assembler reads (`.incbin`), the toolchain beside the compiler's driver, and which headers could take
each other's place. clang assembles by itself and lists nothing of that; with it ccache preprocesses, and keeps no
result of a source that has such a directive.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import tempfile
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from builder.stages import symversions
from builder.stages.common import put_program, warning
from builder.stages.symversions import Genksyms

# Stands before the compiler on PATH, so that ccache runs it for what it does not have. gcc's list of dependencies has
# what the preprocessor read; `as --MD` lists the assembler's inputs, into a pipe here: a file would take one program
# more for each object, to remove it. The temporary file among the inputs is gone by then.
_WRAPPER = """\
#!/bin/sh
list= compiles= found=
for word; do
    case $word in
        -Wp,-MMD,* | -Wp,-MD,*) list=${{word#-Wp,-M*D,}} ;;
        -c) compiles=yes ;;
    esac
done
{option}\
[ "$list" ] && [ "$compiles" ] || exec {compiler} "$@"
{headers}\
exec 9>&1
said=$({compiler} "$@" -Wa,--MD,/dev/fd/8 8>&1 >&9 9>&-)
code=$?
[ $code = 0 ] || exit $code
set -f
for word in $said; do
    case " $* " in *" $word "*) continue ;; esac
    [ ! -f "$word" ] || found="$found $word"
done
{versions}\
[ ! "$found" ] || sed -i "\\$ s|\\$| \\\\\\\\\\n$found|" "$list"
"""
# For a list that has the headers too which a source takes for the system's (`-isystem`, `#pragma GCC system_header`).
_ALL_HEADERS = """\
for word; do
    shift
    case $word in -Wp,-MMD,*) word=-Wp,-MD,$list ;; esac
    set -- "$@" "$word"
done
"""
# Another word leaves all earlier results behind; theirs is a shorter list of dependencies.
_FORMAT = "rosk4"
_PORTS = {"redis": 6379, "http": 80}
_REMOTE = re.compile(r"^remote_storage\s*=\s*(\S+)\s*$", re.MULTILINE)
_SECONDS = 3.0
# A server that stops answering in the middle of a build costs this much for each compile.
_PATIENCE = "|connect-timeout=200|operation-timeout=1000"

_BY_NAME_ONLY = re.compile(r"^CONFIG_(GCC_PLUGINS|RANDSTRUCT)=y$", re.MULTILINE)


def may_cache(config: str) -> bool:
    """Whether ccache sees all that a compile for a kernel of this config follows from.

    Of a plugin of gcc, and of the file with the seed by which structures are laid out, it sees the name.
    """
    return _BY_NAME_ONLY.search(config) is None


class CompilerCache:
    """ccache for one run of make.

    Args:
        folder: Where it keeps its results.
        compiler: The compiler's name, as make calls it.
        toolchain: A checksum over the whole toolchain.
        shadows: A checksum over which headers could take each other's place (`builder.stages.shadowing`).
        config: Its configuration file, which may name a server that machines share; need not exist.
        all_headers: Sources may have headers of their own that they take for the system's; a kernel has none.
        genksyms: What makes symbol versions, which are kept with the objects then (`builder.stages.symversions`).
        temporary: A folder for its temporary files, made anew. On a disk's own file system, which an overlay is not,
            ccache keeps in it what it knows of headers that it has read (inode_cache), and reads each of them once.

    Attributes:
        passing: A folder that is there for this run alone, under a name of its own; `environment` names it.
        warnings: What the user is to be told, as entries of a report.
    """

    def __init__(
        self,
        folder: Path,
        compiler: str,
        toolchain: str,
        shadows: str,
        *,
        config: Path | None = None,
        temporary: Path | None = None,
        all_headers: bool = False,
        genksyms: Genksyms | None = None,
    ) -> None:
        self.folder = folder
        self.warnings: list[dict[str, object]] = []
        # In one key that every ccache knows: CCACHE_NAMESPACE, made for this, came with 4.5 (Debian 11 has 4.2).
        versions = f"-{genksyms.command}-{genksyms.sources}" if genksyms else ""
        self._keys = {"CCACHE_COMPILERCHECK": f"string:{_FORMAT}{'h' * all_headers}-{shadows}-{toolchain}{versions}"}
        self.passing = Path(tempfile.mkdtemp(prefix="rosk-"))
        self._depend = compiler != "clang"
        for name in {"gcc", compiler} if self._depend else ():
            wrap(name, self.passing / "bin", all_headers=all_headers, versions=genksyms is not None)
        if genksyms:
            self._keys[symversions.VARIABLE] = genksyms.command
            if program := shutil.which(compiler):
                symversions.install(self.passing / "bin", program)
        self._config = self._configured(config)
        # Not in the cache's folder: a full or read-only one must not fail a compile.
        self._temporary = temporary or self.passing / "tmp"
        shutil.rmtree(self._temporary, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """The variables that make is run with."""
        return {
            **self._keys,
            "PATH": f"{self.passing / 'bin'}:{os.environ.get('PATH', os.defpath)}",
            "CCACHE_CONFIGPATH": str(self._config),
            "CCACHE_DIR": str(self.folder),
            **({"CCACHE_DEPEND": "1"} if self._depend else {}),
            "CCACHE_TEMPDIR": str(self._temporary),
            "CCACHE_STATSLOG": str(self.passing / "stats"),
        }

    def counts(self, suffix: str = "") -> dict[str, int]:
        """How often ccache was called (`calls`), and what came of it, in the words of its statistics log.

        Calls for /dev/null, by which kbuild probes the compiler, do not count.

        Args:
            suffix: `symversions.STATISTICS` for the commands for symbol versions: `beside_object` or `made_apart`.
        """
        log = self.passing / f"stats{suffix}"
        if not log.exists():
            return {}
        records = log.read_text(errors="replace").split("# ")[1:]
        lines = [record.splitlines() for record in records if not record.startswith("/dev/null")]
        return {"calls": len(lines), **Counter(word for _, *words in lines for word in words)}

    def close(self) -> None:
        """Remove what is there for this run alone: it has the server's password, and would stay in the step's layer."""
        shutil.rmtree(self.passing)

    def _configured(self, config: Path | None) -> Path:
        """The configuration file for this run: without a server that does not answer."""
        text = config.read_text() if config and config.is_file() else ""
        if (found := _REMOTE.search(text)) and not answers(found[1]):
            what = "the shared compiler cache does not answer: compiled without it"
            self.warnings.append(warning("compiler-cache", what))
            text = _REMOTE.sub("", text)
        elif found and "|" not in found[1]:
            text = text.replace(found[0], f"{found[0].rstrip()}{_PATIENCE}")
        file = self.passing / "ccache.conf"
        file.touch(mode=0o600)
        file.write_text(text)
        return file


def wrap(name: str, folder: Path, *, all_headers: bool = False, versions: bool = False) -> None:
    """Put a program in `folder` that runs the compiler `name` and completes its list of dependencies.

    Args:
        versions: It makes symbol versions too, with the programs of `symversions.install` in that folder.
    """
    compiler = shutil.which(name)
    if compiler is None:
        return
    parts = symversions.wrapper_parts(folder, compiler) if versions else {"option": "", "versions": ""}
    headers = _ALL_HEADERS if all_headers else ""
    put_program(folder / name, _WRAPPER.format(compiler=shlex.quote(compiler), headers=headers, **parts))


def answers(address: str) -> bool:
    """Whether a server for ccache's remote storage (`redis://…`, `http://…`) says anything at all in a few seconds."""
    url = urlsplit(address.partition("|")[0])
    asked = b"PING\r\n" if url.scheme == "redis" else f"HEAD / HTTP/1.0\r\nHost: {url.hostname}\r\n\r\n".encode()
    try:
        with socket.create_connection((url.hostname or "", url.port or _PORTS[url.scheme]), _SECONDS) as server:
            server.sendall(asked)
            return bool(server.recv(1))
    except (OSError, ValueError, KeyError):
        return False
