/* SPDX-License-Identifier: MIT */
/* mmproxyctl doctor: looks at this host with the configuration in hand; needs no running mmproxy.
 */
#ifndef MMPROXY_CTL_DOCTOR_H
#define MMPROXY_CTL_DOCTOR_H

struct options;

/* Returns the exit status: 0 when nothing has failed. */
int doctor_run(const struct options *options);

#endif
