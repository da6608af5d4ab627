/* SPDX-License-Identifier: MIT */
/* The order in which everything is looked at. */
#include "doctor/doctor.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "config/config.h"
#include "doctor/check_host.h"
#include "doctor/check_listener.h"
#include "doctor/check_offload.h"
#include "doctor/check_path.h"
#include "doctor/diagnosis.h"
#include "doctor/examine.h"
#include "doctor/host_facts.h"
#include "doctor/interruption.h"
#include "doctor/offload_facts.h"
#include "doctor/path_facts.h"
#include "routing/netlink.h"

struct doctor {
	const char *path;
	const struct config *config;
	struct path_sources sources;
	struct diagnosis *diagnosis;
};

/* All the lines in one, for one result; NULL when there is no memory. */
static char *join_lines(const struct report *report)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (to == NULL)
		return NULL;
	for (size_t i = 0; i < report->count; i++)
		fprintf(to, "%s%s", i > 0 ? "; " : "", report->lines[i]);
	fclose(to);
	return text;
}

static void add_config(const char *path, bool loaded, const struct config *config,
		       const struct report *report, struct diagnosis *diagnosis)
{
	char *lines = join_lines(loaded ? &config->remarks : report);

	if (!loaded)
		diagnosis_add(diagnosis, DOCTOR_CHECK_CONFIG, DOCTOR_FAILED, "%s",
			      lines != NULL ? lines : strerror(ENOMEM));
	else if (config->remarks.count > 0)
		diagnosis_add(diagnosis, DOCTOR_CHECK_CONFIG, DOCTOR_WARNING, "%s",
			      lines != NULL ? lines : strerror(ENOMEM));
	else
		diagnosis_add(diagnosis, DOCTOR_CHECK_CONFIG, DOCTOR_OK, "%s loads: %zu listener%s",
			      path, config->listener_count, config->listener_count == 1 ? "" : "s");
	free(lines);
}

/* One upstream of a listener. 0, -EINTR or -errno. */
static int examine_upstream(const struct doctor *doctor, const struct config_listener *listener,
			    const struct address *upstream)
{
	struct path_facts facts = {
		.config = doctor->path,
		.mode = doctor->config->routing.mode,
		.udp = listener->relay.protocol == RELAY_PROTOCOL_UDP,
	};
	char text[ADDRESS_TEXT_SIZE];
	struct return_plan plan;
	int error;

	return_plan_init(&plan);
	error = return_plan_add(&plan, &doctor->config->routing, upstream, listener->relay.mark,
				facts.udp);
	if (error == 0) {
		facts.plan = &plan;
		facts.path = &plan.paths[0];
		error = path_facts_read(&facts, &doctor->sources);
	}
	if (error == 0) {
		diagnosis_set_subject(doctor->diagnosis, listener->name,
				      address_format(upstream, text));
		check_path_judge(&facts, doctor->diagnosis);
		diagnosis_set_subject(doctor->diagnosis, NULL, NULL);
	}
	return_plan_finish(&plan);
	return error;
}

static int examine_listener(const struct doctor *doctor, const struct config_listener *listener)
{
	static const uint8_t families[] = {ADDRESS_IPV4, ADDRESS_IPV6};
	int error = 0;

	diagnosis_set_subject(doctor->diagnosis, listener->name, NULL);
	check_listener(listener, doctor->sources.routes, doctor->sources.sockets,
		       doctor->diagnosis);
	diagnosis_set_subject(doctor->diagnosis, NULL, NULL);
	for (size_t i = 0; error == 0 && i < sizeof(families); i++) {
		const struct address *upstream =
			relay_settings_forward(&listener->relay, families[i]);

		if (upstream->family != ADDRESS_NONE)
			error = examine_upstream(doctor, listener, upstream);
	}
	return error;
}

static int examine_listeners(struct doctor *doctor)
{
	int error = 0;

	doctor->sources.examiner = examiner_open();
	if (doctor->sources.examiner == NULL)
		return -errno;
	for (size_t i = 0; error == 0 && i < doctor->config->listener_count; i++)
		error = examine_listener(doctor, &doctor->config->listeners[i]);
	examiner_close(doctor->sources.examiner);
	return error;
}

static int examine(struct doctor *doctor, const struct config *config)
{
	struct offload_facts offload;
	struct host_facts facts;

	host_facts_read(&facts, doctor->sources.routes, doctor->sources.sockets);
	check_host_judge(&facts, doctor->diagnosis);
	if (config != NULL)
		offload_facts_read(&offload, config);
	check_offload_judge(config != NULL ? &offload : NULL, doctor->diagnosis);
	if (config == NULL)
		return 0;
	doctor->config = config;
	return examine_listeners(doctor);
}

/* Loads the configuration and tells how that went. Returns false when there is none. */
static bool load(const char *path, struct config *config, struct diagnosis *diagnosis)
{
	struct report report;
	bool loaded;

	report_init(&report);
	loaded = config_load_file(path, config, &report) == 0;
	add_config(path, loaded, config, &report, diagnosis);
	report_finish(&report);
	return loaded;
}

int doctor_examine(const char *path, struct diagnosis *diagnosis)
{
	struct doctor doctor = {.path = path, .diagnosis = diagnosis};
	struct interruption interruption;
	struct config config;
	bool loaded;
	int error;

	interruption_hold(&interruption);
	doctor.sources.routes = netlink_open(NETLINK_ROUTE);
	error = doctor.sources.routes != NULL ? 0 : -errno;
	doctor.sources.sockets = netlink_open(NETLINK_SOCK_DIAG);
	loaded = load(path, &config, diagnosis);
	if (error == 0)
		error = examine(&doctor, loaded ? &config : NULL);
	if (loaded)
		config_finish(&config);
	netlink_close(doctor.sources.sockets);
	netlink_close(doctor.sources.routes);
	interruption_release(&interruption);
	return error;
}
