/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's place among other programs: its socket file, its descriptors, its limits. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/support/broker/flow.h"
#include "tests/support/broker/manager.h"

static char output[4096], lock[128];

static const char *kickmsgd(void)
{
	const char *path = getenv("KICKMSGD");

	return path ? path : TEST_KICKMSGD;
}

static void start(void)
{
	test_broker_start(&broker, NULL);
	snprintf(lock, sizeof lock, "%s.lock", broker.socket);
}

static ino_t inode(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_ino : 0;
}

/* --- the socket file ------------------------------------------------------------------- */

/* Looks as another broker's files would, as far as this broker can tell. */
START_TEST(files_of_another_are_left_alone_at_the_end)
{
	char aside[160];

	start();
	/* so that the inodes stay in use, and the fresh files have other ones */
	snprintf(aside, sizeof aside, "%s.old", broker.socket);
	kill(broker.pid, SIGSTOP);
	ck_assert_int_eq(rename(broker.socket, aside), 0);
	snprintf(aside, sizeof aside, "%s.old", lock);
	ck_assert_int_eq(rename(lock, aside), 0);
	int socket_fd = open(lock, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	ck_assert_int_ge(socket_fd, 0);
	ck_assert_int_eq(flock(socket_fd, LOCK_EX | LOCK_NB), 0);
	ck_assert_int_eq(mknod(broker.socket, S_IFSOCK | 0600, 0), 0);
	ino_t socket_inode = inode(broker.socket), lock_inode = inode(lock);
	kill(broker.pid, SIGTERM);
	kill(broker.pid, SIGCONT);
	ck_assert_int_eq(waitpid(broker.pid, NULL, 0), broker.pid);
	broker.pid = 0;
	ck_assert_uint_eq(inode(broker.socket), socket_inode);
	ck_assert_uint_eq(inode(lock), lock_inode);
	close(socket_fd);
	test_broker_stop(&broker);
}
END_TEST

START_TEST(socket_that_is_removed_is_made_again)
{
	struct kickmsg_client *client, *second = NULL;
	struct stat st;

	start();
	client = flow_client("stays");
	struct kickmsg_publisher *publisher = flow_advertise(client, "t", NULL);
	for (int round = 0; round < 2; round++) {
		ck_assert_int_eq(unlink(broker.socket), 0);
		if (round == 1)
			ck_assert_int_eq(unlink(lock), 0);
		ck_assert(test_wait_until(kickmsg_client_new(NULL, &second) == 0, FLOW_WAIT_MS));
		kickmsg_publisher_free(flow_advertise(second, "t", NULL));
		kickmsg_client_free(second);
		ck_assert_int_eq(stat(broker.socket, &st), 0);
		ck_assert_uint_eq(st.st_mode & 0777, 0660);
		/* the place is held as before */
		const char *argv[] = { kickmsgd(), "--socket", broker.socket, NULL };
		ck_assert_int_eq(test_run(argv, output, sizeof output), 1);
		ck_assert_ptr_nonnull(strstr(output, "in use by another broker"));
	}
	ck_assert(test_broker_logged(&broker, "was gone: made again"));
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	kickmsg_client_free(client);
	flow_stop();
	ck_assert_int_eq(access(lock, F_OK), -1);
	ck_assert_int_eq(access(broker.socket, F_OK), -1);
}
END_TEST

/* The end of a login takes the folder away; connected clients go on. */
START_TEST(folder_that_is_gone_is_waited_for)
{
	char aside[160];

	start();
	snprintf(aside, 80, "%.64s.gone", broker.dir);
	kickmsg_client_free(flow_client("before"));
	ck_assert_int_eq(rename(broker.dir, aside), 0);
	snprintf(broker.log, sizeof broker.log, "%.80s/log", aside);
	ck_assert(test_wait_until(
		test_broker_logged(&broker, "nobody can connect: No such file"), FLOW_WAIT_MS));
	poll(NULL, 0, 1200); /* two more looks, of which nothing is said */
	FILE *file = fopen(broker.log, "re");
	unsigned lines = 0;
	while (fgets(output, sizeof output, file))
		lines += strstr(output, "No such file") != NULL;
	fclose(file);
	ck_assert_uint_le(lines, 2);
	/* an empty one comes */
	ck_assert_int_eq(mkdir(broker.dir, 0700), 0);
	struct kickmsg_client *client = NULL;
	ck_assert(test_wait_until(kickmsg_client_new(NULL, &client) == 0, FLOW_WAIT_MS));
	kickmsg_client_free(client);
	flow_stop();
	char command[160];
	snprintf(command, sizeof command, "rm -rf %.80s", aside);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(socket_of_the_manager_is_its_own_to_make)
{
	static struct test_manager manager;

	test_manager_start(&manager, NULL);
	ck_assert_int_eq(unlink(manager.socket), 0);
	ck_assert(test_wait_until(
		test_manager_logged(&manager, "is gone, and nobody can connect. It is the service"),
		FLOW_WAIT_MS));
	ck_assert_int_eq(access(manager.socket, F_OK), -1);
	test_manager_stop(&manager);
}
END_TEST

START_TEST(folder_of_everybody_is_named_as_the_reason)
{
	const char *argv[] = { kickmsgd(), "--socket", broker.socket, NULL };

	start();
	test_broker_kill(&broker);
	ck_assert_int_eq(chmod(broker.dir, 01777), 0);
	int fd = open(lock, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	ck_assert_int_eq(test_run(argv, output, sizeof output), 1);
	ck_assert_msg(strstr(output, "everybody can write to /"), "%s", output);
	ck_assert_msg(strstr(output, "/run/kickmsg"), "%s", output);
	close(fd);
	/* the broker also warns while all is well */
	test_broker_resume(&broker);
	ck_assert(test_wait_until(
		test_broker_logged(&broker, "is no good place (everybody can write to"),
		FLOW_WAIT_MS));
	flow_stop();
}
END_TEST

/* --- what it is started with ----------------------------------------------------------- */

/* Starts one beside the test's own with this done before. */
static pid_t start_after(void (*prepare)(void), const char *socket)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prepare();
		execl(kickmsgd(), "kickmsgd", "--socket", socket, "--log-level", "debug",
			(char *)NULL);
		_exit(97);
	}
	return pid;
}

static void end(pid_t pid)
{
	int status;

	kill(pid, SIGTERM);
	ck_assert(test_wait_until(waitpid(pid, &status, WNOHANG) == pid, FLOW_WAIT_MS));
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%#x", (unsigned)status);
}

static void close_standard_ones(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		close(fd);
}

/* Is what the broker has at 0, 1 and 2 the folder that can't be written to? */
START_TEST(descriptors_0_to_2_are_never_the_brokers_own)
{
	struct kickmsg_client_config config = { .socket_path = lock };
	struct kickmsg_client *client = NULL;
	char path[64];
	struct stat st;

	start();
	snprintf(lock, sizeof lock, "%s2", broker.socket);
	pid_t pid = start_after(close_standard_ones, lock);
	ck_assert(test_wait_until(kickmsg_client_new(&config, &client) == 0, FLOW_WAIT_MS));
	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
		ck_assert_int_eq(stat(path, &st), 0);
		ck_assert_msg(S_ISDIR(st.st_mode), "%d is of mode %o", fd, st.st_mode);
	}
	kickmsg_publisher_free(flow_advertise(client, "t", NULL));
	kickmsg_client_free(client);
	end(pid);
	flow_stop();
}
END_TEST

