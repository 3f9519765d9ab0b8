/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ROSK_PROBE_H
#define ROSK_PROBE_H

int probe_links_init(void);
void probe_links_exit(void);
int probe_links(void);

#endif
