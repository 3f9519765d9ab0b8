/* SPDX-License-Identifier: GPL-2.0 */
SECTIONS
{
#ifdef CONFIG_MODULE_UNLOAD
	.exit.text 0 : { *(.exit.text) }
#else
	/DISCARD/ : { *(.exit.text) }
#endif
}
