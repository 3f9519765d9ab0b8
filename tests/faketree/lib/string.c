// SPDX-License-Identifier: GPL-2.0
#if __has_include(<asm/string-start.h>)
#include <asm/string-start.h>
#else
#define STRING_START 0
#endif

unsigned long strlen(const char *text)
{
	unsigned long length = STRING_START;

	while (text[length])
		length++;
	return length;
}

/* Patches put more here. */
