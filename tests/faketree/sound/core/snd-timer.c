// SPDX-License-Identifier: GPL-2.0
#include <linux/fake.h>
#include <linux/module.h>

static int snd_timer_init(void)
{
	return snd_register();
}
module_init(snd_timer_init);

MODULE_LICENSE("GPL");
