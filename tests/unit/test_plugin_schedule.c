/* SPDX-License-Identifier: MIT */
/*
 * Random schedules: several sessions at once pass a chain whose plugins answer at once, later, too
 * late, twice, or nonsense, while their owners end them whenever they like. A model says which
 * ruling each may come to; what each plugin must and must not hear is checked in fake_plugin.c.
 * With a number as its argument the program runs that one schedule; with two, that many from that
 * number on.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugin_talk.h"

#define SCHEDULES 10000
#define STEPS     120
#define SESSIONS  8

/* What a plugin's word comes to. */
struct effect {
	enum { GOES_ON, REFUSES, WAITS } kind;
	enum close_reason reason;
};

struct model {
	struct plugin_session *session; /* NULL: free */
	uint64_t id;
	size_t asked;         /* plugins */
	struct effect effect; /* of the last one */
	bool mailed;          /* WAITS: a verdict is on its way */
	int verdict;
	uint64_t deadline;
	bool ruled, dialled, connected;
	bool ends_when_decided;
};

static struct {
	uint64_t seed, random, last_id;
	struct model models[SESSIONS];
	struct model *calling; /* its owner is in a call; NULL: none is */
	unsigned closed[FAKE_PLUGINS_MAX], asked[FAKE_PLUGINS_MAX];
	uint64_t counts[FAKE_PLUGINS_MAX][INSTANCE_COUNTER_COUNT];
	char name[40];
} now;

static void expect(bool holds, const char *rule)
{
	if (!holds)
		fail_msg("schedule %llu: %s", (unsigned long long)now.seed, rule);
}

static unsigned random_below(unsigned limit)
{
	now.random = now.random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(now.random >> 33) % limit;
}

static int random_verdict(void)
{
	static const int verdicts[] = {MMPROXY_PASS,
				       MMPROXY_PASS,
				       MMPROXY_PASS,
				       MMPROXY_PASS,
				       MMPROXY_PASS,
				       MMPROXY_PASS,
				       MMPROXY_DENY,
				       MMPROXY_DENY,
				       MMPROXY_RESET,
				       MMPROXY_RESET,
				       -EIO,
				       -1000,
				       5,
				       MMPROXY_PENDING};

	return verdicts[random_below(sizeof(verdicts) / sizeof(verdicts[0]))];
}

static struct model *model_of(uint64_t id)
{
	for (unsigned i = 0; i < SESSIONS; i++) {
		if (now.models[i].id == id && id != 0)
			return &now.models[i];
	}
	expect(false, "a call for a session that there is not");
	abort();
}

static struct effect failure(size_t place, enum close_reason reason)
{
	if (plugins.entries[place].on_error == PLUGIN_ON_ERROR_PASS)
		return (struct effect){.kind = GOES_ON};
	return (struct effect){REFUSES, reason};
}

static struct effect effect_of(size_t place, int verdict)
{
	switch (verdict) {
	case MMPROXY_PASS:
		return (struct effect){.kind = GOES_ON};
	case MMPROXY_DENY:
		return (struct effect){REFUSES, CLOSE_PLUGIN_DENIED};
	case MMPROXY_RESET:
		return (struct effect){REFUSES, CLOSE_PLUGIN_RESET};
	default:
		return failure(place, CLOSE_PLUGIN_ERROR);
	}
}

static bool same(struct effect left, struct effect right)
{
	return left.kind == right.kind && (left.kind != REFUSES || left.reason == right.reason);
}

static void count_verdict(size_t place, int verdict)
{
	if (verdict == MMPROXY_DENY || verdict == MMPROXY_RESET)
		now.counts[place][INSTANCE_REFUSALS]++;
	else if (verdict != MMPROXY_PASS)
		now.counts[place][INSTANCE_ERRORS]++;
}

