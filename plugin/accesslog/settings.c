/* SPDX-License-Identifier: MIT */
/* Reading the settings: all of them, so that the administrator hears of every mistake at once. */
#include "settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "journal.h"

/* Specification: sections 2.2.1 to 2.2.7. */
static const struct {
	const char *name;
	uint8_t type;
} tlv_names[] = {
	{"alpn", 0x01},        {"authority", 0x02},   {"unique_id", 0x05},
	{"ssl_version", 0x21}, {"ssl_cn", 0x22},      {"ssl_cipher", 0x23},
	{"ssl_sig_alg", 0x24}, {"ssl_key_alg", 0x25}, {"netns", 0x30},
};

static int mistake(const struct mmproxy_host *host, const struct mmproxy_config *config,
		   const char *key, const char *format, ...) __attribute__((format(printf, 4, 5)));

static int mistake(const struct mmproxy_host *host, const struct mmproxy_config *config,
		   const char *key, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	host->config_mistake(config, key, text);
	return -EINVAL;
}

/* One of two words; *second says which. Left as it is when it is not there. */
static int read_choice(const struct mmproxy_host *host, const struct mmproxy_config *config,
		       const char *key, const char *first_word, const char *second_word,
		       bool *second)
{
	const char *word;
	int found = host->config_text(config, key, &word);

	if (found <= 0)
		return found;
	*second = strcmp(word, second_word) == 0;
	if (*second || strcmp(word, first_word) == 0)
		return 0;
	return mistake(host, config, key, "\"%.64s\" is unknown; write \"%s\" or \"%s\"", word,
		       first_word, second_word);
}

static int hex_digit(char digit)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *place = digit != '\0' ? strchr(digits, digit) : NULL;

	return place != NULL ? (int)((place - digits) % 16) : -1;
}

/* "0xEA". Returns the type, or -1. */
static int parse_number(const char *text)
{
	int type = 0;
	size_t digits = strlen(text) - 2;

	if (strncmp(text, "0x", 2) != 0 || digits < 1 || digits > 2)
		return -1;
	for (text += 2; *text != '\0'; text++) {
		if (hex_digit(*text) < 0)
			return -1;
		type = type * 16 + hex_digit(*text);
	}
	return type;
}

/* Returns whether `word` names a TLV. */
static bool parse_tlv(const char *word, struct record_tlv *tlv)
{
	int type = parse_number(word);

	if (type >= 0) {
		tlv->type = (uint8_t)type;
		snprintf(tlv->key, sizeof(tlv->key), "tlv_0x%02x", (unsigned)type);
		return true;
	}
	for (size_t i = 0; i < sizeof(tlv_names) / sizeof(tlv_names[0]); i++) {
		if (strcmp(word, tlv_names[i].name) == 0) {
			tlv->type = tlv_names[i].type;
			snprintf(tlv->key, sizeof(tlv->key), "tlv_%s", word);
			return true;
		}
	}
	return false;
}

static bool has_tlv(const struct settings *settings, const struct record_tlv *tlv)
{
	for (unsigned i = 0; i < settings->tlv_count; i++) {
		if (strcmp(settings->tlvs[i].key, tlv->key) == 0)
			return true;
	}
	return false;
}

static int read_tlv(struct settings *settings, const struct mmproxy_host *host,
		    const struct mmproxy_config *config, unsigned index)
{
	struct record_tlv tlv;
	const char *word;

	if (host->config_item(config, "tlvs", index, &word) <= 0)
		return -EINVAL;
	if (!parse_tlv(word, &tlv))
		return mistake(
			host, config, "tlvs",
			"\"%.64s\" is no TLV; write alpn, authority, unique_id, ssl_version, "
			"ssl_cn, ssl_cipher, ssl_sig_alg, ssl_key_alg or netns, or a type from "
			"0x00 to 0xff",
			word);
	if (has_tlv(settings, &tlv))
		return mistake(host, config, "tlvs", "\"%.64s\" is there twice; take one out",
			       word);
	settings->tlvs[settings->tlv_count++] = tlv;
	return 0;
}

static int read_tlvs(struct settings *settings, const struct mmproxy_host *host,
		     const struct mmproxy_config *config)
{
	int count = host->config_count(config, "tlvs");
	int error = 0;

	if (count > RECORD_TLVS_MOST)
		return mistake(host, config, "tlvs", "%d TLVs are too many; write %d at most",
			       count, RECORD_TLVS_MOST);
	for (int i = 0; i < count; i++) {
		if (read_tlv(settings, host, config, (unsigned)i) < 0)
			error = -EINVAL;
	}
	return error;
}

static int read_file(struct settings *settings, const struct mmproxy_host *host,
		     const struct mmproxy_config *config)
{
	bool json = false;
	int error = read_choice(host, config, "format", "logfmt", "json", &json);
	int found = host->config_path(config, "file", 0, &settings->file);

	if (found == 0)
		mistake(host, config, "file",
			"it is missing; write the path of the log, such as "
			"\"/var/log/mmproxy/access.log\", or target = \"journal\"");
	settings->format = json ? line_json() : line_logfmt;
	if (settings->format == NULL)
		error = mistake(host, config, "format",
				"this accesslog was built without jansson and cannot write json; "
				"write \"logfmt\"");
	return found > 0 ? error : -EINVAL;
}

static int read_journal(struct settings *settings, const struct mmproxy_host *host,
			const struct mmproxy_config *config)
{
	if (host->config_count(config, "file") > 0)
		host->config_warning(config, "file",
				     "it has no effect with target = \"journal\"; take it out");
	if (host->config_count(config, "format") > 0)
		host->config_warning(config, "format",
				     "it has no effect with target = \"journal\", whose entries "
				     "have fields; take it out");
	settings->format = journal_entry;
	return 0;
}

int settings_read(struct settings *settings, const struct mmproxy_host *host,
		  const struct mmproxy_config *config)
{
	int error;

	*settings = (struct settings){0};
	error = read_choice(host, config, "target", "file", "journal", &settings->to_journal);
	if ((settings->to_journal ? read_journal : read_file)(settings, host, config) < 0)
		error = -EINVAL;
	if (read_tlvs(settings, host, config) < 0)
		error = -EINVAL;
	return error;
}

int settings_check_journal(const struct settings *settings, const struct mmproxy_host *host,
			   const struct mmproxy_config *config)
{
	int error = settings->to_journal ? journal_check() : 0;

	if (error < 0)
		mistake(host, config, "target",
			"there is no journal at " JOURNAL_SOCKET
			" (%s); start systemd-journald, or "
			"write \"file\"",
			strerror(-error));
	return error;
}
