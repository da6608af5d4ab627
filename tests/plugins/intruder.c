/* SPDX-License-Identifier: MIT */
/*
 * The intruder: tries what mmproxy forbids itself, as somebody would who has got in. None of it
 * does anything where it is not forbidden.
 *
 *	attempts  a list of names, in the table below or: read PATH, write PATH, create PATH,
 *	          remove PATH, list PATH; or abort, as the C library does when it finds its own
 *	          data broken
 *	when      "filter", by default: in a worker, with the first session. "open": at once, in the
 *	          main thread. "thread": with the first session, in a thread that `open` has begun
 *
 * Each is followed by a line of the log, if the process lives: what was tried, and the errno, 0 for
 * none.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mmproxy/plugin.h>

#define ATTEMPTS_MAX 128

/* No process has this number, and no descriptor. */
#define NOBODY 0x7fffffff

struct intruder {
	const struct mmproxy_host *host;
	struct mmproxy_instance *instance;
	char *attempts[ATTEMPTS_MAX];
	int count;
	bool by_thread;
	atomic_bool tried;
	int begin; /* an eventfd for the thread: something is written to it; or -1 */
	int done;  /* the same, by the thread */
	pthread_t thread;
};

/* Calls that are wrong in their arguments, or ask for nothing, where they are not forbidden. */
static const struct {
	const char *name;
	long number;
	long arguments[6];
} calls[] = {
	{"execve", SYS_execve, {(long)"/nowhere", 0, 0}},
	{"execveat", SYS_execveat, {-1, (long)"nowhere", 0, 0, 0}},
	{"ptrace", SYS_ptrace, {PTRACE_DETACH, NOBODY, 0, 0}},
	{"process_vm_readv", SYS_process_vm_readv, {NOBODY, 0, 0, 0, 0, 0}},
	{"process_vm_writev", SYS_process_vm_writev, {NOBODY, 0, 0, 0, 0, 0}},
	{"pidfd_open", SYS_pidfd_open, {NOBODY, 0}},
	{"kcmp", SYS_kcmp, {NOBODY, NOBODY, 0, 0, 0}},
	{"init_module", SYS_init_module, {0, 0, 0}},
	{"finit_module", SYS_finit_module, {-1, (long)"", 0}},
	{"delete_module", SYS_delete_module, {(long)"none", O_NONBLOCK}},
	{"kexec_load", SYS_kexec_load, {0, 0, 0, -1}},
	{"keyctl", SYS_keyctl, {-1, 0, 0, 0, 0}},
	{"add_key", SYS_add_key, {0, 0, 0, 0, 0}},
	{"request_key", SYS_request_key, {0, 0, 0, 0}},
	{"mount", SYS_mount, {(long)"none", (long)"/nowhere", (long)"tmpfs", 0, 0}},
	{"umount2", SYS_umount2, {(long)"/nowhere", 0}},
	{"fsopen", SYS_fsopen, {(long)"nothing", 0}},
	{"move_mount", SYS_move_mount, {-1, (long)"", -1, (long)"", 0}},
	{"pivot_root", SYS_pivot_root, {(long)"/nowhere", (long)"/nowhere"}},
	{"chroot", SYS_chroot, {(long)"/nowhere"}},
	{"bpf", SYS_bpf, {-1, 0, 0}},
	{"perf_event_open", SYS_perf_event_open, {0, -1, -1, -1, -1}},
	{"userfaultfd", SYS_userfaultfd, {-1}},
	{"io_uring_setup", SYS_io_uring_setup, {0, 0}},
	{"unshare", SYS_unshare, {0}},
	{"setns", SYS_setns, {-1, 0}},
	{"open_by_handle_at", SYS_open_by_handle_at, {-1, 0, 0}},
	{"personality", SYS_personality, {0xffffffff}},
	{"chmod", SYS_fchmodat, {AT_FDCWD, (long)"/nowhere", 0, 0}},
	{"symlink", SYS_symlinkat, {(long)"/nowhere", AT_FDCWD, (long)"/nowhere/x"}},
	{"setuid", SYS_setuid, {0}},
	{"capset", SYS_capset, {0, 0}},
	{"reboot", SYS_reboot, {0, 0, 0, 0}},
	{"sethostname", SYS_sethostname, {0, -1}},
	{"clone3", SYS_clone3, {0, 0}},
	{"memfd_create", SYS_memfd_create, {0, -1}},
	{"kill_another", SYS_kill, {NOBODY, 0}},
	{"tgkill_another", SYS_tgkill, {NOBODY, NOBODY, 0}},
	{"prctl_dumpable", SYS_prctl, {PR_SET_DUMPABLE, -1, 0, 0, 0}},
	{"ioctl_tiocsti", SYS_ioctl, {-1, TIOCSTI, 0}},
	{"clone_new_user", SYS_clone, {CLONE_NEWUSER | CLONE_SIGHAND, 0, 0, 0, 0}},
	{"clone_process", SYS_clone, {CLONE_SIGHAND, 0, 0, 0, 0}},
	{"mmap_written_code", SYS_mmap, {0, 0, PROT_WRITE | PROT_EXEC, MAP_PRIVATE, -1, 0}},
	{"mmap_anonymous_code",
	 SYS_mmap,
	 {0, 0, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
	{"mmap_file_code", SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, -1, 0}},
	{"mprotect_code", SYS_mprotect, {0, 0, PROT_READ | PROT_EXEC}},
	{"socket_packet", SYS_socket, {AF_PACKET, SOCK_DGRAM, 0}},
	{"socket_raw", SYS_socket, {AF_INET, SOCK_RAW, IPPROTO_UDP}},
	{"socket_raw_flags", SYS_socket, {AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0}},
	{"socket_ping", SYS_socket, {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}},
	{"socket_sctp", SYS_socket, {AF_INET, SOCK_STREAM, IPPROTO_SCTP}},
	{"socket_alg", SYS_socket, {AF_ALG, SOCK_SEQPACKET, 0}},
	{"socket_vsock", SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}},
	{"socket_audit", SYS_socket, {AF_NETLINK, SOCK_RAW, NETLINK_AUDIT}},
	{"socket_route", SYS_socket, {AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE}},
	{"socket_netfilter", SYS_socket, {AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER}},
	{"socket_udp_flags", SYS_socket, {AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0}},
	{"socket_unix", SYS_socket, {AF_UNIX, SOCK_SEQPACKET, 0}},
	{"call_of_a_tracer", -1, {0}},
#ifdef __x86_64__
	{"call_of_x32", 0x40000000 | SYS_getpid, {0}},
#endif
};

