/* SPDX-License-Identifier: MIT */
/*
 * Every item is counted twice: by the plans of this process that name it, and by the token that
 * tells other processes. Whatever looks and then changes does so under the lock of the tokens.
 */
#include "routing/return_keeper.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log_limiter.h"
#include "base/report.h"
#include "os/log.h"
#include "os/loop.h"
#include "routing/netlink.h"
#include "routing/return_item.h"
#include "routing/return_orphans.h"
#include "routing/return_plan.h"
#include "routing/route_notices.h"
#include "routing/token.h"

/* Milliseconds. What wipes rules rarely wipes one alone, and is to be done with it first. */
#define LOOK_DELAY 100
/* Between two of them, so that a quarrel with a program that removes them again stays small. */
#define LOOK_INTERVAL 300
/* Until another try at what could not be put back. */
#define LOOK_AGAIN 1000

/* Milliseconds to wait for another instance's end of a change: at a start or an end, and while a
 * rule is missing. */
#define LOCK_PATIENCE  2000
#define LOCK_IMPATIENT 300

struct kept {
	struct list link;
	struct return_item item;
	unsigned plans; /* that need it */
	int token;      /* negative: none was to be had */
	int error;      /* why it is not there; 0: it is */
};

struct return_keeper {
	struct loop *loop;
	struct netlink *netlink;
	int route_notices, table_notices; /* -1: not watched */
	struct loop_source route_source, table_source;
	struct timer timer; /* a look at everything */
	uint64_t looked;    /* when the last one was, in the loop's time */
	struct list kept;   /* routes, then rules, then tables, of each plan */
	uint64_t put_back;
	struct log_limiter limiter;
	bool lock_missed; /* has been told */
	bool adopted;     /* what crashed instances had left has been looked at */
};

static int take_lock(struct return_keeper *keeper, unsigned patience)
{
	int lock = token_lock(keeper->lock_missed ? LOCK_IMPATIENT : patience);

	if (lock < 0 && !keeper->lock_missed)
		log_warning("routing",
			    "the lock between instances is not free, going on without it",
			    LOG_ERRNO("error", lock),
			    LOG_TEXT("hint", "see who has bound @mmproxy/routing/lock: ss -xap"));
	keeper->lock_missed = lock < 0;
	return lock;
}

static struct kept *find(const struct return_keeper *keeper, const struct return_item *item)
{
	for (struct list *link = keeper->kept.next; link != &keeper->kept; link = link->next) {
		struct kept *kept = container_of(link, struct kept, link);

		if (return_item_equal(&kept->item, item))
			return kept;
	}
	return NULL;
}

static bool concerns(uint32_t table, void *context)
{
	const struct return_keeper *keeper = context;

	for (struct list *link = keeper->kept.next; link != &keeper->kept; link = link->next) {
		const struct return_item *item = &container_of(link, struct kept, link)->item;

		if ((item->kind == RETURN_ITEM_ROUTE && item->route.table == table) ||
		    (item->kind == RETURN_ITEM_RULE && item->rule.table == table))
			return true;
	}
	return false;
}

/*
 * A look at everything, and what comes of it.
 */

static void tell_put_back(struct return_keeper *keeper, const struct return_item_names *names)
{
	static const struct address nobody;
	uint64_t suppressed;

	keeper->put_back++;
	if (log_limiter_admit(&keeper->limiter, &nobody, 0, keeper->loop->now, &suppressed))
		log_warning("routing", "put back, something had removed it",
			    LOG_TEXT("what", names->text),
			    suppressed > 0 ? LOG_NUMBER("suppressed", suppressed) : LOG_NOTHING);
}

/* A line when something becomes wrong, wrong in another way, or right. */
static void tell_change(const struct kept *kept, int result, const char *problem)
{
	char text[RETURN_COMMAND_SIZE];
	int error = result < 0 ? result : 0;

	if (error == kept->error)
		return;
	return_item_text(&kept->item, text);
	if (error == -EAFNOSUPPORT)
		log_info("routing", "left out", LOG_TEXT("what", text), LOG_TEXT("why", problem));
	else if (error < 0)
		log_error("routing", "cannot be put in place", LOG_TEXT("what", text),
			  LOG_TEXT("why", problem));
	else
		log_info("routing", "in place now", LOG_TEXT("what", text));
}

static void look(struct return_keeper *keeper)
{
	struct return_item_names names = {0};
	char problem[RETURN_PROBLEM_SIZE];
	int locked = take_lock(keeper, LOCK_IMPATIENT);
	bool again = false;

	for (struct list *link = keeper->kept.next; link != &keeper->kept; link = link->next) {
		struct kept *kept = container_of(link, struct kept, link);
		int result = return_item_ensure(&kept->item, keeper->netlink, true, problem);

		if (result == 1 && kept->error == 0)
			return_item_names_add(&names, &kept->item);
		tell_change(kept, result, problem);
		kept->error = result < 0 ? result : 0;
		again = again || (result < 0 && result != -EAFNOSUPPORT);
	}
	token_unlock(locked);
	/* The kernel, and whoever had the lock, took their time. */
	loop_look_at_clock(keeper->loop);
	keeper->looked = keeper->loop->now;
	if (names.length > 0)
		tell_put_back(keeper, &names);
	if (again)
		loop_timer_set(keeper->loop, &keeper->timer, LOOK_AGAIN);
}

