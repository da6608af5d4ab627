/* SPDX-License-Identifier: MIT */
/* A file of /proc, a plan, and a command. */
#include "routing/return_mark.h"

#include <stdio.h>
#include <string.h>

#define MARK_ACCEPT "/proc/sys/net/ipv4/tcp_fwmark_accept"

/* Of a path, so that the command around it has room. */
#define PATH_LENGTH_MAX 400

#define LETTERS_AND_DIGITS                                                                         \
	"abcdefghijklmnopqrstuvwxyz"                                                               \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"                                                               \
	"0123456789"

bool return_mark_is_accepted(void)
{
	FILE *file = fopen(MARK_ACCEPT, "re");
	int value = file != NULL ? getc(file) : EOF;

	if (file != NULL)
		fclose(file);
	return value == '1';
}

bool return_mark_takes_nftables(const struct return_plan *plan,
				const struct return_verdict *verdicts, uint32_t mark)
{
	for (size_t i = 0; i < plan->path_count; i++) {
		const struct return_path *path = &plan->paths[i];

		if (path->mark == mark && !return_path_is_loopback(&path->upstream) &&
		    (path->udp || (verdicts != NULL && verdicts[i].elsewhere)))
			return true;
	}
	return false;
}

bool return_mark_is_plain_word(const char *word)
{
	return word[0] != '\0' && word[0] != '-' &&
	       word[strspn(word, LETTERS_AND_DIGITS "_-./")] == '\0';
}

const char *return_mark_command(const char *config, char text[static RETURN_MARK_COMMAND_SIZE])
{
	bool plain = config != NULL && return_mark_is_plain_word(config) &&
		     strlen(config) <= PATH_LENGTH_MAX;

	snprintf(text, RETURN_MARK_COMMAND_SIZE,
		 "mmproxyctl routing show --nft --config %s | nft -f -", plain ? config : "FILE");
	return text;
}