static long make_call(const char *name)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		const long *a = calls[i].arguments;

		if (strcmp(calls[i].name, name) == 0)
			return syscall(calls[i].number, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
#ifdef __x86_64__
	/* getpid() of the table of 32-bit programs. */
	if (strcmp(name, "call_of_32_bit") == 0) {
		long result = 20;

		__asm__ volatile("int $0x80" : "+a"(result) : : "memory");
		return result < 0 ? (errno = (int)-result, -1) : result;
	}
#endif
	errno = ENOTSUP;
	return -1;
}

/* The path behind the first word, or NULL when that is another. */
static const char *path_behind(const char *text, const char *word)
{
	size_t length = strlen(word);

	return strncmp(text, word, length) == 0 && text[length] == ' ' ? text + length + 1 : NULL;
}

static long open_and_close(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd;
}

static long try_it(const char *text)
{
	const char *path;

	if ((path = path_behind(text, "read")) != NULL)
		return open_and_close(path, O_RDONLY);
	if ((path = path_behind(text, "list")) != NULL)
		return open_and_close(path, O_RDONLY | O_DIRECTORY);
	if ((path = path_behind(text, "write")) != NULL)
		return open_and_close(path, O_WRONLY);
	if ((path = path_behind(text, "create")) != NULL)
		return open_and_close(path, O_WRONLY | O_CREAT | O_EXCL);
	if ((path = path_behind(text, "remove")) != NULL)
		return unlink(path);
	if (strcmp(text, "abort") == 0)
		abort();
	return make_call(text);
}

