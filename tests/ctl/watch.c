/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsgctl watch: lines and objects, what they are about, and how it ends. */
#include <poll.h>

#include "tests/support/broker/become.h"
#include "tests/support/broker/ctl.h"
#include "tests/support/broker/user.h"

/* A kickmsgctl that runs beside the test. */
static struct {
	pid_t pid;
	int fd;
	size_t used;
} beside;

/* Starts watch with these words, as this user (0: as the test's). Its output goes to `output`. */
static void begin(uid_t uid, const char *const words[])
{
	const char *program = getenv("KICKMSGCTL");
	const char *argv[16] = { program ? program : TEST_KICKMSGCTL, "--socket", broker.socket };
	int pipe_fds[2];

	for (size_t i = 0; words[i]; i++)
		argv[i + 3] = words[i];
	ck_assert_int_eq(pipe(pipe_fds), 0);
	beside.used = 0;
	beside.pid = fork();
	if (beside.pid == 0) {
		dup2(pipe_fds[1], STDOUT_FILENO);
		dup2(pipe_fds[1], STDERR_FILENO);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		if (uid == 0 || test_become(uid, 0))
			execv(argv[0], (char **)argv);
		_exit(127);
	}
	close(pipe_fds[1]);
	beside.fd = pipe_fds[0];
}

/* Takes the next output. False: there is no more. */
static bool hear(void)
{
	struct pollfd readable = { beside.fd, POLLIN, 0 };

	ck_assert_msg(poll(&readable, 1, FLOW_WAIT_MS) == 1, "nothing comes behind: %s", output);
	ssize_t n = read(beside.fd, output + beside.used, sizeof output - 1 - beside.used);
	beside.used += n > 0 ? (size_t)n : 0;
	output[beside.used] = '\0';
	return n > 0;
}

static void hear_until(const char *text)
{
	output[beside.used] = '\0';
	while (!strstr(output, text))
		ck_assert_msg(hear(), "'%s' isn't said: %s", text, output);
}

static void ends_with(int status)
{
	int r;

	while (hear())
		;
	close(beside.fd);
	ck_assert_int_eq(waitpid(beside.pid, &r, 0), beside.pid);
	ck_assert_msg(WIFEXITED(r) && WEXITSTATUS(r) == status, "%#x: %s", r, output);
}

#define WORDS(...)                                                                                 \
	(const char *[])                                                                           \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

START_TEST(lines_say_what_happens_until_it_is_interrupted)
{
	char line[256];

	start();
	begin(0, WORDS("watch"));
	hear_until("watches what happens\n");
	flow_advertise(client, "later", &small);
	snprintf(line, sizeof line,
		"endpoint-joined kickmsg:later client=worker pid=%d uid=%u: publisher joined\n",
		getpid(), geteuid());
	hear_until(line);
	kill(beside.pid, SIGINT);
	ends_with(0);
	/* a line has a time, and a column for the kind */
	ck_assert_int_eq(strspn(output, "0123456789:."), 12);
	tells(" topic-made kickmsg:later client=worker pid=");
	stop();
}
END_TEST

START_TEST(a_pattern_is_about_topics)
{
	start();
	begin(0, WORDS("watch", "lat", "-n", "3"));
	hear_until("watch-began");
	flow_advertise(client, "other", &small);
	flow_advertise(client, "later", &small);
	ends_with(0);
	says("topic-made      kickmsg:later");
	says("endpoint-joined kickmsg:later");
	says_not("kickmsg:other");
	says_not("client-came");
	begin(0, WORDS("watch", "*:o?her", "-t", "20"));
	hear_until("watch-began");
	ck_assert_int_eq(kickmsg_unlink_topic(client, "later"), 0);
	ck_assert_int_eq(kickmsg_unlink_topic(client, "other"), 0);
	hear_until("topic-unlinked");
	kill(beside.pid, SIGTERM);
	ends_with(0);
	says("topic-unlinked  kickmsg:other");
	says_not("kickmsg:later");
	expect(0, "watch", "--timeout", "0.01", NULL);
	stop();
}
END_TEST

/* Each documented key is in some object, and each key of an object is documented. */
START_TEST(objects_have_the_keys_of_the_page)
{
	static const char *const keys[] = { "realtime_ns", "event", "missed", "level", "name",
		"pid", "uid", "client", "text" };
	static char page[1 << 18];
	char key[32];

	FILE *file = fopen(TEST_MAN_PAGE, "r");
	ck_assert_ptr_nonnull(file);
	page[fread(page, 1, sizeof page - 1, file)] = '\0';
	fclose(file);
	char *said = strstr(page, "\n*watch* prints an object");
	ck_assert_ptr_nonnull(said);
	*strstr(said, "\n\n") = '\0';
	start();
	begin(0, WORDS("--json", "watch", "t", "-n", "2"));
	hear_until("watch-began");
	ck_assert_int_eq(kickmsg_unlink_topic(client, "t"), 0);
	ends_with(0);
	char *line = strchr(output, '\n') + 1;
	struct json_object *object = json_tokener_parse(line);
	ck_assert_ptr_nonnull(object);
	ck_assert_str_eq(text(object, "event"), "topic-unlinked");
	ck_assert_str_eq(text(object, "name"), "kickmsg:t");
	ck_assert_int_eq(number(object, "pid"), getpid());
	ck_assert_int_eq(number(object, "missed"), 0);
	ck_assert_int_eq(number(object, "level"), 6);
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		get(object, keys[i]);
		snprintf(key, sizeof key, "_%s_", keys[i]);
		ck_assert_msg(strstr(said, key), "%s isn't documented", key);
	}
	ck_assert_int_eq(json_object_object_length(object), sizeof keys / sizeof keys[0]);
	json_object_put(object);
	stop();
}
END_TEST

START_TEST(it_goes_on_with_the_next_broker)
{
	start();
	begin(0, WORDS("watch"));
	hear_until("watch-began");
	test_broker_kill(&broker);
	hear_until("watch-lost     : the broker has closed the connection\n");
	test_broker_resume(&broker);
	hear_until("watch-resumed  : there is a broker again; what happened meanwhile isn't known");
	kill(beside.pid, SIGINT);
	ends_with(0);
	stop();
}
END_TEST

START_TEST(a_reader_that_is_gone_ends_it)
{
	int r;

	start();
	begin(0, WORDS("watch"));
	hear_until("watch-began");
	close(beside.fd);
	ck_assert_int_eq(waitpid(beside.pid, &r, 0), beside.pid);
	ck_assert(WIFEXITED(r));
	stop();
}
END_TEST

START_TEST(others_are_told_that_they_may_not)
{
	if (user_cannot_change())
		return;
	user_start_broker("");
	begin(USER_A, WORDS("watch"));
	ends_with(4);
	says("only root, the broker's user and the group kickmsg-admin may watch what happens");
	expect(3, "--socket", "/nowhere", "watch", NULL);
	expect(2, "watch", "a", "b", NULL);
	flow_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-watch");
	TCase *tc = tcase_create("ctl-watch");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, lines_say_what_happens_until_it_is_interrupted);
	tcase_add_test(tc, a_pattern_is_about_topics);
	tcase_add_test(tc, objects_have_the_keys_of_the_page);
	tcase_add_test(tc, it_goes_on_with_the_next_broker);
	tcase_add_test(tc, a_reader_that_is_gone_ends_it);
	tcase_add_test(tc, others_are_told_that_they_may_not);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
