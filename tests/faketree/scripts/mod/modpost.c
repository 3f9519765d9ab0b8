// SPDX-License-Identifier: GPL-2.0
// What modules export and need: modpost ORDER SYMVERS KNOWN-SYMVERS|- [VMLINUX.O]
//
// Writes for each object of ORDER the C file that becomes its second half, unless it is there with the same content, and
// then SYMVERS.
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4096 };

struct symbol {
	char *name, *owner;
};

static struct symbol exports[MOST];
static int export_count, failed;
static char output[1 << 16];

static char *content(const char *name, size_t *size)
{
	FILE *file = fopen(name, "rb");
	char *text = calloc(1, 1 << 22);

	if (!file || !text) {
		fprintf(stderr, "ERROR: modpost: cannot read %s\n", name);
		exit(1);
	}
	*size = fread(text, 1, (1 << 22) - 1, file);
	fclose(file);
	return text;
}

static void export(const char *name, const char *owner)
{
	if (export_count == MOST)
		exit(1);
	exports[export_count++] = (struct symbol){ strdup(name), strdup(owner) };
}

// Calls back for each global symbol of an object.
static void each_symbol(const char *object, void (*use)(const char *name, int undefined, void *), void *data)
{
	size_t size;
	char *text = content(object, &size);
	Elf64_Ehdr *head = (Elf64_Ehdr *)text;
	Elf64_Shdr *sections;
	int at;

	if (size < sizeof(*head) || memcmp(head->e_ident, ELFMAG, SELFMAG) ||
	    head->e_shoff + head->e_shnum * sizeof(*sections) > size) {
		fprintf(stderr, "ERROR: modpost: %s is no object\n", object);
		exit(1);
	}
	sections = (Elf64_Shdr *)(text + head->e_shoff);
	for (at = 0; at < head->e_shnum; at++) {
		Elf64_Sym *symbol = (Elf64_Sym *)(text + sections[at].sh_offset);
		Elf64_Sym *end = (Elf64_Sym *)(text + sections[at].sh_offset + sections[at].sh_size);

		if (sections[at].sh_type != SHT_SYMTAB)
			continue;
		for (symbol++; symbol < end; symbol++)
			if (ELF64_ST_BIND(symbol->st_info) == STB_GLOBAL)
				use(text + sections[sections[at].sh_link].sh_offset + symbol->st_name,
				    symbol->st_shndx == SHN_UNDEF, data);
	}
	free(text);
}

static void note_export(const char *name, int undefined, void *owner)
{
	if (!undefined && !strncmp(name, "__ksymtab_", 10))
		export(name + 10, owner);
}

static const char *base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void note_need(const char *name, int undefined, void *module)
{
	char quoted[256];
	int at;

	if (!undefined)
		return;
	for (at = 0; at < export_count; at++)
		if (!strcmp(exports[at].name, name))
			break;
	if (at == export_count) {
		fprintf(stderr, "ERROR: modpost: \"%s\" [%s.ko] undefined!\n", name, (char *)module);
		failed = 1;
		return;
	}
	snprintf(quoted, sizeof(quoted), ",%s,", base(exports[at].owner));
	if (strcmp(exports[at].owner, "vmlinux") && !strstr(output, quoted))
		strcat(output, quoted + 1);
}

static unsigned long hash(unsigned long sum, const char *name)
{
	size_t size, at;
	char *text = content(name, &size);

	for (at = 0; at < size; at++)
		sum = (sum ^ (unsigned char)text[at]) * 1099511628211ul;
	free(text);
	return sum;
}

// A sum over a module's sources, as its objects' notes name them.
static unsigned long source_version(const char *module)
{
	unsigned long sum = 14695981039346656037ul;
	char path[4096], *objects, *object, *next, *note, *source;
	size_t size;

	snprintf(path, sizeof(path), "%s.mod", module);
	objects = content(path, &size);
	for (object = strtok_r(objects, "\n", &next); object; object = strtok_r(0, "\n", &next)) {
		snprintf(path, sizeof(path), "%.*s.%s.cmd", (int)(base(object) - object), object, base(object));
		note = content(path, &size);
		source = strstr(note, "\nsource_");
		if (source && (source = strstr(source, ":= "))) {
			source[strcspn(source, "\n")] = 0;
			sum = hash(sum, source + 3);
		}
		free(note);
	}
	return sum;
}

static void write_if_changed(const char *name, const char *text)
{
	char *before = calloc(1, 1 << 16);
	FILE *file = fopen(name, "rb");
	size_t size = 0;

	if (file) {
		size = fread(before, 1, (1 << 16) - 1, file);
		fclose(file);
	}
	if (file && size == strlen(text) && !memcmp(before, text, size))
		return;
	file = fopen(name, "wb");
	if (!file || fputs(text, file) < 0 || fclose(file))
		exit(1);
}

static void write_module(const char *module)
{
	char path[4096], object[4096], *depends;

	snprintf(object, sizeof(object), "%s.o", module);
	snprintf(path, sizeof(path), "%s.mod.c", module);
	strcpy(output, "#include <linux/module.h>\n#include <linux/vermagic.h>\n"
	       "MODULE_INFO(vermagic, VERMAGIC_STRING);\n");
	sprintf(output + strlen(output), "MODULE_INFO(name, \"%s\");\n", base(module));
	sprintf(output + strlen(output), "MODULE_INFO(srcversion, \"%016lX\");\n", source_version(module));
	strcat(output, "MODULE_INFO(depends, \"");
	depends = output + strlen(output);
	strcat(output, ",");
	each_symbol(object, note_need, (void *)module);
	memmove(depends, depends + 1, strlen(depends));
	if (*depends)
		depends[strlen(depends) - 1] = 0;
	strcat(output, "\");\n");
	write_if_changed(path, output);
}

int main(int argc, char **argv)
{
	char *order, *module, *modules[MOST], *text, *line, *name, *next;
	int count = 0, own, at;
	size_t size;
	FILE *file;

	if (argc < 4)
		return 1;
	order = content(argv[1], &size);
	for (module = strtok(order, "\n"); module && count < MOST; module = strtok(0, "\n")) {
		module[strlen(module) - 2] = 0;
		modules[count++] = module;
	}
	if (strcmp(argv[3], "-")) {
		text = content(argv[3], &size);
		for (line = strtok_r(text, "\n", &next); line; line = strtok_r(0, "\n", &next)) {
			name = strchr(line, '\t') + 1;
			line = strchr(name, '\t');
			*line++ = 0;
			*strchr(line, '\t') = 0;
			export(name, line);
		}
	}
	own = export_count;
	if (argc > 4)
		each_symbol(argv[4], note_export, "vmlinux");
	for (at = 0; at < count; at++) {
		char object[4096];

		snprintf(object, sizeof(object), "%s.o", modules[at]);
		each_symbol(object, note_export, modules[at]);
	}
	for (at = 0; at < count; at++)
		write_module(modules[at]);
	if (failed)
		return 1;
	file = fopen(argv[2], "wb");
	for (at = own; file && at < export_count; at++)
		fprintf(file, "0x00000000\t%s\t%s\tEXPORT_SYMBOL\t\n", exports[at].name, exports[at].owner);
	return !file || fclose(file);
}
