/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_GENERIC_FAKE_H
#define _ASM_GENERIC_FAKE_H

#define FAKE_SHIFT 12

#endif