static void write_to_full_device(void)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
}

START_TEST(full_disk_under_the_log_is_no_hindrance)
{
	struct kickmsg_client_config config = { .socket_path = lock };
	struct kickmsg_client *client = NULL;

	start();
	snprintf(lock, sizeof lock, "%s2", broker.socket);
	pid_t pid = start_after(write_to_full_device, lock);
	ck_assert(test_wait_until(kickmsg_client_new(&config, &client) == 0, FLOW_WAIT_MS));
	kickmsg_publisher_free(flow_advertise(client, "t", NULL));
	kickmsg_client_free(client);
	end(pid);
	flow_stop();
}
END_TEST

/* Output that was asked for and can't be written is a failure: on a full disk, and without
 * stdout. */
START_TEST(answer_that_cant_be_written_is_a_failure)
{
	static const char *const questions[] = { "--version", "--help", "--check-config" };
	char command[512];

	for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
		snprintf(command, sizeof command, "%s %s --config /dev/null >/dev/full 2>/dev/null",
			kickmsgd(), questions[i]);
		ck_assert_int_eq(WEXITSTATUS(system(command)), 1);
		snprintf(command, sizeof command, "%s %s --config /dev/null >&- 2>/dev/null",
			kickmsgd(), questions[i]);
		ck_assert_int_eq(WEXITSTATUS(system(command)), 1);
	}
}
END_TEST

