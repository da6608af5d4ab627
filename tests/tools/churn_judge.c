/* SPDX-License-Identifier: MIT */
/*
 * What has to come of a connection. Whatever its kind: each byte that arrives is the one that had
 * to come, and an end arrives only where one was sent, behind everything that was sent before it.
 */
#include <inttypes.h>
#include <string.h>

#include "tcp_churn.h"

/* Faults that are told in words. */
#define TOLD_MAX 20

static const char *const kind_names[CHURN_KINDS] = {
	[CHURN_SERVED] = "served",
	[CHURN_CLIENT_RESETS] = "client_resets",
	[CHURN_UPSTREAM_RESETS] = "upstream_resets",
	[CHURN_CLIENT_LEAVES] = "client_leaves",
	[CHURN_UPSTREAM_LEAVES] = "upstream_leaves",
	[CHURN_HALF_HEADER] = "half_header",
	[CHURN_BAD_HEADER] = "bad_header",
	[CHURN_EMPTY] = "empty",
	[CHURN_DEAD_END] = "dead_end",
};

static const char *const fault_names[CHURN_FAULTS] = {
	[CHURN_WRONG_BYTE] = "wrong_byte",
	[CHURN_CUT_SHORT] = "cut_short",
	[CHURN_RESET_AS_END] = "reset_as_end",
	[CHURN_NOT_SERVED] = "not_served",
	[CHURN_NOT_REFUSED] = "not_refused",
	[CHURN_LEAKED] = "leaked",
	[CHURN_STRANGER] = "stranger",
	[CHURN_STUCK] = "stuck",
	[CHURN_CONNECT_FAILED] = "connect_failed",
};

static void describe_end(const char *name, const struct churn_end *end)
{
	fprintf(stderr, "  %s: %s sent=%u received=%u%s%s%s%s%s", name,
		end->fd >= 0 ? "open" : "closed", end->sent, end->received,
		end->end_sent ? " end-sent" : "", end->end_received ? " end-received" : "",
		end->was_reset ? " reset" : "", end->broken_off ? " broken-off" : "",
		end->wrong ? " wrong" : "");
	if (end->error != 0)
		fprintf(stderr, " error=%s", strerror(end->error));
}

void churn_fault(struct churn_counts *counts, enum churn_fault fault,
		 const struct churn_connection *connection)
{
	char client[ADDRESS_TEXT_SIZE];
	const struct churn_plan *plan;

	counts->faults[fault]++;
	if (connection == NULL || churn_faults(counts) > TOLD_MAX)
		return;
	plan = &connection->plan;
	fprintf(stderr, "%s: connection %" PRIu64 " %s %s header=%zu sizes=%u,%u break-at=%u",
		fault_names[fault], connection->number, kind_names[plan->kind],
		address_format(&plan->client, client), plan->header_length,
		plan->sizes[CHURN_CLIENT], plan->sizes[CHURN_UPSTREAM], plan->break_at);
	describe_end("client", &connection->ends[CHURN_CLIENT]);
	describe_end(connection->accepted ? "upstream" : "upstream (unseen)",
		     &connection->ends[CHURN_UPSTREAM]);
	fputc('\n', stderr);
}

uint64_t churn_faults(const struct churn_counts *counts)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < CHURN_FAULTS; i++)
		sum += counts->faults[i];
	return sum;
}

static bool has_ended_in_order(const struct churn_end *end)
{
	return end->end_sent && end->end_received && !end->was_reset && end->error == 0;
}

/* What an end may see, whatever the kind is. CHURN_FAULTS: nothing is wrong. */
static enum churn_fault judge_stream(const struct churn_end *end, const struct churn_end *other)
{
	if (end->wrong)
		return CHURN_WRONG_BYTE;
	if (!end->end_received)
		return CHURN_FAULTS;
	if (!other->end_sent && !other->broken_off)
		return CHURN_RESET_AS_END;
	if (end->received != other->sent)
		return CHURN_CUT_SHORT;
	return CHURN_FAULTS;
}

