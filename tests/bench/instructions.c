/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions of the calls of the hot path, 64 bytes to one subscriber, as valgrind's callgrind
 * counts them: the program runs itself under it, once for each call, and nothing but that call is
 * counted. The figures don't depend on the machine's mood, so a test guards them (instructions.py).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/kick.h"

#define TURNS       10240 /* whole batches */
#define MANY        32    /* messages of a batch */
#define SECONDS     60.0

#define NO_VALGRIND 127 /* exit status */

static const struct {
	const char *what;
	const char *function;
	unsigned a_turn;    /* messages of the call in each */
	const char *option; /* which program */
} calls[] = {
	{ "send", "kickmsg_send", 2, "--hot-path" },
	{ "loan", "kickmsg_loan", 1, "--hot-path" },
	{ "publish", "kickmsg_publish", 1, "--hot-path" },
	{ "receive", "kickmsg_try_receive", 2, "--hot-path" },
	{ "release", "kickmsg_sample_release", 2, "--hot-path" },
	{ "receive-copy", "kickmsg_try_receive_copy", 1, "--hot-path" },
	{ "send-shared", "kickmsg_send", 1, "--hot-path-shared" },
	{ "receive-copy-shared", "kickmsg_try_receive_copy", 1, "--hot-path-shared" },
	{ "send-many", "kickmsg_send_many", 1, "--hot-path-many" },
	{ "receive-many", "kickmsg_receive_many", 1, "--hot-path-many" },
	{ "release-many", "kickmsg_release_many", 1, "--hot-path-many" },
	{ "send-many-shared", "kickmsg_send_many", 1, "--hot-path-many-shared" },
	{ "receive-many-shared", "kickmsg_receive_many", 1, "--hot-path-many-shared" },
};

static void take(struct kickmsg_subscriber *subscriber, uint64_t key)
{
	struct kickmsg_sample sample;
	int r = kickmsg_try_receive(subscriber, &sample);

	if (r < 0 || !message_good(sample.data, 64, key))
		bench_die("receive: %s", kickmsg_strerror(r));
	kickmsg_sample_release(&sample);
}

static void turn_copied(
	struct kickmsg_publisher *publisher, struct kickmsg_subscriber *subscriber, uint64_t key)
{
	uint64_t words[8], copy[8];

	message_write(words, sizeof(words), key);
	if (kickmsg_send(publisher, words, sizeof(words)) < 0)
		bench_die("send failed");
	if (kickmsg_try_receive_copy(subscriber, copy, sizeof(copy)) < 0 ||
		!message_good(copy, sizeof(copy), key))
		bench_die("receive_copy failed");
}

static void turn_in_place(
	struct kickmsg_publisher *publisher, struct kickmsg_subscriber *subscriber, uint64_t key)
{
	uint64_t words[8];
	void *payload;

	message_write(words, sizeof(words), key);
	if (kickmsg_send(publisher, words, sizeof(words)) < 0)
		bench_die("send failed");
	take(subscriber, key);
	if (kickmsg_loan(publisher, sizeof(words), &payload) < 0)
		bench_die("loan failed");
	message_write(payload, sizeof(words), key);
	if (kickmsg_publish(publisher, payload, sizeof(words)) < 0)
		bench_die("publish failed");
	take(subscriber, key);
}

int bench_hot_path(const char *socket_path, bool shared)
{
	struct kickmsg_client *client = kick_client(socket_path);
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	if (shared) {
		config.transport = KICKMSG_TRANSPORT_SHARED;
		config.max_publishers = 1;
	}
	publisher = kick_publisher(client, "hot-path", &config);
	subscriber = kick_subscriber(client, "hot-path");
	for (unsigned i = 0; i < TURNS; i++) {
		turn_copied(publisher, subscriber, i);
		/* a loan would leave a slot in the shared ring's cell, which later sends would
		 * pay for */
		if (!shared)
			turn_in_place(publisher, subscriber, i);
	}
	kickmsg_client_free(client);
	return 0;
}

/* TURNS messages, MANY in a call. */
int bench_hot_path_many(const char *socket_path, bool shared)
{
	struct kickmsg_client *client = kick_client(socket_path);
	struct kickmsg_topic_config config;
	struct kickmsg_sample samples[MANY];
	struct iovec messages[MANY];
	uint64_t words[MANY][8];

	kickmsg_topic_config_init(&config);
	config.max_loans = config.max_borrows = MANY;
	if (shared) {
		config.transport = KICKMSG_TRANSPORT_SHARED;
		config.max_publishers = 1;
	}
	struct kickmsg_publisher *publisher = kick_publisher(client, "hot-path", &config);
	struct kickmsg_subscriber *subscriber = kick_subscriber(client, "hot-path");
	for (uint64_t i = 0; i < TURNS; i += MANY) {
		for (unsigned k = 0; k < MANY; k++) {
			message_write(words[k], sizeof(words[k]), i + k);
			messages[k] = (struct iovec){ words[k], sizeof(words[k]) };
		}
		if (kickmsg_send_many(publisher, messages, MANY) != MANY ||
			kickmsg_receive_many(subscriber, 0, samples, MANY) != MANY)
			bench_die("a batch wasn't whole");
		for (unsigned k = 0; k < MANY; k++)
			if (!message_good(samples[k].data, sizeof(words[k]), i + k))
				bench_die("a batch has another message");
		kickmsg_release_many(samples, MANY);
	}
	kickmsg_client_free(client);
	return 0;
}

/* Runs this program under callgrind, which writes its sums to `out` and its messages to `log`.
 * Returns the wait status. */
static int run(const char *function, const char *out, const char *log, const char *option,
	const char *value)
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
			toggle, self, option, value, (char *)NULL);
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
static bool count(const struct bench *bench, const char *function, const char *option,
	const char *out, char *reason, size_t size)
{
	char log[96], words[80];
	int status;

	snprintf(log, sizeof(log), "%s/valgrind.log", bench->dir);
	status = run(function, out, log, option, bench->socket_path);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_VALGRIND) {
		snprintf(reason, size, "no valgrind here");
	} else if (status != 0) {
		first_words(log, words, sizeof(words));
		if (run(function, out, log, "--version", NULL) == 0)
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

		if (reason[0] || !count(bench, calls[i].function, calls[i].option, out, reason,
					 sizeof(reason))) {
			bench_row_note(row, "%s", reason);
			continue;
		}
		each = total_of(out) / TURNS / calls[i].a_turn;
		bench_row_values(row, &each, 1);
		bench_row_note(row, "%s(), 64 bytes, one subscriber%s", calls[i].function,
			strstr(calls[i].option, "shared") ? ", one publisher place" : "");
	}
}
