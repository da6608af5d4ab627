/* SPDX-License-Identifier: MIT */
/*
 * Who speaks to an upstream for a client. Two sockets with the same four addresses could not be
 * told apart by the upstream's answers, so there is one flow for each pair of client and upstream,
 * in all workers together. Asked when a flow opens and closes, never for a datagram.
 *
 * A balancer that fails over sends from another address, which the kernel may hand to another
 * worker: there the client's flow opens anew, and takes the claim over from the one it had.
 */
#ifndef MMPROXY_RELAY_UDP_CLAIMS_H
#define MMPROXY_RELAY_UDP_CLAIMS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "base/siphash.h"

struct datapath;
struct offload_udp_flow;
struct offload_udp_record;
struct udp_places;

struct udp_claims {
	pthread_mutex_t lock;
	pthread_mutex_t turn;
	struct siphash_key secret;
	struct udp_claim **buckets;
	size_t mask;
};

/* Embedded in a flow. What it names does not change while it stands. */
struct udp_claim {
	struct udp_claim *next;
	struct address client;
	struct address upstream;
	struct address destination; /* what the client asked for; may be none */
	const char *listener;       /* its name */
	const void *owner;          /* whoever may look at what the claim is embedded in */
	/* While the flow's datagrams are the kernel's: by what it knows them. Else NULL. */
	const struct udp_places *places;
	struct datapath *datapath; /* that has them */
	bool stands;
	atomic_bool lost; /* another flow has taken it over: read by the owner without the lock */
};

enum udp_claim_result {
	UDP_CLAIM_NEW,
	UDP_CLAIM_TAKEN_OVER, /* from a flow of the same client, destination and listener */
	UDP_CLAIM_REFUSED,    /* a flow of another destination or listener has it */
};

/* For about `capacity` claims. Returns 0 or -ENOMEM. */
int udp_claims_init(struct udp_claims *claims, unsigned capacity, const struct siphash_key *secret);
void udp_claims_finish(struct udp_claims *claims);

/* The addresses and the listener are filled in by the caller. One that was lost may be made again.
 */
enum udp_claim_result udp_claim_make(struct udp_claims *claims, struct udp_claim *claim);

/*
 * Has nobody taken it over up to now? To be asked once its socket is connected: the kernel gives
 * the answers to the newest socket, and that has to be the one of the claim that stands.
 */
bool udp_claim_stands(struct udp_claims *claims, const struct udp_claim *claim);

/* Has a flow of the same client, destination and listener made this claim, and it stands? */
bool udp_claim_has_forerunner(struct udp_claims *claims, const struct udp_claim *claim);

/*
 * Workers that open flows of one client at the same moment would go on taking the claim from each
 * other, none of them for long enough to dial. So whoever lost it while dialling waits for its turn
 * to make it anew: only one that dials for the first time can still come between.
 */
void udp_claims_take_turn(struct udp_claims *claims);
void udp_claims_end_turn(struct udp_claims *claims);

/*
 * Hands the flow over to the kernel; whoever takes the claim over ends that, too. `places` stays
 * where it is until udp_claim_take_back(). 0; -ESTALE: the claim does not stand; or what the
 * datapath says.
 */
int udp_claim_hand_over(struct udp_claims *claims, struct udp_claim *claim,
			struct datapath *datapath, const struct udp_places *places,
			const struct offload_udp_flow *flow,
			const struct offload_udp_record *record);

/* The flow's datagrams are the daemon's. Harmless where they were. */
void udp_claim_take_back(struct udp_claims *claims, struct udp_claim *claim);

/* They stay the kernel's when the flow is gone here. */
void udp_claim_leave(struct udp_claims *claims, struct udp_claim *claim);

/* The claim of this pair that stands; NULL where there is none, or it is another owner's. */
struct udp_claim *udp_claim_find(struct udp_claims *claims, const struct address *client,
				 const struct address *upstream, const void *owner);

/* Does any? Without a socket of its own the kernel may give its port to somebody else. */
bool udp_claim_exists(struct udp_claims *claims, const struct address *client,
		      const struct address *upstream);

/* Harmless for a claim that was refused, lost or never made. */
void udp_claim_drop(struct udp_claims *claims, struct udp_claim *claim);

static inline bool udp_claim_is_lost(const struct udp_claim *claim)
{
	return atomic_load_explicit(&claim->lost, memory_order_relaxed);
}

#endif
