/* SPDX-License-Identifier: MIT */
/*
 * The reader: asks for settings as its configuration tells it to, and answers with warnings.
 *
 *	ask = ( { get = "int"; key = "size"; least = 1; most = 9; }, ... )
 *
 * The settings asked for stand beside `ask`. An answer is the getter's result and then the value,
 * "1 42", "0 default" or "-22": what it was before where the getter left it alone. `get` is text,
 * int, float, bool, count, item, path, group, mistake or warning; item, path and group take
 *`index`, group answers with the text `name` of the group it got, mistake and warning report
 *`text`, for the group as a whole when there is no `key`.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <mmproxy/plugin.h>

#define DEFAULT_NUMBER (-7)

struct question {
	const struct mmproxy_host *host;
	const struct mmproxy_config *config; /* where the setting stands */
	const struct mmproxy_config *terms;  /* how it is asked for */
	const char *key;
	unsigned index;
	char *answer;
	size_t size;
};

static int answer_text(const struct question *question, int result, const char *value)
{
	snprintf(question->answer, question->size, result < 0 ? "%d" : "%d %s", result, value);
	return result;
}

static int ask_text(const struct question *question)
{
	const char *value = "default";
	int result = question->host->config_text(question->config, question->key, &value);

	return answer_text(question, result, value);
}

static int ask_item(const struct question *question)
{
	const char *value = "default";
	int result = question->host->config_item(question->config, question->key, question->index,
						 &value);

	return answer_text(question, result, value);
}

static int ask_path(const struct question *question)
{
	const char *value = "default";
	int result = question->host->config_path(question->config, question->key, question->index,
						 &value);

	return answer_text(question, result, value);
}

static int ask_group(const struct question *question)
{
	const struct mmproxy_config *group =
		question->host->config_group(question->config, question->key, question->index);
	const char *value = "without a name";

	if (group != NULL && question->host->config_text(group, "name", &value) < 0)
		return -EINVAL;
	return answer_text(question, group != NULL, value);
}

static int ask_int(const struct question *question)
{
	int64_t least = INT64_MIN;
	int64_t most = INT64_MAX;
	int64_t value = DEFAULT_NUMBER;
	int result;

	question->host->config_int(question->terms, "least", INT64_MIN, INT64_MAX, &least);
	question->host->config_int(question->terms, "most", INT64_MIN, INT64_MAX, &most);
	result = question->host->config_int(question->config, question->key, least, most, &value);
	snprintf(question->answer, question->size, "%d %" PRId64, result, value);
	return result;
}

static int ask_float(const struct question *question)
{
	double least = -1e300;
	double most = 1e300;
	double value = DEFAULT_NUMBER;
	int result;

	question->host->config_float(question->terms, "least", -1e300, 1e300, &least);
	question->host->config_float(question->terms, "most", -1e300, 1e300, &most);
	result = question->host->config_float(question->config, question->key, least, most, &value);
	snprintf(question->answer, question->size, "%d %g", result, value);
	return result;
}

static int ask_bool(const struct question *question)
{
	int value = DEFAULT_NUMBER;
	int result = question->host->config_bool(question->config, question->key, &value);

	snprintf(question->answer, question->size, "%d %d", result, value);
	return result;
}

static int ask_count(const struct question *question)
{
	int result = question->host->config_count(question->config, question->key);

	snprintf(question->answer, question->size, "%d", result);
	return result;
}

static int report(const struct question *question,
		  void (*function)(const struct mmproxy_config *config, const char *key,
				   const char *message))
{
	const char *text = "";
	char copy[256];

	question->host->config_text(question->terms, "text", &text);
	snprintf(copy, sizeof(copy), "%s", text);
	function(question->config, question->key, copy);
	/* The caller may use its memory again. */
	memset(copy, '!', sizeof(copy) - 1);
	question->answer[0] = '\0';
	return 0;
}

static int report_mistake(const struct question *question)
{
	report(question, question->host->config_mistake);
	return -EINVAL;
}

static int report_warning(const struct question *question)
{
	return report(question, question->host->config_warning);
}

static const struct {
	const char *name;
	int (*ask)(const struct question *question);
} getters[] = {
	{"text", ask_text},          {"int", ask_int},     {"float", ask_float},
	{"bool", ask_bool},          {"count", ask_count}, {"item", ask_item},
	{"path", ask_path},          {"group", ask_group}, {"mistake", report_mistake},
	{"warning", report_warning},
};

/* One of `ask`; the answer is a warning about the setting. */
static int ask(const struct mmproxy_host *host, const struct mmproxy_config *config,
	       const struct mmproxy_config *terms)
{
	char answer[1024] = "";
	const char *get = "";
	int64_t index = 0;
	int result = -EINVAL;
	struct question question = {
		.host = host,
		.config = config,
		.terms = terms,
		.answer = answer,
		.size = sizeof(answer),
	};

	host->config_text(terms, "get", &get);
	host->config_text(terms, "key", &question.key);
	host->config_int(terms, "index", 0, 1000, &index);
	question.index = (unsigned)index;
	for (size_t i = 0; i < sizeof(getters) / sizeof(getters[0]); i++) {
		if (strcmp(getters[i].name, get) == 0)
			result = getters[i].ask(&question);
	}
	if (answer[0] != '\0')
		host->config_warning(config, question.key, answer);
	return result < 0 ? -EINVAL : 0;
}

static int check(const struct mmproxy_host *host, const struct mmproxy_config *config)
{
	int count = host->config_count(config, "ask");
	int error = 0;

	for (int i = 0; i < count; i++) {
		const struct mmproxy_config *terms = host->config_group(config, "ask", (unsigned)i);

		if (terms == NULL || ask(host, config, terms) < 0)
			error = -EINVAL;
	}
	return error;
}

static int open_instance(const struct mmproxy_host *host, struct mmproxy_instance *instance,
			 const struct mmproxy_config *config, void **state)
{
	*state = instance;
	return check(host, config);
}

const struct mmproxy_plugin mmproxy_plugin_v1 = {
	.size = sizeof(struct mmproxy_plugin),
	.abi_major = MMPROXY_ABI_MAJOR,
	.abi_minor = MMPROXY_ABI_MINOR,
	.name = "reader",
	.version = "1",
	.check = check,
	.open = open_instance,
};
