/* SPDX-License-Identifier: MIT */
/*
 * The plugin acl: allows and denies by the client's prefix. Its lists are read when the instance
 * opens and never change; a reload opens another instance with what the files hold then, and
 * sessions that were let in stay. README.md has the settings.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mmproxy/plugin.h>

#include "rules.h"

struct acl {
	const struct mmproxy_host *host;
	struct mmproxy_instance *instance;
	struct acl_rules rules;
	bool allow_others; /* those whom no list has */
	enum mmproxy_verdict refusal;
	int allowed, denied; /* counters */
};

/* Has *chosen be the index of the word that the setting holds, and leaves it when it is not set. */
static int read_choice(const struct mmproxy_host *host, const struct mmproxy_config *config,
		       const char *key, const char *const words[static 2], int *chosen)
{
	const char *text;
	char message[160];
	int found = host->config_text(config, key, &text);

	if (found <= 0)
		return found;
	for (int i = 0; i < 2; i++) {
		if (strcmp(text, words[i]) == 0) {
			*chosen = i;
			return 0;
		}
	}
	snprintf(message, sizeof(message), "\"%.60s\" is not known; write \"%s\" or \"%s\"", text,
		 words[0], words[1]);
	host->config_mistake(config, key, message);
	return -EINVAL;
}

/* Reads all settings, whatever the first has said, so that all mistakes are reported. */
static int read_settings(struct acl *acl, const struct mmproxy_host *host,
			 const struct mmproxy_config *config)
{
	static const char *const defaults[] = {"deny", "allow"};
	static const char *const refusals[] = {"deny", "reset"};
	int allow = 1, reset = 0;
	int chosen = read_choice(host, config, "default", defaults, &allow);
	int refusal = read_choice(host, config, "refuse_with", refusals, &reset);
	int read = acl_rules_read(&acl->rules, host, config);

	if (read < 0)
		return read;
	if (chosen < 0 || refusal < 0) {
		acl_rules_finish(&acl->rules);
		return -EINVAL;
	}
	acl->allow_others = allow != 0;
	acl->refusal = reset != 0 ? MMPROXY_RESET : MMPROXY_DENY;
	if (!acl_rules_has(&acl->rules, !acl->allow_others))
		host->config_warning(config, NULL,
				     acl->allow_others
					     ? "every client is allowed; list some in deny or "
					       "deny_files, or write default = \"deny\""
					     : "every client is denied; list some in allow or "
					       "allow_files, or write default = \"allow\"");
	return 0;
}

static int acl_check(const struct mmproxy_host *host, const struct mmproxy_config *config)
{
	struct acl acl = {0};
	int result = read_settings(&acl, host, config);

	if (result == 0)
		acl_rules_finish(&acl.rules);
	return result;
}

static int acl_open(const struct mmproxy_host *host, struct mmproxy_instance *instance,
		    const struct mmproxy_config *config, void **state)
{
	struct acl *acl = calloc(1, sizeof(*acl));
	char message[80];
	int result;

	if (acl == NULL)
		return -ENOMEM;
	result = read_settings(acl, host, config);
	if (result < 0) {
		free(acl);
		return result;
	}
	acl->host = host;
	acl->instance = instance;
	/* Without them everything works but counting, which host->count() knows. */
	acl->allowed = host->counter(instance, "allowed");
	acl->denied = host->counter(instance, "denied");
	snprintf(message, sizeof(message), "%zu prefix%s", acl_table_count(acl->rules.table),
		 acl_table_count(acl->rules.table) == 1 ? "" : "es");
	host->log(instance, MMPROXY_LOG_INFO, message);
	*state = acl;
	return 0;
}

static void acl_close(void *state)
{
	struct acl *acl = state;

	acl_rules_finish(&acl->rules);
	free(acl);
}

/*
 * A session that names no client is the balancer's own, a health check: whether that may be here
 * the listener's subnets have said, and what is listed here is clients.
 */
static int acl_filter(void *state, const struct mmproxy_conn *conn)
{
	const struct acl *acl = state;
	const struct acl_entry *entry = NULL;
	char why[ACL_RULES_WHY_SIZE];
	bool allow = true;

	if ((conn->flags & MMPROXY_CONN_LOCAL) == 0) {
		entry = acl_rules_find(&acl->rules, &conn->client);
		allow = entry != NULL ? acl->rules.sources[entry->source].allow : acl->allow_others;
	}
	if (allow) {
		acl->host->count(acl->instance, acl->allowed, 1);
		return MMPROXY_PASS;
	}
	acl->host->count(acl->instance, acl->denied, 1);
	acl->host->explain(conn, entry != NULL ? acl_rules_explain(&acl->rules, entry, why)
					       : "in no list");
	return acl->refusal;
}

const struct mmproxy_plugin mmproxy_plugin_v1 = {
	.size = sizeof(struct mmproxy_plugin),
	.abi_major = MMPROXY_ABI_MAJOR,
	.abi_minor = MMPROXY_ABI_MINOR,
	.name = "acl",
	.version = "1.0",
	.check = acl_check,
	.open = acl_open,
	.close = acl_close,
	.filter = acl_filter,
};