static void timer_expired(struct timer *timer)
{
	look(container_of(timer, struct return_keeper, timer));
}

static void look_soon(struct return_keeper *keeper)
{
	uint64_t since = keeper->loop->now - keeper->looked, delay = LOOK_DELAY;

	if (since < LOOK_INTERVAL && LOOK_INTERVAL - since > delay)
		delay = LOOK_INTERVAL - since;
	if (!timer_is_set(&keeper->timer) ||
	    keeper->timer.deadline > keeper->loop->now + LOOK_INTERVAL)
		loop_timer_set(keeper->loop, &keeper->timer, delay);
}

static void routes_ready(struct loop_source *source, uint32_t events)
{
	struct return_keeper *keeper = container_of(source, struct return_keeper, route_source);

	(void)events;
	if (route_notices_read(keeper->route_notices, concerns, keeper))
		look_soon(keeper);
}

static void tables_ready(struct loop_source *source, uint32_t events)
{
	struct return_keeper *keeper = container_of(source, struct return_keeper, table_source);

	(void)events;
	if (table_notices_read(keeper->table_notices))
		look_soon(keeper);
}

/*
 * Plans come and go.
 */

/* Whoever looks after the host's routing wants to know who has changed what. */
struct changes {
	struct return_item_names added, removed;
};

static void tell_changes(const struct changes *changes)
{
	if (changes->added.length > 0)
		log_info("routing", "put in place", LOG_TEXT("what", changes->added.text));
	if (changes->removed.length > 0)
		log_info("routing", "removed", LOG_TEXT("what", changes->removed.text));
}

static struct kept *add_kept(struct return_keeper *keeper, const struct return_item *item)
{
	struct kept *kept = calloc(1, sizeof(*kept));

	if (kept == NULL)
		return NULL;
	kept->item = *item;
	kept->token = -1;
	list_append(&keeper->kept, &kept->link);
	return kept;
}

static void remove_kept(struct kept *kept)
{
	token_drop(kept->token);
	list_remove(&kept->link);
	return_item_finish(&kept->item);
	free(kept);
}

/* Unless another instance needs it. With the lock in hand. */
static void take_away(struct return_keeper *keeper, struct return_item *item,
		      struct return_item_names *removed)
{
	char name[TOKEN_NAME_SIZE], problem[RETURN_PROBLEM_SIZE], text[RETURN_COMMAND_SIZE];
	int result;

	if (token_is_held(return_item_token(item, name)))
		return;
	result = return_item_remove(item, keeper->netlink, problem);
	if (result < 0)
		log_error("routing", "cannot be removed",
			  LOG_TEXT("what", return_item_text(item, text)), LOG_TEXT("why", problem));
	else if (result == 1)
		return_item_names_add(removed, item);
}

/* With the lock in hand. */
static void release(struct return_keeper *keeper, const struct return_item *item,
		    struct return_item_names *removed)
{
	struct kept *kept = find(keeper, item);

	if (kept == NULL || --kept->plans > 0)
		return;
	token_drop(kept->token);
	kept->token = -1;
	take_away(keeper, &kept->item, removed);
	remove_kept(kept);
}

/* Without a token others may remove it, and it is put back. */
static bool take_token(struct kept *kept)
{
	char name[TOKEN_NAME_SIZE], text[RETURN_COMMAND_SIZE];
	bool shared = token_is_held(return_item_token(&kept->item, name));

	kept->token = token_take(name);
	if (kept->token < 0)
		log_warning("routing", "other instances will not know that this one needs this",
			    LOG_TEXT("what", return_item_text(&kept->item, text)),
			    LOG_TEXT("token", name), LOG_ERRNO("error", kept->token));
	return shared;
}

/* With the lock in hand. */
static int hold(struct return_keeper *keeper, const struct return_item *item,
		struct changes *changes, struct report *failures)
{
	struct kept *kept = find(keeper, item);
	char problem[RETURN_PROBLEM_SIZE] = "out of memory", text[RETURN_COMMAND_SIZE];
	bool shared = true;
	int result = -ENOMEM;

	return_item_text(item, text);
	if (kept == NULL) {
		kept = add_kept(keeper, item);
		if (kept != NULL)
			shared = take_token(kept);
	}
	if (kept != NULL) {
		kept->plans++;
		result = return_item_ensure(&kept->item, keeper->netlink, shared, problem);
		if (result == -EAFNOSUPPORT)
			tell_change(kept, result, problem);
		kept->error = result < 0 ? result : 0;
	}
	if (result == 1)
		return_item_names_add(&changes->added, item);
	if (result >= 0 || result == -EAFNOSUPPORT)
		return 0;
	report_add_failure(failures, "routing: `%s` cannot be put in place: %s", text, problem);
	if (kept != NULL)
		release(keeper, item, &changes->removed);
	return -EIO;
}

