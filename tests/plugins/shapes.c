/* SPDX-License-Identifier: MIT */
/*
 * One descriptor that differs in one way from what mmproxy knows: compiled once for each of the
 * macros below. Those that must load write "opened" and "filtered" into the log.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include <mmproxy/plugin.h>

/* What a later version of the interface may append. */
struct later_plugin {
	struct mmproxy_plugin known;
	int (*later)(void *state);
	uint64_t more;
};

#ifdef SHAPE_HOOKLESS
#define HOOKS .open = NULL
#else
struct shape {
	const struct mmproxy_host *host;
	struct mmproxy_instance *instance;
};

static int open_instance(const struct mmproxy_host *host, struct mmproxy_instance *instance,
			 const struct mmproxy_config *config, void **state)
{
	struct shape *shape = malloc(sizeof(*shape));

	(void)config;
	if (shape == NULL)
		return -ENOMEM;
	*shape = (struct shape){.host = host, .instance = instance};
	*state = shape;
	host->log(instance, MMPROXY_LOG_INFO, "opened");
	return 0;
}

#ifdef SHAPE_FILTERLESS
static void connected(void *state, const struct mmproxy_conn *conn, int error)
{
	const struct shape *shape = state;

	(void)conn;
	shape->host->log(shape->instance, MMPROXY_LOG_INFO, error == 0 ? "connected" : "failed");
}

static void closed(void *state, const struct mmproxy_conn *conn, const struct mmproxy_end *end)
{
	const struct shape *shape = state;

	(void)conn;
	shape->host->log(shape->instance, MMPROXY_LOG_INFO, end->reason);
}

#define HOOKS .open = open_instance, .close = free, .connected = connected, .closed = closed
#else
static int filter(void *state, const struct mmproxy_conn *conn)
{
	const struct shape *shape = state;

	(void)conn;
	shape->host->log(shape->instance, MMPROXY_LOG_INFO, "filtered");
	return MMPROXY_PASS;
}

#ifdef SHAPE_UNRESOLVED
/* No library has it: loading with all symbols resolved fails. */
extern void mmproxy_test_no_such_function(void *state);
#define CLOSE mmproxy_test_no_such_function
#else
#define CLOSE free
#endif
#define HOOKS .open = open_instance, .close = CLOSE, .filter = filter
#endif
#endif

#define KNOWN(its_size, major, minor, its_name, its_flags)                                         \
	{                                                                                          \
		.size = (its_size), .abi_major = (major), .abi_minor = (minor),                    \
		.name = (its_name), .version = "1", .flags = (its_flags), HOOKS                    \
	}
#define PLUGIN(its_size, major, minor, its_name, its_flags)                                        \
	const struct mmproxy_plugin mmproxy_plugin_v1 =                                            \
		KNOWN(its_size, major, minor, its_name, its_flags)
#define SIZE sizeof(struct mmproxy_plugin)

/* The same symbol with a longer struct behind it; the header's declaration is not in its way. */
#define LATER(tail)                                                                                \
	extern MMPROXY_EXPORT const struct later_plugin later_v1 __asm__("mmproxy_plugin_v1");     \
	const struct later_plugin later_v1 = {                                                     \
		KNOWN(sizeof(struct later_plugin), 1, 1, "shape", 0), NULL, tail}

#if defined(SHAPE_WRONG_MAJOR)
PLUGIN(SIZE, 2, 0, "shape", 0);
#elif defined(SHAPE_NO_SYMBOL)
/* As a plugin of another major version would export it. */
extern MMPROXY_EXPORT const struct mmproxy_plugin mmproxy_plugin_v2;
const struct mmproxy_plugin mmproxy_plugin_v2 = KNOWN(SIZE, 2, 0, "shape", 0);
#elif defined(SHAPE_TOO_SMALL)
PLUGIN(offsetof(struct mmproxy_plugin, closed), 1, 0, "shape", 0);
#elif defined(SHAPE_EMPTY)
PLUGIN(0, 1, 0, "shape", 0);
#elif defined(SHAPE_LATER)
LATER(0);
#elif defined(SHAPE_LATER_USED)
LATER(1);
#elif defined(SHAPE_UNKNOWN_FLAG)
PLUGIN(SIZE, 1, 0, "shape", UINT64_C(1) << 40);
#elif defined(SHAPE_MINOR_NEWER)
PLUGIN(SIZE, 1, 7, "shape", 0);
#elif defined(SHAPE_NAMELESS)
PLUGIN(SIZE, 1, 0, NULL, 0);
#elif defined(SHAPE_FILTERLESS) || defined(SHAPE_HOOKLESS) || defined(SHAPE_UNRESOLVED) ||         \
	defined(SHAPE_EXECUTABLE_STACK)
PLUGIN(SIZE, 1, 0, "shape", 0);
#else
#error "which shape?"
#endif
