// SPDX-License-Identifier: GPL-2.0
#include <linux/fake.h>
#include <linux/module.h>

asm(".pushsection .rodata, \"a\"\n"
    ".globl kernel_config_data\n"
    "kernel_config_data:\n"
    ".ascii \"IKCFG_ST\"\n"
    ".incbin \"kernel/config_data.gz\"\n"
    ".ascii \"IKCFG_ED\"\n"
    ".popsection\n");

static int ikconfig_init(void)
{
	return printk("configs");
}
module_init(ikconfig_init);

MODULE_LICENSE("GPL");
