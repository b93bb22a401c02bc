/* SPDX-License-Identifier: Apache-2.0 */
/* Starts and ends a private broker: see broker.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/broker/broker.h"

#define START_LIMIT_MS 20000
#define STOP_LIMIT_MS  20000
#define RUN_LIMIT_MS   20000

/* Ends the test. Programs without Check call this too, so it is abort(), which fails a Check
 * test as well. */
__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("test support: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	_exit(99);
}

void test_nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
}

bool test_wait_for(bool (*condition)(void *userdata), void *userdata, unsigned ms)
{
	return test_wait_until(condition(userdata), ms);
}

static const char *program(void)
{
	const char *path = getenv("KICKMSGD");

	return path && *path ? path : TEST_KICKMSGD;
}

static void remove_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

/* a session of its own keeps Check's killpg() away from the broker */
pid_t test_start_janitor(const char *dir)
{
	pid_t parent = getpid(), pid;
	sigset_t set, before;
	int sig;

	/* the signal is blocked from the first instruction on: Check's inherited handler would
	 * end the test */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &before);
	pid = fork();
	if (pid != 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		return pid;
	}
	setsid();
	for (int fd = 0; fd < 256; fd++)
		close(fd);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == parent)
		sigwait(&set, &sig);
	remove_dir(dir);
	_exit(0);
}

static bool connects(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	bool ok = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	close(fd);
	return ok;
}

static void print_log(const struct test_broker *broker)
{
	char text[4096];
	int fd = open(broker->log, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text));

	if (n > 0)
		fprintf(stderr, "broker's log:\n%.*s", (int)n, text);
	if (fd >= 0)
		close(fd);
}

/* The broker dies with the thread that started it. */
static void exec_broker(const struct test_broker *broker, pid_t parent)
{
	const char *argv[] = { program(), "--socket", broker->socket, "--log-level", "debug", NULL,
		NULL, NULL };
	int fd = open(broker->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(98);
	if (fd >= 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
	if (*broker->config) {
		argv[5] = "--config";
		argv[6] = broker->config;
	}
	execv(argv[0], (char **)argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(97);
}

void test_broker_resume(struct test_broker *broker)
{
	pid_t parent = getpid();
	int status;

	broker->pid = fork();
	if (broker->pid < 0)
		die("fork: %s", strerror(errno));
	if (broker->pid == 0)
		exec_broker(broker, parent);
	for (unsigned left = START_LIMIT_MS * 2; left > 0; left--) {
		if (connects(broker->socket))
			return;
		if (waitpid(broker->pid, &status, WNOHANG) == broker->pid) {
			broker->pid = 0;
			print_log(broker);
			die("%s ended at once with status %#x", program(), (unsigned)status);
		}
		test_nap();
	}
	print_log(broker);
	die("%s doesn't accept connections", program());
}

void test_broker_start(struct test_broker *broker, const char *config_text)
{
	const char *tmp = getenv("TMPDIR");

	memset(broker, 0, sizeof(*broker));
	if (!tmp || !*tmp || strlen(tmp) > 40)
		tmp = "/tmp";
	snprintf(broker->dir, sizeof(broker->dir), "%s/kmtest-XXXXXX", tmp);
	if (!mkdtemp(broker->dir))
		die("mkdtemp %s: %s", broker->dir, strerror(errno));
	broker->janitor = test_start_janitor(broker->dir);
	snprintf(broker->socket, sizeof(broker->socket), "%s/s", broker->dir);
	snprintf(broker->log, sizeof(broker->log), "%s/log", broker->dir);
	if (config_text) {
		snprintf(broker->config, sizeof(broker->config), "%s/conf", broker->dir);
		FILE *file = fopen(broker->config, "we");

		if (!file || fputs(config_text, file) < 0 || fclose(file) != 0)
			die("%s: %s", broker->config, strerror(errno));
	}
	setenv("KICKMSG_SOCKET", broker->socket, 1);
	test_broker_resume(broker);
}

bool test_broker_alive(const struct test_broker *broker)
{
	siginfo_t info = { 0 };

	return broker->pid > 0 &&
	       waitid(P_PID, (id_t)broker->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == 0;
}

static int wait_bounded(pid_t pid, unsigned ms)
{
	int status = -1;

	if (!test_wait_until(waitpid(pid, &status, WNOHANG) == pid, ms)) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	return status;
}

void test_broker_kill(struct test_broker *broker)
{
	if (broker->pid <= 0)
		return;
	kill(broker->pid, SIGKILL);
	waitpid(broker->pid, NULL, 0);
	broker->pid = 0;
}

int test_broker_stop(struct test_broker *broker)
{
	int status = 0;

	if (broker->pid > 0) {
		kill(broker->pid, SIGCONT);
		kill(broker->pid, SIGTERM);
		status = wait_bounded(broker->pid, STOP_LIMIT_MS);
		broker->pid = 0;
	}
	if (broker->janitor > 0) {
		kill(broker->janitor, SIGTERM);
		waitpid(broker->janitor, NULL, 0);
		broker->janitor = 0;
	}
	return status;
}

bool test_broker_logged(const struct test_broker *broker, const char *text)
{
	FILE *file = fopen(broker->log, "re");
	char line[1024];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, text) != NULL;
	if (file)
		fclose(file);
	return found;
}

static size_t count_in_proc(pid_t pid, const char *folder)
{
	char path[64];
	size_t count = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, folder);
	DIR *dir = opendir(path);

	for (struct dirent *entry; dir && (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return count;
}

bool test_sleeps(pid_t pid)
{
	char path[64], state = 0;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	FILE *file = fopen(path, "re");
	if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	if (file)
		fclose(file);
	return state == 'S';
}

size_t test_thread_count(pid_t pid)
{
	return count_in_proc(pid, "task");
}

size_t test_fd_count(pid_t pid)
{
	return count_in_proc(pid, "fd");
}

size_t test_map_count(pid_t pid, const char *part_of_name)
{
	char path[64], line[1024];
	size_t count = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file))
		count += strstr(line, part_of_name) != NULL;
	if (file)
		fclose(file);
	return count;
}

size_t test_rss(pid_t pid)
{
	char path[64], line[256];
	size_t kib = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmRSS: %zu kB", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib * 1024;
}

int test_run(const char *const argv[], char *ret_output, size_t size)
{
	int pipe_fds[2], status = 0;
	size_t used = 0;
	pid_t pid = -1, parent = getpid();

	if (pipe2(pipe_fds, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		die("pipe, fork: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(pipe_fds[1], STDOUT_FILENO);
		dup2(pipe_fds[1], STDERR_FILENO);
		if (getppid() == parent)
			execv(argv[0], (char **)argv);
		_exit(97);
	}
	close(pipe_fds[1]);
	for (;;) {
		char rest[256];
		bool full = used + 1 >= size;
		struct pollfd ready = { pipe_fds[0], POLLIN, 0 };

		if (poll(&ready, 1, RUN_LIMIT_MS) <= 0) {
			kill(pid, SIGKILL);
			break;
		}
		ssize_t n = full ? read(pipe_fds[0], rest, sizeof(rest))
				 : read(pipe_fds[0], ret_output + used, size - 1 - used);
		if (n <= 0)
			break;
		used += full ? 0 : (size_t)n;
	}
	ret_output[used] = 0;
	close(pipe_fds[0]);
	status = wait_bounded(pid, RUN_LIMIT_MS);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
