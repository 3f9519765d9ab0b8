// SPDX-License-Identifier: GPL-2.0
#include <linux/fake.h>
#include <linux/module.h>

static int dummy_init_module(void)
{
	return printk("dummy");
}
module_init(dummy_init_module);

MODULE_LICENSE("GPL");
