"""Symbol versions from the compiler cache.

With CONFIG_MODVERSIONS kbuild preprocesses each source that exports symbols a second time and has genksyms read that
(scripts/Makefile.build, `cmd_gensymtypes_c`). Where the compiler cache has all objects, this is more than half of what
a compile costs. So they are made where the object is compiled, and ccache keeps both as one result: it takes them for
the file that gcc writes beside an object when it is asked how much of the stack functions use (`-fstack-usage`,
FILE.su), an option that gcc itself is not given here. kbuild's own command then finds them there. As entries of their
own they would cost an empty cache as much as one more object each, for ccache looks at every header several times.

Whatever is found beside an object tells which genksyms made it, and how that was called. Where this is not what kbuild
asks for, they are made as kbuild makes them.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from builder.stages.common import put_program, run

STATISTICS = ".symversions"
"""What the name of ccache's statistics log ends in for these."""
OPTION = "-fstack-usage"
VARIABLE = "ROSK_GENKSYMS"
"""In make's environment: `Genksyms.command`."""

_NAME = "rosk-symversions"
_MADE_NAME = f"{_NAME}-made"
_RULES = "scripts/Makefile.build"
# kbuild's own pipe. What follows it is genksyms and its arguments, which differ from version to version.
_RULE = re.compile(r"^cmd_gensymtypes_c\s*=\s*\$\(CPP\) -D__GENKSYMS__ \$\(c_flags\) \$<\s*\|\s*(\S.*)$", re.M)
_DEFINED = re.compile(r"^genksyms\s*=.*$", re.M)
_SOURCES = ("scripts/genksyms/", "scripts/include/")
# Parts of the compiler's wrapper (`builder.stages.compilercache`), which has found `-c` among its words, and which file
# the list of the object's dependencies goes to. The option is the first word where make's command has it there: ccache
# keeps the order. Calls that have it and no list are kbuild's probes; without the file ccache would not keep them.
_OPTION_TAKEN = """\
wanted= object= versions=
if [ "$1" = {option} ]; then
    wanted=yes
    shift
else
    case " $* " in *" {option} "*)
        wanted=yes
        for word; do
            shift
            [ "$word" = {option} ] || set -- "$@" "$word"
        done ;;
    esac
fi
case "$wanted $* " in yes*" -o "*)
    object=" $* "
    object=${{object##* -o }}
    object=${{object%% *}}
    versions=${{object##*/}}
    versions=${{object%"$versions"}}${{versions%.*}}.su ;;
esac
if [ "$versions" ] && [ "$compiles" ] && [ ! "$list" ]; then
    {compiler} "$@" && true >"$versions"
    exit
fi
"""
# kbuild asks for no versions of what modpost makes, which has the same sections.
_MADE_WITH_OBJECT = """\
if [ "$versions" ]; then
    true >"$versions"
    case $object in
        *.mod.o | *.vmlinux.export.o) ;;
        *)
            if grep -q -e __export_symbol_ -e __ksymtab "$object"; then
                more=$({made} "$versions" "$list" "$@") && found="$found$more" || true >"$versions"
            fi ;;
    esac
fi
"""
# Sets `sum` to the checksum of the genksyms that is named first in its argument. kbuild has made it before it compiles
# what exports symbols, and makes it once.
_SUM = """\
program=${{ROSK_GENKSYMS%% *}}
[ -s {sum} ] || {{ sha256sum <"$program" >{sum}.$$ && mv {sum}.$$ {sum}; }} || exit
read -r sum _ <{sum}
"""
# What make runs: GENKSYMS ARGUMENTS -- COMPILER'S ARGUMENTS. Before Linux 5.12 the object has another name first.
_ASKED = """\
#!/bin/sh
genksyms=
while [ "$1" != -- ]; do
    genksyms="$genksyms $1"
    shift
done
shift
genksyms=${{genksyms# }} list= how=made_apart
for word; do
    case $word in -Wp,-MMD,* | -Wp,-MD,*) list=${{word#-Wp,-M*D,}} ;; esac
done
name=${{list##*/}}
folder=${{list%"$name"}}
name=${{name#.}}
for versions in "$folder${{name%.o.d}}.su" "$folder.tmp_${{name%.o.d}}.su"; do
    [ -s "$versions" ] || continue
    if [ $how = made_apart ] && [ "$genksyms" = "$ROSK_GENKSYMS" ]; then
        {checksum}\
        {{ read -r first && [ "$first" = "# $sum $genksyms" ] && how=beside_object && cat; }} <"$versions"
        code=$?
    fi
    true >"$versions"
done
[ ! "$CCACHE_STATSLOG" ] || printf '# %s\n%s\n' "$list" $how >>"$CCACHE_STATSLOG{statistics}"
[ $how = made_apart ] || exit $code
{compiler} -E "$@" | $genksyms
"""
# What the compiler's wrapper runs for an object that exports symbols: VERSIONS LIST COMPILER'S ARGUMENTS. It says which
# files were read that the list of the object's dependencies lacks; the versions are there when all else is done.
# genksyms, which does not notice a full disk, writes to the shell, which does.
_MADE = """\
#!/bin/sh
[ -x "${{ROSK_GENKSYMS%% *}}" ] || exit
{checksum}\
versions=$1 list=$2 next=
shift 2
for word; do
    shift
    [ ! "$next" ] || {{ next= && continue; }}
    case $word in
        -o) next=yes ;;
        -c) ;;
        -Wp,-MMD,* | -Wp,-MD,*) set -- "$@" "${{word%%D,*}}D,"{passing}.$$ ;;
        *) set -- "$@" "$word" ;;
    esac
done
said=$({{ {compiler} -E -D__GENKSYMS__ "$@" && true >{passing}.$$.read; }} | $ROSK_GENKSYMS) &&
    [ -e {passing}.$$.read ] &&
    {{ cmp -s "$list" {passing}.$$ || awk '
        BEGIN {{ seen["\\\\"] }}
        {{ for (i = 1; i <= NF; i++) if (NR == FNR) seen[$i]; else if (!($i in seen)) printf " %s", $i }}
    ' "$list" {passing}.$$; }} &&
    printf '%s\\n' "# $sum $ROSK_GENKSYMS" ${{said:+"$said"}} >"$versions"
code=$?
rm -f {passing}.$$ {passing}.$$.read
exit $code
"""


