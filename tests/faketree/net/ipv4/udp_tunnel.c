// SPDX-License-Identifier: GPL-2.0
#include <linux/fake.h>
#include <linux/module.h>

int udp_tunnel_sock_create(void)
{
	return printk("udp_tunnel");
}
EXPORT_SYMBOL_GPL(udp_tunnel_sock_create);

MODULE_LICENSE("GPL");
