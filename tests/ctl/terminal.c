/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsgctl at a terminal: colour, width, pager, --watch and its end; and what ends it elsewhere. */
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

#include "common/clock.h"
#include "tests/support/broker/ctl.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/pty.h"

static struct pty pty;

static void show(const char *const variables[], const char *const words[])
{
	const char *program = getenv("KICKMSGCTL");
	const char *argv[16] = { program ? program : TEST_KICKMSGCTL, "--socket", broker.socket };

	for (size_t i = 0; words[i]; i++)
		argv[i + 3] = words[i];
	pty_start(&pty, 24, 80, argv, variables);
}

#define WORDS(...)                                                                                 \
	(const char *[])                                                                           \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

START_TEST(colour_is_for_terminals_that_want_it)
{
	start();
	expect(0, "unlink", "t", NULL); /* this state is shown dim */
	show(NULL, WORDS("list"));
	ck_assert_int_eq(pty_end(&pty), 0);
	ck_assert_msg(strstr(pty.shown, "\033[2munlinked"), "%s", pty.shown);
	show(WORDS("NO_COLOR=1"), WORDS("list"));
	ck_assert_int_eq(pty_end(&pty), 0);
	ck_assert(strstr(pty.shown, "unlinked") && !strstr(pty.shown, "\033["));
	show(WORDS("TERM=dumb"), WORDS("list"));
	ck_assert_int_eq(pty_end(&pty), 0);
	ck_assert(strstr(pty.shown, "unlinked") && !strstr(pty.shown, "\033["));
	show(WORDS("NO_COLOR="), WORDS("list")); /* an empty NO_COLOR counts as unset */
	ck_assert_int_eq(pty_end(&pty), 0);
	ck_assert_ptr_nonnull(strstr(pty.shown, "\033[2m"));
	expect(0, "list", NULL);
	says("unlinked");
	says_not("\033");
	stop();
}
END_TEST

START_TEST(output_goes_through_the_pager)
{
	start();
	show(WORDS("KICKMSG_PAGER=sed s/^/paged:/"), WORDS("list"));
	ck_assert_int_eq(pty_end(&pty), 0);
	ck_assert_msg(strstr(pty.shown, "paged:kickmsg:t"), "%s", pty.shown);
	show(WORDS("KICKMSG_PAGER=sed s/^/paged:/"), WORDS("--no-pager", "list"));
	ck_assert_int_eq(pty_end(&pty), 0);
	ck_assert_ptr_null(strstr(pty.shown, "paged:"));
	show(WORDS("KICKMSG_PAGER=sed s/^/paged:/"), WORDS("--json", "list"));
	ck_assert_int_eq(pty_end(&pty), 0);
	ck_assert_ptr_null(strstr(pty.shown, "paged:"));
	/* a pager that ends early, and a pager that isn't there */
	show(WORDS("KICKMSG_PAGER=true"), WORDS("list"));
	ck_assert_int_eq(pty_end(&pty), 0);
	show(WORDS("KICKMSG_PAGER=/nonexistent/pager"), WORDS("list"));
	ck_assert_int_eq(pty_end(&pty), 0);
	stop();
}
END_TEST

START_TEST(watch_redraws_until_it_is_interrupted)
{
	start();
	show(NULL, WORDS("list", "--watch", "-i", "0.02"));
	pty_wait(&pty, 0, "kickmsg:t ");
	size_t first = pty.used;
	flow_advertise(client, "later", &small);
	pty_wait(&pty, first, "kickmsg:later");
	/* each look overwrites the last one */
	ck_assert_ptr_nonnull(strstr(pty.shown + first, "\033[H"));
	pty_type(&pty, "\003");
	ck_assert_int_eq(pty_end(&pty), 0);
	stop();
}
END_TEST

/* Looks that were missed while the program was stopped don't come all at once. */
START_TEST(looks_that_were_missed_are_left_out)
{
	static const char *const lines[][8] = {
		{ "list", "--watch", "-i", "0.2", "-n", "6" },
		{ "top", "--batch", "-i", "0.2", "-n", "6" },
		{ "top", "-i", "0.2", "-n", "6" },
	};

	start();
	show(NULL, lines[_i]);
	pty_wait(&pty, 0, "kickmsg:t");
	ck_assert_int_eq(kill(pty.pid, SIGSTOP), 0);
	ck_assert_int_eq(waitpid(pty.pid, NULL, WUNTRACED), pty.pid);
	usleep(1500000); /* longer than all looks that are left */
	int64_t before = km_clock_ns();
	ck_assert_int_eq(kill(pty.pid, SIGCONT), 0);
	ck_assert_int_eq(pty_end(&pty), 0);
	ck_assert_int_ge(km_clock_ns() - before, 400000000);
	stop();
}
END_TEST

