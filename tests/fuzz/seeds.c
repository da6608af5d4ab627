/* SPDX-License-Identifier: MIT */
/*
 * Writes the inputs that fuzzing starts from and that are made of what the tests know already:
 * every header of the unit tests' table, as each target that reads headers takes it, and random
 * schedules. What is kept as a file is in corpus/.
 *
 * Usage: seeds FOLDER. Makes FOLDER/TARGET and the files in it.
 */
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz_cuts.h"
#include "proxy_vectors.h"
#include "wire/proxy_header.h"

#define SCHEDULES 60

static const char *folder;

static FILE *create(const char *target, const char *name)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, target);
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		err(EXIT_FAILURE, "%s", path);
	snprintf(path, sizeof(path), "%s/%s/%s", folder, target, name);
	file = fopen(path, "wbe");
	if (file == NULL)
		err(EXIT_FAILURE, "%s", path);
	return file;
}

static void write_seed(const char *target, const char *name, const void *options,
		       size_t options_size, const void *bytes, size_t size)
{
	FILE *file = create(target, name);

	if (fwrite(options, 1, options_size, file) != options_size ||
	    fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
		err(EXIT_FAILURE, "%s/%s", target, name);
}

/* As fuzz_proxy_header.c reads them. */
static uint8_t header_options(const struct proxy_vector *vector)
{
	static const size_t limits[8] = {4096, PROXY_V2_MAX_LENGTH, 107, 16, 20, 26, 27, 28};
	uint8_t number = 0;

	while (number < 8 && limits[number] != vector->max_length)
		number++;
	if (number == 8)
		errx(EXIT_FAILURE,
		     "no option of fuzz_proxy_header.c stands for the longest header of \"%s\", "
		     "%zu",
		     vector->name, vector->max_length);
	return (uint8_t)(number * 2 + (vector->transport == PROXY_TRANSPORT_DATAGRAM));
}

/* What stands behind the address block of a good v2 header; the parser is not asked, it may be
 * broken. */
static void write_tlvs(const char *name, const struct proxy_vector *vector)
{
	size_t start = PROXY_V2_FIXED_LENGTH;

	if (vector->verdict != PROXY_PARSE_OK || vector->version != PROXY_VERSION_2 ||
	    vector->local)
		return;
	start += vector->bytes[13] >> 4 == 1 ? 12 : 36;
	if (vector->settled_at > start)
		write_seed("proxy_tlv", name, "\x20\x00", 2, vector->bytes + start,
			   vector->settled_at - start);
}

static void write_vector(size_t number, const struct proxy_vector *vector)
{
	/* A quarter in one piece, the others cut in one of many ways. */
	uint8_t cuts = number % 4 == 3 ? FUZZ_CUTS_NONE : (uint8_t)(number % 16);
	uint8_t options[2] = {header_options(vector), cuts};
	char name[32];

	snprintf(name, sizeof(name), "vector-%03zu", number);
	write_seed("proxy_header", name, options, 2, vector->bytes, vector->length);
	write_seed("datagram_header", name, "", 0, vector->bytes, vector->length);
	write_seed("decode_text", name, "", 0, vector->bytes, vector->length);
	options[0] = vector->max_length == PROXY_V2_MAX_LENGTH;
	write_seed("tcp_header", name, options, 2, vector->bytes, vector->length);
	write_tlvs(name, vector);
}

static void write_schedule(unsigned seed)
{
	uint64_t random = seed;
	uint8_t bytes[800];
	char name[32];

	for (size_t i = 0; i < sizeof(bytes); i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		bytes[i] = (uint8_t)(random >> 56);
	}
	snprintf(name, sizeof(name), "random-%02u", seed);
	write_seed("tcp_schedule", name, "", 0, bytes, 10 + seed * 6);
	write_seed("udp_schedule", name, "", 0, bytes, 20 + seed * 12);
}

int main(int argc, char **argv)
{
	const struct proxy_vector *vectors;
	size_t count;

	if (argc != 2)
		errx(EXIT_FAILURE, "usage: seeds FOLDER");
	folder = argv[1];
	if (mkdir(folder, 0777) < 0 && errno != EEXIST)
		err(EXIT_FAILURE, "%s", folder);
	vectors = proxy_vectors(&count);
	for (size_t i = 0; i < count; i++)
		write_vector(i, &vectors[i]);
	for (unsigned seed = 1; seed <= SCHEDULES; seed++)
		write_schedule(seed);
	printf("%zu headers and %d schedules\n", count, SCHEDULES);
	return EXIT_SUCCESS;
}
