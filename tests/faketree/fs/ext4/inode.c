// SPDX-License-Identifier: GPL-2.0
int ext4_inode_size(void)
{
	return 256;
}
