/* SPDX-License-Identifier: MIT */
/*
 * The program's filter at an interface's ingress: classic tc, clsact, in direct-action mode. It has
 * one priority everywhere and a handle by which its owner finds it again, so that those of several
 * instances, or of two layouts while an upgrade goes on, stand side by side; each lets the next one
 * look at what is not its own.
 */
#ifndef MMPROXY_OFFLOAD_FILTERS_H
#define MMPROXY_OFFLOAD_FILTERS_H

#include <stdbool.h>
#include <stdint.h>

/* Of those whose pins are in this folder. Never zero. */
uint32_t filters_handle(const char *layout_directory);

/*
 * The number of the program that the interface has by this handle; -ENOENT: none; -ENODEV: the
 * interface has gone; or another -errno: it cannot be told.
 */
int64_t filters_find(unsigned interface, uint32_t handle);

/*
 * Puts the program there, in place of another by the same handle. 1: done, *made_qdisc says whether
 * the interface had no clsact before; 0: it was there; or -errno: -ENODEV where the interface has
 * gone.
 */
int filters_attach(unsigned interface, uint32_t handle, int program, bool *made_qdisc);

/* 1: taken away; 0: it was not there, or has gone with its interface; or -errno. */
int filters_detach(unsigned interface, uint32_t handle);

/* Is there any of ours at the interface's ingress, whoever's? Or -errno. */
int filters_any(unsigned interface);

/*
 * Removes clsact, unless somebody has a filter there. 1: done; 0: it stays, or was not there; or
 * -errno.
 */
int filters_remove_qdisc(unsigned interface);

#endif
