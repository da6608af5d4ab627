/* SPDX-License-Identifier: MIT */
/* What the doctor makes of interfaces whose filter is found, is not, or cannot be looked for. The
 * interfaces are this host's: lo at least. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "doctor/offload_facts.h"
#include "offload/filters.h"

int64_t __wrap_filters_find(unsigned interface, uint32_t handle);
bool __wrap_config_wants_offload(const struct config *config, struct loopback_needs *needs);

static int64_t found; /* at each interface */

int64_t __wrap_filters_find(unsigned interface, uint32_t handle)
{
	assert_int_not_equal(interface, 0);
	assert_int_not_equal(handle, 0);
	return found;
}

bool __wrap_config_wants_offload(const struct config *config, struct loopback_needs *needs)
{
	(void)config;
	(void)needs;
	return true;
}

static struct offload_facts facts_where(int64_t result)
{
	char directory[] = "/nonexistent/mmproxy";
	const struct config config = {.offload_directory = directory};
	struct offload_facts facts;

	found = result;
	offload_facts_read(&facts, &config);
	return facts;
}

static void an_interface_with_a_filter_counts(void **state)
{
	struct offload_facts facts = facts_where(42);

	(void)state;
	assert_int_equal(facts.error, 0);
	assert_true(facts.filters >= 1);
	assert_string_equal(facts.without, "");
}

static void an_interface_without_one_is_named(void **state)
{
	struct offload_facts facts = facts_where(-ENOENT);

	(void)state;
	assert_int_equal(facts.error, 0);
	assert_int_equal(facts.filters, 0);
	assert_string_not_equal(facts.without, "");
}

static void an_interface_that_has_gone_lacks_nothing(void **state)
{
	struct offload_facts facts = facts_where(-ENODEV);

	(void)state;
	assert_int_equal(facts.error, 0);
	assert_int_equal(facts.filters, 0);
	assert_string_equal(facts.without, "");
}

static void what_cannot_be_looked_at_is_not_taken_for_missing(void **state)
{
	struct offload_facts facts = facts_where(-ENOBUFS);

	(void)state;
	assert_int_equal(facts.error, -ENOBUFS);
	assert_string_equal(facts.without, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interface_with_a_filter_counts),
		cmocka_unit_test(an_interface_without_one_is_named),
		cmocka_unit_test(an_interface_that_has_gone_lacks_nothing),
		cmocka_unit_test(what_cannot_be_looked_at_is_not_taken_for_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
