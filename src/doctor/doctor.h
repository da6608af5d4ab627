/* SPDX-License-Identifier: MIT */
/* The doctor: a configuration and this host in, a diagnosis out. */
#ifndef MMPROXY_DOCTOR_DOCTOR_H
#define MMPROXY_DOCTOR_DOCTOR_H

struct diagnosis;

/*
 * Carries out all checks with the configuration in `path`, those of the host also where that does
 * not load. Needs no running mmproxy. Probes are sent to the upstreams, and with CAP_NET_ADMIN
 * there are rules, routes and an nftables table for the probes' own address, which are gone when
 * this returns. SIGINT, SIGTERM and SIGHUP are held back for as long.
 *
 * Returns 0; -EBUSY: another doctor is at work on this host; -EINTR: interrupted; -errno: the
 * kernel could not be asked. The diagnosis then has what was found until then.
 */
int doctor_examine(const char *path, struct diagnosis *diagnosis);

#endif
