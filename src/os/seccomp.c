/* SPDX-License-Identifier: MIT */
/*
 * An allow list, by libseccomp. Calls that are allowed whatever their arguments are, which all of
 * the data path is, stand in seccomp_calls.def; those that are allowed with some arguments are
 * here.
 */
#include "os/seccomp.h"

#include <asm/termbits.h>
#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sanitizer.h"

/* What the kernel takes of an int in a register, so that nothing depends on the rest of it. */
#define INT_MASK UINT64_C(0xffffffff)

/* A socket's type without SOCK_CLOEXEC and SOCK_NONBLOCK. */
#define SOCKET_TYPE_MASK UINT64_C(0xf)

/* Newer than the headers of Debian 12. */
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* malloc gives its memory a name, from glibc 2.39 on */
#endif

/* The shadow stack is asked for when a shared object is loaded, from glibc 2.39 on. */
#define ARCH_CET_STATUS   0x3001
#define ARCH_SHSTK_STATUS 0x5005

/* (argument & mask) == value; a mask of 0 asks for nothing. */
struct condition {
	unsigned argument;
	uint64_t mask;
	uint64_t value;
};

#define CONDITIONS_MAX 3

struct rule {
	const char *call;
	struct condition conditions[CONDITIONS_MAX];
};

static const char *const allowed_calls[] = {
#define CALL(name) #name,
#include "os/seccomp_calls.def"
#undef CALL
};

#define SOCKET(domain, type, protocol)                                                             \
	{                                                                                          \
		"socket",                                                                          \
		{                                                                                  \
			{0, INT_MASK, domain}, {1, SOCKET_TYPE_MASK, type},                        \
			{                                                                          \
				2, INT_MASK, protocol                                              \
			}                                                                          \
		}                                                                                  \
	}
#define NETLINK_SOCKET(protocol)                                                                   \
	{                                                                                          \
		"socket",                                                                          \
		{                                                                                  \
			{0, INT_MASK, AF_NETLINK},                                                 \
			{                                                                          \
				2, INT_MASK, protocol                                              \
			}                                                                          \
		}                                                                                  \
	}
#define IOCTL(request)                                                                             \
	{                                                                                          \
		"ioctl",                                                                           \
		{                                                                                  \
			{                                                                          \
				1, INT_MASK, request                                               \
			}                                                                          \
		}                                                                                  \
	}
#define PRCTL(option)                                                                              \
	{                                                                                          \
		"prctl",                                                                           \
		{                                                                                  \
			{                                                                          \
				0, INT_MASK, option                                                \
			}                                                                          \
		}                                                                                  \
	}

static const struct rule allowed_rules[] = {
	/* No raw and no packet sockets; and no protocol that would load a module of the kernel. */
	SOCKET(AF_INET, SOCK_STREAM, 0),
	SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
	SOCKET(AF_INET, SOCK_DGRAM, 0),
	SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
	SOCKET(AF_INET6, SOCK_STREAM, 0),
	SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
	SOCKET(AF_INET6, SOCK_DGRAM, 0),
	SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
	{"socket", {{0, INT_MASK, AF_UNIX}}},
	{"socketpair", {{0, INT_MASK, AF_UNIX}}},
	/* Rules, routes and addresses; nftables. */
	NETLINK_SOCKET(NETLINK_ROUTE),
	NETLINK_SOCKET(NETLINK_NETFILTER),

	IOCTL(FIONREAD),
	IOCTL(FIONBIO),
	IOCTL(FIOCLEX),
	IOCTL(TIOCOUTQ), /* which is SIOCOUTQ */
	IOCTL(SIOCOUTQNSD),
	IOCTL(TIOCGWINSZ),
	IOCTL(TCGETS),
#ifdef TCGETS2
	IOCTL(TCGETS2),
#endif
	IOCTL(SIOCGIFINDEX),
	IOCTL(SIOCGIFNAME),

#ifndef WITH_SANITIZER
	PRCTL(PR_SET_NAME),
	PRCTL(PR_GET_NAME),
	PRCTL(PR_SET_VMA),
	PRCTL(PR_GET_DUMPABLE),
	PRCTL(PR_GET_SECUREBITS),
	PRCTL(PR_GET_NO_NEW_PRIVS),

	/*
	 * A reload maps the code of plugins that are new, from their files. Memory that has been
	 * written to does not become code.
	 */
	{"mprotect", {{2, PROT_EXEC, 0}}},
#if defined(__s390__)
	{"mmap", {{0}}}, /* all its arguments are in memory, where no filter looks */
#elif UINTPTR_MAX == UINT64_MAX
	{"mmap", {{2, PROT_EXEC, 0}}},
	{"mmap", {{2, PROT_EXEC | PROT_WRITE, PROT_EXEC}, {3, MAP_ANONYMOUS, 0}}},
#else
	{"mmap2", {{2, PROT_EXEC, 0}}},
	{"mmap2", {{2, PROT_EXEC | PROT_WRITE, PROT_EXEC}, {3, MAP_ANONYMOUS, 0}}},
#endif

/* Threads, and no processes; so no namespaces either. */
#if defined(__s390__)
	{"clone", {{1, CLONE_THREAD, CLONE_THREAD}}},
#else
	{"clone", {{0, CLONE_THREAD, CLONE_THREAD}}},
#endif
#else
	/*
	 * AddressSanitizer and ThreadSanitizer keep shadow memory, look for leaks at the end from a
	 * process of their own, which traces this one, and start another to give addresses names.
	 */
	{"arch_prctl", {{0}}},
	{"clone", {{0}}},
	{"execve", {{0}}},
	{"fork", {{0}}},
	{"kill", {{0}}},
	{"mmap", {{0}}},
	{"mprotect", {{0}}},
	{"personality", {{0}}},
	{"prctl", {{0}}},
	{"prlimit64", {{0}}},
	{"ptrace", {{0}}},
	{"setrlimit", {{0}}},
	{"wait4", {{0}}},
#endif
	/* Of this process, as it is shown to itself; the limits of others are not its business. */
	{"prlimit64", {{0, INT_MASK, 0}}},
	{"arch_prctl", {{0, INT_MASK, ARCH_CET_STATUS}}},
	{"arch_prctl", {{0, INT_MASK, ARCH_SHSTK_STATUS}}},
};

