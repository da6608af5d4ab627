/* SPDX-License-Identifier: MIT */
/*
 * Reading the lists. What is wrong in them is named by setting, and for a file by its line, and all
 * of it at once. A prefix that one list allows and another denies is denied: a list that somebody
 * else publishes must not be able to keep mmproxy from starting, so it is no more than a warning.
 */
#include "rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "file.h"

/* Bytes of a list file. The whole routing table of the Internet is about 20 MiB of such lines. */
#define RULES_FILE_BYTES_MAX (64U << 20)

/* Characters of a bad prefix in its message. */
#define RULES_QUOTE_MAX 60

/* Bytes of a message, a path and all; mmproxy cuts at 1 KiB. */
#define RULES_MESSAGE_SIZE 1024

/* Lists: an entry counts them with 16 bits. */
#define RULES_SOURCES_MAX 65535

/* One list being read. */
struct list {
	struct acl_rules *rules;
	const struct mmproxy_host *host;
	const struct mmproxy_config *config;
	const char *key;
	const char *path; /* NULL: it stands in the configuration itself */
	unsigned line;
	size_t prefixes;
	size_t mistakes;
	bool no_memory; /* or descriptors, for one of them: the next try may have them */
};

typedef void report_function(const struct mmproxy_config *config, const char *key,
			     const char *message);

/* `subject`, the text that this is about, may be NULL. */
static void report(const struct list *list, report_function *function, const char *subject,
		   const char *message)
{
	char text[RULES_MESSAGE_SIZE], where[RULES_MESSAGE_SIZE / 2] = "";
	char quoted[RULES_QUOTE_MAX + 8] = "";

	if (list->path != NULL)
		snprintf(where, sizeof(where), "%.400s:%u: ", list->path, list->line);
	if (subject != NULL)
		snprintf(quoted, sizeof(quoted), "\"%.*s\": ", RULES_QUOTE_MAX, subject);
	snprintf(text, sizeof(text), "%s%s%.400s", where, quoted, message);
	function(list->config, list->key, text);
}

static void mistake(struct list *list, const char *subject, const char *message)
{
	list->mistakes++;
	report(list, list->host->config_mistake, subject, message);
}

/* "bad.txt:7", or the setting's name. */
static const char *place_of(const struct acl_rules *rules, const struct acl_entry *entry,
			    char *text, size_t size)
{
	const char *name = rules->sources[entry->source].name;

	if (entry->line > 0)
		snprintf(text, size, "%.50s:%u", name, (unsigned)entry->line);
	else
		snprintf(text, size, "%s", name);
	return text;
}

/* The prefix is in the table already. Allowing lists are read first: what differs now is denied. */
static void settle(struct list *list, const char *text, struct acl_entry *entry)
{
	struct acl_rules *rules = list->rules;
	size_t source = rules->source_count - 1;
	char message[256], place[80];

	if (rules->sources[source].allow == rules->sources[entry->source].allow)
		return;
	snprintf(message, sizeof(message), "%s has it, too; it is denied; take it out of one",
		 place_of(rules, entry, place, sizeof(place)));
	report(list, list->host->config_warning, text, message);
	entry->source = (uint16_t)source;
	entry->line = list->line;
}

static void read_prefix(struct list *list, const char *text)
{
	struct acl_rules *rules = list->rules;
	char room[ACL_PREFIX_REMARK_SIZE];
	struct acl_prefix prefix;
	struct acl_entry *entry;
	const char *wrong = acl_prefix_parse(text, &prefix);
	const char *remark;

	if (wrong != NULL) {
		mistake(list, text, wrong);
		return;
	}
	list->prefixes++;
	remark = acl_prefix_remark(text, &prefix, room);
	if (remark != NULL)
		report(list, list->host->config_warning, text, remark);
	switch (acl_table_add(rules->table, &prefix, &entry)) {
	case 0:
		entry->source = (uint16_t)(rules->source_count - 1);
		entry->line = list->line;
		break;
	case 1:
		settle(list, text, entry);
		break;
	default:
		list->no_memory = true;
		mistake(list, text, "out of memory");
		break;
	}
}

/* Cuts the comment and the white space around what is left. */
static char *strip(char *line)
{
	char *end = line + strcspn(line, "#");

	while (end > line && strchr(" \t\r\f\v", end[-1]) != NULL)
		end--;
	*end = '\0';
	return line + strspn(line, " \t\r\f\v");
}

static void read_lines(struct list *list, char *text)
{
	char *rest = text;

	for (list->line = 1; rest != NULL; list->line++) {
		const char *line = strip(strsep(&rest, "\n"));

		if (*line != '\0')
			read_prefix(list, line);
	}
	if (list->prefixes > 0 || list->mistakes > 0)
		return;
	list->line = 1;
	mistake(list, NULL, "the file holds no prefix; write one a line, such as 192.0.2.0/24");
}

