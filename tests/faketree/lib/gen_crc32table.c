// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>

int main(void)
{
	unsigned int at;

	printf("static const unsigned int crc32table[] = {\n");
	for (at = 0; at < 16; at++)
		printf("\t0x%08x,\n", at * 0xedb88320u);
	printf("};\n");
	return 0;
}
