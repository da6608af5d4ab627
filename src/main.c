/* SPDX-License-Identifier: MIT */
/* argv in, exit status out. Everything else is in daemon/. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/report.h"
#include "daemon/metrics/http.h"
#include "daemon/options.h"
#include "daemon/plugins.h"
#include "daemon/server.h"
#include "os/descriptors.h"
#include "os/log.h"
#include "os/seccomp.h"
#include "os/service_manager.h"
#include "routing/nft.h"
#include "routing/return_check.h"

#ifdef HAVE_BPF
static const bool has_bpf = true;
#else
static const bool has_bpf = false;
#endif

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unversioned"
#endif

struct arguments {
	int argc;
	char **argv;
	bool verbose;
	char *config_file; /* absolute, for reloads: the working directory may go; NULL: short form
			    */
};

/* A reload: the file again, or the short form's allow list. */
static int load(void *user_data, struct config *config, struct report *report)
{
	const struct arguments *arguments = user_data;
	struct options options;
	int error;

	if (arguments->config_file != NULL)
		error = config_load_file(arguments->config_file, config, report);
	else
		error = options_parse(arguments->argc, arguments->argv, &options, config, report);
	if (error == 0 && arguments->verbose)
		config->log.level = LOG_LEVEL_DEBUG;
	return error;
}

/* The configuration has been read; its plugins have not been asked yet. */
static int check(struct config *config)
{
	struct report mistakes;
	int status = EXIT_SUCCESS;

	report_init(&mistakes);
	if (plugins_check(config, &mistakes) < 0)
		status = report_has_mistake(&mistakes) ? SERVER_EXIT_MISTAKE : EXIT_FAILURE;
	for (size_t i = 0; i < mistakes.count; i++)
		fprintf(stderr, "%s\n", mistakes.lines[i]);
	report_finish(&mistakes);
	for (size_t i = 0; i < config->remarks.count; i++)
		fprintf(stderr, "warning: %s\n", config->remarks.lines[i]);
	if (status == EXIT_SUCCESS)
		printf("configuration is sound: %zu listener%s\n", config->listener_count,
		       config->listener_count == 1 ? "" : "s");
	return status;
}

static int run(struct arguments *arguments, const struct options *options, struct config *config)
{
	struct server_options server = {config, load, arguments, NULL};
	int status;

	arguments->verbose = options->verbose;
	if (options->config_file != NULL)
		arguments->config_file = realpath(options->config_file, NULL);
	server.config_file = arguments->config_file;
	if (options->verbose)
		config->log.level = LOG_LEVEL_DEBUG;
	status = server_run(&server);
	free(arguments->config_file);
	return status;
}

static void print_version(void)
{
	const struct {
		bool there;
		const char *name;
	} libraries[] = {
		{log_format_supported(LOG_FORMAT_JSON), "jansson"},
		{service_manager_supported(), "libsystemd"},
		{metrics_http_supported(), "libmicrohttpd"},
		{return_check_supported(), "libmnl"},
		{nft_supported(), "libnftables"},
		{seccomp_supported(), "libseccomp"},
		{has_bpf, "libbpf"},
	};

	printf("mmproxy %s\n", PACKAGE_VERSION);
	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++)
		printf("%c%s\n", libraries[i].there ? '+' : '-', libraries[i].name);
}

int main(int argc, char **argv)
{
	struct arguments arguments = {.argc = argc, .argv = argv};
	struct config config = {0};
	struct options options;
	struct report report;
	int status = EXIT_SUCCESS;

	descriptors_fill_standard_streams();
	report_init(&report);
	if (options_parse(argc, argv, &options, &config, &report) < 0) {
		for (size_t i = 0; i < report.count; i++)
			fprintf(stderr, "%s\n", report.lines[i]);
		status = report_has_mistake(&report) ? SERVER_EXIT_MISTAKE : EXIT_FAILURE;
		report_finish(&report);
		return status;
	}
	report_finish(&report);
	switch (options.action) {
	case OPTIONS_HELP:
		fputs(options_help(), stdout);
		break;
	case OPTIONS_VERSION:
		print_version();
		break;
	case OPTIONS_CHECK:
		status = check(&config);
		break;
	case OPTIONS_RUN:
		status = run(&arguments, &options, &config);
		break;
	}
	config_finish(&config);
	return status;
}