static void read_file(struct list *list)
{
	const char *why;
	char *bytes;
	size_t length;
	int error = acl_file_read(list->path, RULES_FILE_BYTES_MAX, &bytes, &length, &why);

	if (error < 0) {
		char message[RULES_MESSAGE_SIZE];

		list->no_memory = error == -ENOMEM || error == -EMFILE || error == -ENFILE;
		snprintf(message, sizeof(message), "cannot read \"%.400s\": %.200s", list->path,
			 why);
		list->path = NULL; /* there is no line to name */
		mistake(list, NULL, message);
		return;
	}
	list->line = acl_file_fault(bytes, length, &why);
	if (list->line > 0)
		mistake(list, NULL, why);
	else
		read_lines(list, bytes);
	free(bytes);
}

/* Has what is read next stand in a list of this name. */
static int add_source(struct acl_rules *rules, const char *name, bool allow)
{
	struct acl_source *sources;

	if (rules->source_count == RULES_SOURCES_MAX)
		return -ENOMEM;
	sources = reallocarray(rules->sources, rules->source_count + 1, sizeof(*sources));
	if (sources == NULL)
		return -ENOMEM;
	rules->sources = sources;
	sources += rules->source_count;
	sources->allow = allow;
	sources->name = strdup(name);
	if (sources->name == NULL)
		return -ENOMEM;
	rules->source_count++;
	return 0;
}

static int result_of(const struct list *list)
{
	if (list->no_memory)
		return -ENOMEM;
	return list->mistakes > 0 ? -EINVAL : 0;
}

/* The prefixes that stand in the configuration itself. */
static int read_setting(struct list list, bool allow)
{
	int count = list.host->config_count(list.config, list.key);

	if (count > 0 && add_source(list.rules, list.key, allow) < 0)
		return -ENOMEM;
	for (int i = 0; i < count; i++) {
		const char *text;
		int found = list.host->config_item(list.config, list.key, (unsigned)i, &text);

		if (found > 0)
			read_prefix(&list, text);
		else if (found < 0)
			list.mistakes++;
	}
	return result_of(&list);
}

static int read_files(struct list list, bool allow)
{
	int count = list.host->config_count(list.config, list.key);
	int result = 0;

	for (int i = 0; i < count; i++) {
		struct list file = list;
		const char *slash;
		int found = list.host->config_path(list.config, list.key, (unsigned)i, &file.path);

		if (found > 0) {
			slash = strrchr(file.path, '/');
			if (add_source(list.rules, slash != NULL ? slash + 1 : file.path, allow) <
			    0)
				return -ENOMEM;
			read_file(&file);
		}
		if (found < 0)
			file.mistakes++;
		if (result != -ENOMEM && file.mistakes > 0)
			result = result_of(&file);
	}
	return result;
}

int acl_rules_read(struct acl_rules *rules, const struct mmproxy_host *host,
		   const struct mmproxy_config *config)
{
	struct list list = {.rules = rules, .host = host, .config = config};
	int results[4];

	*rules = (struct acl_rules){.table = acl_table_create()};
	if (rules->table == NULL)
		return -errno;
	/* In this order: see settle(). */
	list.key = "allow";
	results[0] = read_setting(list, true);
	list.key = "allow_files";
	results[1] = read_files(list, true);
	list.key = "deny";
	results[2] = read_setting(list, false);
	list.key = "deny_files";
	results[3] = read_files(list, false);
	for (unsigned i = 0; i < 4; i++) {
		if (results[i] == 0)
			continue;
		acl_rules_finish(rules);
		return results[i];
	}
	return 0;
}

void acl_rules_finish(struct acl_rules *rules)
{
	for (size_t i = 0; i < rules->source_count; i++)
		free(rules->sources[i].name);
	free(rules->sources);
	acl_table_destroy(rules->table);
	*rules = (struct acl_rules){0};
}

const struct acl_entry *acl_rules_find(const struct acl_rules *rules,
				       const struct mmproxy_address *client)
{
	struct acl_prefix address = {.ipv6 = client->family == AF_INET6};

	if (client->family != AF_INET && client->family != AF_INET6)
		return NULL;
	memcpy(address.ip, client->ip, sizeof(address.ip));
	address.length = address.ipv6 ? 128 : 32;
	return acl_table_find(rules->table, &address);
}

bool acl_rules_has(const struct acl_rules *rules, bool allow)
{
	for (size_t i = 0; i < rules->source_count; i++)
		if (rules->sources[i].allow == allow)
			return true;
	return false;
}

const char *acl_rules_explain(const struct acl_rules *rules, const struct acl_entry *entry,
			      char text[static ACL_RULES_WHY_SIZE])
{
	char prefix[ACL_PREFIX_TEXT_SIZE], place[ACL_RULES_WHY_SIZE - ACL_PREFIX_TEXT_SIZE];

	snprintf(text, ACL_RULES_WHY_SIZE, "%s in %s", acl_prefix_format(&entry->prefix, prefix),
		 place_of(rules, entry, place, sizeof(place)));
	return text;
}
