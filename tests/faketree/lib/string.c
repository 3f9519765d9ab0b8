// SPDX-License-Identifier: GPL-2.0
unsigned long strlen(const char *text)
{
	unsigned long length = 0;

	while (text[length])
		length++;
	return length;
}
