/* SPDX-License-Identifier: MIT */
/* A build without libnftables: the configuration refuses what would need it. */
#include <errno.h>
#include <stdio.h>

#include "routing/nft.h"

bool nft_supported(void)
{
	return false;
}

static int absent(char error[static NFT_ERROR_SIZE])
{
	snprintf(error, NFT_ERROR_SIZE, "this program was built without libnftables");
	return -EOPNOTSUPP;
}

int nft_mark_apply(uint32_t mark, char error[static NFT_ERROR_SIZE])
{
	(void)mark;
	return absent(error);
}

int nft_mark_remove(uint32_t mark, char error[static NFT_ERROR_SIZE])
{
	(void)mark;
	return absent(error);
}

char *nft_mark_list(uint32_t mark)
{
	(void)mark;
	errno = EOPNOTSUPP;
	return NULL;
}

bool nft_mark_is_whole(uint32_t mark, const char *listing)
{
	(void)mark;
	(void)listing;
	return false;
}

bool nft_mark_is_ours(const char *listing)
{
	(void)listing;
	return false;
}

size_t nft_marks_read(uint32_t **marks)
{
	*marks = NULL;
	return 0;
}
