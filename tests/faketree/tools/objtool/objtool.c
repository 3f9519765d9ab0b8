// SPDX-License-Identifier: GPL-2.0
// Mark an object as seen, in place: the compiler's name in its .comment is rewritten.
#include <stdio.h>
#include <string.h>

#ifndef NAME
#define NAME "ORC"
#endif

static char content[1 << 22];

int main(int argc, char **argv)
{
	FILE *file = argc == 2 ? fopen(argv[1], "r+b") : 0;
	size_t size, at;

	if (!file)
		return 1;
	size = fread(content, 1, sizeof(content), file);
	for (at = 0; at + 5 < size; at++)
		if (!memcmp(content + at, "GCC: (", 6))
			memcpy(content + at, NAME, 3);
	rewind(file);
	return fwrite(content, 1, size, file) != size || fclose(file);
}
