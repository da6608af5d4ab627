/* SPDX-License-Identifier: MIT */
/* The plugins' answers, and what must have come of them. */
#include "tcp_schedule_plugins.h"

#include <errno.h>

#include "fake_sys.h"
#include "relay_fixture.h"

/* The first of them is what a byte string that is used up says. */
static const struct {
	int answer;
	bool hurries;
	int hurried;
} answers[16] = {
	[0 ... 6] = {.answer = MMPROXY_PASS},
	[7 ... 11] = {.answer = MMPROXY_PENDING},
	[12] = {.answer = MMPROXY_PENDING, .hurries = true, .hurried = MMPROXY_PASS},
	[13] = {.answer = MMPROXY_DENY},
	[14] = {.answer = MMPROXY_RESET},
	[15] = {.answer = -EIO},
};

static const int verdicts[8] = {MMPROXY_PASS, MMPROXY_PASS, MMPROXY_PASS,  MMPROXY_PASS,
				MMPROXY_PASS, MMPROXY_DENY, MMPROXY_RESET, 9};

static void prepare(struct fake_plugin *plugin, const struct mmproxy_conn *conn)
{
	struct schedule_plugins *of = plugin->context;
	uint8_t which = of->next(of->context) % 16;

	(void)conn;
	plugin->answer = answers[which].answer;
	plugin->hurries = answers[which].hurries;
	plugin->hurried = answers[which].hurried;
}

void schedule_plugins_use(struct schedule_plugins *of, struct relay_fixture *fixture, uint8_t how,
			  uint8_t (*next)(void *context), void *context)
{
	of->fixture = fixture;
	of->next = next;
	of->context = context;
	fixture_use_plugins(fixture, &of->plugins, 1 + how / 2 % FAKE_PLUGINS_MAX);
	for (unsigned i = 0; i < of->plugins.count; i++) {
		of->plugins.plugins[i].prepare = prepare;
		of->plugins.plugins[i].context = of;
		if (how % 2 == 0)
			of->plugins.entries[i].on_error = PLUGIN_ON_ERROR_PASS;
	}
}

bool schedule_plugins_answer(struct schedule_plugins *of, uint8_t which)
{
	struct fake_plugin *plugin;
	struct fake_visit *visit;

	if (of->fixture == NULL)
		return false;
	visit = fake_plugins_awaited(&of->plugins, &plugin);
	if (visit == NULL)
		return false;
	fake_plugin_complete(plugin, visit->ticket, verdicts[which % 8], "the schedule says so");
	return true;
}

/* What was sent was little enough to be read before an orderly close. */
static bool could_be_read(const struct fake_socket *client)
{
	size_t read =
		client->receive_limit < RELAY_HOT_SIZE ? client->receive_limit : RELAY_HOT_SIZE;

	return client->in.length < 8 * read;
}

static const char *check_refusal(const struct schedule_plugins *of,
				 const struct fake_socket *client, bool reliable)
{
	bool by_reset = fixture_closed(of->fixture, CLOSE_PLUGIN_RESET) > 0;

	if (fake_dial_count(&of->fixture->fake) > 0)
		return "the upstream was dialled for a session that was refused";
	if (by_reset && client->closed != FAKE_CLOSED_RESET)
		return "a refusal by reset was an orderly one";
	if (!by_reset && reliable && could_be_read(client) && client->closed != FAKE_CLOSED_ORDERLY)
		return "an orderly refusal was a reset";
	return NULL;
}

static const char *check_end(const struct schedule_plugins *of, const struct fake_plugin *plugin)
{
	const struct mmproxy_end *end = &plugin->end;
	bool relayed = fixture_count(of->fixture, COUNTER_SESSIONS_RELAYED) > 0;

	if (plugin->asked != plugin->closed || plugin->asked > 1)
		return "a plugin was asked for a session and did not hear the end of it once";
	if (plugin->asked == 0)
		return relayed ? "a session was relayed that a plugin was not asked for" : NULL;
	if (((end->flags & MMPROXY_END_CONNECTED) != 0) != relayed)
		return "a plugin was not told whether there was a connection";
	if (end->bytes_from_client != fixture_count(of->fixture, COUNTER_BYTES_FROM_CLIENT) ||
	    end->bytes_from_upstream != fixture_count(of->fixture, COUNTER_BYTES_FROM_UPSTREAM))
		return "a plugin was told of other bytes than were counted";
	return NULL;
}

const char *schedule_plugins_check(const struct schedule_plugins *of,
				   const struct fake_socket *client, bool reliable)
{
	const char *broken = NULL;

	if (of->fixture == NULL)
		return NULL;
	for (unsigned i = 0; i < of->plugins.count && broken == NULL; i++)
		broken = check_end(of, &of->plugins.plugins[i]);
	for (unsigned i = CLOSE_PLUGIN_DENIED; i <= CLOSE_PLUGIN_TIMEOUT && broken == NULL; i++) {
		if (fixture_closed(of->fixture, (enum close_reason)i) > 0)
			broken = check_refusal(of, client, reliable);
	}
	return broken;
}