static void try_all(struct intruder *intruder)
{
	for (int i = 0; i < intruder->count; i++) {
		char line[512];
		long result;

		errno = 0;
		result = try_it(intruder->attempts[i]);
		snprintf(line, sizeof(line), "tried %s: %d", intruder->attempts[i],
			 result < 0 ? errno : 0);
		intruder->host->log(intruder->instance, MMPROXY_LOG_INFO, line);
	}
}

static void *wait_and_try(void *argument)
{
	struct intruder *intruder = argument;
	eventfd_t value;

	if (eventfd_read(intruder->begin, &value) == 0 && value == 1)
		try_all(intruder);
	eventfd_write(intruder->done, 1);
	return NULL;
}

static void intruder_close(void *state)
{
	struct intruder *intruder = state;

	if (intruder->by_thread) {
		eventfd_write(intruder->begin, 2);
		pthread_join(intruder->thread, NULL);
		close(intruder->begin);
		close(intruder->done);
	}
	for (int i = 0; i < intruder->count; i++)
		free(intruder->attempts[i]);
	free(intruder);
}

static int read_settings(struct intruder *intruder, const struct mmproxy_config *config,
			 const char **when)
{
	const struct mmproxy_host *host = intruder->host;
	int count = host->config_count(config, "attempts");
	const char *text;

	if (host->config_text(config, "when", when) < 0 || count < 0 || count > ATTEMPTS_MAX)
		return -EINVAL;
	while (intruder->count < count) {
		if (host->config_item(config, "attempts", (unsigned)intruder->count, &text) <= 0)
			return -EINVAL;
		intruder->attempts[intruder->count] = strdup(text);
		if (intruder->attempts[intruder->count] == NULL)
			return -ENOMEM;
		intruder->count++;
	}
	return 0;
}

static int intruder_open(const struct mmproxy_host *host, struct mmproxy_instance *instance,
			 const struct mmproxy_config *config, void **state)
{
	struct intruder *intruder = calloc(1, sizeof(*intruder));
	const char *when = "filter";
	int error;

	if (intruder == NULL)
		return -ENOMEM;
	intruder->host = host;
	intruder->instance = instance;
	error = read_settings(intruder, config, &when);
	if (error == 0 && strcmp(when, "thread") == 0) {
		intruder->begin = eventfd(0, EFD_CLOEXEC);
		intruder->done = eventfd(0, EFD_CLOEXEC);
		intruder->by_thread =
			pthread_create(&intruder->thread, NULL, wait_and_try, intruder) == 0;
		error = intruder->by_thread ? 0 : -EAGAIN;
	}
	if (error < 0) {
		intruder_close(intruder);
		return error;
	}
	if (strcmp(when, "open") == 0) {
		intruder->tried = true;
		try_all(intruder);
	}
	*state = intruder;
	return 0;
}

static int intruder_filter(void *state, const struct mmproxy_conn *conn)
{
	struct intruder *intruder = state;
	eventfd_t value;

	(void)conn;
	if (atomic_exchange(&intruder->tried, true))
		return MMPROXY_PASS;
	if (!intruder->by_thread) {
		try_all(intruder);
		return MMPROXY_PASS;
	}
	eventfd_write(intruder->begin, 1);
	eventfd_read(intruder->done, &value);
	return MMPROXY_PASS;
}

const struct mmproxy_plugin mmproxy_plugin_v1 = {
	.size = sizeof(struct mmproxy_plugin),
	.abi_major = MMPROXY_ABI_MAJOR,
	.abi_minor = MMPROXY_ABI_MINOR,
	.name = "intruder",
	.version = "1",
	.open = intruder_open,
	.close = intruder_close,
	.filter = intruder_filter,
};
