/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's log: fields for the journal, and what is counted instead of logged. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/run/log.h"
#include "daemon/run/log_journal.h"
#include "daemon/run/log_limit.h"
#include "tests/support/broker/fixture.h"

#define SECOND INT64_C(1000000000)

static const struct km_log_about somebody = { 42, 1000, "camera", "image", "/kickmsg_image" };
static const struct km_log_about nobody = { -1, (uid_t)-1, "", "", "" };

static char buffer[KM_LOG_FIELDS_SIZE];
static struct iovec fields[KM_LOG_MAX_FIELDS];
static size_t field_count;

static const char *field(const char *name)
{
	for (size_t i = 0; i < field_count; i++) {
		const char *text = fields[i].iov_base;

		ck_assert_uint_eq(strlen(text), fields[i].iov_len);
		if (strncmp(text, name, strlen(name)) == 0 && text[strlen(name)] == '=')
			return text + strlen(name) + 1;
	}
	return NULL;
}

START_TEST(fields_peer_and_topic_are_all_there)
{
	struct km_log_place place = { "daemon/x.c", 12, "km_x" };
	struct km_log_entry entry = { LOG_WARNING | KM_EVENT_REFUSED, &somebody, "refused", 7 };

	field_count = km_log_journal_fields(&place, &entry, "refused pid=42", buffer, fields);
	ck_assert_str_eq(field("PRIORITY"), "4");
	ck_assert_uint_eq(strlen(field("MESSAGE_ID")), 32);
	ck_assert_str_eq(field("MESSAGE"), "refused pid=42");
	ck_assert_str_eq(field("KICKMSG_PID"), "42");
	ck_assert_str_eq(field("KICKMSG_UID"), "1000");
	ck_assert_str_eq(field("KICKMSG_CLIENT"), "camera");
	ck_assert_str_eq(field("KICKMSG_TOPIC"), "image");
	ck_assert_str_eq(field("KICKMSG_REGION"), "/kickmsg_image");
	ck_assert_str_eq(field("KICKMSG_SUPPRESSED"), "7");
	ck_assert_str_eq(field("CODE_FILE"), "daemon/x.c");
	ck_assert_str_eq(field("CODE_LINE"), "12");
	ck_assert_str_eq(field("CODE_FUNC"), "km_x");
	ck_assert_uint_eq(field_count, KM_LOG_MAX_FIELDS);
}
END_TEST

START_TEST(fields_what_is_not_known_is_left_out)
{
	struct km_log_entry entry = { LOG_DEBUG, &nobody, "hello", 0 };

	field_count = km_log_journal_fields(NULL, &entry, "hello", buffer, fields);
	ck_assert_uint_eq(field_count, 3);
	ck_assert_str_eq(field("SYSLOG_IDENTIFIER"), "kickmsgd");
	ck_assert_str_eq(field("PRIORITY"), "7");
	ck_assert_str_eq(field("MESSAGE"), "hello");
}
END_TEST

START_TEST(fields_each_kind_has_an_id_of_its_own)
{
	char ids[KM_EVENT_NUMBERS][33];

	for (unsigned i = 1; i < KM_EVENT_NUMBERS; i++) {
		struct km_log_entry entry = { i << KM_EVENT_SHIFT | LOG_INFO, &nobody, "", 0 };

		field_count = km_log_journal_fields(NULL, &entry, "", buffer, fields);
		snprintf(ids[i], sizeof ids[i], "%s", field("MESSAGE_ID"));
		for (unsigned j = 1; j < i; j++)
			ck_assert_str_ne(ids[i], ids[j]);
	}
}
END_TEST

START_TEST(fields_without_room_are_left_out_whole)
{
	static char message[KM_LOG_FIELDS_SIZE];
	struct km_log_entry entry = { LOG_INFO | KM_EVENT_REFUSED, &somebody, "", 0 };

	memset(message, 'x', sizeof message - 1);
	field_count = km_log_journal_fields(NULL, &entry, message, buffer, fields);
	ck_assert_ptr_null(field("MESSAGE"));
	ck_assert_str_eq(field("KICKMSG_TOPIC"), "image");
}
END_TEST

