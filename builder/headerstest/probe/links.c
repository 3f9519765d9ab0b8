// SPDX-License-Identifier: GPL-2.0
/* Counts the network interfaces of all namespaces, told of each by the kernel, where the kernel has networking. */
#include <linux/atomic.h>
#include <linux/kconfig.h>
#include <linux/netdevice.h>
#include <linux/notifier.h>

#include "probe.h"

#if IS_ENABLED(CONFIG_NET)
static atomic_t links = ATOMIC_INIT(0);

static int count(struct notifier_block *block, unsigned long event, void *data)
{
	if (event == NETDEV_REGISTER)
		atomic_inc(&links);
	else if (event == NETDEV_UNREGISTER)
		atomic_dec(&links);
	return NOTIFY_DONE;
}

static struct notifier_block notifier = {
	.notifier_call = count,
};

/* The interfaces that are there already are told of at once. */
int probe_links_init(void)
{
	return register_netdevice_notifier(&notifier);
}

void probe_links_exit(void)
{
	unregister_netdevice_notifier(&notifier);
}

int probe_links(void)
{
	return atomic_read(&links);
}
#else
int probe_links_init(void)
{
	return 0;
}

void probe_links_exit(void)
{
}

int probe_links(void)
{
	return 0;
}
#endif
