// SPDX-License-Identifier: GPL-2.0
// Print a module's .mod.c: modpost RELEASE path/name.o
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	const char *name, *slash;

	if (argc != 3)
		return 1;
	slash = strrchr(argv[2], '/');
	name = slash ? slash + 1 : argv[2];
	printf("#include <linux/module.h>\n");
	printf("MODULE_INFO(vermagic, \"%s SMP preempt mod_unload modversions \");\n", argv[1]);
	printf("MODULE_INFO(name, \"%.*s\");\n", (int)(strlen(name) - 2), name);
	return 0;
}
