/* SPDX-License-Identifier: MIT */
/* A build without BPF. */
#include "doctor/offload_facts.h"

#include "config/config.h"

void offload_facts_read(struct offload_facts *facts, const struct config *config)
{
	struct loopback_needs needs = {0};

	*facts = (struct offload_facts){
		.wanted = config_wants_offload(config, &needs),
		.directory = config->offload_directory,
	};
}
