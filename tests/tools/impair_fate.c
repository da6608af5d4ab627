/* SPDX-License-Identifier: MIT */
/* What becomes of a packet: settings, and decisions that can be repeated. Nothing here has a state.
 */
#include <stdlib.h>
#include <string.h>

#include "impair.h"

/* What one number of a packet's is drawn for. */
enum draw { DRAW_LOSS, DRAW_DUPLICATE, DRAW_CORRUPT, DRAW_REORDER, DRAW_JITTER, DRAW_BIT, DRAWS };

static const struct {
	const char *name;
	unsigned unit; /* of what is given, in units of what is kept */
	uint64_t most;
} settings_known[IMPAIR_SETTINGS] = {
	[IMPAIR_LOSS] = {"loss", 100, IMPAIR_WHOLE},
	[IMPAIR_DUPLICATE] = {"duplicate", 100, IMPAIR_WHOLE},
	[IMPAIR_CORRUPT] = {"corrupt", 100, IMPAIR_WHOLE},
	[IMPAIR_REORDER] = {"reorder", 100, IMPAIR_WHOLE},
	[IMPAIR_HOLD] = {"hold", 1000, 10000000},
	[IMPAIR_DELAY] = {"delay", 1000, 10000000},
	[IMPAIR_JITTER] = {"jitter", 1000, 10000000},
	[IMPAIR_RATE] = {"rate", 1, 100000000},
	[IMPAIR_QUEUE] = {"queue", 1, 1000000},
};

void impair_settings_init(struct impair_settings *settings)
{
	*settings = (struct impair_settings){
		.values = {[IMPAIR_HOLD] = 5000, [IMPAIR_QUEUE] = 10000},
	};
}

bool impair_settings_parse(struct impair_settings *settings, const char *word)
{
	for (size_t i = 0; i < IMPAIR_SETTINGS; i++) {
		size_t length = strlen(settings_known[i].name);
		char *end;
		double value;

		if (strncmp(word, settings_known[i].name, length) != 0 || word[length] != '=')
			continue;
		value = strtod(word + length + 1, &end) * settings_known[i].unit + 0.5;
		if (word[length + 1] < '0' || word[length + 1] > '9' || *end != '\0' ||
		    !(value <= (double)settings_known[i].most))
			return false;
		settings->values[i] = (uint64_t)value;
		return true;
	}
	return false;
}

/* The mixer of SplitMix64: each bit of the result depends on each of the argument's. */
static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

static bool happens(uint64_t number, uint64_t share)
{
	return number % IMPAIR_WHOLE < share;
}

struct impair_fate impair_fate(const struct impair_settings *settings, uint64_t seed,
			       unsigned direction, uint64_t number)
{
	const uint64_t *values = settings->values;
	uint64_t draws[DRAWS];

	for (size_t i = 0; i < DRAWS; i++)
		draws[i] = mix(mix(mix(seed + 1) + direction) + number * DRAWS + i);
	return (struct impair_fate){
		.lost = happens(draws[DRAW_LOSS], values[IMPAIR_LOSS]),
		.twice = happens(draws[DRAW_DUPLICATE], values[IMPAIR_DUPLICATE]),
		.corrupt = happens(draws[DRAW_CORRUPT], values[IMPAIR_CORRUPT]),
		.held = happens(draws[DRAW_REORDER], values[IMPAIR_REORDER]),
		.bit = draws[DRAW_BIT],
		.delay = values[IMPAIR_DELAY] + draws[DRAW_JITTER] % (values[IMPAIR_JITTER] + 1),
	};
}
