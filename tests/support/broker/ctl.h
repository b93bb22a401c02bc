/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the tests of kickmsgctl: a broker with something to see, and the program's words, for a
 * person and for a program. All that it wrote with --json goes through python3's parser too.
 */
#pragma once

#include <json-c/json.h>
#include <stdarg.h>

#include "tests/support/broker/become.h"
#include "tests/support/broker/flow.h"

static struct kickmsg_topic_config small = {
	.max_subscribers = 3,
	.ring_capacity = 4,
	.pool_size = 64,
	.max_publishers = 2,
	.max_payload_size = 64,
	.max_loans = 2,
	.max_borrows = 2,
};

static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;
static struct kickmsg_subscriber *subscriber;
static char output[262144];
static int kept;

/* Makes a topic "t" with one publisher and one subscriber: 6 messages went into a ring of 4, 1
 * of them was received. */
static inline void start_with(uint32_t transport)
{
	struct kickmsg_sample sample;

	small.transport = transport;
	test_broker_start(&broker, "[recovery]\ninterval = 5\n");
	client = flow_client("worker");
	publisher = flow_advertise(client, "t", &small);
	subscriber = flow_subscribe(client, "t");
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), 0);
	ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
}

static inline void start(void)
{
	start_with(KICKMSG_TRANSPORT_RINGS);
}

