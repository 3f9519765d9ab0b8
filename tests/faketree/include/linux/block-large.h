/* SPDX-License-Identifier: GPL-2.0 */
#define FAKE_BLOCK 4096
