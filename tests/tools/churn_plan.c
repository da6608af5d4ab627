/* SPDX-License-Identifier: MIT */
/* What happens to a connection: a function of the run's seed and its number. */
#include <arpa/inet.h>
#include <string.h>

#include "tcp_churn.h"

/* Clients: 198.18.0.0/16 or 2001:db8:18::/112, from the first of so many ports on. */
#define PORT_FIRST 20000
#define PORTS      40000

#define TLV_NOOP 0x04

/* Of a thousand connections, how many are of each kind. */
static const unsigned shares[CHURN_KINDS] = {
	[CHURN_SERVED] = 700,       [CHURN_CLIENT_RESETS] = 80,   [CHURN_UPSTREAM_RESETS] = 80,
	[CHURN_CLIENT_LEAVES] = 30, [CHURN_UPSTREAM_LEAVES] = 30, [CHURN_HALF_HEADER] = 30,
	[CHURN_BAD_HEADER] = 20,    [CHURN_EMPTY] = 20,           [CHURN_DEAD_END] = 10,
};

/* Headers that no reading of the specification allows; none is the beginning of a good one. */
static const char *const bad_headers[] = {
	"GET / HTTP/1.1\r\nHost: example\r\n\r\n",
	"PROXY TCP4 203.0.113.9 192.0.2.80 41000 443\n",
	"PROXY TCP4 203.0.113.9 192.0.2.80 41000 65536\r\n",
	"PROXY TCP5 203.0.113.9 192.0.2.80 41000 443\r\n",
	"PROXY TCP4 203.0.113.256 192.0.2.80 41000 443\r\n",
	"\r\n\r\nPROXY TCP4 203.0.113.9 192.0.2.80 41000 443\r\n",
	"PROXY TCP4 127.0.0.1 192.0.2.80 41000 443\r\n", /* the source policy's to refuse */
};

static unsigned below(uint64_t *state, unsigned limit)
{
	return (unsigned)(churn_random(state) % limit);
}

static enum churn_kind choose_kind(uint64_t *state)
{
	unsigned number = below(state, 1000), kind = 0;

	while (number >= shares[kind])
		number -= shares[kind++];
	return (enum churn_kind)kind;
}

/* Mostly small, none or a few bytes often, 200 KiB at most. */
static uint32_t choose_size(uint64_t *state)
{
	static const unsigned most[] = {1, 32, 1024, 1024, 1024, 16384, 16384, 65536};
	unsigned which = below(state, 64);

	return below(state, which == 63 ? 200 * 1024 : most[which % 8]);
}

static struct address client_of(uint64_t number, bool ipv6)
{
	uint16_t port = (uint16_t)(PORT_FIRST + (number >> 16) % PORTS);
	uint8_t high = (uint8_t)(number >> 8), low = (uint8_t)number;
	uint8_t ipv6_bytes[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0x18, [14] = high, [15] = low};
	uint8_t ipv4_bytes[4] = {198, 18, high, low};

	return ipv6 ? address_from_ipv6(ipv6_bytes, port) : address_from_ipv4(ipv4_bytes, port);
}

uint64_t churn_number_of(const struct address *client)
{
	static const uint8_t prefix4[2] = {198, 18};
	static const uint8_t prefix6[14] = {0x20, 0x01, 0x0d, 0xb8, 0, 0x18};
	bool ipv4 = client->family == ADDRESS_IPV4;
	const uint8_t *last = client->ip + (ipv4 ? 2 : 14);

	if (memcmp(client->ip, ipv4 ? prefix4 : prefix6, ipv4 ? 2 : 14) != 0 ||
	    client->port < PORT_FIRST || client->port >= PORT_FIRST + PORTS)
		return UINT64_MAX;
	return (uint64_t)(client->port - PORT_FIRST) << 16 | (uint64_t)last[0] << 8 | last[1];
}

bool churn_reaches_upstream(enum churn_kind kind)
{
	switch (kind) {
	case CHURN_SERVED:
	case CHURN_CLIENT_RESETS:
	case CHURN_UPSTREAM_RESETS:
	case CHURN_CLIENT_LEAVES:
	case CHURN_UPSTREAM_LEAVES:
		return true;
	case CHURN_HALF_HEADER:
	case CHURN_BAD_HEADER:
	case CHURN_EMPTY:
	case CHURN_DEAD_END:
	case CHURN_KINDS:
		break;
	}
	return false;
}

