/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_MODULE_H
#define _LINUX_MODULE_H

#define __PASTE2(a, b) a##b
#define __PASTE(a, b) __PASTE2(a, b)

/* Of what is built in, the tags have the module's name before them, and modules.builtin.modinfo holds them all. */
#ifdef MODULE
#define __MODULE_PREFIX ""
#define __MODULE_FILE _Static_assert(1, "")
#define module_init(function) \
	int init_module(void) __attribute__((alias(#function)))
#else
#define __MODULE_PREFIX KBUILD_MODNAME "."
#define __MODULE_FILE MODULE_INFO(file, KBUILD_MODFILE)
#define module_init(function) \
	void *__initcall_##function = function
#endif

#define MODULE_INFO(tag, text) \
	static const char __PASTE(__modinfo_##tag, __COUNTER__)[] \
	__attribute__((used, section(".modinfo"), aligned(1))) = __MODULE_PREFIX #tag "=" text
#define MODULE_LICENSE(text) __MODULE_FILE; MODULE_INFO(license, text)
#define MODULE_DESCRIPTION(text) MODULE_INFO(description, text)
#define MODULE_ALIAS(text) MODULE_INFO(alias, text)
#define MODULE_FIRMWARE(text) MODULE_INFO(firmware, text)
#define MODULE_SOFTDEP(text) MODULE_INFO(softdep, text)

/* What depmod reads: the symbol's name in __ksymtab_strings, and __ksymtab_NAME. */
#define EXPORT_SYMBOL(symbol) \
	static const char __kstrtab_##symbol[] \
	__attribute__((used, section("__ksymtab_strings"), aligned(1))) = #symbol; \
	const void *const __ksymtab_##symbol = (const void *)&symbol
#define EXPORT_SYMBOL_GPL(symbol) EXPORT_SYMBOL(symbol)

#endif
