/* SPDX-License-Identifier: MIT */
/* The interfaces at whose ingress sessions can be seen: those with packets as Ethernet has them. */
#ifndef MMPROXY_OFFLOAD_INTERFACES_H
#define MMPROXY_OFFLOAD_INTERFACES_H

/*
 * Calls `each` with the index and the name of lo and of every Ethernet interface that is no port of
 * a bridge, bond or the like, whose own ingress comes later. Stops when it returns what is not 0,
 * and returns that; or -errno.
 */
int interfaces_each(int (*each)(unsigned index, const char *name, void *context), void *context);

#endif
