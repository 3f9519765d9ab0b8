/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_KCONFIG_H
#define _LINUX_KCONFIG_H

#include <generated/autoconf.h>

/* 1 when the option is y or m: its macro, or the one with _MODULE, is defined as 1. */
#define __PLACEHOLDER_1 0,
#define __SECOND(first, second, ...) second
#define __IS(junk) __SECOND(junk 1, 0)
#define __IS_1(value) __IS(__PLACEHOLDER_##value)
#define __IS_DEFINED(option) __IS_1(option)
#define __IS_MODULE(option) __IS_DEFINED(option##_MODULE)
#define IS_ENABLED(option) (__IS_DEFINED(option) || __IS_MODULE(option))

#endif