/* A session that waited does so no longer, since this came of it. */
static void stop_waiting(struct model *model, struct effect effect)
{
	size_t place = model->asked - 1;

	expect(now.calling == NULL, "a verdict comes within a call of the owner's");
	/* What complete() has taken counts, even if it is its deadline that brings it. */
	if (model->mailed) {
		expect(same(effect, effect_of(place, model->verdict)),
		       "a ruling that is not the verdict's");
		count_verdict(place, model->verdict);
	} else {
		expect(talk.loop.now >= model->deadline, "a ruling that nobody gave");
		expect(same(effect, failure(place, CLOSE_PLUGIN_TIMEOUT)),
		       "a ruling that is not the timeout's");
		now.counts[place][INSTANCE_TIMEOUTS]++;
	}
	model->effect = effect;
	model->mailed = false;
}

/* Returns whether the plugin takes a ticket. */
static bool choose_answer(struct fake_plugin *plugin)
{
	bool ticket;

	plugin->answer = random_below(2) == 0 ? MMPROXY_PENDING : random_verdict();
	plugin->why = random_below(2) == 0 ? "because" : NULL;
	plugin->forgets_to_defer = random_below(16) == 0;
	plugin->defers = random_below(8) == 0;
	ticket = plugin->defers || (plugin->answer == MMPROXY_PENDING && !plugin->forgets_to_defer);
	plugin->hurries = ticket && random_below(4) == 0;
	plugin->hurried = random_verdict();
	return ticket;
}

/* What the next plugin is going to say, and what that means for the session. */
static void prepare(struct fake_plugin *plugin, const struct mmproxy_conn *conn)
{
	struct model *model = model_of(conn->id);
	size_t place = (size_t)(plugin - plugins.plugins);

	if (model->asked > 0 && model->effect.kind == WAITS)
		stop_waiting(model, (struct effect){.kind = GOES_ON});
	expect(model->asked == place, "a plugin is asked out of order");
	expect(place == 0 || model->effect.kind == GOES_ON, "a plugin is asked behind a refusal");
	model->asked++;
	now.asked[place]++;
	if (choose_answer(plugin) && plugin->answer == MMPROXY_PENDING) {
		model->effect = (struct effect){.kind = WAITS};
		model->mailed = plugin->hurries;
		model->verdict = plugin->hurried;
		model->deadline = talk.loop.now + plugins.entries[place].timeout + 1;
	} else {
		model->effect = effect_of(place, plugin->answer);
		count_verdict(place, plugin->answer);
	}
}

/* The ruling is there: is it the model's? */
static void check_ruling(struct model *model, enum plugin_ruling ruling)
{
	struct plugin_refusal refusal;

	model->ruled = ruling != PLUGIN_AWAITED;
	switch (ruling) {
	case PLUGIN_PASSED:
		expect(model->effect.kind == GOES_ON && model->asked == plugins.count,
		       "it passed, though not everybody let it pass");
		break;
	case PLUGIN_REFUSED:
		refusal = plugin_session_refusal(model->session);
		expect(model->effect.kind == REFUSES && refusal.reason == model->effect.reason,
		       "it was refused, though not by a plugin, or for another reason");
		expect(strcmp(refusal.plugin, plugins.entries[model->asked - 1].name) == 0,
		       "it was refused by another plugin");
		break;
	case PLUGIN_AWAITED:
		expect(model->effect.kind == WAITS, "it waits, and for nobody");
		break;
	}
}

