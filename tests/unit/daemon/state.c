/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's state as memory that any instruction may be the last to write: a commit is single-
 * stepped, and after each instruction a copy of the memory is opened, as the next broker would. It
 * has what was before the commit, or what was after it, and nothing in between.
 */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/keep/state.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/suite.h"

#define RECORD_SIZE 40

static void fill(unsigned char record[RECORD_SIZE], unsigned char value)
{
	memset(record, value, RECORD_SIZE);
}

static uint32_t put(struct km_state *state, enum km_state_table table, uint32_t place, int value)
{
	unsigned char record[RECORD_SIZE];

	fill(record, (unsigned char)value);
	ck_assert_int_eq(km_state_put(state, table, &place, record, sizeof record), 0);
	return place;
}

/* The values of a table's records in the order of their places, as text. */
static const char *values(struct km_state *state, enum km_state_table table)
{
	static char text[3][64];
	size_t len = 0;
	const void *record;

	for (uint32_t place = 1; km_state_next(state, table, &place, &record); place++) {
		unsigned char expected[RECORD_SIZE];

		fill(expected, *(const unsigned char *)record);
		ck_assert_mem_eq(record, expected, RECORD_SIZE);
		ck_assert_uint_lt(len, sizeof text[0] - 1);
		text[table][len++] = *(const char *)record;
	}
	text[table][len] = '\0';
	return text[table];
}

/* A memfd with the same content; holes stay holes. */
static int copy_of(int fd)
{
	static char page[4096];
	int copy = memfd_create("copy", MFD_CLOEXEC);
	struct stat st;
	off_t at = 0;

	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(ftruncate(copy, st.st_size), 0);
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		ck_assert_int_gt(pread(fd, page, sizeof page, at), 0);
		ck_assert_int_eq(pwrite(copy, page, sizeof page, at), sizeof page);
		at += (off_t)sizeof page;
	}
	return copy;
}

static struct km_state *reopen(int fd)
{
	struct km_state *state;
	const char *reason;

	ck_assert_int_eq(km_state_open(copy_of(fd), &state, &reason), 0);
	return state;
}

/* Before: sessions a and b, a topic t. The change, in one commit: b becomes B, a ends, two members
 * come. */
static void change(struct km_state *state, uint32_t a, uint32_t b)
{
	put(state, KM_STATE_SESSIONS, b, 'B');
	km_state_drop(state, KM_STATE_SESSIONS, &a);
	put(state, KM_STATE_MEMBERS, 0, 'm');
	put(state, KM_STATE_MEMBERS, 0, 'n');
}

START_TEST(state_killed_at_any_instruction_is_old_or_new)
{
	struct km_state *state;
	unsigned olds = 0, news = 0, status;
	int fd;

	if (test_skip_emulated(
		    "state_killed_at_any_instruction_is_old_or_new", "single steps (ptrace)"))
		return;
	ck_assert_int_eq(km_state_new(&state, &fd), 0);
	uint32_t a = put(state, KM_STATE_SESSIONS, 0, 'a');
	uint32_t b = put(state, KM_STATE_SESSIONS, 0, 'b');
	put(state, KM_STATE_TOPICS, 0, 't');
	km_state_commit(state);
	pid_t child = fork();
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		change(state, a, b);
		km_state_commit(state);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, (int *)&status, 0), child);
	for (;;) {
		ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, child, 0, 0), 0);
		ck_assert_int_eq(waitpid(child, (int *)&status, 0), child);
		if (WIFEXITED(status))
			break;
		struct km_state *then = reopen(fd);
		const char *sessions = values(then, KM_STATE_SESSIONS);
		bool old = strcmp(sessions, "ab") == 0;

		ck_assert_str_eq(sessions, old ? "ab" : "B");
		ck_assert_str_eq(values(then, KM_STATE_MEMBERS), old ? "" : "mn");
		ck_assert_str_eq(values(then, KM_STATE_TOPICS), "t");
		ck_assert_uint_eq(news > 0 && old, 0);
		olds += old;
		news += !old;
		km_state_free(then);
	}
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	ck_assert_uint_gt(olds, 100);
	ck_assert_uint_gt(news, 100);
	km_state_free(state);
}
END_TEST

START_TEST(state_staged_and_not_committed_has_not_happened)
{
	struct km_state *state;
	int fd;

	ck_assert_int_eq(km_state_new(&state, &fd), 0);
	put(state, KM_STATE_TOPICS, 0, 'x');
	struct km_state *then = reopen(fd);
	ck_assert_str_eq(values(then, KM_STATE_TOPICS), "");
	km_state_free(then);
	km_state_commit(state);
	then = reopen(fd);
	ck_assert_str_eq(values(then, KM_STATE_TOPICS), "x");
	km_state_free(then);
	km_state_free(state);
}
END_TEST

START_TEST(state_places_and_ids_go_on_after_reopen)
{
	struct km_state *state;
	int fd;

	ck_assert_int_eq(km_state_new(&state, &fd), 0);
	uint32_t first = put(state, KM_STATE_MEMBERS, 0, '1');
	uint32_t second = put(state, KM_STATE_MEMBERS, 0, '2');
	km_state_reserve(state, KM_STATE_MEMBERS, 41);
	km_state_reserve(state, KM_STATE_MEMBERS, 7);
	km_state_drop(state, KM_STATE_MEMBERS, &first);
	ck_assert_uint_eq(first, 0);
	km_state_commit(state);
	struct km_state *then = reopen(fd);
	ck_assert_uint_eq(km_state_reserved(then, KM_STATE_MEMBERS), 41);
	uint32_t third = put(then, KM_STATE_MEMBERS, 0, '3');
	ck_assert_uint_ne(third, second);
	km_state_commit(then);
	ck_assert_uint_eq(strlen(values(then, KM_STATE_MEMBERS)), 2);
	km_state_free(then);
	km_state_free(state);
}
END_TEST

