/* SPDX-License-Identifier: MIT */
/*
 * Prefix sets as two sorted arrays of disjoint ranges, one a family. Whoever fills the set may
 * overlap and repeat prefixes as they like; the seal merges them.
 */
#include "base/prefix_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct range {
	uint8_t first[16];
	uint8_t last[16];
};

struct range_list {
	struct range *ranges;
	size_t count;
	size_t capacity;
};

struct prefix_set {
	struct range_list ipv4;
	struct range_list ipv6;
	size_t added;
};

static unsigned family_bits(const struct address *address)
{
	return address->family == ADDRESS_IPV4 ? 32 : 128;
}

static void set_host_bits(uint8_t ip[static 16], unsigned length, unsigned bits, bool one)
{
	for (unsigned bit = length; bit < bits; bit++) {
		uint8_t mask = (uint8_t)(0x80U >> (bit % 8));

		if (one)
			ip[bit / 8] |= mask;
		else
			ip[bit / 8] &= (uint8_t)~mask;
	}
}

int prefix_parse(const char *text, struct prefix *prefix)
{
	const char *slash = strchr(text, '/');
	char ip[ADDRESS_TEXT_SIZE];
	size_t ip_length = slash != NULL ? (size_t)(slash - text) : strlen(text);
	unsigned bits, length = 0;

	if (ip_length >= sizeof(ip))
		return -EINVAL;
	memcpy(ip, text, ip_length);
	ip[ip_length] = '\0';
	if (address_parse_ip(ip, &prefix->address) < 0)
		return -EINVAL;
	bits = family_bits(&prefix->address);

	if (slash == NULL) {
		prefix->length = (uint8_t)bits;
		return 0;
	}
	if (slash[1] == '\0')
		return -EINVAL;
	for (const char *digit = slash + 1; *digit != '\0'; digit++) {
		if (*digit < '0' || *digit > '9')
			return -EINVAL;
		if (length <= 128)
			length = length * 10 + (unsigned)(*digit - '0');
	}
	/* Written as IPv6 but handed out as IPv4: the text counted 96 bits more. */
	if (prefix->address.family == ADDRESS_IPV4 && strchr(ip, ':') != NULL) {
		if (length < 96)
			return -ERANGE;
		length -= 96;
	}
	if (length > bits)
		return -ERANGE;
	prefix->length = (uint8_t)length;
	set_host_bits(prefix->address.ip, length, bits, false);
	return 0;
}

bool prefix_contains(const struct prefix *prefix, const struct address *address)
{
	unsigned whole = prefix->length / 8, rest = prefix->length % 8;

	if (address->family == ADDRESS_NONE || address->family != prefix->address.family ||
	    memcmp(address->ip, prefix->address.ip, whole) != 0)
		return false;
	return rest == 0 || (address->ip[whole] ^ prefix->address.ip[whole]) >> (8 - rest) == 0;
}

struct prefix_set *prefix_set_create(void)
{
	return calloc(1, sizeof(struct prefix_set));
}

void prefix_set_destroy(struct prefix_set *set)
{
	if (set == NULL)
		return;
	free(set->ipv4.ranges);
	free(set->ipv6.ranges);
	free(set);
}

int prefix_set_add(struct prefix_set *set, const struct prefix *prefix)
{
	struct range_list *list = prefix->address.family == ADDRESS_IPV4 ? &set->ipv4 : &set->ipv6;
	struct range *range;

	if (list->count == list->capacity) {
		size_t capacity = list->capacity > 0 ? list->capacity * 2 : 16;
		struct range *ranges = reallocarray(list->ranges, capacity, sizeof(*ranges));

		if (ranges == NULL)
			return -ENOMEM;
		list->ranges = ranges;
		list->capacity = capacity;
	}
	range = &list->ranges[list->count++];
	memcpy(range->first, prefix->address.ip, 16);
	memcpy(range->last, prefix->address.ip, 16);
	set_host_bits(range->last, prefix->length, family_bits(&prefix->address), true);
	set->added++;
	return 0;
}

static int compare_first(const void *a, const void *b)
{
	const struct range *left = a, *right = b;

	return memcmp(left->first, right->first, sizeof(left->first));
}

static void range_list_seal(struct range_list *list)
{
	size_t kept = 0;

	if (list->count == 0)
		return;
	qsort(list->ranges, list->count, sizeof(*list->ranges), compare_first);
	for (size_t i = 1; i < list->count; i++) {
		struct range *last = &list->ranges[kept], *next = &list->ranges[i];

		if (memcmp(next->first, last->last, 16) > 0)
			list->ranges[++kept] = *next;
		else if (memcmp(next->last, last->last, 16) > 0)
			memcpy(last->last, next->last, 16);
	}
	list->count = kept + 1;
}

void prefix_set_seal(struct prefix_set *set)
{
	range_list_seal(&set->ipv4);
	range_list_seal(&set->ipv6);
}

static bool range_list_contains(const struct range_list *list, const uint8_t ip[static 16])
{
	size_t low = 0, high = list->count;

	/* The last range that does not start behind the address is the only one that can hold it.
	 */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(list->ranges[middle].first, ip, 16) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && memcmp(ip, list->ranges[low - 1].last, 16) <= 0;
}

bool prefix_set_contains(const struct prefix_set *set, const struct address *address)
{
	if (set == NULL || address->family == ADDRESS_NONE)
		return false;
	if (address->family == ADDRESS_IPV4)
		return range_list_contains(&set->ipv4, address->ip);
	return range_list_contains(&set->ipv6, address->ip);
}

/* Is `next` the address behind `last`? */
static bool follows(const uint8_t last[static 16], const uint8_t next[static 16], size_t size)
{
	uint8_t expected[16];

	memcpy(expected, last, size);
	for (size_t byte = size; byte > 0 && ++expected[byte - 1] == 0; byte--)
		;
	return memcmp(expected, next, size) == 0;
}

static bool range_list_is_everybody(const struct range_list *list, size_t size)
{
	static const uint8_t zeros[16];

	if (list->count == 0 || memcmp(list->ranges[0].first, zeros, size) != 0)
		return false;
	for (size_t i = 1; i < list->count; i++) {
		if (!follows(list->ranges[i - 1].last, list->ranges[i].first, size))
			return false;
	}
	/* Behind the last address of all, counting begins anew. */
	return follows(list->ranges[list->count - 1].last, zeros, size);
}

bool prefix_set_is_everybody(const struct prefix_set *set, enum address_family family)
{
	if (family == ADDRESS_IPV4)
		return range_list_is_everybody(&set->ipv4, 4);
	return range_list_is_everybody(&set->ipv6, 16);
}

size_t prefix_set_count(const struct prefix_set *set)
{
	return set->added;
}
