// SPDX-License-Identifier: GPL-2.0
// Copy the list without its comments.
#include <stdio.h>

int main(void)
{
	char line[1024];

	while (fgets(line, sizeof(line), stdin))
		if (*line != '#')
			fputs(line, stdout);
	return 0;
}
