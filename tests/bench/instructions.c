/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions of the calls of the hot path, 64 bytes to one subscriber, as valgrind's callgrind
 * counts them: the program runs itself under it (hot-path.c), once for each call, and nothing but that
 * call is counted. The figures don't depend on the machine's mood, so a test guards them (instructions.py).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/kick.h"

#define SECONDS     60.0

#define NO_VALGRIND 127 /* exit status */

static const struct {
	const char *what;
	const char *function;
	unsigned a_turn;     /* messages of the call in each */
	const char *program; /* of hot-path.c */
} calls[] = {
	{ "send", "kickmsg_send", 2, "rings" },
	{ "loan", "kickmsg_loan", 1, "rings" },
	{ "publish", "kickmsg_publish", 1, "rings" },
	{ "receive", "kickmsg_try_receive", 2, "rings" },
	{ "release", "kickmsg_sample_release", 2, "rings" },
	{ "receive-copy", "kickmsg_try_receive_copy", 1, "rings" },
	{ "send-shared", "kickmsg_send", 1, "shared" },
	{ "receive-copy-shared", "kickmsg_try_receive_copy", 1, "shared" },
	{ "send-many", "kickmsg_send_many", 1, "many" },
	{ "receive-many", "kickmsg_receive_many", 1, "many" },
	{ "release-many", "kickmsg_release_many", 1, "many" },
	{ "send-many-shared", "kickmsg_send_many", 1, "many-shared" },
	{ "receive-many-shared", "kickmsg_receive_many", 1, "many-shared" },
	{ "send-reliable", "kickmsg_send", 2, "reliable" },
	{ "publish-reliable", "kickmsg_publish", 1, "reliable" },
	{ "receive-reliable", "kickmsg_try_receive", 2, "reliable" },
	{ "receive-copy-reliable", "kickmsg_try_receive_copy", 1, "reliable" },
	{ "send-reliable-shared", "kickmsg_send", 1, "reliable-shared" },
	{ "send-wait-reliable-shared", "kickmsg_send_wait", 1, "reliable-shared-wait" },
	{ "receive-copy-reliable-shared", "kickmsg_try_receive_copy", 1, "reliable-shared" },
	{ "call", "kickmsg_call_begin", 1, "calls-shared" },
	{ "take-request", "kickmsg_take_request", 1, "calls-shared" },
	{ "reply", "kickmsg_reply", 1, "calls-shared" },
	{ "take-reply", "kickmsg_take_reply", 1, "calls-shared" },
	{ "release-reply", "kickmsg_reply_release", 1, "calls-shared" },
	{ "call-loan", "kickmsg_call_loan", 1, "calls" },
	{ "call-publish", "kickmsg_call_publish", 1, "calls" },
	{ "take-request-in-place", "kickmsg_take_request", 1, "calls" },
	{ "reply-loan", "kickmsg_reply_loan", 1, "calls" },
	{ "reply-publish", "kickmsg_reply_publish", 1, "calls" },
	{ "take-reply-in-place", "kickmsg_take_reply", 1, "calls" },
	{ "release-reply-in-place", "kickmsg_reply_release", 1, "calls" },
};

/* Runs this program with two arguments under callgrind, which writes its sums to `out` and its messages to
 * `log`. Returns the wait status. */
static int run(const char *function, const char *out, const char *log, const char *option,
	const char *value, const char *socket_path)
{
	char out_option[128], log_option[128], toggle[64], self[256];
	pid_t pid;
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length < 0)
		bench_die("/proc/self/exe: %s", strerror(errno));
	self[length] = 0;
	snprintf(out_option, sizeof(out_option), "--callgrind-out-file=%s", out);
	snprintf(log_option, sizeof(log_option), "--log-file=%s", log);
	snprintf(toggle, sizeof(toggle), "--toggle-collect=%s", function);
	pid = bench_fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, STDOUT_FILENO);
		execlp("valgrind", "valgrind", "-q", "--tool=callgrind", out_option, log_option,
			toggle, self, option, value, socket_path, (char *)NULL);
		_exit(errno == ENOENT ? NO_VALGRIND : 126);
	}
	return bench_reap(pid, SECONDS);
}

/* Finds the first message of valgrind: "==PID== Valgrind: ...". */
static void first_words(const char *log, char *words, size_t size)
{
	FILE *file = fopen(log, "re");
	char line[256], *at = NULL;

	while (file && !at && fgets(line, sizeof(line), file))
		at = strstr(line, "Valgrind: ");
	if (file)
		fclose(file);
	snprintf(words, size, "%s", at ? at + strlen("Valgrind: ") : "it doesn't say why");
	words[strcspn(words, "\n")] = 0;
	if (*words && words[strlen(words) - 1] == ':')
		words[strlen(words) - 1] = 0;
}

/* False: there is no valgrind, or it can't run this program whatever its arguments (it may not
 * know a compiler's debug information). Any other failure is a fault of ours. */
static bool count(const struct bench *bench, const char *function, const char *program,
	const char *out, char *reason, size_t size)
{
	char log[96], words[80];
	int status;

	snprintf(log, sizeof(log), "%s/valgrind.log", bench->dir);
	status = run(function, out, log, "--hot-path", program, bench->socket_path);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_VALGRIND) {
		snprintf(reason, size, "no valgrind here");
	} else if (status != 0) {
		first_words(log, words, sizeof(words));
		if (run(function, out, log, "--version", NULL, NULL) == 0)
			bench_die("valgrind ended with status %#x: %s", (unsigned)status, words);
		snprintf(reason, size, "valgrind can't run this build: %s", words);
	}
	unlink(log);
	if (status != 0)
		unlink(out);
	return status == 0;
}

/* Reads the sum that callgrind wrote. */
static double total_of(const char *out)
{
	FILE *file = fopen(out, "re");
	unsigned long long total = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "totals: %llu", &total) == 1)
			break;
	if (file)
		fclose(file);
	unlink(out);
	if (total == 0)
		bench_die("%s has no totals", out);
	return (double)total;
}

void bench_instructions(struct bench *bench, const char *load)
{
	char out[96], reason[BENCH_NOTE_SIZE] = "";

	snprintf(out, sizeof(out), "%s/callgrind.out", bench->dir);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct bench_row *row = bench_row_new(&bench->report, load, calls[i].what, "instr");
		double each;

		if (reason[0] || !count(bench, calls[i].function, calls[i].program, out, reason,
					 sizeof(reason))) {
			bench_row_note(row, "%s", reason);
			continue;
		}
		each = total_of(out) / BENCH_HOT_TURNS / calls[i].a_turn;
		bench_row_values(row, &each, 1);
		bench_row_note(row, "%s(), 64 bytes, one subscriber%s", calls[i].function,
			strstr(calls[i].program, "shared") ? ", one publisher place" : "");
	}
}
