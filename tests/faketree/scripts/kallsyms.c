// SPDX-License-Identifier: GPL-2.0
// How many symbols the kernel has, as assembler: nm vmlinux.o | kallsyms
#include <stdio.h>

int main(void)
{
	char line[1024];
	int count = 0;

	while (fgets(line, sizeof(line), stdin))
		count++;
	printf("\t.section .rodata\n\t.globl kallsyms_num_syms\nkallsyms_num_syms:\n\t.long %d\n", count);
	printf("\t.section .note.GNU-stack,\"\",%%progbits\n");
	return 0;
}
