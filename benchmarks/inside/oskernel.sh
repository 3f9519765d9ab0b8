#!/bin/bash
# Runs in a container: what os-kernel's scripts/package-kernel does with a kernel's archive, by its own functions:
# split_tar, then gzip. Left out, in its favour: the firmware (which it clones), the headers, and what newer revisions
# do to the modules before the split (pahole, and strip and objcopy through xargs).
#
# oskernel.sh SCRIPTS ARCHIVE RELEASE MAIN_LIST EXTRA_LIST WORK
set -e
scripts=$1 archive=$2 main=$4 extra=$5 work=$6
export KERNEL_TAG=0 KVER=$3 ARTIFACTS=$work/assets BUILD=$work DIST=$work/dist
cd "$work"
# shellcheck disable=SC1091 # os-kernel's own
source "$scripts/build-common"
pahole() { :; }
xargs() { cat >/dev/null; }
(split_tar "$archive" "$main" "$extra")
gzip -c <base.tar >"$DIST/kernel/kernel.tar.gz"
gzip -c <extra.tar >"$DIST/kernel/extras.tar.gz"