static unsigned told, told_count;
static char told_text[256], told_client[64];

static void say(const struct km_log_entry *entry)
{
	told++;
	told_count += entry->suppressed;
	snprintf(told_text, sizeof told_text, "%s", entry->text);
	snprintf(told_client, sizeof told_client, "%s", entry->about->client);
}

/* How many of `count` such events get through at this moment. */
static unsigned let_through(
	int64_t now_ns, unsigned event, uint64_t peer, uid_t uid, unsigned count)
{
	struct km_log_about about = { (pid_t)peer, uid, "client", "", "" };
	struct km_log_entry entry = { LOG_INFO | event, &about, "text", 0 };
	unsigned passed = 0;

	for (unsigned i = 0; i < count; i++)
		passed += km_log_limit_allow(now_ns, peer, &entry, say);
	return passed;
}

START_TEST(limit_one_peer_is_counted_beyond_its_burst)
{
	unsigned many = KM_LOG_PEER_BURST + 30;

	ck_assert_uint_eq(let_through(1, KM_EVENT_REFUSED, 1, 1000, many), KM_LOG_PEER_BURST);
	/* another kind, and another peer, have their own */
	ck_assert_uint_eq(let_through(1, KM_EVENT_TOPIC_MADE, 1, 1000, 5), 5);
	ck_assert_uint_eq(let_through(1, KM_EVENT_REFUSED, 2, 1000, 5), 5);
	km_log_limit_tell(KM_LOG_INTERVAL_NS, say);
	ck_assert_uint_eq(told, 0); /* not before its time */
	km_log_limit_tell(KM_LOG_INTERVAL_NS + 1, say);
	ck_assert_uint_eq(told, 1);
	ck_assert_uint_eq(told_count, 30);
	ck_assert_str_eq(told_text, "text");
	ck_assert_str_eq(told_client, "client");
	km_log_limit_tell(INT64_MAX, say);
	ck_assert_uint_eq(told, 1); /* once */
}
END_TEST

START_TEST(limit_next_interval_begins_anew_and_tells)
{
	let_through(0, KM_EVENT_REFUSED, 1, 1000, KM_LOG_PEER_BURST + 3);
	ck_assert_uint_eq(let_through(KM_LOG_INTERVAL_NS, KM_EVENT_REFUSED, 1, 1000, 10), 10);
	ck_assert_uint_eq(told_count, 3);
}
END_TEST

START_TEST(limit_one_user_with_many_processes_is_counted)
{
	const unsigned processes = 5000;
	unsigned passed = 0;

	/* also when they push each other's counts out */
	for (unsigned i = 0; i < processes; i++)
		passed += let_through(SECOND, KM_EVENT_REFUSED, 1 + i * 7919, 1000, 2);
	ck_assert_uint_eq(passed, KM_LOG_USER_BURST);
	ck_assert_uint_eq(told, 0);
	/* other users aren't his */
	ck_assert_uint_eq(let_through(SECOND, KM_EVENT_REFUSED, 3, 1001, 10), 10);
	km_log_limit_tell(INT64_MAX, say);
	ck_assert_uint_eq(told_count, 2 * processes - KM_LOG_USER_BURST);
	ck_assert_uint_le(told, 200);
}
END_TEST

