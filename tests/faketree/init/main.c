// SPDX-License-Identifier: GPL-2.0
#include <linux/fake.h>

#ifdef CONFIG_SMP
int nr_cpu_ids = 2;
#endif

int fake_level = FAKE_LEVEL;

int start_kernel(void)
{
	return printk(IS_ENABLED(CONFIG_BLOCK) ? "Linux with disks" : "Linux");
}
