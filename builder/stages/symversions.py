"""Symbol versions from the compiler cache.

With CONFIG_MODVERSIONS kbuild preprocesses each source that exports symbols a second time and has genksyms read that
(scripts/Makefile.build, `cmd_gensymtypes_c`). Where the compiler cache has all objects, this is more than half of what
a compile costs. ccache is shown the two as one compiler, whose object is what genksyms says, and keeps that as it
keeps objects: by the content of all files that were read.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from builder.stages.common import put_program

STATISTICS = ".symversions"
"""What the name of ccache's statistics log ends in for these."""

_NAME = "rosk-symversions"
# kbuild's own pipe. What follows it is genksyms and its arguments, which differ from version to version.
_RULE = re.compile(r"^cmd_gensymtypes_c\s*=\s*\$\(CPP\) -D__GENKSYMS__ \$\(c_flags\) \$<\s*\|\s*(\S.*)$", re.M)
# What make runs: GENKSYMS ARGUMENTS -- COMPILER'S ARGUMENTS. A genksyms that reads or writes more than its input and
# output, and options of the compiler that make ccache wait for more files than the object, are not for ccache.
_ASKED = """\
#!/bin/sh
genksyms=
while [ "$1" != -- ]; do
    genksyms="$genksyms $1"
    shift
done
shift
list= more=
for word; do
    case $word in
        -Wp,-MMD,* | -Wp,-MD,*) list=${{word#-Wp,-M*D,}} ;;
        -ftest-coverage | -fprofile* | --coverage | -gsplit-dwarf | -fstack-usage | -save-temps*) more=yes ;;
    esac
done
case $genksyms in
    *" -T "* | *" -p "* | *" -d"*) list= ;;
    *" -r /dev/null") ;;
    *" -r "*) list= ;;
esac
[ "$list" ] && [ ! "$more" ] || {{ {compiler} -E "$@" | $genksyms; exit; }}
program=${{genksyms# }}
export CCACHE_EXTRAFILES="${{program%% *}}" CCACHE_COMPILERCHECK="$CCACHE_COMPILERCHECK$genksyms"
export CCACHE_STATSLOG="$CCACHE_STATSLOG{statistics}" ROSK_GENKSYMS="$genksyms"
said=${{list%.d}}.symversions.o
ccache {name}-gcc "$@" -c -o "$said" && cat "$said"
code=$?
rm -f "$said"
exit $code
"""
# What ccache runs in a compiler's place: … -c -o FILE SOURCE, in any order.
_MADE = """\
#!/bin/sh
said= next=
for word; do
    shift
    [ ! "$next" ] || {{ said=$word next= && continue; }}
    case $word in
        -o) next=yes ;;
        -c) ;;
        *) set -- "$@" "$word" ;;
    esac
done
{{ {compiler} -E "$@" || : >"$said.failed"; }} | $ROSK_GENKSYMS >"$said" && [ ! -e "$said.failed" ] && exit
rm -f "$said.failed"
exit 1
"""


def install(folder: Path, compiler: str) -> None:
    """Put the two programs in a folder that will be on PATH.

    Args:
        compiler: The path of gcc.
    """
    quoted = shlex.quote(compiler)
    put_program(folder / _NAME, _ASKED.format(compiler=quoted, statistics=STATISTICS, name=_NAME))
    put_program(folder / f"{_NAME}-gcc", _MADE.format(compiler=quoted))


def make_words(tree: Path) -> list[str]:
    """What make is to be told; nothing for a source tree whose rule is another one.

    Args:
        tree: The kernel's source.
    """
    rules = tree / "scripts/Makefile.build"
    text = rules.read_text(errors="replace").replace("\\\n", " ") if rules.is_file() else ""
    found = _RULE.search(text)
    return [f"cmd_gensymtypes_c={_NAME} {found[1].strip()} -- -D__GENKSYMS__ $(c_flags) $<"] if found else []
