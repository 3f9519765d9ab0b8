// SPDX-License-Identifier: GPL-2.0
#include <linux/fake.h>
#include <linux/module.h>

int snd_register(void)
{
	return printk("snd");
}
EXPORT_SYMBOL(snd_register);

MODULE_LICENSE("GPL");
