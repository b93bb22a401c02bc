/* SPDX-License-Identifier: Apache-2.0 */
/* How kickmsgctl draws times: lines of equal widths, or of equal ratios where the times differ much. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/distribution.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "tests/support/suite.h"

enum { LINES = 12 };

unsigned ctl_terminal_columns(void)
{
	return 80;
}

void json_add_int(struct json_object *object, const char *key, uint64_t value)
{
}

/* The lines of the picture. */
static struct line {
	double begin; /* us */
	unsigned long count;
	size_t bar;
} lines[LINES];

static void draw(const struct ctl_distribution *spread)
{
	FILE *const before = stdout;
	char *text = NULL, *rest = NULL;
	size_t size, count = 0;

	stdout = open_memstream(&text, &size);
	ctl_distribution_draw(spread);
	fclose(stdout);
	stdout = before;
	for (char *at = strtok_r(text, "\n", &rest); at; at = strtok_r(NULL, "\n", &rest)) {
		char unit[3], *bar = strchr(at, '#');

		ck_assert_uint_lt(count, LINES);
		ck_assert_int_eq(
			sscanf(at, "%lf%2s %lu", &lines[count].begin, unit, &lines[count].count),
			3);
		lines[count].begin *= unit[0] == 'm' ? 1000 : 1;
		lines[count++].bar = bar ? strlen(bar) : 0;
	}
	ck_assert_uint_eq(count, LINES);
	free(text);
}

static struct ctl_distribution spread;

START_TEST(times_near_each_other_are_cut_into_equal_widths)
{
	for (uint64_t us = 100; us < 220; us++)
		ctl_distribution_add(&spread, us * 1000);
	draw(&spread);
	for (size_t i = 0; i < LINES; i++) {
		ck_assert_double_eq_tol(lines[i].begin, 100 + 10 * (double)i, 4);
		ck_assert_uint_ge(lines[i].count, 7);
		ck_assert_uint_le(lines[i].count, 13);
		ck_assert_uint_gt(lines[i].bar, 30);
	}
}
END_TEST

START_TEST(few_late_ones_dont_hide_how_the_others_are_spread)
{
	size_t drawn = 0, all = 0;

	for (uint64_t i = 0; i < 990; i++)
		ctl_distribution_add(&spread, 10000 + i * 100);
	for (int i = 0; i < 10; i++)
		ctl_distribution_add(&spread, 10000000);
	draw(&spread);
	for (size_t i = 0; i < LINES; i++) {
		drawn += lines[i].bar > 0;
		all += lines[i].count;
	}
	ck_assert_uint_ge(drawn, 4);
	ck_assert_uint_eq(all, 1000);
	ck_assert_uint_eq(lines[LINES - 1].count, 10);
}
END_TEST

/* A time of 0 is one like others. */
START_TEST(the_least_times_are_drawn)
{
	ctl_distribution_add(&spread, 0);
	ctl_distribution_add(&spread, 0);
	draw(&spread);
	ck_assert_uint_eq(lines[0].count, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-distribution");
	TCase *tc = tcase_create("ctl-distribution");

	tcase_add_test(tc, times_near_each_other_are_cut_into_equal_widths);
	tcase_add_test(tc, few_late_ones_dont_hide_how_the_others_are_spread);
	tcase_add_test(tc, the_least_times_are_drawn);
	suite_add_tcase(suite, tc);
	return test_suite_run(suite);
}
