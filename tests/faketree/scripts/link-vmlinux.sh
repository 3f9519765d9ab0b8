#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Link vmlinux with the table of its own symbols, and list them: LD NM CC VMLINUX.O VMLINUX
set -e
ld=$1 nm=$2 cc=$3 objects=$4 out=$5
rm -f System.map
$nm -n "$objects" | scripts/kallsyms > .tmp_kallsyms.S
$cc -c -o .tmp_kallsyms.o .tmp_kallsyms.S
$ld -r -o "$out" "$objects" .tmp_kallsyms.o
$nm -n "$out" | sed 's/^ */0000000000000000 /; s/.* \([A-Za-z] .*\)/ffffffff81000000 \1/' > System.map
