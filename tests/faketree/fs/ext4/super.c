// SPDX-License-Identifier: GPL-2.0
#include <linux/fake.h>
#include <linux/module.h>

int ext4_inode_size(void);

static int ext4_init_fs(void)
{
	return mb_cache_create() + jbd2_journal_start() + ext4_inode_size();
}
module_init(ext4_init_fs);

MODULE_DESCRIPTION("Fourth Extended Filesystem");
MODULE_LICENSE("GPL");
MODULE_ALIAS("fs-ext4");
MODULE_SOFTDEP("pre: crc32c");
