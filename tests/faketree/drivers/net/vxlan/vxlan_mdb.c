// SPDX-License-Identifier: GPL-2.0
int vxlan_mdb_entries(void)
{
	return 0;
}
