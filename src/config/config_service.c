/* SPDX-License-Identifier: MIT */
/*
 * How a running mmproxy can be asked: the groups `control` and `metrics`. What a build lacks is
 * refused here rather than at the start, so that --check says it.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/control_path.h"
#include "config/config_address.h"
#include "config/config_loader.h"
#include "os/group.h"
#include "os/log.h"

#define MODE_MAX 0777

/* What a build lacks; NULL: nothing. */
#ifdef HAVE_JANSSON
static const char *const control_lacks = NULL;
#else
static const char *const control_lacks = "jansson";
#endif
#ifdef HAVE_LIBMICROHTTPD
static const char *const metrics_lacks = NULL;
#else
static const char *const metrics_lacks = "libmicrohttpd";
#endif

static void read_socket(struct config_loader *loader, config_setting_t *setting,
			const struct setting *known, void *field)
{
	const char *text = config_get_text(loader, setting);

	if (text == NULL)
		return;
	if (text[0] != '/')
		config_mistake(loader, setting,
			       "\"%.80s\" is no path of a socket; write one that begins with a "
			       "slash, such as \"/run/mmproxy/control.sock\"",
			       text);
	else if (strlen(text) > CONTROL_PATH_MAX)
		config_mistake(loader, setting,
			       "this path has %zu bytes; write one of at most %d, which is what "
			       "a socket's address holds",
			       strlen(text), CONTROL_PATH_MAX);
	else
		config_read_text(loader, setting, known, field);
}

/*
 * libconfig knows no octal numbers: it takes 0660 for 660, which is -w--w-r-T or so. Who means the
 * right thing and writes it as a number must be told, not guessed at.
 */
static void read_mode(struct config_loader *loader, config_setting_t *setting,
		      const struct setting *known, void *field)
{
	const char *text;
	size_t length;
	unsigned long mode;

	if (config_setting_type(setting) == CONFIG_TYPE_INT ||
	    config_setting_type(setting) == CONFIG_TYPE_INT64) {
		config_mistake(loader, setting,
			       "a number is decimal here, and a mode is not; write it in double "
			       "quotes, such as \"0660\"");
		return;
	}
	text = config_get_text(loader, setting);
	if (text == NULL)
		return;
	length = strlen(text);
	mode = strtoul(text, NULL, 8);
	if (length < 3 || length > 4 || strspn(text, "01234567") < length || mode > MODE_MAX)
		config_mistake(loader, setting, "\"%.80s\" is no mode; write %s, such as \"0660\"",
			       text, known->range);
	else
		*(uint32_t *)field = (uint32_t)mode;
}

/* Here rather than when the socket is opened: an unknown group is a mistake like any other. */
static void read_group_name(struct config_loader *loader, config_setting_t *setting,
			    const struct setting *known, void *field)
{
	const char *text = config_get_text(loader, setting);
	int error = 0;
	gid_t gid;

	if (text != NULL && text[0] != '\0')
		error = group_find(text, &gid);
	if (error == -ENOENT)
		config_mistake(loader, setting,
			       "there is no group \"%.80s\"; write the name of one, or leave the "
			       "setting out",
			       text);
	else if (error < 0)
		config_fail(loader, setting, "the group \"%.80s\" cannot be looked up: %s", text,
			    log_error_text(error));
	else if (text != NULL)
		config_read_text(loader, setting, known, field);
}

static const struct config_rule control_rules[SETTING_COUNT] = {
	[SETTING_control_socket] = {read_socket, offsetof(struct config_control, socket)},
	[SETTING_control_mode] = {read_mode, offsetof(struct config_control, mode)},
	[SETTING_control_group] = {read_group_name, offsetof(struct config_control, group)},
};

static bool is_built_in(struct config_loader *loader, const config_setting_t *setting,
			const char *lacks)
{
	if (lacks != NULL)
		config_mistake(loader, setting,
			       "it needs %s, which this program was built without; remove it",
			       lacks);
	return lacks == NULL;
}

void config_read_control(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field)
{
	struct config_control *control = field;

	(void)known;
	if (!config_setting_is_group(setting)) {
		config_mistake(loader, setting,
			       "wrong type; write control = { socket = "
			       "\"/run/mmproxy/control.sock\"; }");
	} else if (is_built_in(loader, setting, control_lacks)) {
		control->where = config_place_of(loader, setting);
		config_read_group(loader, setting, SETTING_SCOPE_control, control_rules, control);
	}
}

static void read_metrics_listen(struct config_loader *loader, config_setting_t *setting,
				const struct setting *known, void *field)
{
	const char *text = config_get_text(loader, setting);
	const char *wrong = text != NULL ? config_parse_loopback(text, field) : NULL;

	(void)known;
	if (wrong != NULL)
		config_mistake(loader, setting, "\"%.80s\": %s", text, wrong);
	else if (text != NULL)
		loader->metrics_listen = setting;
}

static const struct config_rule metrics_rules[SETTING_COUNT] = {
	[SETTING_metrics_listen] = {read_metrics_listen, offsetof(struct config, metrics_listen)},
};

void config_read_metrics(struct config_loader *loader, config_setting_t *setting,
			 const struct setting *known, void *field)
{
	struct config *config = field;

	(void)known;
	if (!config_setting_is_group(setting)) {
		config_mistake(loader, setting,
			       "wrong type; write metrics = { listen = \"127.0.0.1:9464\"; }");
	} else if (is_built_in(loader, setting, metrics_lacks)) {
		config->metrics_where = config_place_of(loader, setting);
		config_read_group(loader, setting, SETTING_SCOPE_metrics, metrics_rules, config);
		if (!config_group_has(setting, SETTING_SCOPE_metrics, "listen"))
			config_mistake_missing(loader, setting, "listen",
					       "write where, such as listen = "
					       "\"127.0.0.1:9464\"");
	}
}
