/* SPDX-License-Identifier: Apache-2.0 */
/* The config's folders, its check, and reading it again while the broker serves. */
#include <check.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libclient/kickmsg.h"
#include "tests/support/broker/broker.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/suite.h"

static struct test_broker broker;
static char root[64], output[8192];

static const char *program(void)
{
	const char *path = getenv("KICKMSGD");

	return path && *path ? path : TEST_KICKMSGD;
}

static void write_file(const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof path, "%s%s", root, name);
	for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		ck_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
	FILE *file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void setup(void)
{
	strcpy(root, "/tmp/kickmsg-config-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static void teardown(void)
{
	const char *argv[] = { "/bin/rm", "-rf", root, NULL };

	ck_assert_int_eq(test_run(argv, output, sizeof output), 0);
}

static int check_config(void)
{
	const char *argv[] = { program(), "--config-root", root, "--check-config", NULL };

	return test_run(argv, output, sizeof output);
}

/* Where a text stands in what was printed; -1: nowhere. */
static long place_of(const char *text)
{
	const char *found = strstr(output, text);

	return found ? found - output : -1;
}

START_TEST(no_file_at_all_is_fine)
{
	ck_assert_int_eq(check_config(), 0);
	ck_assert_str_eq(output, "OK\n");
}
END_TEST

START_TEST(drop_ins_are_read_by_name_and_etc_goes_over_run_over_lib)
{
	write_file("/usr/lib/kickmsg/kickmsgd.conf", "[limits]\nclients = wrong\n");
	write_file("/run/kickmsg/kickmsgd.conf", "[limits]\nclients = 1\n");
	write_file("/usr/lib/kickmsg/kickmsgd.conf.d/10-a.conf", "[limits]\nclients = wrong\n");
	write_file("/etc/kickmsg/kickmsgd.conf.d/10-a.conf", "[limits]\nclients = 2\n");
	write_file("/etc/kickmsg/kickmsgd.conf.d/30-c.conf", "[limits]\nclients = 4\n");
	write_file("/usr/lib/kickmsg/kickmsgd.conf.d/20-b.conf", "[limits]\nclients = 3\n");
	write_file("/etc/kickmsg/kickmsgd.conf.d/15.txt", "[limits]\nclients = wrong\n");
	write_file("/etc/kickmsg/kickmsgd.conf.d/.hidden.conf", "[limits]\nclients = wrong\n");
	ck_assert_msg(check_config() == 0, "%s", output);
	long main_file = place_of("/run/kickmsg/kickmsgd.conf\n");
	long a = place_of("/etc/kickmsg/kickmsgd.conf.d/10-a.conf\n");
	long b = place_of("/usr/lib/kickmsg/kickmsgd.conf.d/20-b.conf\n");
	long c = place_of("/etc/kickmsg/kickmsgd.conf.d/30-c.conf\n");
	ck_assert_msg(main_file >= 0 && main_file < a && a < b && b < c, "%s", output);
	ck_assert_int_gt(place_of("OK\n"), c);
}
END_TEST

START_TEST(null_link_and_empty_file_mask)
{
	char path[256];

	write_file("/usr/lib/kickmsg/kickmsgd.conf.d/10-a.conf", "[limits]\nclients = wrong\n");
	write_file("/usr/lib/kickmsg/kickmsgd.conf.d/20-b.conf", "[limits]\nclients = wrong\n");
	write_file("/run/kickmsg/kickmsgd.conf.d/20-b.conf", "");
	write_file("/etc/kickmsg/kickmsgd.conf.d/30-c.conf", "");
	ck_assert_int_eq(check_config(), 1);
	snprintf(path, sizeof path, "%s/etc/kickmsg/kickmsgd.conf.d/10-a.conf", root);
	ck_assert_int_eq(symlink("/dev/null", path), 0);
	ck_assert_msg(check_config() == 0, "%s", output);
}
END_TEST

START_TEST(check_names_file_and_line)
{
	write_file("/etc/kickmsg/kickmsgd.conf.d/10-a.conf", "[limits]\n\nclientz = 3\n");
	ck_assert_int_eq(check_config(), 1);
	ck_assert_int_ge(place_of("/etc/kickmsg/kickmsgd.conf.d/10-a.conf:3: "), 0);
	ck_assert_int_ge(place_of("clientz"), 0);
	ck_assert_int_eq(place_of("OK\n"), -1);
	write_file("/etc/kickmsg/kickmsgd.conf.d/10-a.conf",
		"[topic robot:*]\ncreate = root\npublish = root, km-no-such-user\n");
	ck_assert_int_eq(check_config(), 1);
	ck_assert_int_ge(place_of("10-a.conf:3: there is no user 'km-no-such-user'"), 0);
}
END_TEST

START_TEST(check_lists_what_each_rule_covers)
{
	write_file("/etc/kickmsg/kickmsgd.conf.d/10-a.conf",
		"[topic kickmsg:robot/*]\ncreate = root\npublish = root\n");
	ck_assert_msg(check_config() == 0, "%s", output);
	long rule = place_of("rule for "), covers = place_of("robot/*");
	long line = place_of("10-a.conf:3)");
	ck_assert_msg(rule >= 0 && rule < covers && covers < line, "%s", output);
	ck_assert_int_gt(place_of("OK\n"), line);
}
END_TEST

/* Files that can't be a config, or were one before the machine crashed. The check ends. */
START_TEST(what_is_no_file_is_refused_and_not_waited_for)
{
	const char *argv[] = { program(), "--config", root, "--check-config", NULL };
	char path[256];

	write_file("/etc/kickmsg/kickmsgd.conf.d/10-a.conf", "[limits]\n");
	snprintf(path, sizeof path, "%s/etc/kickmsg/kickmsgd.conf.d/20-b.conf", root);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(check_config(), 1);
	ck_assert_msg(place_of("20-b.conf: neither a file nor /dev/null") >= 0, "%s", output);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("/dev/zero", path), 0);
	ck_assert_int_eq(check_config(), 1);
	ck_assert_msg(place_of("20-b.conf: neither a file nor /dev/null") >= 0, "%s", output);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(check_config(), 1);
	ck_assert_msg(place_of("20-b.conf: Is a directory") >= 0, "%s", output);
	ck_assert_int_eq(rmdir(path), 0);
	write_file("/etc/kickmsg/kickmsgd.conf.d/20-b.conf", "[limits]\nclients = 7");
	ck_assert_int_eq(truncate(path, 40), 0); /* the rest is 0 */
	ck_assert_int_eq(check_config(), 1);
	ck_assert_msg(place_of("20-b.conf:2: has a byte 0") >= 0, "%s", output);
	/* the folder itself */
	ck_assert_int_eq(test_run(argv, output, sizeof output), 1);
	ck_assert_msg(place_of(": Is a directory") >= 0, "%s", output);
	argv[1] = "--config-root";
	argv[2] = path;
	ck_assert_int_eq(test_run(argv, output, sizeof output), 1);
	ck_assert_msg(place_of("20-b.conf: Not a directory") >= 0, "%s", output);
}
END_TEST

START_TEST(lines_are_whole_or_refused)
{
	char text[512] = "[limits]\nclients = 7 ;";
	size_t line = strlen("[limits]\n");

	memset(text + strlen(text), 'x', 198 - (strlen(text) - line));
	write_file("/etc/kickmsg/kickmsgd.conf", text); /* the longest, and no newline */
	ck_assert_msg(check_config() == 0, "%s", output);
	strcat(text, "x\n");
	write_file("/etc/kickmsg/kickmsgd.conf", text);
	ck_assert_int_eq(check_config(), 1);
	ck_assert_msg(place_of("kickmsgd.conf:2: longer than 198 bytes") >= 0, "%s", output);
}
END_TEST

/* The service's user, as far as this machine has one for certain. */
#define SERVICE_UID  65534
#define SERVICE_USER "nobody"

/* Runs the program as the service's user, as systemd does. */
static int run_as_service(const char *a, const char *b, const char *c, const char *d)
{
	const char *argv[] = { "/usr/bin/setpriv", "--reuid=65534", "--regid=65534",
		"--clear-groups", program(), a, b, c, d, NULL };

	return test_run(argv, output, sizeof output);
}

/* This needs root, that user, and a program that the user may execute. */
static bool has_service_user(void)
{
	const struct passwd *user = getpwnam(SERVICE_USER);

	if (geteuid() == 0 && user && user->pw_uid == SERVICE_UID &&
		run_as_service("--version", NULL, NULL, NULL) == 0)
		return true;
	puts("SKIP: only root can become " SERVICE_USER);
	return false;
}

/* root can read what the service's user can't: the check is made as that user. */
START_TEST(check_as_root_reads_as_the_services_user)
{
	char path[256];

	if (!has_service_user())
		return;
	snprintf(path, sizeof path, "%s/config", root);
	const char *argv[] = { program(), "--config", path, "--check-config", "--user",
		SERVICE_USER, NULL };
	ck_assert_int_eq(chmod(root, 0755), 0);
	write_file("/config", "[limits]\nclients = 7\n");
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_msg(test_run(argv, output, sizeof output) == 0, "%s", output);
	ck_assert_int_eq(place_of("as user nobody\n"), 0);
	ck_assert_int_eq(chmod(path, 0600), 0);
	ck_assert_int_eq(test_run(argv, output, sizeof output), 1);
	ck_assert_msg(place_of("/config: Permission denied") >= 0, "%s", output);
	ck_assert_int_eq(place_of("OK\n"), -1);
	/* nobody else may be asked for another user's view */
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_int_eq(run_as_service("--check-config", "--user", "root", NULL), 1);
	ck_assert_msg(place_of("can't read as user root: ") >= 0, "%s", output);
	argv[5] = "no-such-user";
	ck_assert_int_eq(test_run(argv, output, sizeof output), 1);
	ck_assert_msg(place_of("there is no user 'no-such-user'") >= 0, "%s", output);
}
END_TEST

/* A broker of the service's user. Returns its process. */
static pid_t start_as_service(const char *config, const char *log)
{
	char run[96], socket[112];

	snprintf(run, sizeof run, "%s/run", root);
	snprintf(socket, sizeof socket, "%s/socket", run);
	ck_assert_int_eq(mkdir(run, 0755), 0);
	ck_assert_int_eq(chown(run, SERVICE_UID, SERVICE_UID), 0);
	pid_t pid = fork();
	if (pid > 0)
		return pid;
	ck_assert_ptr_nonnull(freopen(log, "w", stderr));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl("/usr/bin/setpriv", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
		program(), "--config", config, "--socket", socket, NULL);
	_exit(97);
}

/* Does the file have this text? */
static bool file_has(const char *path, const char *text)
{
	char content[8192];
	FILE *file = fopen(path, "re");
	size_t size = file ? fread(content, 1, sizeof content - 1, file) : 0;

	if (file)
		fclose(file);
	content[size] = '\0';
	return strstr(content, text) != NULL;
}

/* As ExecReload= does it: the caller hears what the service's user finds wrong, and so does the broker,
 * whose status says it. */
START_TEST(reload_is_checked_as_the_services_user)
{
	static const struct {
		const char *text;
		mode_t mode;
		const char *says;
	} tries[] = {
		{ "[limits]\nclients = 7\n", 0600, "/config: Permission denied" },
		{ "[limits]\nclientz = 7\n", 0644, "/config:2: [limits] has no key 'clientz'" },
	};
	char path[256], log[256], number[16], text[512];

	if (!has_service_user() ||
		test_skip_emulated("reload_is_checked_as_the_services_user", TEST_LACKS_CMDLINE))
		return;
	snprintf(path, sizeof path, "%s/config", root);
	snprintf(log, sizeof log, "%s/log", root);
	ck_assert_int_eq(chmod(root, 0755), 0);
	write_file("/config", "[limits]\nclients = 7\n");
	ck_assert_int_eq(chmod(path, 0644), 0);
	pid_t pid = start_as_service(path, log);
	snprintf(number, sizeof number, "%d", (int)pid);
	ck_assert(test_wait_until(file_has(log, " serves; "), 10000));
	ck_assert_int_eq(run_as_service("--reload", number, NULL, NULL), 0);
	ck_assert(test_wait_until(file_has(log, "the config was read again"), 10000));
	for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
		write_file("/config", tries[i].text);
		ck_assert_int_eq(chmod(path, tries[i].mode), 0);
		ck_assert_int_eq(run_as_service("--reload", number, NULL, NULL), 1);
		ck_assert_msg(place_of(tries[i].says) >= 0, "%s", output);
		snprintf(
			text, sizeof text, "the config stays as it was: %s%s", root, tries[i].says);
		ck_assert(test_wait_until(file_has(log, text), 10000));
	}
	kill(pid, SIGTERM);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

static void rewrite_config(const char *text)
{
	FILE *file = fopen(broker.config, "we");

	fputs(text, file);
	fclose(file);
	kill(broker.pid, SIGHUP);
}

START_TEST(reload_counts_whole_or_not_at_all)
{
	struct kickmsg_client *client;
	struct kickmsg_publisher *publishers[3];

	test_broker_start(&broker, "[limits]\nendpoints = 1\n");
	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	ck_assert_int_eq(kickmsg_advertise(client, "t", NULL, &publishers[0]), 0);
	ck_assert_int_eq(kickmsg_advertise(client, "t", NULL, &publishers[1]), -EDQUOT);

	/* a limit that is good, and then a line that isn't: neither counts */
	rewrite_config("[limits]\nendpoints = 5\ntopics = none\n");
	ck_assert(test_wait_until(
		test_broker_logged(&broker, "the config stays as it was: "), 10000));
	ck_assert(test_broker_logged(&broker, ":3: topics = none"));
	ck_assert_int_eq(kickmsg_advertise(client, "t", NULL, &publishers[1]), -EDQUOT);

	rewrite_config("[broker]\nsocket_mode = 0600\n[limits]\nendpoints = 2\n");
	ck_assert(test_wait_until(test_broker_logged(&broker, "the config was read again"), 10000));
	ck_assert(test_broker_logged(&broker, "a change needs a restart"));
	ck_assert_int_eq(kickmsg_advertise(client, "t", NULL, &publishers[1]), 0);
	ck_assert_int_eq(kickmsg_advertise(client, "t", NULL, &publishers[2]), -EDQUOT);
	kickmsg_client_free(client);
	ck_assert_int_eq(test_broker_stop(&broker), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-config");
	const TTest *tests[] = { no_file_at_all_is_fine, check_lists_what_each_rule_covers,
		drop_ins_are_read_by_name_and_etc_goes_over_run_over_lib,
		null_link_and_empty_file_mask, check_names_file_and_line,
		what_is_no_file_is_refused_and_not_waited_for, lines_are_whole_or_refused,
		check_as_root_reads_as_the_services_user, reload_is_checked_as_the_services_user,
		reload_counts_whole_or_not_at_all };

	/* each with a folder that this process removes, whatever becomes of the test's */
	for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
		TCase *tcase = tcase_create("flow-config");

		tcase_set_timeout(tcase, 60);
		tcase_add_unchecked_fixture(tcase, setup, teardown);
		tcase_add_test(tcase, tests[i]);
		suite_add_tcase(suite, tcase);
	}
	return test_suite_run(suite);
}