/* Runs kickmsgctl as this user. */
static inline void expect_as(uid_t uid, gid_t group, int status, const char *const words[])
{
	int pipe_fds[2], r;
	size_t used = 0;
	ssize_t n;

	ck_assert_int_eq(pipe(pipe_fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		const char *program = getenv("KICKMSGCTL");
		const char *argv[16] = { program ? program : TEST_KICKMSGCTL, "--socket",
			broker.socket };

		for (size_t i = 0; words[i]; i++)
			argv[i + 3] = words[i];
		dup2(pipe_fds[1], STDOUT_FILENO);
		dup2(pipe_fds[1], STDERR_FILENO);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		if (test_become(uid, group))
			execv(argv[0], (char **)argv);
		_exit(127);
	}
	close(pipe_fds[1]);
	while ((n = read(pipe_fds[0], output + used, sizeof output - 1 - used)) > 0)
		used += (size_t)n;
	output[used] = '\0';
	close(pipe_fds[0]);
	ck_assert_int_eq(waitpid(pid, &r, 0), pid);
	ck_assert_msg(WIFEXITED(r) && WEXITSTATUS(r) == status, "%#x: %s", r, output);
}

/* Runs kickmsgctl with these words, up to a null pointer. Returns its exit status. */
static inline int vrun(const char *first, va_list words)
{
	const char *program = getenv("KICKMSGCTL");
	const char *argv[24] = { program ? program : TEST_KICKMSGCTL, "--socket", broker.socket };
	size_t n = 3;

	for (const char *word = first; word && n + 1 < sizeof argv / sizeof argv[0];
		word = va_arg(words, const char *))
		argv[n++] = word;
	return test_run(argv, output, sizeof output);
}

static inline void __attribute__((sentinel)) expect(int status, const char *first, ...)
{
	va_list words;

	va_start(words, first);
	int r = vrun(first, words);
	va_end(words);
	ck_assert_msg(
		r == status, "kickmsgctl %s ended with %d, not %d: %s", first, r, status, output);
}

static inline void says(const char *text)
{
	ck_assert_msg(strstr(output, text), "doesn't say '%s': %s", text, output);
}

static inline void says_not(const char *text)
{
	ck_assert_msg(!strstr(output, text), "says '%s': %s", text, output);
}

/* All verbs in the order of kickmsgctl's table, as it tells them to shells. Null is behind the last. */
static inline char **all_verbs(void)
{
	static char words[1024], *verbs[64];
	size_t count = 0;

	expect(0, "completion", "bash", NULL);
	const char *begin = strchr(output, '\'') + 1;
	ck_assert_int_lt(snprintf(words, sizeof words, "%.*s", (int)strcspn(begin, "'"), begin),
		(int)sizeof words);
	for (char *rest = words, *verb; (verb = strsep(&rest, " "));) {
		ck_assert_uint_lt(count + 1, sizeof verbs / sizeof verbs[0]);
		verbs[count++] = verb;
	}
	/* a list that is cut short would make each test of all verbs say nothing */
	ck_assert_uint_gt(count, 30);
	ck_assert_str_eq(verbs[count - 1], "help");
	verbs[count] = NULL;
	return verbs;
}

/* Returns the text with each run of blanks as one, so that the width of a table's columns
 * doesn't matter. */
static inline void squeeze(void)
{
	char *to = output;

	for (const char *from = output; *from; from++)
		if (*from != ' ' || to == output || to[-1] != ' ')
			*to++ = *from;
	*to = '\0';
}

/* Fails unless the output has this text, whatever the width of the columns. */
static inline void tells(const char *text)
{
	squeeze();
	says(text);
}

/* Keeps a document for python3's parser, which reads all of them at the test's end. */
static inline void keep(const char *document)
{
	char path[128];

	snprintf(path, sizeof path, "%s/documents", broker.dir);
	FILE *file = fopen(path, "a");
	ck_assert_ptr_nonnull(file);
	fwrite(document, 1, strlen(document) + 1, file);
	ck_assert_int_eq(fclose(file), 0);
	kept++;
}

static inline void check_kept(void)
{
	char path[128], count[16];
	static char errors[4096];

	snprintf(path, sizeof path, "%s/documents", broker.dir);
	snprintf(count, sizeof count, "%d", kept);
	const char *argv[] = { "/usr/bin/env", "python3", "-c",
		"import json, sys\n"
		"documents = open(sys.argv[1], encoding='utf-8').read().split('\\0')[:-1]\n"
		"assert len(documents) == int(sys.argv[2])\n"
		"for d in documents: assert 'topics' in json.loads(d)\n",
		path, count, NULL };
	if (kept)
		ck_assert_msg(test_run(argv, errors, sizeof errors) == 0, "python3: %s", errors);
	unlink(path);
}

static inline void stop(void)
{
	check_kept();
	kickmsg_client_free(client);
	flow_stop();
}

/* Returns the document of `kickmsgctl --json WORDS`, which the caller puts. */
static inline struct json_object *__attribute__((sentinel)) json(int status, const char *first, ...)
{
	const char *program = getenv("KICKMSGCTL");
	const char *argv[24] = { program ? program : TEST_KICKMSGCTL, "--socket", broker.socket,
		"--json", first };
	size_t n = 5;
	va_list words;

	va_start(words, first);
	for (const char *word; (word = va_arg(words, const char *)) && n < 23;)
		argv[n++] = word;
	va_end(words);
	int r = test_run(argv, output, sizeof output);
	ck_assert_msg(r == status, "--json %s ended with %d, not %d: %s", first, r, status, output);
	/* errors for people come on standard error, before the document */
	char *begin = strchr(output, '{');
	ck_assert_msg(begin != NULL, "no JSON: %s", output);
	memmove(output, begin, strlen(begin) + 1);
	keep(output);
	struct json_object *root = json_tokener_parse(output), *ok;
	ck_assert_ptr_nonnull(root);
	ck_assert(json_object_object_get_ex(root, "ok", &ok));
	ck_assert_int_eq(json_object_get_boolean(ok), status == 0);
	return root;
}

static inline struct json_object *get(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	ck_assert_msg(json_object_object_get_ex(object, key, &value), "no %s in %s", key, output);
	return value;
}

static inline struct json_object *at(struct json_object *object, const char *key, size_t i)
{
	struct json_object *array = get(object, key);

	ck_assert_msg(i < json_object_array_length(array), "no %s[%zu] in %s", key, i, output);
	return json_object_array_get_idx(array, i);
}

static inline int64_t number(struct json_object *object, const char *key)
{
	return json_object_get_int64(get(object, key));
}

static inline const char *text(struct json_object *object, const char *key)
{
	return json_object_get_string(get(object, key));
}

static inline size_t length(struct json_object *object, const char *key)
{
	return json_object_array_length(get(object, key));
}