/* The limit of debugging lines is longer, and holds for one process as for all of one user. */
START_TEST(limit_debug_is_longer_and_there)
{
	const struct km_log_about about = { 1, 1000, "client", "", "" };
	unsigned one = 0, all = 0;

	for (unsigned i = 0; i < 3 * KM_LOG_USER_BURST * KM_LOG_DEBUG_TIMES; i++) {
		struct km_log_entry entry = { LOG_DEBUG | KM_EVENT_ENDPOINT_JOINED, &about, "", 0 };

		if (i < 2 * KM_LOG_PEER_BURST * KM_LOG_DEBUG_TIMES)
			one += km_log_limit_allow(1, 1, &entry, say);
		else
			all += km_log_limit_allow(1, 1 + i, &entry, say);
	}
	ck_assert_uint_eq(one, KM_LOG_PEER_BURST * KM_LOG_DEBUG_TIMES);
	ck_assert_uint_eq(one + all, KM_LOG_USER_BURST * KM_LOG_DEBUG_TIMES);
}
END_TEST

/* Entries of level debug take nothing from what the others may have. */
START_TEST(limit_debug_hides_no_others)
{
	const struct km_log_about about = { 2, 1001, "client", "", "" };
	const struct km_log_entry debug = { LOG_DEBUG | KM_EVENT_ENDPOINT_JOINED, &about, "", 0 };
	const struct km_log_entry info = { LOG_INFO | KM_EVENT_ENDPOINT_JOINED, &about, "", 0 };

	for (unsigned i = 0; i < KM_LOG_USER_BURST * KM_LOG_DEBUG_TIMES; i++)
		km_log_limit_allow(1, 1000 + i, &debug, say);
	ck_assert(km_log_limit_allow(1, 1000, &info, say));
}
END_TEST

/* With a kind and without one. */
START_TEST(log_at_level_debug_is_limited)
{
	enum { MANY = 10000 };
	const int log = memfd_create("log", 0), before = dup(STDERR_FILENO);
	static char text[1 << 20];
	unsigned lines = 0;

	ck_assert_int_ge(dup2(log, STDERR_FILENO), 0);
	km_log_init(LOG_DEBUG);
	for (unsigned i = 0; i < MANY; i++)
		km_log(LOG_DEBUG | (_i ? KM_EVENT_TOPIC_MADE : 0), NULL, NULL, "again");
	ck_assert_int_ge(dup2(before, STDERR_FILENO), 0);
	ssize_t size = pread(log, text, sizeof text, 0);
	for (ssize_t i = 0; i < size; i++)
		lines += text[i] == '\n';
	ck_assert_uint_eq(lines, KM_LOG_PEER_BURST * KM_LOG_DEBUG_TIMES);
	close(log);
	close(before);
}
END_TEST

START_TEST(limit_what_is_counted_is_never_lost)
{
	unsigned passed = 0, all = 0;

	for (uid_t uid = 0; uid < 40; uid++)
		for (unsigned peer = 0; peer < 40; peer++, all += 60)
			passed += let_through(SECOND + peer * SECOND, KM_EVENT_REFUSED,
				1 + peer + uid * 1000, uid, 60);
	km_log_limit_tell(INT64_MAX, say);
	ck_assert_uint_eq(passed + told_count, all);
}
END_TEST

int main(void)
{
	TCase *tcase = fixture_case("log");

	tcase_add_test(tcase, fields_peer_and_topic_are_all_there);
	tcase_add_test(tcase, fields_what_is_not_known_is_left_out);
	tcase_add_test(tcase, fields_each_kind_has_an_id_of_its_own);
	tcase_add_test(tcase, fields_without_room_are_left_out_whole);
	tcase_add_test(tcase, limit_one_peer_is_counted_beyond_its_burst);
	tcase_add_test(tcase, limit_next_interval_begins_anew_and_tells);
	tcase_add_test(tcase, limit_one_user_with_many_processes_is_counted);
	tcase_add_test(tcase, limit_debug_is_longer_and_there);
	tcase_add_test(tcase, limit_debug_hides_no_others);
	tcase_add_loop_test(tcase, log_at_level_debug_is_limited, 0, 2);
	tcase_add_test(tcase, limit_what_is_counted_is_never_lost);
	return fixture_run("unit-log", tcase);
}