struct adoption {
	struct return_keeper *keeper;
	struct return_item_names *removed;
};

/* With the lock in hand. What a plan of ours or another instance needs stays. */
static void judge_orphan(struct return_item *item, void *context)
{
	const struct adoption *adoption = context;

	if (find(adoption->keeper, item) == NULL)
		take_away(adoption->keeper, item, adoption->removed);
	return_item_finish(item);
}

/*
 * What crashed instances have left is adopted by being found in place. What this one has no use for
 * since its settings have changed would stay for ever.
 */
static void remove_orphans(struct return_keeper *keeper, struct return_item_names *removed)
{
	struct adoption adoption = {keeper, removed};

	if (!keeper->adopted)
		return_orphans_find(keeper->netlink, judge_orphan, &adoption);
	keeper->adopted = true;
}

/* The other way round: a rule goes before its route. With the lock in hand. */
static void release_some(struct return_keeper *keeper, const struct return_plan *plan, size_t count,
			 struct return_item_names *removed)
{
	while (count > 0) {
		struct return_item item = return_item_of(plan, --count);

		release(keeper, &item, removed);
	}
}

/* Tables are watched once there are some: hosts may have much news of theirs. */
static void watch_tables(struct return_keeper *keeper)
{
	int error = 0;

	if (keeper->table_notices >= 0)
		return;
	keeper->table_notices = table_notices_open();
	if (keeper->table_notices < 0)
		error = keeper->table_notices;
	else
		error = loop_watch(keeper->loop, keeper->table_notices, EPOLLIN,
				   &keeper->table_source);
	if (error < 0)
		log_warning("routing", "it will go unnoticed when a table of nftables is removed",
			    LOG_ERRNO("error", error));
}

int return_keeper_hold(struct return_keeper *keeper, const struct return_plan *plan,
		       struct report *failures)
{
	size_t held = 0, count = return_item_count(plan);
	struct changes changes = {0};
	int error = 0, locked;

	if (plan->mark_count > 0)
		watch_tables(keeper);
	locked = take_lock(keeper, LOCK_PATIENCE);
	while (error == 0 && held < count) {
		struct return_item item = return_item_of(plan, held);

		error = hold(keeper, &item, &changes, failures);
		held += error == 0 ? 1 : 0;
	}
	if (error < 0)
		release_some(keeper, plan, held, &changes.removed);
	else
		remove_orphans(keeper, &changes.removed);
	token_unlock(locked);
	tell_changes(&changes);
	return error;
}

void return_keeper_release(struct return_keeper *keeper, const struct return_plan *plan)
{
	struct changes changes = {0};
	int locked = take_lock(keeper, LOCK_PATIENCE);

	release_some(keeper, plan, return_item_count(plan), &changes.removed);
	token_unlock(locked);
	tell_changes(&changes);
}

struct return_keeper_state return_keeper_look(const struct return_keeper *keeper)
{
	struct return_keeper_state state = {.put_back = keeper->put_back};

	for (struct list *link = keeper->kept.next; link != &keeper->kept; link = link->next) {
		state.items++;
		state.missing += container_of(link, struct kept, link)->error < 0 ? 1 : 0;
	}
	return state;
}

struct return_keeper *return_keeper_create(struct loop *loop)
{
	struct return_keeper *keeper = calloc(1, sizeof(*keeper));
	int error = 0;

	if (keeper == NULL)
		return NULL;
	keeper->loop = loop;
	list_init(&keeper->kept);
	timer_init(&keeper->timer, timer_expired);
	keeper->route_source.ready = routes_ready;
	keeper->table_source.ready = tables_ready;
	keeper->table_notices = -1;
	keeper->netlink = netlink_open(NETLINK_ROUTE);
	if (keeper->netlink == NULL)
		error = -errno;
	keeper->route_notices = error == 0 ? route_notices_open() : -1;
	if (error == 0 && keeper->route_notices < 0)
		error = keeper->route_notices;
	if (error == 0)
		error = loop_watch(loop, keeper->route_notices, EPOLLIN, &keeper->route_source);
	if (error == 0)
		return keeper;
	return_keeper_destroy(keeper);
	errno = -error;
	return NULL;
}

void return_keeper_destroy(struct return_keeper *keeper)
{
	if (keeper == NULL)
		return;
	timer_drop(&keeper->timer);
	if (keeper->route_notices >= 0)
		close(keeper->route_notices);
	if (keeper->table_notices >= 0)
		close(keeper->table_notices);
	netlink_close(keeper->netlink);
	free(keeper);
}
