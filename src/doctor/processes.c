/* SPDX-License-Identifier: MIT */
/* A walk over /proc/PID/fd: a socket is the link `socket:[INODE]` there. */
#include "doctor/processes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Descriptors of one process that are looked at. A server that is asked about has far fewer. */
#define DESCRIPTORS_MAX 65536

/* Bytes of /proc/PID/cmdline, of which the first word counts. */
#define COMMAND_LINE_SIZE 4096

/* Reads a file of /proc/PID whole or in part, and ends it with NUL. Its length, or -errno. */
static ssize_t read_file(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	length = read(fd, text, size - 1);
	if (length < 0)
		length = -errno;
	text[length < 0 ? 0 : length] = '\0';
	close(fd);
	return length;
}

/* Ticks since boot at which it was started; 0: it is gone. */
static uint64_t start_of(pid_t pid)
{
	char text[1024];
	const char *field;

	if (read_file(pid, "stat", text, sizeof(text)) < 0)
		return 0;
	/* The second field is a name in parentheses, which may hold anything. */
	field = strrchr(text, ')');
	for (unsigned i = 2; field != NULL && i < 22; i++)
		field = strchr(field + 1, ' ');
	return field == NULL ? 0 : strtoull(field, NULL, 10);
}

/* 1: it holds the socket. 0: it does not. -errno: it could not be looked into. */
static int look_into(pid_t pid, uint32_t inode)
{
	char path[64], wanted[40], link[64];
	const struct dirent *entry;
	ssize_t length;
	int found = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	snprintf(wanted, sizeof(wanted), "socket:[%" PRIu32 "]", inode);
	folder = opendir(path);
	if (folder == NULL)
		return -errno;
	for (unsigned i = 0; i < DESCRIPTORS_MAX && found == 0; i++) {
		entry = readdir(folder);
		if (entry == NULL)
			break;
		length = readlinkat(dirfd(folder), entry->d_name, link, sizeof(link) - 1);
		if (length <= 0)
			continue;
		link[length] = '\0';
		found = strcmp(link, wanted) == 0 ? 1 : 0;
	}
	closedir(folder);
	return found;
}

/* A path's last part. A title that a daemon has given itself, "sshd: user", ends with its colon. */
static void copy_base_name(char name[static PROCESS_NAME_SIZE], const char *path)
{
	size_t length = strcspn(path, ": ");
	const char *slash = memrchr(path, '/', length);

	if (slash != NULL) {
		length -= (size_t)(slash + 1 - path);
		path = slash + 1;
	}
	snprintf(name, PROCESS_NAME_SIZE, "%.*s", (int)length, path);
}

static void describe(pid_t pid, struct process *process)
{
	char text[COMMAND_LINE_SIZE];

	*process = (struct process){.pid = pid};
	if (read_file(pid, "comm", text, PROCESS_NAME_SIZE) > 0) {
		text[strcspn(text, "\n")] = '\0';
		snprintf(process->comm, sizeof(process->comm), "%.*s", PROCESS_NAME_SIZE - 1, text);
	}
	if (read_file(pid, "cmdline", text, sizeof(text)) > 0)
		copy_base_name(process->name, text);
	if (process->name[0] == '\0')
		memcpy(process->name, process->comm, sizeof(process->name));
}

int process_find(uint32_t inode, struct process *process)
{
	uint64_t newest = 0, started;
	bool refused = false;
	const struct dirent *entry;
	DIR *folder;
	int found;

	*process = (struct process){0};
	if (inode == 0)
		return -ENOENT;
	folder = opendir("/proc");
	if (folder == NULL)
		return -errno;
	while ((entry = readdir(folder)) != NULL) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		found = look_into(pid, inode);
		refused = refused || found == -EACCES;
		started = found == 1 ? start_of(pid) : 0;
		if (started > 0 && started >= newest) {
			newest = started;
			describe(pid, process);
		}
	}
	closedir(folder);
	if (process->pid != 0)
		return 0;
	return refused ? -EACCES : -ENOENT;
}

bool process_holds(pid_t pid, uint32_t inode)
{
	return inode != 0 && look_into(pid, inode) == 1;
}

enum process_trade process_trade(const struct process *process)
{
	static const struct {
		const char *name;
		enum process_trade trade;
	} known[] = {
		{"docker-proxy", PROCESS_FORWARDER}, {"rootlessport", PROCESS_FORWARDER},
		{"rootlesskit", PROCESS_FORWARDER},  {"slirp4netns", PROCESS_FORWARDER},
		{"pasta", PROCESS_FORWARDER},        {"pasta.avx2", PROCESS_FORWARDER},
		{"passt", PROCESS_FORWARDER},        {"passt.avx2", PROCESS_FORWARDER},
		{"gvproxy", PROCESS_FORWARDER},      {"rinetd", PROCESS_FORWARDER},
		{"redir", PROCESS_FORWARDER},        {"systemd-socket-proxyd", PROCESS_FORWARDER},
		{"kube-proxy", PROCESS_FORWARDER},   {"socat", PROCESS_MAY_FORWARD},
		{"haproxy", PROCESS_MAY_FORWARD},    {"nginx", PROCESS_MAY_FORWARD},
		{"envoy", PROCESS_MAY_FORWARD},      {"traefik", PROCESS_MAY_FORWARD},
		{"caddy", PROCESS_MAY_FORWARD},      {"ssh", PROCESS_MAY_FORWARD},
		{"stunnel", PROCESS_MAY_FORWARD},    {"stunnel4", PROCESS_MAY_FORWARD},
		{"sslh", PROCESS_MAY_FORWARD},       {"ncat", PROCESS_MAY_FORWARD},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(process->name, known[i].name) == 0 ||
		    strcmp(process->comm, known[i].name) == 0)
			return known[i].trade;
	}
	return PROCESS_ANY;
}
