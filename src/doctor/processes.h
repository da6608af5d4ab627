/* SPDX-License-Identifier: MIT */
/*
 * Whose socket is it: from a socket's inode to a process, by /proc. Other users' processes are
 * shown to root alone. Names are what the process calls itself, hence untrusted: escape them.
 */
#ifndef MMPROXY_DOCTOR_PROCESSES_H
#define MMPROXY_DOCTOR_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_NAME_SIZE 64

struct process {
	pid_t pid;                    /* 0: nobody */
	char name[PROCESS_NAME_SIZE]; /* the base name of argv[0]; where there is none, `comm` */
	char comm[PROCESS_NAME_SIZE]; /* /proc/PID/comm: what the kernel calls it */
};

/*
 * The process that holds this socket; of several the one started last, which is whom an accepted
 * connection was handed to. 0; -ENOENT: no process holds it; -EACCES: none that we may look into.
 */
int process_find(uint32_t inode, struct process *process);

/* Does this process hold the socket? */
bool process_holds(pid_t pid, uint32_t inode);

/*
 * How it stands with forwarders, by name. Some do nothing else (docker-proxy, rootlessport, passt);
 * others are as often the server itself (nginx, haproxy, socat), and have to be seen forwarding.
 */
enum process_trade {
	PROCESS_ANY,
	PROCESS_MAY_FORWARD,
	PROCESS_FORWARDER,
};

enum process_trade process_trade(const struct process *process);

#endif