/* The one who stays when the other one resets or leaves. */
static enum churn_fault judge_broken(const struct churn_connection *connection,
				     const struct churn_end *stays, bool by_reset)
{
	if (stays->side == CHURN_UPSTREAM && !connection->accepted)
		return CHURN_FAULTS;
	if (stays->was_reset)
		return CHURN_FAULTS;
	if (by_reset)
		return stays->end_received ? CHURN_RESET_AS_END : CHURN_NOT_SERVED;
	return has_ended_in_order(stays) ? CHURN_FAULTS : CHURN_NOT_SERVED;
}

static enum churn_fault judge_kind(const struct churn_connection *connection)
{
	const struct churn_end *client = &connection->ends[CHURN_CLIENT];
	const struct churn_end *upstream = &connection->ends[CHURN_UPSTREAM];

	switch (connection->plan.kind) {
	case CHURN_SERVED:
		return has_ended_in_order(client) && has_ended_in_order(upstream)
			       ? CHURN_FAULTS
			       : CHURN_NOT_SERVED;
	case CHURN_CLIENT_RESETS:
		return judge_broken(connection, upstream, true);
	case CHURN_UPSTREAM_RESETS:
		return judge_broken(connection, client, true);
	case CHURN_CLIENT_LEAVES:
		return judge_broken(connection, upstream, false);
	case CHURN_UPSTREAM_LEAVES:
		return judge_broken(connection, client, false);
	case CHURN_DEAD_END:
		return client->was_reset && client->received == 0 ? CHURN_FAULTS
								  : CHURN_NOT_REFUSED;
	case CHURN_HALF_HEADER:
	case CHURN_BAD_HEADER:
	case CHURN_EMPTY:
	case CHURN_KINDS:
		break;
	}
	return client->received == 0 ? CHURN_FAULTS : CHURN_NOT_REFUSED;
}

void churn_judge(struct churn_counts *counts, const struct churn_connection *connection)
{
	const struct churn_end *client = &connection->ends[CHURN_CLIENT];
	const struct churn_end *upstream = &connection->ends[CHURN_UPSTREAM];
	const struct churn_plan *plan = &connection->plan;
	enum churn_fault fault = CHURN_FAULTS;

	counts->bytes[CHURN_CLIENT] += client->received;
	counts->bytes[CHURN_UPSTREAM] += upstream->received;
	counts->v1 += !plan->v2;
	counts->v2 += plan->v2;
	counts->ipv6 += plan->client.family == ADDRESS_IPV6;
	counts->cut_headers += plan->cuts[0] < plan->header_length;
	counts->unseen += churn_reaches_upstream(plan->kind) && !connection->accepted;
	if (client->error != 0 && client->header_sent == 0)
		fault = CHURN_CONNECT_FAILED;
	if (fault == CHURN_FAULTS && churn_reaches_upstream(plan->kind))
		fault = judge_stream(client, upstream);
	if (fault == CHURN_FAULTS && connection->accepted)
		fault = judge_stream(upstream, client);
	if (fault == CHURN_FAULTS)
		fault = judge_kind(connection);
	if (fault == CHURN_FAULTS)
		counts->kinds[plan->kind]++;
	else
		churn_fault(counts, fault, connection);
}

void churn_print(const struct churn_counts *counts, double seconds, unsigned open)
{
	printf("opened=%" PRIu64 " open=%u faults=%" PRIu64, counts->opened, open,
	       churn_faults(counts));
	for (size_t i = 0; i < CHURN_KINDS; i++)
		printf(" %s=%" PRIu64, kind_names[i], counts->kinds[i]);
	for (size_t i = 0; i < CHURN_FAULTS; i++)
		printf(" %s=%" PRIu64, fault_names[i], counts->faults[i]);
	printf(" v1=%" PRIu64 " v2=%" PRIu64 " ipv6=%" PRIu64 " cut_headers=%" PRIu64
	       " unseen=%" PRIu64 " bytes_to_client=%" PRIu64 " bytes_to_upstream=%" PRIu64
	       " seconds=%.1f\n",
	       counts->v1, counts->v2, counts->ipv6, counts->cut_headers, counts->unseen,
	       counts->bytes[CHURN_CLIENT], counts->bytes[CHURN_UPSTREAM], seconds);
	fflush(stdout);
}
