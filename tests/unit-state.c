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

#include "state.h"

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

/* Two sessions a and b, a topic t; then at once: b becomes B, a ends, two members come. */
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

/* Any flipped byte of what is in use is noticed; nothing of a spoilt state is believed. */
START_TEST(state_flipped_byte_is_refused_or_harmless)
{
	struct km_state *state, *then;
	const char *reason;
	unsigned refused = 0;
	int fd;

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

	tcase_set_timeout(tcase, 60);
	if (!SANITIZED) /* their own instructions are no steps of the product's */
		tcase_add_test(tcase, state_killed_at_any_instruction_is_old_or_new);
	tcase_add_test(tcase, state_staged_and_not_committed_has_not_happened);
	tcase_add_test(tcase, state_places_and_ids_go_on_after_reopen);
	tcase_add_test(tcase, state_flipped_byte_is_refused_or_harmless);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
