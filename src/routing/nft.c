/* SPDX-License-Identifier: MIT */
/*
 * A context of libnftables for each call: what one has cached of the kernel's tables must not
 * decide the next.
 */
#include "routing/nft.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "routing/nft_table.h"
#include "routing/return_plan.h"

#define COMMENT "managed by mmproxy"

/* The ruleset and the three commands before it. */
#define COMMANDS_SIZE (RETURN_MARK_RULESET_SIZE + 256)

/* Its first line, without the "Error: " in front: the others draw where it is in the input. */
static void take_error(struct nft_ctx *context, char error[static NFT_ERROR_SIZE])
{
	static const char prefix[] = "Error: ";
	const char *said = context != NULL ? nft_ctx_get_error_buffer(context) : NULL;

	if (said == NULL || said[0] == '\0')
		said = "nftables cannot be asked";
	if (strncmp(said, prefix, sizeof(prefix) - 1) == 0)
		said += sizeof(prefix) - 1;
	snprintf(error, NFT_ERROR_SIZE, "%.*s", (int)strcspn(said, "\n"), said);
}

/* libnftables ends the process where it gets no socket, so one is asked for first. */
static struct nft_ctx *create_context(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0)
		return NULL;
	close(fd);
	return nft_ctx_new(NFT_CTX_DEFAULT);
}

/* `output`: what it printed, for free(); or NULL. */
static int run(const char *commands, char **output, char error[static NFT_ERROR_SIZE])
{
	struct nft_ctx *context = create_context();
	int status = -1;

	if (context != NULL && nft_ctx_buffer_output(context) == 0 &&
	    nft_ctx_buffer_error(context) == 0) {
		/* No names: those of a file that changes would make two listings differ. */
		nft_ctx_output_set_flags(context, NFT_CTX_OUTPUT_NUMERIC_ALL);
		status = nft_run_cmd_from_buffer(context, commands);
	}
	if (status != 0)
		take_error(context, error);
	else if (output != NULL)
		*output = strdup(nft_ctx_get_output_buffer(context));
	if (context != NULL)
		nft_ctx_free(context);
	return status != 0 ? -EIO : 0;
}

bool nft_supported(void)
{
	return true;
}

int nft_mark_apply(uint32_t mark, char error[static NFT_ERROR_SIZE])
{
	char commands[COMMANDS_SIZE], ruleset[RETURN_MARK_RULESET_SIZE];
	char name[RETURN_MARK_TABLE_SIZE];

	/* Added first, so that there is one to delete. */
	return_mark_table(mark, name);
	snprintf(commands, sizeof(commands),
		 "add table inet %s\n"
		 "delete table inet %s\n"
		 "add table inet %s { comment \"" COMMENT "\"; }\n"
		 "%s",
		 name, name, name, return_mark_ruleset(mark, ruleset));
	return run(commands, NULL, error);
}

int nft_mark_remove(uint32_t mark, char error[static NFT_ERROR_SIZE])
{
	char command[64], name[RETURN_MARK_TABLE_SIZE];

	snprintf(command, sizeof(command), "delete table inet %s\n", return_mark_table(mark, name));
	return run(command, NULL, error);
}

char *nft_mark_list(uint32_t mark)
{
	char command[64], name[RETURN_MARK_TABLE_SIZE], error[NFT_ERROR_SIZE], *listing = NULL;
	int found;

	snprintf(command, sizeof(command), "list table inet %s\n", return_mark_table(mark, name));
	if (run(command, &listing, error) == 0) {
		if (listing == NULL)
			errno = ENOMEM;
		return listing;
	}
	/* It says that there is none, whatever it was that kept it from looking. */
	found = nft_table_find(name);
	errno = found < 0 ? -found : EIO;
	return NULL;
}

bool nft_mark_is_ours(const char *listing)
{
	return strstr(listing, "comment \"" COMMENT "\"") != NULL;
}

static unsigned occurrences(const char *text, const char *part)
{
	unsigned count = 0;

	for (; (text = strstr(text, part)) != NULL; text++)
		count++;
	return count;
}

bool nft_mark_is_whole(uint32_t mark, const char *listing)
{
	static const char *const parts[] = {"\tchain ", " mark set "};
	char ruleset[RETURN_MARK_RULESET_SIZE];

	return_mark_ruleset(mark, ruleset);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (occurrences(listing, parts[i]) != occurrences(ruleset, parts[i]))
			return false;
	return true;
}

/* The mark whose table a line such as "table inet mmproxy_123" names; 0: none. */
static uint32_t mark_of(const char *line)
{
	char name[RETURN_MARK_TABLE_SIZE];
	uint32_t mark = 0;
	size_t length;

	if (sscanf(line, "table inet mmproxy_%" SCNu32, &mark) != 1)
		return 0;
	/* The number has to be written as we write it. */
	length = strlen(return_mark_table(mark, name));
	line += sizeof("table inet ") - 1;
	return strncmp(line, name, length) == 0 && line[length] == '\0' ? mark : 0;
}

size_t nft_marks_read(uint32_t **marks)
{
	char error[NFT_ERROR_SIZE], *listing = NULL, *rest = NULL;
	uint32_t *grown;
	size_t count = 0;

	*marks = NULL;
	if (run("list tables inet\n", &listing, error) < 0 || listing == NULL)
		return 0;
	for (char *line = strtok_r(listing, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		uint32_t mark = mark_of(line);

		grown = mark != 0 ? reallocarray(*marks, count + 1, sizeof(*grown)) : NULL;
		if (grown == NULL)
			continue;
		*marks = grown;
		grown[count++] = mark;
	}
	free(listing);
	return count;
}
