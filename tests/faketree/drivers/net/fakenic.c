// SPDX-License-Identifier: GPL-2.0
#include <linux/fake.h>
#include <linux/module.h>

static int fakenic_init(void)
{
	return printk("fakenic");
}
module_init(fakenic_init);

MODULE_FIRMWARE("fakenic/nic-1.bin");
MODULE_FIRMWARE("fakenic/nic-2.bin");
MODULE_ALIAS("pci:v00001AF4d00001000sv*sd*bc*sc*i*");
MODULE_LICENSE("Dual BSD/GPL");
