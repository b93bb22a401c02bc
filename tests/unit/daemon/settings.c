/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The config that is read again while the broker serves, by a whole broker in this process, whose event
 * loop the test turns. Its clock goes a second ahead at each look, so that a turn has one piece. The
 * keys of a piece are counted.
 */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "daemon/run/config_files.h"
#include "daemon/run/config_keys.h"
#include "daemon/run/log.h"
#include "daemon/start/settings.h"
#include "daemon/start/start.h"
#include "tests/support/broker/fixture.h"

enum { RULES = 1000, KEYS = 3, MOST_A_PIECE = 16, TURNS = 4000 };

static struct km_broker broker;
static struct km_config config;
static struct km_config_source source;
static char dir[64], path[96];
static unsigned sets;

int64_t __wrap_km_clock_ns(void);
int64_t __wrap_km_clock_ns(void)
{
	static int64_t now;

	return now += INT64_C(1000000000);
}

int __real_km_config_set(struct km_config *into, enum km_config_section section, const char *key,
	const char *value, const struct km_origin *origin, char *ret_text, size_t size);
int __wrap_km_config_set(struct km_config *into, enum km_config_section section, const char *key,
	const char *value, const struct km_origin *origin, char *ret_text, size_t size);
int __wrap_km_config_set(struct km_config *into, enum km_config_section section, const char *key,
	const char *value, const struct km_origin *origin, char *ret_text, size_t size)
{
	sets++;
	return __real_km_config_set(into, section, key, value, origin, ret_text, size);
}

/* Writes a config with many rules, and this behind them. */
static void write_rules(unsigned rules, const char *rest)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	for (unsigned i = 0; i < rules; i++)
		fprintf(file, "[topic kickmsg:t%u]\npublish = 0\nsubscribe = 1, 2\ncreate = 0\n",
			i);
	fputs(rest, file);
	ck_assert_int_eq(fclose(file), 0);
}

static void setup(void)
{
	strcpy(dir, "/tmp/kickmsg-settings-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/config", dir);
	source.file = path;
	source.log_level = -1;
	km_config_init(&config);
	snprintf(config.socket, sizeof config.socket, "%s/socket", dir);
	ck_assert_int_eq(km_start_init(&broker, &source, &config), 0);
	sets = 0;
}

static void teardown(void)
{
	char lock[96];

	km_start_deinit(&broker);
	km_log_deinit();
	km_config_deinit(&config);
	snprintf(lock, sizeof lock, "%s/socket.lock", dir);
	unlink(lock);
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

/* One round of the event loop. */
static void turn(void)
{
	const unsigned before = sets;

	event_base_loop(broker.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	ck_assert_uint_le(sets - before, MOST_A_PIECE);
}

static void read_again(void)
{
	km_settings_read_again(&broker);
	ck_assert_uint_eq(sets, 0);
	for (int i = 0; broker.reading && i < TURNS; i++)
		turn();
	ck_assert_ptr_null(broker.reading);
}

START_TEST(read_again_many_rules_made_in_pieces)
{
	setup();
	write_rules(RULES, "[limits]\nclients = 77\n");
	read_again();
	ck_assert_uint_eq(sets, RULES * KEYS + 1);
	ck_assert_uint_eq(config.policy.count, RULES);
	ck_assert_uint_eq(config.total[KM_CLIENTS].value, 77);
	ck_assert_uint_eq(config.total[KM_CLIENTS].origin.line, 4 * RULES + 2);
	ck_assert_str_eq(broker.config_error, "");
	teardown();
}
END_TEST

START_TEST(read_again_wrong_at_the_end_nothing_counts)
{
	char where[128];

	setup();
	write_rules(RULES, "[limits]\nclients = 77\ntopics = many\n");
	read_again();
	ck_assert_uint_eq(config.policy.count, 0);
	ck_assert_uint_ne(config.total[KM_CLIENTS].value, 77);
	snprintf(where, sizeof where, "%s:%d: ", path, 4 * RULES + 3);
	ck_assert_msg(
		strncmp(broker.config_error, where, strlen(where)) == 0, "%s", broker.config_error);
	teardown();
}
END_TEST

/* The config is read from its beginning once more. */
START_TEST(read_again_while_it_is_read_the_last_counts)
{
	setup();
	write_rules(RULES, "");
	km_settings_read_again(&broker);
	for (int i = 0; i < 20; i++)
		turn();
	ck_assert_ptr_nonnull(broker.reading);
	km_settings_read_again(&broker);
	for (int i = 0; config.policy.count == 0 && i < TURNS; i++)
		turn();
	ck_assert_ptr_nonnull(broker.reading);
	write_rules(1, "");
	for (int i = 0; broker.reading && i < TURNS; i++)
		turn();
	ck_assert_uint_eq(config.policy.count, 1);
	teardown();
}
END_TEST

START_TEST(read_again_broker_ends_meanwhile)
{
	setup();
	write_rules(RULES, "");
	km_settings_read_again(&broker);
	for (int i = 0; i < 20; i++)
		turn();
	ck_assert_ptr_nonnull(broker.reading);
	teardown();
}
END_TEST

/* A line that is wrong is named, and a section goes on, wherever the borders of pieces are. */
START_TEST(read_pieces_have_the_lines_of_the_file)
{
	static const char *const wrong[] = { "neither", "[nothing]", "clients = none", "a = b",
		" x = y" };
	struct km_config fresh;
	char text[768], where[128];

	setup();
	for (unsigned line = 2; line < 4 * MOST_A_PIECE; line++) {
		FILE *file = fopen(path, "w");

		fputs("[limits]\n", file);
		for (unsigned i = 2; i < line; i++)
			fputs(i % 3 ? "# nothing\n" : "topics = 7\n", file);
		fprintf(file, "%s\ntopics = 8\n", wrong[line % 5]);
		fclose(file);
		ck_assert_int_lt(km_config_read(&source, &fresh, NULL, text, sizeof text), 0);
		snprintf(where, sizeof where, "%s:%u: ", path, line);
		ck_assert_msg(strncmp(text, where, strlen(where)) == 0, "line %u: %s", line, text);
	}
	teardown();
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("settings");

	tcase_add_test(tc, read_again_many_rules_made_in_pieces);
	tcase_add_test(tc, read_again_wrong_at_the_end_nothing_counts);
	tcase_add_test(tc, read_again_while_it_is_read_the_last_counts);
	tcase_add_test(tc, read_again_broker_ends_meanwhile);
	tcase_add_test(tc, read_pieces_have_the_lines_of_the_file);
	return fixture_run("settings", tc);
}
