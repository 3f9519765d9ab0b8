// SPDX-License-Identifier: GPL-2.0
#include <linux/fake.h>
#include <linux/module.h>

int mb_cache_create(void)
{
	return printk("mbcache");
}
EXPORT_SYMBOL(mb_cache_create);

MODULE_DEPENDS("");
MODULE_LICENSE("GPL");