static void limit_files(void)
{
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 100000, 100000 });
}

static void limit_files_more(void)
{
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 5000, 5000 });
}

START_TEST(limit_of_file_sizes_is_an_error_of_the_request)
{
	struct kickmsg_client_config config = { .socket_path = lock };
	struct kickmsg_topic_config large;
	struct kickmsg_publisher *publisher;
	struct kickmsg_client *client = NULL;

	start();
	snprintf(lock, sizeof lock, "%s2", broker.socket);
	kickmsg_topic_config_init(&large);
	large.max_payload_size = 4000000;
	pid_t pid = start_after(limit_files, lock);
	ck_assert(test_wait_until(kickmsg_client_new(&config, &client) == 0, FLOW_WAIT_MS));
	ck_assert_int_eq(kickmsg_advertise(client, "t", &large, &publisher), -ENOMEM);
	ck_assert_msg(
		flow_said(client, "bytes can't be had"), "%s", kickmsg_client_last_error(client));
	kickmsg_client_free(client);
	end(pid);
	/* not even a client's own memory */
	pid = start_after(limit_files_more, lock);
	ck_assert(test_wait_until(access(lock, F_OK) == 0, FLOW_WAIT_MS));
	for (int i = 0; i < 3; i++)
		ck_assert(test_wait_until(
			kickmsg_client_new(&config, &client) == -ENOMEM, FLOW_WAIT_MS));
	end(pid);
	flow_stop();
}
END_TEST

static void hide_proc(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", "/proc", "tmpfs", 0, NULL) < 0)
		_exit(77);
}

START_TEST(without_proc_it_says_so)
{
	int fds[2], status;

	start();
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	int saved = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	snprintf(lock, sizeof lock, "%s2", broker.socket);
	pid_t pid = start_after(hide_proc, lock);
	dup2(saved, STDERR_FILENO);
	close(fds[1]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ssize_t n = read(fds[0], output, sizeof output - 1);
	output[n > 0 ? n : 0] = '\0';
	close(fds[0]);
	if (WEXITSTATUS(status) == 77) {
		puts("SKIP: /proc can't be hidden here");
	} else {
		ck_assert_int_eq(WEXITSTATUS(status), 1);
		ck_assert_msg(strstr(output, "/proc is not mounted"), "%s", output);
	}
	flow_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-place");
	TCase *tcase = tcase_create("place");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, files_of_another_are_left_alone_at_the_end);
	tcase_add_test(tcase, socket_that_is_removed_is_made_again);
	tcase_add_test(tcase, folder_that_is_gone_is_waited_for);
	tcase_add_test(tcase, socket_of_the_manager_is_its_own_to_make);
	tcase_add_test(tcase, folder_of_everybody_is_named_as_the_reason);
	tcase_add_test(tcase, descriptors_0_to_2_are_never_the_brokers_own);
	tcase_add_test(tcase, full_disk_under_the_log_is_no_hindrance);
	tcase_add_test(tcase, answer_that_cant_be_written_is_a_failure);
	tcase_add_test(tcase, limit_of_file_sizes_is_an_error_of_the_request);
	tcase_add_test(tcase, without_proc_it_says_so);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
