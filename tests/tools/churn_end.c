/* SPDX-License-Identifier: MIT */
/* One end of a connection, the client's or the upstream's: a piece at a time, as its plan says. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tcp_churn.h"

static bool breaks_off(const struct churn_end *end)
{
	enum churn_kind kind = end->connection->plan.kind;

	return end->side == CHURN_CLIENT
		       ? kind == CHURN_CLIENT_RESETS || kind == CHURN_CLIENT_LEAVES
		       : kind == CHURN_UPSTREAM_RESETS || kind == CHURN_UPSTREAM_LEAVES;
}

/* The one who does not end first waits for the other one's end. */
static bool waits(const struct churn_end *end)
{
	enum churn_order order = end->connection->plan.order;

	return !end->end_received &&
	       order == (end->side == CHURN_CLIENT ? CHURN_UPSTREAM_FIRST : CHURN_CLIENT_FIRST);
}

void churn_end_close(struct churn_end *end, bool with_reset)
{
	const struct linger reset = {.l_onoff = 1};

	if (with_reset)
		setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(end->fd);
	end->fd = -1;
}

/* What the kernel says instead of taking or giving bytes. False: there is nothing more to do now.
 */
static bool failed(struct churn_end *end)
{
	if (errno == EAGAIN)
		return false;
	/* EPIPE is a reset behind an end. */
	if (errno == ECONNRESET || errno == EPIPE)
		end->was_reset = true;
	else
		end->error = errno;
	churn_end_close(end, false);
	return false;
}

/* The header up to the next cut; behind the last one, payload goes with it. */
static size_t header_piece(const struct churn_end *end, const uint8_t **bytes)
{
	const struct churn_plan *plan = &end->connection->plan;
	size_t to = plan->header_length;

	for (unsigned i = CHURN_CUTS_MAX; i-- > 0;) {
		if (plan->cuts[i] > end->header_sent)
			to = plan->cuts[i];
	}
	*bytes = plan->header + end->header_sent;
	return to - end->header_sent;
}

static size_t piece_length(struct churn_end *end)
{
	uint64_t number = churn_random(&end->connection->random);

	/* A small one now and then. */
	return 1 + (number >> 8) % (number % 8 == 0 ? 100 : end->connection->plan.pace.piece_most);
}

static bool send_header(struct churn_end *end)
{
	const uint8_t *bytes;
	size_t length = header_piece(end, &bytes);
	ssize_t sent = send(end->fd, bytes, length, MSG_NOSIGNAL);

	if (sent < 0)
		return failed(end);
	end->header_sent += (size_t)sent;
	return true;
}

static bool send_payload(struct churn_end *end)
{
	static uint8_t bytes[CHURN_PIECE_MAX];
	const struct churn_plan *plan = &end->connection->plan;
	size_t length = piece_length(end), left = plan->sizes[end->side] - end->sent;
	ssize_t sent;

	if (length > left)
		length = left;
	length = churn_pace_limit(end, (uint32_t)length);
	if (length == 0)
		return false; /* it is the other one's turn */
	/* Exactly as far as the place where it breaks off. */
	if (breaks_off(end) && length > plan->break_at - end->sent - end->received)
		length = plan->break_at - end->sent - end->received;
	churn_stream_fill(plan->seeds[end->side], end->sent, bytes, length);
	sent = send(end->fd, bytes, length, MSG_NOSIGNAL);
	if (sent < 0)
		return failed(end);
	end->sent += (uint32_t)sent;
	return sent > 0;
}

/* A resetting side sends no end; what is refused ends by its own rules. */
static bool send_end(struct churn_end *end)
{
	const struct churn_plan *plan = &end->connection->plan;
	bool resets = breaks_off(end) && plan->kind != CHURN_CLIENT_LEAVES &&
		      plan->kind != CHURN_UPSTREAM_LEAVES;

	if (end->end_sent || resets || plan->kind == CHURN_BAD_HEADER ||
	    plan->kind == CHURN_DEAD_END)
		return false;
	if (plan->kind == CHURN_HALF_HEADER && !plan->graceful) {
		end->broken_off = true;
		churn_end_close(end, true);
		return false;
	}
	/* It fails after a reset, of which the next receive tells. */
	shutdown(end->fd, SHUT_WR);
	end->end_sent = true;
	return true;
}

static bool send_piece(struct churn_end *end)
{
	const struct churn_plan *plan = &end->connection->plan;

	if (end->side == CHURN_CLIENT && end->header_sent < plan->header_length)
		return send_header(end);
	if (!churn_reaches_upstream(plan->kind))
		return send_end(end);
	if (end->sent < plan->sizes[end->side])
		return !(plan->silent && waits(end)) && send_payload(end);
	return !waits(end) && send_end(end);
}

static bool receive_piece(struct churn_end *end)
{
	static uint8_t bytes[CHURN_PIECE_MAX];
	const struct churn_plan *plan = &end->connection->plan;
	enum churn_side other = end->side == CHURN_CLIENT ? CHURN_UPSTREAM : CHURN_CLIENT;
	ssize_t length;

	if (end->end_received)
		return false;
	length = recv(end->fd, bytes, piece_length(end), 0);
	if (length < 0)
		return failed(end);
	if (length == 0) {
		end->end_received = true;
		return true;
	}
	if (end->received + (uint64_t)length > plan->sizes[other] ||
	    !churn_stream_check(plan->seeds[other], end->received, bytes, (size_t)length))
		end->wrong = true;
	end->received += (uint32_t)length;
	return true;
}

/* Whether it has broken off now, as it was to do. */
static bool break_off(struct churn_end *end)
{
	const struct churn_plan *plan = &end->connection->plan;

	if (plan->kind == CHURN_EMPTY) {
		end->broken_off = true;
		churn_end_close(end, !plan->graceful);
		return true;
	}
	if (!breaks_off(end) || end->sent + end->received < plan->break_at ||
	    (end->side == CHURN_CLIENT && end->header_sent < plan->header_length))
		return false;
	end->broken_off = true;
	churn_end_close(end,
			plan->kind == CHURN_CLIENT_RESETS || plan->kind == CHURN_UPSTREAM_RESETS);
	return true;
}

/* Whoever is refused has nothing to send, and ends when the other side has. */
static bool finished(const struct churn_end *end)
{
	return end->end_received &&
	       (end->end_sent || !churn_reaches_upstream(end->connection->plan.kind));
}

bool churn_end_turn(struct churn_end *end)
{
	bool more = false;

	if (break_off(end))
		return false;
	more |= send_piece(end);
	if (end->fd < 0 || break_off(end))
		return false;
	more |= receive_piece(end);
	if (end->fd < 0 || break_off(end))
		return false;
	if (finished(end)) {
		churn_end_close(end, false);
		return false;
	}
	return more;
}
