#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# TABLE HEADER
set -e
{
	echo '#define HYPERCALL(name) __HYPERVISOR_##name'
	sed 's/\(.*\) \(.*\)/#define __HYPERVISOR_\1 \2/' "$1"
} > "$2"
