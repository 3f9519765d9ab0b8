// SPDX-License-Identifier: GPL-2.0
#include <linux/fake.h>

int start_kernel(void)
{
	return printk("Linux");
}