static void put_u16(uint8_t *to, size_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static void write_v1(struct churn_plan *plan)
{
	bool ipv4 = plan->client.family == ADDRESS_IPV4;
	char ip[ADDRESS_TEXT_SIZE];

	plan->header_length = (size_t)snprintf(
		(char *)plan->header, sizeof(plan->header), "PROXY TCP%c %s %s %u 443\r\n",
		ipv4 ? '4' : '6', address_format_ip(&plan->client, ip),
		ipv4 ? "192.0.2.80" : "2001:db8:5::80", plan->client.port);
}

/* With a NOOP of any length behind it, or without one. */
static void write_v2(struct churn_plan *plan, uint64_t *state)
{
	static const uint8_t start[13] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a,
					  0x51, 0x55, 0x49, 0x54, 0x0a, 0x21};
	bool ipv4 = plan->client.family == ADDRESS_IPV4;
	size_t ip = ipv4 ? 4 : 16, block = 2 * ip + 4;
	size_t noop = below(state, 2) == 0 ? 3 + below(state, 400) : 0;
	uint8_t *at = plan->header;

	memcpy(at, start, sizeof(start));
	at[13] = ipv4 ? 0x11 : 0x21;
	put_u16(at + 14, block + noop);
	memcpy(at + 16, plan->client.ip, ip);
	memset(at + 16 + ip, 192, ip);
	put_u16(at + 16 + 2 * ip, plan->client.port);
	put_u16(at + 18 + 2 * ip, 443);
	if (noop > 0) {
		at[16 + block] = TLV_NOOP;
		put_u16(at + 17 + block, noop - 3);
		memset(at + 19 + block, 0, noop - 3);
	}
	plan->header_length = 16 + block + noop;
}

static void write_header(struct churn_plan *plan, uint64_t *state)
{
	const char *bad = bad_headers[below(state, sizeof(bad_headers) / sizeof(bad_headers[0]))];

	plan->v2 = below(state, 2) == 0;
	if (plan->v2)
		write_v2(plan, state);
	else
		write_v1(plan);
	if (plan->kind == CHURN_BAD_HEADER) {
		plan->header_length = strlen(bad);
		memcpy(plan->header, bad, plan->header_length);
	}
	if (plan->kind == CHURN_HALF_HEADER)
		plan->header_length = 1 + below(state, (unsigned)plan->header_length - 1);
}

/* Half of the headers go in one piece, with what follows. */
static void cut_header(struct churn_plan *plan, uint64_t *state)
{
	unsigned count = below(state, 2) == 0 ? 0 : 1 + below(state, CHURN_CUTS_MAX);
	size_t from = 0;

	for (unsigned i = 0; i < CHURN_CUTS_MAX; i++) {
		if (i >= count || from + 1 >= plan->header_length) {
			plan->cuts[i] = plan->header_length;
			continue;
		}
		from += 1 + below(state, (unsigned)(plan->header_length - from - 1));
		plan->cuts[i] = from;
	}
}

void churn_plan_make(struct churn_plan *plan, uint64_t seed, uint64_t number, enum churn_mix mix,
		     bool ipv6)
{
	uint64_t state = seed, bytes;

	state = churn_random(&state) ^ number;
	state = churn_random(&state);
	*plan = (struct churn_plan){.kind = choose_kind(&state)};
	plan->pace.piece_most = CHURN_PIECE_MAX;
	if (mix == CHURN_SOUND || (mix == CHURN_LASTING && !churn_reaches_upstream(plan->kind)))
		plan->kind = CHURN_SERVED;
	plan->order = (enum churn_order)below(&state, 3);
	plan->silent = below(&state, 2) == 0;
	plan->graceful = below(&state, 2) == 0;
	plan->small_buffers = below(&state, 8) == 0;
	for (unsigned i = 0; i < CHURN_SIDES; i++) {
		plan->seeds[i] = churn_random(&state);
		plan->sizes[i] = choose_size(&state);
	}
	if (mix != CHURN_ANY)
		churn_pace_choose(plan, &state);
	bytes = (uint64_t)plan->sizes[CHURN_CLIENT] + plan->sizes[CHURN_UPSTREAM];
	plan->break_at = (uint32_t)(churn_random(&state) % (bytes + 1));
	/* Whoever breaks off is not kept from it by waiting for the other one. */
	if (plan->kind != CHURN_SERVED)
		plan->order = CHURN_BOTH;
	/* What lasts is for the kernel to carry, which takes one family on both sides. */
	plan->client = client_of(number, ipv6 && (mix != CHURN_ANY || below(&state, 2) == 0));
	write_header(plan, &state);
	cut_header(plan, &state);
}
