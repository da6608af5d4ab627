/* SPDX-License-Identifier: MIT */
/* Abstract Unix sockets as tokens and as a lock. Their names are what is looked at, not what they
 * say: nobody listens to a token, and nothing is accepted by the lock. */
#include "routing/token.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* How many instances of a namespace can need the same. */
#define TOKEN_SLOTS 64

/* Those that can wait for the lock at once; more of them wait for room. */
#define LOCK_BACKLOG 128

static const char lock_name[] = "mmproxy/routing/lock";

static socklen_t name_address(const char *name, struct sockaddr_un *address)
{
	size_t length = strnlen(name, sizeof(address->sun_path) - 1);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path + 1, name, length);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

/* A descriptor; -EADDRINUSE: somebody has the name. */
static int bind_name(const char *name)
{
	struct sockaddr_un address;
	socklen_t length = name_address(name, &address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, length) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

static int bind_slot(const char *name, unsigned slot)
{
	char whole[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

	snprintf(whole, sizeof(whole), "mmproxy/routing/%s/%u", name, slot);
	return bind_name(whole);
}

int token_take(const char *name)
{
	int token = -EADDRINUSE;

	for (unsigned slot = 0; token == -EADDRINUSE && slot < TOKEN_SLOTS; slot++)
		token = bind_slot(name, slot);
	return token == -EADDRINUSE ? -EUSERS : token;
}

void token_drop(int token)
{
	if (token >= 0)
		close(token);
}

bool token_is_held(const char *name)
{
	for (unsigned slot = 0; slot < TOKEN_SLOTS; slot++) {
		int token = bind_slot(name, slot);

		/* What cannot be found out must not cost another instance its rule. */
		if (token < 0)
			return true;
		token_drop(token);
	}
	return false;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for the end of whoever has the lock, which hangs up on all who have connected to it. */
static void await_release(int64_t left)
{
	const struct timeval patience = {left / 1000, left % 1000 * 1000};
	struct sockaddr_un address;
	socklen_t length = name_address(lock_name, &address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pollfd waited = {.fd = fd, .events = POLLIN};

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&address, length) == 0)
		poll(&waited, 1, (int)left);
	else
		sched_yield(); /* it came free, or is not listened to yet */
	close(fd);
}

int token_lock(unsigned patience)
{
	int64_t deadline = now_ms() + patience, left = patience;
	int lock;

	while ((lock = bind_name(lock_name)) == -EADDRINUSE && left > 0) {
		await_release(left);
		left = deadline - now_ms();
	}
	if (lock >= 0 && listen(lock, LOCK_BACKLOG) < 0) {
		token_unlock(lock);
		return -EINVAL;
	}
	return lock == -EADDRINUSE ? -ETIMEDOUT : lock;
}

void token_unlock(int lock)
{
	token_drop(lock);
}
