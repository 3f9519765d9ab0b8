/* SPDX-License-Identifier: GPL-2.0 */
	.section .init.ramfs, "a"
	.globl __irf_start
__irf_start:
	.incbin "usr/initramfs_inc_data"
	.section .note.GNU-stack, "", %progbits
