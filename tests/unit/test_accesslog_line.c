/* SPDX-License-Identifier: MIT */
/*
 * The lines of the access log: which fields a session has, and that each format says all of them in
 * a way that its readers split where it was put together.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "journal.h"
#include "line.h"
#include "record.h"

#ifdef HAVE_JANSSON
#include <jansson.h>
#endif

#define TLV_AUTHORITY 0x02
#define TLV_AWS       0xea

static const struct timespec end_time = {.tv_sec = 1709210096, .tv_nsec = 7000000};

/* The session of a test, ready to be changed by it. */
struct session {
	struct mmproxy_conn conn;
	struct mmproxy_end end;
	const char *authority; /* NULL: no such TLV */
	size_t authority_length;
};

static struct session *current;

static int tlv(const struct mmproxy_conn *conn, unsigned type, unsigned index,
	       const uint8_t **value)
{
	assert_ptr_equal(conn, &current->conn);
	assert_int_equal(index, 0);
	if (type != TLV_AUTHORITY || current->authority == NULL)
		return -ENOENT;
	*value = (const uint8_t *)current->authority;
	return (int)current->authority_length;
}

static const struct mmproxy_host host = {.size = sizeof(struct mmproxy_host), .tlv = tlv};

static struct mmproxy_address ipv4(const char *ip, uint16_t port)
{
	struct mmproxy_address address = {.family = AF_INET, .port = port};

	assert_int_equal(inet_pton(AF_INET, ip, address.ip), 1);
	return address;
}

static struct mmproxy_address ipv6(const char *ip, uint16_t port)
{
	struct mmproxy_address address = {.family = AF_INET6, .port = port};

	assert_int_equal(inet_pton(AF_INET6, ip, address.ip), 1);
	return address;
}

static struct session finished_session(void)
{
	return (struct session){
		.conn = {.size = sizeof(struct mmproxy_conn),
			 .id = 7,
			 .protocol = MMPROXY_PROTOCOL_TCP,
			 .header = MMPROXY_HEADER_V2,
			 .worker = 1,
			 .listener = "web",
			 .client = ipv4("203.0.113.9", 41000),
			 .destination = ipv4("192.0.2.80", 443),
			 .balancer = ipv4("198.51.100.1", 5678),
			 .upstream = ipv4("127.0.0.1", 443)},
		.end = {.size = sizeof(struct mmproxy_end),
			.flags = MMPROXY_END_CONNECTED,
			.code = 1,
			.reason = "finished",
			.duration = 61005,
			.bytes_from_client = 8,
			.bytes_from_upstream = 5000000000},
	};
}

/* A session with everything there is. */
static struct session full_session(void)
{
	struct session session = finished_session();

	session.conn.protocol = MMPROXY_PROTOCOL_UDP;
	session.conn.client = ipv6("2001:db8:c::9", 41006);
	session.end.upstream_sees = ipv6("2001:db8:c::9", 1024);
	session.end.flags |= MMPROXY_END_ADOPTED;
	session.end.error = -ECONNREFUSED;
	session.end.plugin = "acl";
	session.end.why = "not on the list";
	session.end.datagrams_from_client = 2;
	session.end.datagrams_from_upstream = 3;
	session.authority = "a\"b\n\xff";
	session.authority_length = 5;
	return session;
}

static void fill(struct record *record, struct session *session)
{
	static const struct record_tlv tlvs[] = {{TLV_AUTHORITY, "tlv_authority"},
						 {TLV_AWS, "tlv_0xea"}};

	current = session;
	record_fill(record, &host, &session->conn, &session->end, &end_time, tlvs, 2);
}

/* The line in a block that it fills. */
static void expect_logfmt(struct session session, const char *due)
{
	struct record record;
	char line[4096];
	size_t length;

	fill(&record, &session);
	length = line_logfmt(line, sizeof(line), record.fields, record.count);
	assert_true(length > 0);
	line[length] = '\0';
	assert_string_equal(line, due);
}

static void logfmt_of_a_finished_session(void **state)
{
	(void)state;
	expect_logfmt(finished_session(),
		      "time=2024-02-29T12:34:56.007Z id=7 listener=web protocol=tcp header=v2 "
		      "client=203.0.113.9:41000 balancer=198.51.100.1:5678 "
		      "destination=192.0.2.80:443 upstream=127.0.0.1:443 worker=1 reason=finished "
		      "code=1 connected=yes bytes_from_client=8 bytes_from_upstream=5000000000 "
		      "duration=61.005\n");
}

static void logfmt_of_a_session_with_everything(void **state)
{
	(void)state;
	expect_logfmt(full_session(),
		      "time=2024-02-29T12:34:56.007Z id=7 listener=web protocol=udp header=v2 "
		      "client=[2001:db8:c::9]:41006 upstream_sees=[2001:db8:c::9]:1024 "
		      "balancer=198.51.100.1:5678 destination=192.0.2.80:443 "
		      "upstream=127.0.0.1:443 worker=1 reason=finished code=1 "
		      "error=\"Connection refused\" plugin=acl why=\"not on the list\" "
		      "connected=yes adopted=yes datagrams_from_client=2 "
		      "datagrams_from_upstream=3 bytes_from_client=8 "
		      "bytes_from_upstream=5000000000 duration=61.005 "
		      "tlv_authority=\"a\\\"b\\x0a\\xff\"\n");
}

