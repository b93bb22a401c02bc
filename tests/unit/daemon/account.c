/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts of users: what counts for whom, and what a limit says. */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "daemon/run/account.h"
#include "tests/support/broker/fixture.h"

static struct km_accounts accounts;
static struct km_config config;
static char text[256];

static void prepare(void)
{
	km_config_init(&config);
	km_accounts_init(&accounts, &config);
}

static void expect(const struct km_account *account, enum km_resource resource, uint64_t amount,
	const char *says)
{
	ck_assert_int_eq(km_account_check(account, resource, amount, text, sizeof text), -EDQUOT);
	ck_assert_str_eq(text, says);
}

START_TEST(ref_one_account_a_user_for_as_long_as_needed)
{
	prepare();
	struct km_account *a = km_account_ref(&accounts, 1000),
			  *b = km_account_ref(&accounts, 1001);

	ck_assert_ptr_ne(a, b);
	ck_assert_ptr_eq(km_account_ref(&accounts, 1000), a);
	km_account_unref(a);
	ck_assert_ptr_eq(km_account_ref(&accounts, 1000), a);
	km_account_unref(a);
	km_account_unref(a);
	ck_assert_ptr_eq(LIST_FIRST(&accounts.list), b);
	ck_assert_ptr_null(LIST_NEXT(b, next));
	km_account_unref(b);
	km_account_unref(NULL);
	ck_assert(LIST_EMPTY(&accounts.list));
}
END_TEST

START_TEST(take_and_give_count_for_the_user_and_in_all)
{
	prepare();
	struct km_account *a = km_account_ref(&accounts, 1000),
			  *b = km_account_ref(&accounts, 1001);

	for (int resource = 0; resource < KM_RESOURCES; resource++) {
		km_account_take(a, (enum km_resource)resource, 5);
		km_account_take(b, (enum km_resource)resource, 2);
		km_account_give(a, (enum km_resource)resource, 1);
		ck_assert_uint_eq(a->used[resource], 4);
		ck_assert_uint_eq(b->used[resource], 2);
		ck_assert_uint_eq(accounts.used[resource], 6);
	}
	km_account_unref(a);
	km_account_unref(b);
}
END_TEST

START_TEST(check_says_which_limit_of_whom_and_where)
{
	prepare();
	struct km_account *a = km_account_ref(&accounts, 1000),
			  *b = km_account_ref(&accounts, 1001);

	config.total[KM_TOPICS] = (struct km_limit){ 5, { "/etc/x", 3 } };
	config.user[KM_TOPICS] = (struct km_limit){ 3, { "/etc/y", 4 } };
	km_account_take(a, KM_TOPICS, 3);
	expect(a, KM_TOPICS, 1, "the limit of 3 topics for uid 1000 is reached (/etc/y:4)");
	ck_assert_int_eq(km_account_check(b, KM_TOPICS, 2, text, sizeof text), 0);
	km_account_take(b, KM_TOPICS, 2);
	expect(b, KM_TOPICS, 1, "the limit of 5 topics for all users is reached (/etc/x:3)");
	km_account_give(a, KM_TOPICS, 1);
	ck_assert_int_eq(km_account_check(a, KM_TOPICS, 1, text, sizeof text), 0);
	/* the default limit stands in no file; a user's limit of 0 is none */
	km_account_take(a, KM_CLIENTS, 1024);
	expect(a, KM_CLIENTS, 1,
		"the limit of 1024 clients for all users is reached (the default)");
	/* a limit of bytes also says how many are left */
	config.total[KM_BYTES] = (struct km_limit){ 1000, { "/etc/x", 7 } };
	km_account_take(a, KM_BYTES, 900);
	expect(b, KM_BYTES, 101,
		"101 bytes are needed, of the limit of 1000 for all users are 100 left (/etc/x:7)");
	config.user[KM_BYTES] = (struct km_limit){ 950, { "/etc/y", 8 } };
	expect(a, KM_BYTES, 51,
		"51 bytes are needed, of the limit of 950 for uid 1000 are 50 left (/etc/y:8)");
	ck_assert_int_eq(km_account_check(a, KM_BYTES, 50, text, sizeof text), 0);
	/* limits that were lowered below what there is, and numbers that would overflow */
	config.user[KM_BYTES].value = 1;
	expect(a, KM_BYTES, UINT64_MAX,
		"18446744073709551615 bytes are needed, of the limit of 1 for uid 1000 are 0 left "
		"(/etc/y:8)");
	km_account_unref(a);
	km_account_unref(b);
}
END_TEST

/* A user may have ten seconds' worth at once, and then one at a time. The account of a user that is
 * ahead of its rate is kept, even if the user has nothing left. */
START_TEST(rate_burst_then_one_in_its_time)
{
	const int64_t second = 1000000000, start = km_clock_ns();
	struct km_account *a, *root;

	prepare();
	config.policy.self = 7;
	config.user_rate[KM_TOPICS] = (struct km_limit){ 4, { "/etc/z", 9 } };
	a = km_account_ref(&accounts, 1000);
	root = km_account_ref(&accounts, 0);
	for (int i = 0; i < 100; i++) {
		int r = km_account_take_rate(a, KM_TOPICS, start, text, sizeof text);

		ck_assert_int_eq(r, i < 40 ? 0 : -EDQUOT);
		ck_assert_int_eq(
			km_account_take_rate(root, KM_TOPICS, start, text, sizeof text), 0);
	}
	ck_assert_str_eq(text, "uid 1000 makes more than 4 topics a second (/etc/z:9)");
	ck_assert_int_eq(
		km_account_take_rate(a, KM_TOPICS, start + second / 4, text, sizeof text), 0);
	ck_assert_int_lt(
		km_account_take_rate(a, KM_TOPICS, start + second / 4, text, sizeof text), 0);
	/* without a rate for it */
	config.user_rate[KM_CLIENTS].value = 0;
	ck_assert_int_eq(km_account_take_rate(a, KM_CLIENTS, start, text, sizeof text), 0);
	km_account_unref(root);
	km_account_unref(a);
	km_account_sweep(&accounts, start + second);
	ck_assert_ptr_eq(km_account_ref(&accounts, 1000), a);
	km_account_unref(a);
	km_account_sweep(&accounts, start + 11 * second);
	ck_assert(LIST_EMPTY(&accounts.list));
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("account");

	tcase_add_test(tc, ref_one_account_a_user_for_as_long_as_needed);
	tcase_add_test(tc, take_and_give_count_for_the_user_and_in_all);
	tcase_add_test(tc, rate_burst_then_one_in_its_time);
	tcase_add_test(tc, check_says_which_limit_of_whom_and_where);
	return fixture_run("account", tc);
}
