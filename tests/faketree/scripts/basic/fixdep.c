// SPDX-License-Identifier: GPL-2.0
// Print a target's note, from the compiler's list of what it read: fixdep DEPFILE TARGET COMMAND
//
// Every target would be made again when any option changes, as all include autoconf.h. So that file is left out, and in
// its place come the stamps (include/config/NAME) of the options that the files name.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *seen[4096];
static int seen_count;

static int is_new(const char *name)
{
	int at;

	for (at = 0; at < seen_count; at++)
		if (!strcmp(seen[at], name))
			return 0;
	if (seen_count == 4096)
		exit(2);
	seen[seen_count++] = strdup(name);
	return 1;
}

static char *content(const char *name)
{
	FILE *file = fopen(name, "rb");
	char *text = calloc(1, 1 << 22);

	if (!file || !text) {
		fprintf(stderr, "fixdep: cannot read %s\n", name);
		exit(2);
	}
	if (fread(text, 1, (1 << 22) - 1, file) == 0)
		*text = 0;
	fclose(file);
	return text;
}

static void print_options(const char *name)
{
	char *text = content(name), *at = text, *end, *option;

	while ((at = strstr(at, "CONFIG_"))) {
		option = at + 7;
		for (end = option; isalnum((unsigned char)*end) || *end == '_'; end++)
			;
		if (at > text && (isalnum((unsigned char)at[-1]) || at[-1] == '_')) {
			at = end;
			continue;
		}
		at = end;
		if (end - option > 7 && !memcmp(end - 7, "_MODULE", 7))
			end -= 7;
		option = strndup(option, end - option);
		if (*option && is_new(option))
			printf("    $(wildcard include/config/%s) \\\n", option);
	}
	free(text);
}

int main(int argc, char **argv)
{
	char *word, *text, *source = 0;

	if (argc != 4)
		return 1;
	printf("savedcmd_%s := %s\n\n", argv[2], argv[3]);
	text = content(argv[1]);
	for (word = strtok(text, " \t\n\\"); word; word = strtok(0, " \t\n\\")) {
		if (word[strlen(word) - 1] == ':' || strstr(word, "include/generated/autoconf.h"))
			continue;
		if (!source) {
			source = word;
			printf("source_%s := %s\n\ndeps_%s := \\\n", argv[2], source, argv[2]);
		} else {
			printf("  %s \\\n", word);
		}
		print_options(word);
	}
	if (!source) {
		fprintf(stderr, "fixdep: %s names no source\n", argv[1]);
		return 1;
	}
	printf("\n%s: $(deps_%s)\n\n$(deps_%s):\n", argv[2], argv[2], argv[2]);
	return 0;
}
