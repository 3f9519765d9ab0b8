// SPDX-License-Identifier: GPL-2.0
#include <linux/fake.h>
#include <linux/module.h>
#include "crc32table.h"

unsigned int crc32_le(unsigned int crc)
{
	return crc32table[crc & 15];
}
EXPORT_SYMBOL(crc32_le);

MODULE_LICENSE("GPL");
