// SPDX-License-Identifier: GPL-2.0
#include <linux/limits.h>

int tcp_sockets = FAKE_LIMIT;
