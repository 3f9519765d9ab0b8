// SPDX-License-Identifier: GPL-2.0
#include <linux/block.h>
#include <linux/fake.h>
#include <linux/module.h>

int mb_cache_create(void)
{
	return printk("mbcache") + FAKE_BLOCK;
}
EXPORT_SYMBOL(mb_cache_create);

MODULE_LICENSE("GPL");