static void end(struct model *model)
{
	static const enum close_reason reasons[] = {CLOSE_FINISHED, CLOSE_CLIENT_LEFT,
						    CLOSE_SHUTDOWN};
	struct plugin_session_end told = {
		.reason = reasons[random_below(3)],
		.bytes_from_client = model->id,
	};
	struct model was = *model, *calling = now.calling;

	if (was.ruled && was.effect.kind == REFUSES)
		told.reason = was.effect.reason;
	*model = (struct model){.session = NULL};
	now.calling = &was;
	plugin_session_close(was.session, &told);
	now.calling = calling;
	for (size_t i = 0; i < plugins.count; i++) {
		const struct fake_plugin *plugin = &plugins.plugins[i];

		now.closed[i] += i < was.asked;
		expect(plugin->closed == now.closed[i], "who was asked did not hear the end once");
		if (i >= was.asked)
			continue;
		expect(plugin->end.code == close_reason_code(told.reason) &&
			       plugin->end.bytes_from_client == was.id,
		       "a plugin heard of another end");
		expect((plugin->end.plugin != NULL) == (was.ruled && was.effect.kind == REFUSES),
		       "an end names a plugin that did not bring it about, or none");
		expect(((plugin->end.flags & MMPROXY_END_CONNECTED) != 0) == was.connected,
		       "an end does not say whether there was a connection");
	}
}

static void connect_model(struct model *model)
{
	int error = random_below(3) == 0 ? -ECONNREFUSED : 0;

	now.calling = model;
	plugin_session_connected(model->session, error);
	now.calling = NULL;
	model->connected = error == 0;
	model->dialled = true;
}

static void begin(void);

static void decided(void *owner, enum plugin_ruling ruling)
{
	struct model *model = owner;

	expect(ruling != PLUGIN_AWAITED, "it is decided that nothing is decided");
	expect(!model->ruled, "it is decided twice");
	if (model->effect.kind == WAITS && ruling == PLUGIN_PASSED)
		stop_waiting(model, (struct effect){.kind = GOES_ON});
	else if (model->effect.kind == WAITS)
		stop_waiting(model, (struct effect){REFUSES,
						    plugin_session_refusal(model->session).reason});
	check_ruling(model, ruling);
	if (ruling == PLUGIN_PASSED && random_below(2) == 0)
		connect_model(model);
	if (model->ends_when_decided)
		end(model);
	/* There is room again, and somebody waits for it. */
	if (random_below(4) == 0)
		begin();
}

static struct model *free_model(void)
{
	for (unsigned i = 0; i < SESSIONS; i++) {
		if (now.models[i].session == NULL)
			return &now.models[i];
	}
	return NULL;
}

static void begin(void)
{
	struct model *model = free_model(), *calling = now.calling;
	const struct plugin_session_facts facts = facts_of(now.last_id + 1);
	enum plugin_ruling ruling;

	if (model == NULL)
		return;
	*model = (struct model){.id = ++now.last_id, .ends_when_decided = random_below(2) == 0};
	if (random_below(10) == 0) {
		model->session = plugin_session_adopt(plugins.chain, plugins.worker, &facts);
		model->asked = plugins.count;
		model->connected = model->ruled = model->dialled = true;
		return;
	}
	model->session =
		plugin_session_create(plugins.chain, plugins.worker, &facts, decided, model);
	now.calling = model;
	ruling = plugin_session_judge(model->session);
	now.calling = calling;
	check_ruling(model, ruling);
}

static struct model *random_model(void)
{
	struct model *model = &now.models[random_below(SESSIONS)];

	return model->session != NULL ? model : NULL;
}

/* A verdict for a session that waits, or for one that does not, or by the wrong plugin. */
static void give_verdict(void)
{
	struct fake_plugin *giver = &plugins.plugins[random_below(plugins.count)];
	struct fake_plugin *plugin = &plugins.plugins[random_below(plugins.count)];
	struct fake_visit *visit = fake_plugin_awaited(plugin);
	mmproxy_ticket ticket = visit != NULL ? visit->ticket : plugin->ticket;
	int verdict = random_verdict();
	struct model *model;

	if (visit != NULL && random_below(8) > 0)
		giver = plugin;
	if (fake_plugin_complete(giver, ticket, verdict, random_below(2) ? "reasons" : NULL) < 0) {
		now.counts[giver - plugins.plugins][INSTANCE_STALE_VERDICTS]++;
		return;
	}
	model = model_of(visit->id);
	model->mailed = true;
	model->verdict = verdict;
}

