#!/bin/sh
# console.sh RELEASE [ROOT]: builds the module in ROOT/module against the headers in ROOT/lib/modules/RELEASE/build,
# as its user would, with LLVM=1 in the environment by clang. What came of it is left in ROOT/out: `compiler` and `libc` (which the console has), `log` (all that
# make printed), `code` (its exit code), `modules/` (what it built), and after a failure `makefiles`, the kernel's.
set -eu

release=$1
root=${2:-}
tree=$root/lib/modules/$release/build
out=$root/out

mkdir -p "$out/modules"
if [ "${LLVM:-}" ]; then compiler=clang; else compiler=gcc; fi
"$compiler" --version > "$out/compiler"
ldd --version > "$out/libc" 2>&1 || : # musl's says it and fails
code=0
make -C "$tree" "M=$root/module" modules > "$out/log" 2>&1 || code=$?
echo "$code" > "$out/code"
find "$root/module" -name '*.ko' -exec cp {} "$out/modules" \;
if [ "$code" -ne 0 ]; then
    find "$tree/Makefile" "$tree/arch" "$tree/scripts" -name 'Makefile*' -exec cat {} + > "$out/makefiles"
fi
