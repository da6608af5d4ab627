/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a line of the control protocol, read as each of the commands. Every mistake is told
 * in one printable line; what is understood is in its range, and written again it means the same.
 */
#include <errno.h>
#include <inttypes.h>

#include "daemon/control/request.h"
#include "fuzz.h"

static char why[CONTROL_WHY_SIZE];

static bool is_printable(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~')
			return false;
	}
	return true;
}

/* Whatever was called last: the mistake has been told. Returns whether there was none. */
static bool is_good(int error)
{
	if (error == 0)
		return true;
	DEMAND(error == -EINVAL);
	DEMAND(memchr(why, '\0', sizeof(why)) != NULL);
	DEMAND(strlen(why) > 10 && is_printable(why));
	memset(why, 0x7f, sizeof(why));
	return false;
}

static void check_words(const struct control_request *request, size_t length)
{
	const char *end = request->text + length;
	const char *behind = request->text;

	DEMAND(request->count >= 1 && request->count <= CONTROL_WORDS_MAX);
	DEMAND(request->text[length] == '\0');
	for (unsigned i = 0; i < request->count; i++) {
		const char *word = request->words[i];

		DEMAND(word >= behind && word < end && *word != '\0');
		DEMAND(is_printable(word) && strchr(word, ' ') == NULL);
		behind = word + strlen(word) + 1;
	}
}

static bool has_host_bits(const struct prefix *prefix)
{
	unsigned bits = prefix->address.family == ADDRESS_IPV4 ? 32 : 128;

	for (unsigned bit = prefix->length; bit < bits; bit++) {
		if (prefix->address.ip[bit / 8] >> (7 - bit % 8) & 1)
			return true;
	}
	return false;
}

static void check_filter(const struct session_filter *filter, unsigned limit)
{
	DEMAND(limit >= 1 && limit <= 10000);
	DEMAND(strlen(filter->listener) < SESSION_VIEW_LISTENER_SIZE);
	DEMAND(filter->older % 1000 == 0 && filter->older <= UINT64_C(3153600000) * 1000);
	if (filter->client.address.family == ADDRESS_NONE)
		return;
	DEMAND(filter->client.length <= (filter->client.address.family == ADDRESS_IPV4 ? 32 : 128));
	DEMAND(!has_host_bits(&filter->client));
}

static void parse(struct control_request *request, const char *line, size_t length)
{
	char *copy = fuzz_copy(line, length);

	DEMAND(is_good(control_request_parse(request, copy, length, why)));
	free(copy);
}

/* The filter, as somebody would have typed it. */
static void sessions_again(const struct session_filter *filter, unsigned limit)
{
	char line[CONTROL_LINE_MAX], ip[ADDRESS_TEXT_SIZE];
	struct control_request request;
	struct session_filter again;
	unsigned limit_again;
	int length = snprintf(line, sizeof(line), "sessions limit=%u older=%" PRIu64, limit,
			      filter->older / 1000);

	if (filter->listener[0] != '\0')
		length += snprintf(line + length, sizeof(line) - (size_t)length, " listener=%s",
				   filter->listener);
	if (filter->client.address.family != ADDRESS_NONE)
		length += snprintf(line + length, sizeof(line) - (size_t)length, " client=%s/%u",
				   address_format_ip(&filter->client.address, ip),
				   filter->client.length);
	parse(&request, line, (size_t)length);
	DEMAND(is_good(control_request_sessions(&request, &again, &limit_again, why)));
	DEMAND(limit_again == limit && again.older == filter->older);
	DEMAND(strcmp(again.listener, filter->listener) == 0);
	DEMAND(address_equal(&again.client.address, &filter->client.address));
	DEMAND(again.client.length == filter->client.length);
}

static void kill_again(const struct control_request *request, uint64_t id)
{
	const char *word = request->words[1];
	char text[24];

	while (*word == '0')
		word++;
	snprintf(text, sizeof(text), "%" PRIu64, id);
	DEMAND(id != 0 && strcmp(text, word) == 0);
}

static void read_as_every_command(const struct control_request *request)
{
	struct session_filter filter;
	enum log_level level = LOG_LEVEL_ERROR;
	unsigned limit;
	uint64_t id;
	bool given;

	DEMAND(is_good(control_request_expect_nothing(request, why)) == (request->count == 1));
	if (is_good(control_request_sessions(request, &filter, &limit, why))) {
		check_filter(&filter, limit);
		sessions_again(&filter, limit);
	}
	if (is_good(control_request_clients(request, &limit, why)))
		DEMAND(limit >= 1 && limit <= 1000);
	if (is_good(control_request_kill(request, &id, why)))
		kill_again(request, id);
	if (is_good(control_request_log_level(request, &given, &level, why)))
		DEMAND(given == (request->count == 2) && level <= LOG_LEVEL_DEBUG);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct control_request request;
	const uint8_t *newline = size > 0 ? memchr(bytes, '\n', size) : NULL;
	size_t length = newline != NULL ? (size_t)(newline - bytes) : size;
	char *line;

	if (length > CONTROL_LINE_MAX)
		length = CONTROL_LINE_MAX;
	memset(why, 0x7f, sizeof(why));
	memset(&request, 0xa5, sizeof(request));
	line = fuzz_copy(bytes, length);
	if (is_good(control_request_parse(&request, line, length, why))) {
		check_words(&request, length);
		read_as_every_command(&request);
	}
	free(line);
	return 0;
}