@dataclass(frozen=True)
class Genksyms:
    """The genksyms of a kernel.

    Attributes:
        command: How kbuild calls it for an object of which nothing special is asked.
        sources: A checksum over its sources.
    """

    command: str
    sources: str


def genksyms(tree: Path, config: Path, files: Iterable[tuple[str, str]]) -> Genksyms | None:
    """The genksyms that symbol versions are kept of; None for a source tree whose rule is another one.

    Args:
        tree: The kernel's source.
        config: Its .config, which make can read.
        files: What is in the tree: each file's path, and a checksum of its content.
    """
    rule = _rule(tree)
    if rule is None:
        return None
    known = [f"-include {config}", "objtree = .", "GENKSYMS = scripts/genksyms/genksyms", *rule.defined]
    lines = [*known, f"$(info {rule.command})", "all:;@:"]
    said = run(["make", "-s", "-f", "/dev/null", *(f"--eval={line}" for line in lines)], check=False).stdout
    sources = sorted(f"{path} {digest}" for path, digest in files if path.startswith(_SOURCES))
    return Genksyms(" ".join(said.split()), hashlib.sha256("\n".join(sources).encode()).hexdigest())


def make_words(tree: Path) -> list[str]:
    """What make is to be told beside `compiler`; nothing for a source tree whose rule is another one.

    Args:
        tree: The kernel's source.
    """
    rule = _rule(tree)
    return [f"cmd_gensymtypes_c={_NAME} {rule.command} -- -D__GENKSYMS__ $(c_flags) $<"] if rule else []


def compiler(command: str) -> str:
    """The word for make that names the compiler (`CC`): objects of C sources are compiled with `OPTION` before all."""
    return f"CC={command}$(if $(and $(filter %.o,$@),$(filter %.c,$<)), {OPTION})"


@dataclass(frozen=True)
class _Rule:
    command: str
    defined: list[str]


def _rule(tree: Path) -> _Rule | None:
    rules = tree / _RULES
    text = rules.read_text(errors="replace").replace("\\\n", " ") if rules.is_file() else ""
    found = _RULE.search(text)
    return _Rule(found[1].strip(), _DEFINED.findall(text)) if found else None


def install(folder: Path, compiler: str) -> None:
    """Put the two programs in a folder that will be on PATH, and is there for one run of make alone.

    Args:
        compiler: The path of gcc.
    """
    words = {
        "compiler": shlex.quote(compiler),
        "checksum": _SUM.format(sum=shlex.quote(str(folder / "genksyms.sum"))),
        "passing": shlex.quote(str(folder / "genksyms.read")),
        "statistics": STATISTICS,
    }
    put_program(folder / _NAME, _ASKED.format(**words))
    put_program(folder / _MADE_NAME, _MADE.format(**words))


def wrapper_parts(folder: Path, compiler: str) -> dict[str, str]:
    """What the wrapper of gcc needs beside its own: the texts for `option` and `versions` in it.

    Args:
        folder: Where `install` puts the programs.
        compiler: The path of gcc.
    """
    made = shlex.quote(str(folder / _MADE_NAME))
    option = _OPTION_TAKEN.format(option=OPTION, compiler=shlex.quote(compiler))
    return {"option": option, "versions": _MADE_WITH_OBJECT.format(made=made)}
