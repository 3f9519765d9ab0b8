// SPDX-License-Identifier: GPL-2.0
int tcp_sockets;