/* Then nobody waits for what is there. */
static void run_round(void)
{
	talk_round();
	/* What came while it looked at deadlines. */
	talk_round();
	for (unsigned i = 0; i < SESSIONS; i++) {
		const struct model *model = &now.models[i];

		if (model->session == NULL || model->ruled)
			continue;
		expect(model->effect.kind == WAITS, "it neither waits nor has a ruling");
		expect(!model->mailed, "a verdict was not handed out");
		expect(talk.loop.now < model->deadline, "a deadline was missed");
	}
}

static void step(void)
{
	struct model *model = random_model();

	switch (random_below(10)) {
	case 0:
	case 1:
	case 2:
		begin();
		break;
	case 3:
	case 4:
	case 5:
		give_verdict();
		break;
	case 6:
		if (model != NULL && random_below(2) == 0)
			end(model);
		break;
	case 7:
		if (model != NULL && model->ruled && !model->dialled &&
		    model->effect.kind == GOES_ON)
			connect_model(model);
		break;
	case 8:
		talk.loop.now += random_below(3) > 0 ? random_below(30) : random_below(300);
		run_round();
		break;
	default:
		run_round();
		break;
	}
}

static void set_up(uint64_t seed)
{
	memset(&now, 0, sizeof(now));
	now.seed = now.random = seed;
	snprintf(now.name, sizeof(now.name), "schedule %llu", (unsigned long long)seed);
	fake_plugin_run = now.name;
	random_below(1);
	start_with(1 + random_below(FAKE_PLUGINS_MAX));
	for (unsigned i = 0; i < plugins.count; i++) {
		plugins.plugins[i].prepare = prepare;
		plugins.entries[i].timeout = 20 + random_below(200);
		plugins.entries[i].on_error =
			random_below(2) == 0 ? PLUGIN_ON_ERROR_PASS : PLUGIN_ON_ERROR_DENY;
	}
}

static void run_schedule(uint64_t seed)
{
	bool leaves_early;
	void *state = NULL;

	set_up(seed);
	for (unsigned i = 0; i < STEPS; i++)
		step();
	/* The worker may leave its seat to the sessions that are left. */
	leaves_early = random_below(2) == 0 && fake_plugins_visits(&plugins) > 0;
	if (leaves_early)
		fake_plugins_leave(&plugins);
	for (unsigned i = 0; i < SESSIONS; i++) {
		if (now.models[i].session != NULL)
			end(&now.models[i]);
	}
	talk_round();
	for (unsigned i = 0; i < plugins.count; i++) {
		const struct fake_plugin *plugin = &plugins.plugins[i];

		expect(plugin->asked == now.asked[i], "a plugin was asked another number of times");
		for (unsigned j = INSTANCE_REFUSALS; j <= INSTANCE_STALE_VERDICTS; j++)
			expect(fake_plugin_count(plugin, (enum instance_counter)j) ==
				       now.counts[i][j],
			       "something is not counted right");
	}
	if (!leaves_early)
		fake_plugins_leave(&plugins);
	stop_apart(&state);
	fake_plugin_run = NULL;
}

static void in_any_order_each_session_gets_its_ruling_and_each_plugin_its_due(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SCHEDULES; seed++)
		run_schedule(seed);
}

static uint64_t first_seed, seed_count;

static void the_schedules_of_the_command_line(void **state)
{
	(void)state;
	for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++)
		run_schedule(seed);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_any_order_each_session_gets_its_ruling_and_each_plugin_its_due),
	};
	const struct CMUnitTest asked_for[] = {
		cmocka_unit_test(the_schedules_of_the_command_line),
	};

	if (argc <= 1)
		return cmocka_run_group_tests(tests, NULL, NULL);
	first_seed = strtoull(argv[1], NULL, 10);
	seed_count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	return cmocka_run_group_tests(asked_for, NULL, NULL);
}
