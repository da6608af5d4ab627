/* SPDX-License-Identifier: MIT */
/* One client's datagrams on their way. */
#include "udp_flight.h"

#include <err.h>
#include <stdlib.h>

static struct datagram *find(const struct flight *flight, uint64_t number)
{
	return &flight->ring[number & (flight->room - 1)];
}

void flight_init(struct flight *flight, size_t wanted)
{
	*flight = (struct flight){.room = 1};
	while (flight->room < wanted)
		flight->room *= 2;
	flight->ring = calloc(flight->room, sizeof(*flight->ring));
	if (flight->ring == NULL)
		err(EXIT_FAILURE, "no memory");
}

/* Each is passed once, so that a datagram costs no more here than it does elsewhere. */
static void pass_settled(struct flight *flight)
{
	while (flight->oldest < flight->next && find(flight, flight->oldest)->sent_at == 0)
		flight->oldest++;
}

bool flight_is_full(struct flight *flight)
{
	if (flight->next - flight->oldest < flight->room)
		return false;
	pass_settled(flight);
	return flight->next - flight->oldest == flight->room;
}

uint64_t flight_add(struct flight *flight, int64_t due, int64_t sent_at)
{
	*find(flight, flight->next) = (struct datagram){.due = due, .sent_at = sent_at};
	flight->count++;
	return flight->next++;
}

static void settle(struct flight *flight, struct datagram *datagram, int64_t *due)
{
	*due = datagram->due;
	datagram->sent_at = 0;
	flight->count--;
}

enum arrival flight_arrive(struct flight *flight, uint64_t number, int64_t *due)
{
	struct datagram *datagram = find(flight, number);

	if (number >= flight->next)
		return ARRIVAL_UNKNOWN;
	if (number < flight->oldest || datagram->sent_at == 0)
		return ARRIVAL_LATE;
	settle(flight, datagram, due);
	if (number < flight->heard)
		return ARRIVAL_OVERTAKEN;
	flight->heard = number + 1;
	return ARRIVAL_IN_ORDER;
}

bool flight_give_up(struct flight *flight, int64_t sent_until, int64_t *due)
{
	struct datagram *datagram;

	pass_settled(flight);
	datagram = find(flight, flight->oldest);
	if (flight->oldest == flight->next || datagram->sent_at > sent_until)
		return false;
	settle(flight, datagram, due);
	return true;
}