START_TEST(state_new_record_takes_the_lowest_free_place)
{
	struct km_state *state;
	uint32_t places[5];
	int fd;

	ck_assert_int_eq(km_state_new(&state, &fd), 0);
	for (size_t i = 0; i < 5; i++)
		places[i] = put(state, KM_STATE_TOPICS, 0, 'a');
	km_state_commit(state);
	uint32_t first = places[1], second = places[3], dropped[] = { second, first };
	km_state_drop(state, KM_STATE_TOPICS, &dropped[0]);
	km_state_drop(state, KM_STATE_TOPICS, &dropped[1]);
	ck_assert_uint_eq(put(state, KM_STATE_TOPICS, 0, 'b'), first);
	km_state_commit(state);
	struct km_state *then = reopen(fd);
	ck_assert_str_eq(values(then, KM_STATE_TOPICS), "abaa");
	ck_assert_uint_eq(put(then, KM_STATE_TOPICS, 0, 'c'), second);
	ck_assert_uint_eq(put(then, KM_STATE_TOPICS, 0, 'd'), places[4] + 1);
	km_state_free(then);
	km_state_free(state);
}
END_TEST

static uint64_t bytes_of(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* Memory of many records and of a long log is given back, also by the broker that comes after. */
START_TEST(state_of_the_gone_costs_nothing)
{
	enum { MANY = 5000 };
	static uint32_t places[KM_STATE_TABLES][MANY];
	struct km_state *state;
	int fd;

	ck_assert_int_eq(km_state_new(&state, &fd), 0);
	/* the first pages of each stay */
	const uint64_t small = (KM_STATE_TABLES + 1) * (uint64_t)KM_STATE_STAYS + 8192;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned table = 0; table < KM_STATE_TABLES; table++)
			for (size_t i = 0; i < MANY; i++)
				places[table][i] = put(state, table, 0, 'x');
		km_state_commit(state);
		ck_assert_uint_gt(bytes_of(fd), 4 * small);
		for (unsigned table = 0; table < KM_STATE_TABLES; table++)
			for (size_t i = 0; i < MANY; i++)
				/* one of them stays, far behind */
				if (i != MANY - 1 || table != round)
					km_state_drop(state, table, &places[table][i]);
		km_state_commit(state);
		ck_assert_uint_le(bytes_of(fd), small + 4096);
		struct km_state *then = reopen(fd);
		ck_assert_str_eq(values(then, round), "x");
		km_state_free(then);
		km_state_drop(state, round, &places[round][MANY - 1]);
	}
	/* a record that comes and goes alone is always at the same place */
	km_state_commit(state);
	uint64_t before = bytes_of(fd);
	for (unsigned i = 0; i < 10000; i++) {
		uint32_t place = put(state, KM_STATE_SESSIONS, 0, 'y');

		km_state_commit(state);
		km_state_drop(state, KM_STATE_SESSIONS, &place);
		km_state_commit(state);
	}
	ck_assert_uint_eq(bytes_of(fd), before);
	km_state_free(state);
}
END_TEST

/* Any flipped byte of what is in use is noticed; nothing of a spoilt state is believed. */
START_TEST(state_flipped_byte_is_refused_or_harmless)
{
	struct km_state *state, *then;
	const char *reason;
	unsigned refused = 0;
	int fd;

	if (test_skip_emulated("state_flipped_byte_is_refused_or_harmless",
		    "mappings of much memory in no time"))
		return;
	ck_assert_int_eq(km_state_new(&state, &fd), 0);
	uint32_t place = put(state, KM_STATE_TOPICS, 0, 'q');
	km_state_commit(state);
	off_t record = lseek(fd, 4096 + (16 << 20), SEEK_DATA);
	ck_assert_int_gt(record, 0);
	for (off_t at = record; at < record + 4096; at++) {
		int copy = copy_of(fd);
		unsigned char byte = 0;

		ck_assert_int_eq(pread(copy, &byte, 1, at), 1);
		byte ^= 0x10;
		ck_assert_int_eq(pwrite(copy, &byte, 1, at), 1);
		if (km_state_open(copy, &then, &reason) == 0) {
			const char *found = values(then, KM_STATE_TOPICS);

			ck_assert_str_eq(found, "q");
			km_state_free(then);
		} else {
			ck_assert_str_eq(reason, "a record is spoilt");
			refused++;
			close(copy);
		}
	}
	ck_assert_uint_ge(refused, RECORD_SIZE + 16);
	ck_assert_uint_gt(place, 0);
	km_state_free(state);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("state");
	TCase *tcase = tcase_create("state");

	tcase_set_timeout(tcase, 300);
	/* Their own instructions are no steps of the product's. */
	if (!SANITIZED)
		tcase_add_test(tcase, state_killed_at_any_instruction_is_old_or_new);
	tcase_add_test(tcase, state_staged_and_not_committed_has_not_happened);
	tcase_add_test(tcase, state_places_and_ids_go_on_after_reopen);
	tcase_add_test(tcase, state_new_record_takes_the_lowest_free_place);
	tcase_add_test(tcase, state_of_the_gone_costs_nothing);
	tcase_add_test(tcase, state_flipped_byte_is_refused_or_harmless);
	suite_add_tcase(suite, tcase);
	return test_suite_run(suite);
}
