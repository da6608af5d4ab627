/* SPDX-License-Identifier: MIT */
/* What comes of an interface that goes while its filter is taken away. libbpf says what it is told
 * to, and no kernel is asked. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <bpf/libbpf.h>

#include "offload/filters.h"
#include "routing/netlink.h"

#define INTERFACE 7
#define HANDLE    1
#define PROGRAM   42

static int query, detach, list, destroy; /* what each of them comes to */

int __wrap_bpf_tc_query(const struct bpf_tc_hook *hook, struct bpf_tc_opts *filter);
int __wrap_bpf_tc_detach(const struct bpf_tc_hook *hook, const struct bpf_tc_opts *filter);
int __wrap_bpf_tc_hook_destroy(struct bpf_tc_hook *hook);
int __wrap_netlink_ask(struct netlink *netlink, struct nlmsghdr *request, netlink_each *each,
		       void (*restart)(void *context), void *context);

int __wrap_bpf_tc_query(const struct bpf_tc_hook *hook, struct bpf_tc_opts *filter)
{
	assert_int_equal(hook->ifindex, INTERFACE);
	filter->prog_id = PROGRAM;
	return query;
}

int __wrap_bpf_tc_detach(const struct bpf_tc_hook *hook, const struct bpf_tc_opts *filter)
{
	assert_int_equal(hook->ifindex, INTERFACE);
	assert_int_equal(filter->handle, HANDLE);
	return detach;
}

int __wrap_bpf_tc_hook_destroy(struct bpf_tc_hook *hook)
{
	assert_int_equal(hook->ifindex, INTERFACE);
	return destroy;
}

/* No interface has a filter of anybody's. */
int __wrap_netlink_ask(struct netlink *netlink, struct nlmsghdr *request, netlink_each *each,
		       void (*restart)(void *context), void *context)
{
	(void)netlink;
	(void)request;
	(void)each;
	(void)restart;
	(void)context;
	return list;
}

static int begin(void **state)
{
	(void)state;
	query = detach = list = destroy = 0;
	return 0;
}

static void a_filter_is_found_by_its_number(void **state)
{
	(void)state;
	assert_int_equal(filters_find(INTERFACE, HANDLE), PROGRAM);
	assert_int_equal(filters_detach(INTERFACE, HANDLE), 1);
}

static void none_and_not_to_be_told_are_two_things(void **state)
{
	(void)state;
	query = -ENOENT;
	assert_int_equal(filters_find(INTERFACE, HANDLE), -ENOENT);
	query = -EINVAL;
	assert_int_equal(filters_find(INTERFACE, HANDLE), -ENOENT);
	query = -EOPNOTSUPP;
	assert_int_equal(filters_find(INTERFACE, HANDLE), -ENOENT);
	query = -ENODEV;
	assert_int_equal(filters_find(INTERFACE, HANDLE), -ENODEV);
	query = -ENOBUFS;
	assert_int_equal(filters_find(INTERFACE, HANDLE), -ENOBUFS);
}

/* With the interface, or with its clsact, before it is looked for or after. */
static void a_filter_that_has_gone_needs_no_taking_away(void **state)
{
	static const int gone[] = {-ENODEV, -EINVAL, -ENOENT};

	(void)state;
	for (unsigned i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		query = 0;
		detach = gone[i];
		assert_int_equal(filters_detach(INTERFACE, HANDLE), 0);
		query = gone[i];
		detach = 0;
		assert_int_equal(filters_detach(INTERFACE, HANDLE), 0);
	}
}

static void a_filter_that_may_still_be_there_is_told(void **state)
{
	(void)state;
	detach = -ENOMEM;
	assert_int_equal(filters_detach(INTERFACE, HANDLE), -ENOMEM);
	detach = 0;
	query = -ENOBUFS;
	assert_int_equal(filters_detach(INTERFACE, HANDLE), -ENOBUFS);
}

static void a_qdisc_goes_with_its_interface(void **state)
{
	(void)state;
	assert_int_equal(filters_remove_qdisc(INTERFACE), 1);
	destroy = -ENODEV;
	assert_int_equal(filters_remove_qdisc(INTERFACE), 0);
	destroy = -EINVAL;
	assert_int_equal(filters_remove_qdisc(INTERFACE), 0);
	destroy = -EBUSY;
	assert_int_equal(filters_remove_qdisc(INTERFACE), -EBUSY);
	destroy = 0;
	list = -ENOBUFS;
	assert_int_equal(filters_remove_qdisc(INTERFACE), -ENOBUFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_filter_is_found_by_its_number, begin),
		cmocka_unit_test_setup(none_and_not_to_be_told_are_two_things, begin),
		cmocka_unit_test_setup(a_filter_that_has_gone_needs_no_taking_away, begin),
		cmocka_unit_test_setup(a_filter_that_may_still_be_there_is_told, begin),
		cmocka_unit_test_setup(a_qdisc_goes_with_its_interface, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