START_TEST(watch_says_that_the_broker_is_gone)
{
	start();
	show(NULL, WORDS("list", "--watch", "-i", "0.02"));
	pty_wait(&pty, 0, "kickmsg:t ");
	test_broker_kill(&broker);
	pty_wait(&pty, 0, "the broker at ");
	ck_assert_int_eq(pty_end(&pty), 3);
	test_broker_resume(&broker);
	stop();
}
END_TEST

START_TEST(wait_waits_for_a_broker)
{
	start();
	test_broker_kill(&broker);
	show(NULL, WORDS("--wait", "list"));
	ck_assert_int_eq(waitpid(pty.pid, NULL, WNOHANG), 0);
	test_broker_resume(&broker);
	pty_wait(&pty, 0, "There is no topic.");
	ck_assert_int_eq(pty_end(&pty), 0);
	stop();
}
END_TEST

/* A kickmsgctl whose output nobody reads: the pipe is full. */
static struct {
	pid_t pid;
	int reads;
} stuck;

/* The beginning of a file of /proc/PID. */
static const char *look_at_stuck(const char *name)
{
	static char text[4096];
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", stuck.pid, name);
	FILE *file = fopen(path, "re");
	text[fread(text, 1, sizeof text - 1, file)] = '\0';
	fclose(file);
	return text;
}

/* Does it wait in write(2)? No signal's handler is yet to run then. /proc has the number that the
 * machine's kernel knows, which under an emulator is an x86-64's. */
static bool is_stuck(void)
{
	const char *call = look_at_stuck("syscall");

	return call[0] >= '0' && call[0] <= '9' &&
	       atoi(call) == (test_is_emulated() ? 1 : SYS_write);
}

static bool is_zombie(void)
{
	return strstr(look_at_stuck("status"), "State:\tZ") != NULL;
}

static void start_stuck(void)
{
	const char *program = getenv("KICKMSGCTL");
	const char *const argv[] = { program ? program : TEST_KICKMSGCTL, "--socket", broker.socket,
		"bw", "t", NULL };
	int pipe_fds[2];

	ck_assert_int_eq(pipe(pipe_fds), 0);
	fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK);
	while (write(pipe_fds[1], "x", 1) == 1)
		;
	fcntl(pipe_fds[1], F_SETFL, 0);
	stuck.reads = pipe_fds[0];
	signal(SIGINT, SIG_DFL); /* what is caught is caught by kickmsgctl */
	stuck.pid = fork();
	if (stuck.pid == 0) {
		dup2(pipe_fds[1], STDOUT_FILENO);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		execv(argv[0], (char **)argv);
		_exit(127);
	}
	close(pipe_fds[1]);
	/* kickmsgctl prints a line each second, and catches interrupts by then */
	ck_assert(test_wait_until(is_stuck(), FLOW_WAIT_MS));
}

/* Interrupts it, until it waits for its reader again or has ended. */
static void interrupt_stuck(void)
{
	kill(stuck.pid, SIGINT);
	ck_assert(test_wait_until(is_stuck() || is_zombie(), FLOW_WAIT_MS));
}

/* Returns the status of the process, as of waitpid(2). */
static int end_stuck(bool reads)
{
	char text[4096];
	int status;

	while (reads && read(stuck.reads, text, sizeof text) > 0)
		;
	ck_assert_int_eq(waitpid(stuck.pid, &status, 0), stuck.pid);
	close(stuck.reads);
	return status;
}

/* Two signals that come at once, as timeout(1) sends them, are one: the output is written to its end. */
START_TEST(interrupts_at_once_are_one)
{
	bool at_once = false;

	start();
	while (!at_once) {
		start_stuck();
		int64_t began_ns = km_clock_ns();
		interrupt_stuck();
		interrupt_stuck();
		at_once = km_clock_ns() - began_ns < 150000000;
		int status = end_stuck(true);
		ck_assert_msg(!at_once || WIFEXITED(status), "status %#x", status);
	}
	stop();
}
END_TEST

START_TEST(interrupt_once_more_ends_what_nobody_reads)
{
	start();
	start_stuck();
	interrupt_stuck();
	while (!is_zombie())
		interrupt_stuck();
	int status = end_stuck(false);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-terminal");
	TCase *tc = tcase_create("ctl-terminal");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, colour_is_for_terminals_that_want_it);
	tcase_add_test(tc, output_goes_through_the_pager);
	tcase_add_test(tc, watch_redraws_until_it_is_interrupted);
	tcase_add_loop_test(tc, looks_that_were_missed_are_left_out, 0, 3);
	tcase_add_test(tc, watch_says_that_the_broker_is_gone);
	tcase_add_test(tc, wait_waits_for_a_broker);
	tcase_add_test(tc, interrupts_at_once_are_one);
	tcase_add_test(tc, interrupt_once_more_ends_what_nobody_reads);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
