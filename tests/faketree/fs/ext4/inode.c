// SPDX-License-Identifier: GPL-2.0
int ext4_inode_size(void)
{
#ifdef CONFIG_EXT4_FS_POSIX_ACL
	return 512;
#else
	return 256;
#endif
}