static void a_session_without_a_client_says_local(void **state)
{
	struct session session = finished_session();

	(void)state;
	session.conn.flags = MMPROXY_CONN_LOCAL;
	session.conn.client = session.conn.balancer;
	session.conn.destination = (struct mmproxy_address){0};
	session.end.flags = 0;
	expect_logfmt(session,
		      "time=2024-02-29T12:34:56.007Z id=7 listener=web protocol=tcp header=local "
		      "client=198.51.100.1:5678 balancer=198.51.100.1:5678 upstream=127.0.0.1:443 "
		      "worker=1 reason=finished code=1 connected=no bytes_from_client=8 "
		      "bytes_from_upstream=5000000000 duration=61.005\n");
}

static void each_header_has_its_name(void **state)
{
	static const struct {
		uint16_t header;
		const char *name;
	} headers[] = {
		{MMPROXY_HEADER_V1, "v1"}, {MMPROXY_HEADER_V2, "v2"}, {MMPROXY_HEADER_SPP, "spp"}};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct session session = finished_session();
		struct record record;

		session.conn.header = headers[i].header;
		fill(&record, &session);
		assert_string_equal(record.fields[4].key, "header");
		assert_string_equal((const char *)record.fields[4].bytes, headers[i].name);
	}
}

static void expect_quoting(const char *value, const char *due)
{
	struct field field = {.key = "k",
			      .type = FIELD_BYTES,
			      .bytes = (const uint8_t *)value,
			      .length = strlen(value)};
	char line[64];
	size_t length = line_logfmt(line, sizeof(line), &field, 1);

	line[length] = '\0';
	assert_string_equal(line, due);
}

static void logfmt_quotes_what_a_reader_could_split(void **state)
{
	(void)state;
	expect_quoting("plain-value_1.2:3/4", "k=plain-value_1.2:3/4\n");
	expect_quoting("", "k=\"\"\n");
	expect_quoting("a b", "k=\"a b\"\n");
	expect_quoting("a=b", "k=\"a=b\"\n");
	expect_quoting("a\"b", "k=\"a\\\"b\"\n");
	expect_quoting("a\\b", "k=\"a\\\\b\"\n");
	expect_quoting("a\nb", "k=\"a\\x0ab\"\n");
	expect_quoting("\xc3\xbc", "k=\"\\xc3\\xbc\"\n");
}

/* Every format, into every room from nothing to enough. */
static void expect_whole_or_nothing(line_format *format)
{
	struct session session = full_session();
	struct record record;
	char whole[LINE_SIZE];
	size_t length;

	fill(&record, &session);
	length = format(whole, sizeof(whole), record.fields, record.count);
	assert_true(length > 0);
	for (size_t size = 0; size <= length; size++) {
		char *line = malloc(size + 1);
		size_t written = format(line + 1, size, record.fields, record.count);

		if (size < length)
			assert_int_equal(written, 0);
		else
			assert_memory_equal(line + 1, whole, length);
		free(line);
	}
}

static void no_format_writes_half_a_record(void **state)
{
	(void)state;
	expect_whole_or_nothing(line_logfmt);
	if (line_json() != NULL)
		expect_whole_or_nothing(line_json());
	expect_whole_or_nothing(journal_entry);
}

/* Every text at its longest, and of the bytes that each format makes most of. */
static void the_longest_record_fits_into_a_line(void **state)
{
	static char keys[RECORD_FIELDS_MOST + RECORD_TLVS_MOST][32];
	uint8_t bytes[FIELD_BYTES_MOST + 1];
	struct field fields[RECORD_FIELDS_MOST + RECORD_TLVS_MOST];
	size_t count = 0;
	char line[LINE_SIZE];

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	for (; count < RECORD_FIELDS_MOST + RECORD_TLVS_MOST; count++) {
		struct field *field = &fields[count];

		snprintf(keys[count], sizeof(keys[count]), "datagrams_from_upstream%zu", count);
		if (count < RECORD_FIELDS_MOST - 5)
			*field = (struct field){.type = FIELD_NUMBER, .number = INT64_MAX};
		else
			*field = (struct field){
				.type = FIELD_BYTES, .bytes = bytes, .length = sizeof(bytes)};
		field->key = keys[count];
	}
	assert_true(line_logfmt(line, sizeof(line), fields, count) > 0);
	assert_true(journal_entry(line, sizeof(line), fields, count) > 0);
	if (line_json() != NULL)
		assert_true(line_json()(line, sizeof(line), fields, count) > 0);
}

