// SPDX-License-Identifier: GPL-2.0
/*
 * rosk_probe: shows in /sys/kernel/rosk_probe/ that a module that was built against a headers package works in the
 * kernel of its release: the kernel's own name of itself, and how many network interfaces there are.
 */
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/sysfs.h>
#include <linux/utsname.h>

#include "probe.h"

static struct kobject *probe;

static ssize_t release_show(struct kobject *kobj, struct kobj_attribute *attr, char *buffer)
{
	return scnprintf(buffer, PAGE_SIZE, "%s\n", init_utsname()->release);
}

static ssize_t links_show(struct kobject *kobj, struct kobj_attribute *attr, char *buffer)
{
	return scnprintf(buffer, PAGE_SIZE, "%d\n", probe_links());
}

static struct kobj_attribute release_attribute = __ATTR_RO(release);
static struct kobj_attribute links_attribute = __ATTR_RO(links);

static struct attribute *attributes[] = {
	&release_attribute.attr,
	&links_attribute.attr,
	NULL,
};

static const struct attribute_group group = {
	.attrs = attributes,
};

static int __init probe_init(void)
{
	int error;

	probe = kobject_create_and_add("rosk_probe", kernel_kobj);
	if (!probe)
		return -ENOMEM;
	error = sysfs_create_group(probe, &group);
	if (!error)
		error = probe_links_init();
	if (error) {
		kobject_put(probe);
		return error;
	}
	pr_info("rosk_probe: loaded into %s, with %d network interfaces\n", init_utsname()->release, probe_links());
	return 0;
}

static void __exit probe_exit(void)
{
	probe_links_exit();
	kobject_put(probe);
	pr_info("rosk_probe: unloaded\n");
}

module_init(probe_init);
module_exit(probe_exit);

MODULE_DESCRIPTION("Shows that modules build against a kernel's headers, and load into it");
MODULE_LICENSE("GPL");
