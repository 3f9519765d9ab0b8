// SPDX-License-Identifier: GPL-2.0
#include <linux/fake.h>
#include <linux/module.h>

static int vxlan_init_module(void)
{
	return udp_tunnel_sock_create();
}
module_init(vxlan_init_module);

MODULE_ALIAS("rtnl-link-vxlan");
MODULE_LICENSE("GPL");
