/* SPDX-License-Identifier: MIT */
#include "daemon/offload.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "daemon/heirs.h"
#include "daemon/server_state.h"
#include "offload/filters.h"
#include "offload/interfaces.h"
#include "offload/kernel_datapath.h"
#include "offload/layout.h"
#include "offload/layouts.h"
#include "offload/lock.h"
#include "offload/loopback.h"
#include "offload/remembered.h"
#include "offload/setup.h"
#include "offload/udp_datapath.h"
#include "os/log.h"

#define HINT_LOAD "run `mmproxyctl offload load` as root, or start mmproxy-offload.service"

void offload_init(struct offload *offload)
{
	*offload = (struct offload){.remembered = -1, .lock = -1, .notices = -1};
	for (int i = 0; i < PROGRAM_COUNT; i++)
		offload->programs.fd[i] = -1;
}

static const char *directory_of(const struct server *server)
{
	return server->generation->config.offload_directory;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void let_go(struct server *server)
{
	struct offload *offload = &server->offload;

	kernel_datapath_close(server->datapath);
	server->datapath = NULL;
	programs_close(&offload->programs);
	close_one(&offload->remembered);
	close_one(&offload->notices);
	close_one(&offload->lock);
}

/* The one line, and what `mmproxyctl status` says from then on. */
static void stay_relays(struct server *server, const char *why, const char *hint)
{
	snprintf(server->offload.why, sizeof(server->offload.why), "%s", why);
	log_warning("offload", "sessions stay relays", LOG_TEXT("why", server->offload.why),
		    LOG_TEXT("path", directory_of(server)), LOG_TEXT("hint", hint));
	let_go(server);
}

static void directory_is_taken(struct server *server)
{
	pid_t holder = lock_holder(directory_of(server));
	char why[OFFLOAD_WHY_SIZE];

	if (holder > 0)
		snprintf(why, sizeof(why), "process %d has the directory", (int)holder);
	else
		snprintf(why, sizeof(why), "another process has the directory");
	stay_relays(server, why, "give each instance an offload_directory of its own");
}

static void cannot_open(struct server *server, int error)
{
	char why[OFFLOAD_WHY_SIZE];

	switch (error) {
	case -ENOENT:
		stay_relays(server, "no programs of this version are loaded", HINT_LOAD);
		return;
	case -EPROTO:
		stay_relays(server, "the programs that are loaded are not what they should be",
			    "run `mmproxyctl offload clear` and `mmproxyctl offload load` as root");
		return;
	case -EACCES:
		stay_relays(server, "the programs are not this user's",
			    "`mmproxyctl offload load` gives them to the user of the setting user");
		return;
	case -EPERM:
		stay_relays(server, "this kernel lets nobody but root call bpf(2)",
			    "it takes Linux 5.19, or sysctl kernel.unprivileged_bpf_disabled=0");
		return;
	}
	snprintf(why, sizeof(why), "the programs cannot be opened: %s", log_error_text(error));
	stay_relays(server, why, HINT_LOAD);
}

static void log_notes(const struct report *notes)
{
	for (size_t i = 0; i < notes->count; i++)
		log_info("offload", "remark", LOG_TEXT("text", notes->lines[i]));
}

/* As root only. Returns false after the line that it stays without. */
static bool load(struct server *server)
{
	const struct config *config = &server->generation->config;
	struct setup setup = {.directory = config->offload_directory};
	struct report notes, failures;
	int error = config_offload_owner(config, &setup.owner);

	/* The stage `privileges` ends the start for the same reason. */
	if (error < 0)
		return false;
	config_wants_offload(config, &setup.needs);
	report_init(&notes);
	report_init(&failures);
	error = setup_load(&setup, &notes, &failures);
	log_notes(&notes);
	if (error < 0)
		stay_relays(server, failures.count > 0 ? failures.lines[0] : log_error_text(error),
			    "see `mmproxyctl doctor`");
	report_finish(&notes);
	report_finish(&failures);
	return error == 0;
}

/* Taken, or given up with the line. */
static bool take_lock(struct server *server)
{
	struct offload *offload = &server->offload;

	offload->lock = lock_take(directory_of(server));
	if (offload->lock == -EWOULDBLOCK)
		directory_is_taken(server);
	else if (offload->lock == -EACCES)
		/* Nobody has opened the way there, or the directory is another's. */
		stay_relays(server, "nothing is loaded for this user", HINT_LOAD);
	else if (offload->lock < 0)
		cannot_open(server, offload->lock);
	return offload->lock >= 0;
}

static void open_programs(struct server *server)
{
	struct offload *offload = &server->offload;
	char folder[PATH_MAX];
	int error;

	layouts_folder(folder, directory_of(server));
	offload->handle = filters_handle(folder);
	error = programs_open(folder, &offload->programs);
	if (error == 0) {
		server->datapath = kernel_datapath_open(folder);
		error = server->datapath == NULL ? -errno : 0;
	}
	if (error < 0) {
		cannot_open(server, error);
		return;
	}
	offload->remembered = remembered_open(directory_of(server));
}

int offload_open(struct server *server)
{
	struct loopback_needs needs = {0};
	int lock;

	server->offload.wanted = config_wants_offload(&server->generation->config, &needs);
	if (!server->offload.wanted) {
		snprintf(server->offload.why, sizeof(server->offload.why),
			 "no listener has offload = \"auto\"");
		return 0;
	}
	if (geteuid() == 0) {
		/* Nothing is changed under another mmproxy. */
		lock = lock_take(directory_of(server));
		if (lock == -EWOULDBLOCK) {
			directory_is_taken(server);
			return 0;
		}
		close_one(&lock);
		if (!load(server))
			return 0;
	}
	if (take_lock(server))
		open_programs(server);
	return 0;
}

struct attaching {
	struct offload *offload;
	bool at_start;
	int error; /* of one that cannot have it */
};

static void name_interface(struct offload *offload, const char *name)
{
	size_t used = strlen(offload->interfaces);

	snprintf(offload->interfaces + used, sizeof(offload->interfaces) - used, "%s%s",
		 used > 0 ? ", " : "", name);
}

static void attached(const struct interface *interface, int result, void *context)
{
	struct attaching *attaching = context;

	if (result >= 0)
		name_interface(attaching->offload, interface->name);
	if (result > 0 && !attaching->at_start)
		log_info("offload", "an interface has the program now",
			 LOG_TEXT("interface", interface->name));
	if (!interface_takes_filter(interface))
		log_debug("offload", "an interface goes without the program",
			  LOG_TEXT("interface", interface->name),
			  LOG_TEXT("why", interface_kind_reason(interface->kind)));
	else if (result < 0 && result != -ENODEV) { /* it may have gone meanwhile */
		attaching->error = result;
		log_warning("offload", "cannot put the program at an interface",
			    LOG_TEXT("interface", interface->name), LOG_ERRNO("error", result));
	}
}

static int attach(struct server *server, bool at_start)
{
	struct offload *offload = &server->offload;
	const struct setup_filter filter = {
		.program = offload->programs.fd[PROGRAM_INGRESS],
		.remembered = offload->remembered,
		.handle = offload->handle,
	};
	struct attaching attaching = {offload, at_start, 0};
	int error;

	offload->interfaces[0] = '\0';
	error = setup_attach(&filter, attached, &attaching);
	if (error < 0 && !at_start)
		log_warning("offload", "cannot look for new interfaces", LOG_ERRNO("error", error));
	return error == 0 && offload->interfaces[0] == '\0' ? attaching.error : error;
}

static void open_notices(struct offload *offload)
{
	offload->notices = interfaces_open_notices();
	if (offload->notices < 0)
		log_warning("offload", "cannot watch for new interfaces",
			    LOG_ERRNO("error", offload->notices));
}

int offload_try(struct server *server)
{
	struct offload *offload = &server->offload;
	char why[OFFLOAD_WHY_SIZE];
	int error;

	if (server->datapath == NULL)
		return 0;
	error = programs_try(&offload->programs);
	if (error < 0) {
		cannot_open(server, error);
		return 0;
	}
	/* Before the list, so that none is missed. */
	open_notices(offload);
	error = attach(server, true);
	if (error < 0) {
		snprintf(why, sizeof(why), "the program cannot be put at any interface: %s",
			 log_error_text(error));
		stay_relays(server, why,
			    "the kernel needs CONFIG_NET_CLS_BPF and CONFIG_NET_SCH_INGRESS");
		return 0;
	}
	log_info("offload", "sessions may be handed to the kernel",
		 LOG_NUMBER("layout", OFFLOAD_LAYOUT), LOG_TEXT("interfaces", offload->interfaces),
		 LOG_TEXT("path", directory_of(server)));
	offload_admit(server, server->generation);
	error = heritage_find(&server->heritage, server->datapath);
	if (error < 0)
		log_warning("offload", "cannot find all sessions of an earlier mmproxy",
			    LOG_ERRNO("error", error));
	heirs_choose(server);
	return 0;
}

static void notices_ready(struct loop_source *source, uint32_t events)
{
	struct server *server = container_of(source, struct server, offload.notices_source);

	(void)events;
	interfaces_drain_notices(server->offload.notices);
	attach(server, false);
}

int offload_watch(struct server *server)
{
	struct offload *offload = &server->offload;
	int error;

	offload->notices_source.ready = notices_ready;
	if (offload->notices < 0)
		return 0;
	error = loop_watch(&server->loop, offload->notices, EPOLLIN, &offload->notices_source);
	if (error < 0) {
		log_error("daemon", "cannot start", LOG_TEXT("step", "epoll_ctl"),
			  LOG_ERRNO("error", error));
		return -1;
	}
	return 0;
}

/* Of one whose packets lo would drop. */
static void admit_listener(struct config_listener *listener)
{
	struct loopback_lack lacks[LOOPBACK_SETTING_COUNT];
	struct loopback_needs needs = {0};
	char why[128], hint[128];
	int count;

	if (!config_listener_wants_offload(listener, &needs))
		return;
	count = loopback_look(&needs, lacks);
	if (count == 0)
		return;
	if (count > 0) {
		snprintf(why, sizeof(why), "%s is not %d", loopback_setting_name(lacks[0].setting),
			 lacks[0].should_be);
		snprintf(hint, sizeof(hint), HINT_LOAD);
	} else {
		snprintf(why, sizeof(why), "the settings of lo cannot be read: %s",
			 log_error_text(count));
		snprintf(hint, sizeof(hint), "see `mmproxyctl doctor`");
	}
	listener->relay.offload = false;
	log_warning("offload", "a listener's sessions stay relays",
		    LOG_TEXT("listener", listener->name), LOG_TEXT("why", why),
		    LOG_TEXT("hint", hint));
}

void offload_admit(struct server *server, struct generation *generation)
{
	struct loopback_needs needs = {0};

	if (server->datapath == NULL) {
		if (!server->offload.wanted && config_wants_offload(&generation->config, &needs))
			log_warning("offload", "sessions stay relays",
				    LOG_TEXT("why", "no listener wanted it at the start"),
				    LOG_TEXT("path", generation->config.offload_directory),
				    LOG_TEXT("hint", "restart mmproxy"));
		return;
	}
	for (size_t i = 0; i < generation->config.listener_count; i++)
		admit_listener(&generation->config.listeners[i]);
}

void offload_reloaded(struct server *server)
{
	if (server->datapath != NULL)
		attach(server, false);
}

int offload_count_live(const struct server *server, uint64_t *live)
{
	if (server->datapath == NULL)
		return -ENOENT;
	return programs_count_live(&server->offload.programs, live);
}

void offload_finish(struct server *server)
{
	heritage_finish(&server->heritage);
	let_go(server);
}
