/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts of users: what counts for whom, and what a limit says. */
#include <errno.h>
#include <string.h>

#include "broker.h"
#include "support/fixture.h"

static struct km_broker broker;
static struct km_config config;
static char text[256];

static void prepare(void)
{
	km_config_init(&config);
	broker.config = &config;
	LIST_INIT(&broker.accounts);
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
	struct km_account *a = km_account_ref(&broker, 1000), *b = km_account_ref(&broker, 1001);

	ck_assert_ptr_ne(a, b);
	ck_assert_ptr_eq(km_account_ref(&broker, 1000), a);
	km_account_unref(a);
	ck_assert_ptr_eq(km_account_ref(&broker, 1000), a);
	km_account_unref(a);
	km_account_unref(a);
	ck_assert_ptr_eq(LIST_FIRST(&broker.accounts), b);
	ck_assert_ptr_null(LIST_NEXT(b, next));
	km_account_unref(b);
	km_account_unref(NULL);
	ck_assert(LIST_EMPTY(&broker.accounts));
}
END_TEST

START_TEST(take_and_give_count_for_the_user_and_in_all)
{
	prepare();
	struct km_account *a = km_account_ref(&broker, 1000), *b = km_account_ref(&broker, 1001);

	for (int resource = 0; resource < KM_RESOURCES; resource++) {
		km_account_take(a, (enum km_resource)resource, 5);
		km_account_take(b, (enum km_resource)resource, 2);
		km_account_give(a, (enum km_resource)resource, 1);
		ck_assert_uint_eq(a->used[resource], 4);
		ck_assert_uint_eq(b->used[resource], 2);
		ck_assert_uint_eq(broker.used[resource], 6);
	}
	km_account_unref(a);
	km_account_unref(b);
}
END_TEST

START_TEST(check_says_which_limit_of_whom_and_where)
{
	prepare();
	struct km_account *a = km_account_ref(&broker, 1000), *b = km_account_ref(&broker, 1001);

	config.total[KM_TOPICS] = (struct km_limit){ 5, { "/etc/x", 3 } };
	config.user[KM_TOPICS] = (struct km_limit){ 3, { "/etc/y", 4 } };
	km_account_take(a, KM_TOPICS, 3);
	expect(a, KM_TOPICS, 1, "the limit of 3 topics for uid 1000 is reached (/etc/y:4)");
	ck_assert_int_eq(km_account_check(b, KM_TOPICS, 2, text, sizeof text), 0);
	km_account_take(b, KM_TOPICS, 2);
	expect(b, KM_TOPICS, 1, "the limit of 5 topics for all users is reached (/etc/x:3)");
	km_account_give(a, KM_TOPICS, 1);
	ck_assert_int_eq(km_account_check(a, KM_TOPICS, 1, text, sizeof text), 0);
	/* the default has no place; 0 is no limit of one's own */
	km_account_take(a, KM_CLIENTS, 1024);
	expect(a, KM_CLIENTS, 1,
		"the limit of 1024 clients for all users is reached (the default)");
	/* of bytes it says how many are left */
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

int main(void)
{
	TCase *tc = fixture_case("account");

	tcase_add_test(tc, ref_one_account_a_user_for_as_long_as_needed);
	tcase_add_test(tc, take_and_give_count_for_the_user_and_in_all);
	tcase_add_test(tc, check_says_which_limit_of_whom_and_where);
	return fixture_run("account", tc);
}