/*
 * Calls that a library makes in good faith and does well without. clone3() hides its flags in
 * memory, where no filter can look; glibc takes clone() then. libsystemd makes a file in memory of
 * an entry for the journal that is too long for a datagram, and loses the entry then.
 */
static const struct {
	const char *call;
	uint16_t error;
} refused_calls[] = {
	{"clone3", ENOSYS},
	{"memfd_create", EPERM},
};

/*
 * What the offload does with maps and programs that are open: nothing is made, loaded or pinned.
 * The information is of what is put at the ingress of an interface that appears.
 */
static const uint32_t bpf_commands[] = {
	BPF_MAP_LOOKUP_ELEM,  BPF_MAP_UPDATE_ELEM,
	BPF_MAP_DELETE_ELEM,  BPF_MAP_GET_NEXT_KEY,
	BPF_PROG_TEST_RUN,    BPF_OBJ_GET_INFO_BY_FD,
	BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH,
	BPF_MAP_DELETE_BATCH,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

bool seccomp_supported(void)
{
	return true;
}

/* An architecture has not all of them, and neither had an older libseccomp. */
static int add(scmp_filter_ctx filter, uint32_t action, const char *name,
	       const struct condition *conditions, unsigned count)
{
	int number = seccomp_syscall_resolve_name(name);
	struct scmp_arg_cmp compare[CONDITIONS_MAX];
	unsigned used = 0;

	if (number == __NR_SCMP_ERROR)
		return 0;
	for (unsigned i = 0; i < count; i++) {
		if (conditions[i].mask != 0)
			compare[used++] = SCMP_CMP(conditions[i].argument, SCMP_CMP_MASKED_EQ,
						   conditions[i].mask, conditions[i].value);
	}
	return seccomp_rule_add_array(filter, action, number, used, compare);
}

/* Signals go to this process alone: only now is its number known. */
static int add_signals(scmp_filter_ctx filter)
{
	const struct condition itself = {0, INT_MASK, (uint64_t)getpid()};
	int error = add(filter, SCMP_ACT_ALLOW, "kill", &itself, 1);

	return error < 0 ? error : add(filter, SCMP_ACT_ALLOW, "tgkill", &itself, 1);
}

static int add_bpf(scmp_filter_ctx filter)
{
	int error = 0;

	for (size_t i = 0; i < COUNT(bpf_commands) && error == 0; i++) {
		const struct condition command = {0, INT_MASK, bpf_commands[i]};

		error = add(filter, SCMP_ACT_ALLOW, "bpf", &command, 1);
	}
	return error;
}

static int add_all(scmp_filter_ctx filter, enum seccomp_use use, bool bpf)
{
	int error = add_signals(filter);

	if (error == 0 && bpf)
		error = add_bpf(filter);
	for (size_t i = 0; i < COUNT(allowed_calls) && error == 0; i++)
		error = add(filter, SCMP_ACT_ALLOW, allowed_calls[i], NULL, 0);
	for (size_t i = 0; i < COUNT(allowed_rules) && error == 0; i++)
		error = add(filter, SCMP_ACT_ALLOW, allowed_rules[i].call,
			    allowed_rules[i].conditions, CONDITIONS_MAX);
	for (size_t i = 0; i < COUNT(refused_calls) && error == 0; i++) {
		if (use == SECCOMP_USE_ON)
			error = add(filter, SCMP_ACT_ERRNO(refused_calls[i].error),
				    refused_calls[i].call, NULL, 0);
	}
	return error;
}

static uint32_t default_action(enum seccomp_use use)
{
	return use == SECCOMP_USE_LOG ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS;
}

static int set(scmp_filter_ctx filter, enum scmp_filter_attr attribute, uint32_t value, int error)
{
	return error < 0 ? error : seccomp_attr_set(filter, attribute, value);
}

static int prepare(scmp_filter_ctx filter, enum seccomp_use use, bool bpf)
{
	/* Plugins' threads are there already. */
	int error = set(filter, SCMP_FLTATR_CTL_TSYNC, 1, 0);

	/*
	 * Calls of another table than this program's, x32 and 32-bit x86 among them. By default
	 * they would end the calling thread alone, and leave mmproxy without a worker.
	 */
	error = set(filter, SCMP_FLTATR_ACT_BADARCH, default_action(use), error);
	/* The kernel's own reason. */
	error = set(filter, SCMP_FLTATR_API_SYSRAWRC, 1, error);
	/* The number -1 is a tracer's, strace's among them, for a call that is not to be made. */
	error = set(filter, SCMP_FLTATR_API_TSKIP, 1, error);
	/*
	 * Kernels before 5.16 would also slow each thread down against speculation, on behalf of
	 * programs that run foreign code in a sandbox of their own. There is none here.
	 */
	error = set(filter, SCMP_FLTATR_CTL_SSB, 1, error);
	/* A tree instead of a list of some 200 comparisons. */
	error = set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2, error);
	if (error == 0)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, -1, 0);
	return error < 0 ? error : add_all(filter, use, bpf);
}

