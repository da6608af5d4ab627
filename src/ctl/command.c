/* SPDX-License-Identifier: MIT */
/* The table of commands. */
#include "ctl/command.h"

#include <string.h>

#include "ctl/decode/decode.h"
#include "ctl/doctor.h"
#include "ctl/manage.h"
#include "ctl/offload.h"
#include "ctl/options.h"
#include "ctl/routing.h"
#include "ctl/show.h"
#include "ctl/top.h"

const struct command command_table[] = {
	{"status", NULL, false, COMMAND_JSON, show_status},
	{"listeners", NULL, false, COMMAND_JSON, show_listeners},
	{"sessions", NULL, false,
	 COMMAND_CLIENT | COMMAND_LISTENER | COMMAND_OLDER | COMMAND_LIMIT | COMMAND_JSON,
	 show_sessions},
	{"clients", NULL, false, COMMAND_LIMIT | COMMAND_JSON, show_clients},
	{"counters", "PATTERN", false, COMMAND_JSON, show_counters},
	{"plugins", NULL, false, COMMAND_JSON, show_plugins},
	{"metrics", NULL, false, COMMAND_JSON, show_metrics},
	{"top", NULL, false, COMMAND_INTERVAL | COMMAND_ONCE, top_run},
	{"kill", "ID", true, COMMAND_JSON, manage_kill},
	{"reload", NULL, false, COMMAND_JSON, manage_reload},
	{"drain", NULL, false, COMMAND_NO_WAIT | COMMAND_JSON, manage_drain},
	{"log-level", "LEVEL", false, COMMAND_JSON, manage_log_level},
	{"decode", "HEX", false,
	 COMMAND_TEXT | COMMAND_FILE | COMMAND_FORMAT | COMMAND_UDP | COMMAND_MAX_HEADER |
		 COMMAND_LIMIT | COMMAND_JSON,
	 decode_run},
	{"routing", "show", true, COMMAND_CONFIG | COMMAND_NFT | COMMAND_JSON, routing_run},
	{"offload", "ACTION", true, COMMAND_CONFIG | COMMAND_JSON, offload_run},
	{"doctor", NULL, false, COMMAND_CONFIG | COMMAND_JSON, doctor_run},
	{"help", NULL, false, 0, options_show_help},
};

const size_t command_count = sizeof(command_table) / sizeof(command_table[0]);

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < command_count; i++) {
		if (strcmp(command_table[i].name, name) == 0)
			return &command_table[i];
	}
	return NULL;
}
