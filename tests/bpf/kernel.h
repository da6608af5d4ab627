/* SPDX-License-Identifier: MIT */
/*
 * The kernel's programs, loaded but neither pinned nor attached, in a network namespace of this
 * process's own with two interfaces, lo and `outside`. The tests write their maps and run them.
 */
#ifndef MMPROXY_TESTS_KERNEL_H
#define MMPROXY_TESTS_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "offload/layout.h"
#include "packets.h"

#define LO 1

/* What a program says of a packet: TC_ACT_ of <linux/pkt_cls.h>. */
enum action {
	ACTION_STACK = -1,
	ACTION_PASS = 0,
	ACTION_DROP = 2,
	ACTION_REDIRECT = 7,
};

/* Test frameworks' own. Prints why, and ends the process with 77, where bpf(2) is not permitted. */
int kernel_setup(void **state);
int kernel_teardown(void **state);

/* The maps are empty, the counts are zero. */
int kernel_clear(void **state);

/* The index of the interface that is not lo, and its address. */
unsigned kernel_outside(void);
void kernel_outside_address(uint8_t address[static 6]);

/* The packet arrives; it becomes what the program makes of it. */
enum action kernel_arrive(struct packet *packet, unsigned interface);
/*
 * The same with the sum of the whole packet that some network cards hand over, which has to be
 * right afterwards. Returns false where the kernel cannot: before 6.10.
 */
bool kernel_arrive_summed(struct packet *packet, unsigned interface);
/* The same as one of `size` bytes a segment, more than can be. */
enum action kernel_arrive_segments(struct packet *packet, unsigned interface, uint32_t size);

void kernel_put_session(uint64_t number, const struct offload_session *session);
void kernel_put_place(const struct offload_tuple *tuple, uint64_t session, uint32_t leg);
bool kernel_has_place(const struct offload_tuple *tuple);
void kernel_get_session(uint64_t number, struct offload_session *session);
enum offload_move_result kernel_move(const struct offload_move *move);
enum offload_move_result kernel_end(uint64_t session);
int64_t kernel_live(void);

/* Takes one from the ring; false: there is none. */
bool kernel_next_event(uint64_t *session);

/* Nanoseconds a packet, which is fed as it is each time. */
unsigned kernel_time(const struct packet *packet, unsigned repeat);

struct tcp_programs *kernel_skeleton(void);

#endif
