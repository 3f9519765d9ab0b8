// SPDX-License-Identifier: GPL-2.0
#include <asm/xen-hypercalls.h>

int xen_hypercalls = HYPERCALL(set_trap_table) + HYPERCALL(mmu_update);