/* Also false in a container whose own filter refuses to be asked. */
static bool kernel_has_filters(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/*
 * libseccomp 2.5 leaves a rule out, without a word, where it gets no memory for it, and mmproxy
 * would end at the call. So what it may need, with some 200 rules, is asked for first.
 */
#define FILTER_BYTES (1 << 20)

static bool has_memory_for_filter(void)
{
	/* Volatile, or the compiler would take it for granted. */
	void *volatile memory = malloc(FILTER_BYTES);

	free(memory);
	return memory != NULL;
}

int seccomp_enforce(enum seccomp_use use, bool bpf)
{
	scmp_filter_ctx filter;
	int error;

	if (use == SECCOMP_USE_OFF)
		return 0;
	if (!kernel_has_filters())
		return -ENOSYS;
	if (!has_memory_for_filter())
		return -ENOMEM;
	filter = seccomp_init(default_action(use));
	if (filter == NULL)
		return -ENOMEM;
	error = prepare(filter, use, bpf);
	if (error == 0)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

static int verify_thread(const char *thread)
{
	char path[64], line[256];
	unsigned mode = SECCOMP_MODE_DISABLED;
	bool told = false, ended;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", thread);
	status = fopen(path, "re");
	if (status == NULL)
		return errno == ENOENT ? 0 : -errno; /* it has ended */
	while (!told && fgets(line, sizeof(line), status) != NULL)
		told = sscanf(line, "Seccomp: %u", &mode) == 1;
	/* Or it ended after the file was opened. */
	ended = !told && ferror(status) && errno == ESRCH;
	fclose(status);
	if (ended)
		return 0;
	return mode == SECCOMP_MODE_FILTER ? 0 : -EPERM;
}

int seccomp_verify(void)
{
	DIR *threads = opendir("/proc/self/task");
	const struct dirent *thread;
	int error = 0;

	if (threads == NULL)
		return -errno;
	while (error == 0 && (thread = readdir(threads)) != NULL) {
		if (thread->d_name[0] != '.')
			error = verify_thread(thread->d_name);
	}
	closedir(threads);
	return error;
}
