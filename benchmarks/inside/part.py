"""Runs in a container: make for targets of a kernel, as rosk's compile stage calls it.

part.py CCACHE EPOCH JOBS SOURCE OBJECTS TARGET...: CCACHE is the compiler cache's folder, or `-` for none.
"""

import subprocess
import sys
from pathlib import Path

from builder.arch import X86
from builder.stages.compile import Build, genksyms_of, make_arguments
from builder.stages.compilercache import CompilerCache
from builder.stages.maketools import GCC
from builder.stages.runmake import make_environment

ccache, epoch, jobs, source, objects, *targets = sys.argv[1:]
build = Build(
    tree=Path(source),
    obj=Path(objects),
    arch=X86.kbuild,
    image=X86.image,
    image_path=Path(X86.image_path),
    cross_compile="",
    epoch=int(epoch),
    toolchain=Path("/"),
    release="",
    config=(Path(objects) / ".config").read_text(),
    ccache=None if ccache == "-" else Path(ccache),
)
environment = make_environment(build.epoch)
cache = None
if build.cache:
    # For one toolchain and one source, which every result of an empty cache is of.
    temporary = build.obj / ".rosk/ccache"
    genksyms = genksyms_of(build, {})
    cache = CompilerCache(build.cache, GCC, "benchmark", "benchmark", temporary=temporary, genksyms=genksyms)
    environment |= cache.environment()
code = subprocess.run([*make_arguments(build, int(jobs)), *targets], env=environment).returncode
if cache:
    print(cache.counts())
    cache.close()
sys.exit(code)