#ifdef HAVE_JANSSON
static json_t *parsed(struct session session)
{
	struct record record;
	char line[LINE_SIZE];
	json_t *object;
	size_t length;

	fill(&record, &session);
	length = line_json()(line, sizeof(line), record.fields, record.count);
	assert_true(length > 0);
	assert_ptr_equal(memchr(line, '\n', length), line + length - 1);
	object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(object);
	return object;
}

static void expect_member(const json_t *object, const char *key, const char *due)
{
	const char *value = json_string_value(json_object_get(object, key));

	assert_non_null(value);
	assert_string_equal(value, due);
}

static void json_has_numbers_and_truths(void **state)
{
	json_t *object = parsed(full_session());

	(void)state;
	expect_member(object, "time", "2024-02-29T12:34:56.007Z");
	expect_member(object, "client", "[2001:db8:c::9]:41006");
	expect_member(object, "error", "Connection refused");
	expect_member(object, "why", "not on the list");
	assert_int_equal(json_integer_value(json_object_get(object, "id")), 7);
	assert_int_equal(json_integer_value(json_object_get(object, "bytes_from_upstream")),
			 5000000000);
	assert_true(json_is_true(json_object_get(object, "connected")));
	assert_true(json_is_true(json_object_get(object, "adopted")));
	assert_true(json_real_value(json_object_get(object, "duration")) == 61.005);
	json_decref(object);
}

static void json_is_valid_whatever_the_wire_had(void **state)
{
	static const struct {
		const char *authority;
		size_t length;
		const char *due;
	} cases[] = {
		{"", 0, ""},
		{"a\"b\n\xff", 5, "a\"b\\x0a\\xff"},
		{"\0\x01", 2, "\\x00\\x01"},
		{"J\xc3\xbcrgen", 7, "J\xc3\xbcrgen"},
		{"\xed\xa0\x80", 3, "\\xed\\xa0\\x80"},
		{"\\u0022,\"id\":1", 13, "\\\\u0022,\"id\":1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct session session = finished_session();
		json_t *object;

		session.authority = cases[i].authority;
		session.authority_length = cases[i].length;
		object = parsed(session);
		expect_member(object, "tlv_authority", cases[i].due);
		assert_int_equal(json_integer_value(json_object_get(object, "id")), 7);
		assert_null(json_object_get(object, "tlv_0xea"));
		json_decref(object);
	}
}
#endif

/* Among the lines of the entry is this one. */
static void expect_entry_field(const char *entry, const char *due)
{
	while (*entry != '\0') {
		size_t length = strcspn(entry, "\n");

		if (length == strlen(due) && memcmp(entry, due, length) == 0)
			return;
		entry += length + 1;
	}
	fail_msg("the entry has no %s", due);
}

static void a_journal_entry_has_each_field_and_a_message(void **state)
{
	struct session session = full_session();
	struct record record;
	char line[LINE_SIZE + 1];
	const char *entry = line + sizeof(uint32_t);
	size_t length;

	(void)state;
	session.conn.protocol = MMPROXY_PROTOCOL_TCP;
	session.end.error = 0;
	session.end.plugin = NULL;
	session.end.why = NULL;
	fill(&record, &session);
	length = journal_entry(line, LINE_SIZE, record.fields, record.count);
	assert_true(length > 0);
	line[length] = '\0';
	assert_int_equal(line[length - 1], '\n');
	expect_entry_field(entry, "PRIORITY=6");
	expect_entry_field(entry, "SYSLOG_IDENTIFIER=mmproxy-accesslog");
	expect_entry_field(entry, "MMPROXY_CLIENT=[2001:db8:c::9]:41006");
	expect_entry_field(entry, "MMPROXY_DURATION=61.005");
	expect_entry_field(entry, "MMPROXY_TLV_AUTHORITY=a\"b\\x0a\\xff");
	expect_entry_field(entry,
			   "MESSAGE=id=7 listener=web protocol=tcp header=v2 "
			   "client=[2001:db8:c::9]:41006 upstream_sees=[2001:db8:c::9]:1024 "
			   "balancer=198.51.100.1:5678 destination=192.0.2.80:443 "
			   "upstream=127.0.0.1:443 worker=1 reason=finished code=1 connected=yes "
			   "adopted=yes bytes_from_client=8 bytes_from_upstream=5000000000 "
			   "duration=61.005 tlv_authority=\"a\\\"b\\x0a\\xff\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logfmt_of_a_finished_session),
		cmocka_unit_test(logfmt_of_a_session_with_everything),
		cmocka_unit_test(a_session_without_a_client_says_local),
		cmocka_unit_test(each_header_has_its_name),
		cmocka_unit_test(logfmt_quotes_what_a_reader_could_split),
		cmocka_unit_test(no_format_writes_half_a_record),
		cmocka_unit_test(the_longest_record_fits_into_a_line),
#ifdef HAVE_JANSSON
		cmocka_unit_test(json_has_numbers_and_truths),
		cmocka_unit_test(json_is_valid_whatever_the_wire_had),
#endif
		cmocka_unit_test(a_journal_entry_has_each_field_and_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
