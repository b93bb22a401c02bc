/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service manager for one broker: see manager.h.
 *
 * The file is long because a manager is one process: what it keeps, hears and starts.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker/broker.h"
#include "tests/support/broker/manager.h"

#define READY_LIMIT_MS 20000
#define FIRST_FD       3
#define WATCHDOG_MS    40

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "test manager: %s: %s\n", what, strerror(errno));
	_exit(99);
}

static int bound_socket(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	must(fd >= 0, "socket");
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	must(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, path);
	return fd;
}

static struct manager_fd *find(struct test_manager *manager, const char *name)
{
	for (size_t i = 0; i < manager->stored_count; i++)
		if (strcmp(manager->stored[i].name, name) == 0)
			return &manager->stored[i];
	return NULL;
}

static void forget(struct test_manager *manager, const char *name)
{
	struct manager_fd *found;

	while ((found = find(manager, name))) {
		close(found->fd);
		*found = manager->stored[--manager->stored_count];
	}
}

static void keep(struct test_manager *manager, const char *name, int fd)
{
	must(manager->stored_count < MANAGER_MAX_FDS, "too many descriptors");
	struct manager_fd *stored = &manager->stored[manager->stored_count++];

	stored->fd = fd;
	snprintf(stored->name, sizeof stored->name, "%s", name);
}

/* Takes one message. False: there is none. */
static bool take_message(struct test_manager *manager)
{
	char text[2048] = "", name[64] = "stored";
	union {
		char bytes[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = { text, sizeof text - 1 };
	struct msghdr header = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes };
	ssize_t n;

	/* a thread that has the lock knows that each message that was taken has been kept */
	pthread_mutex_lock(&manager->lock);
	n = recvmsg(manager->notify_fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0) {
		pthread_mutex_unlock(&manager->lock);
		return false;
	}
	text[n] = '\0';
	manager->messages++;
	if (manager->said_size + (size_t)n + 2 < sizeof manager->said) {
		memcpy(manager->said + manager->said_size, text, (size_t)n + 1);
		manager->said_size += (size_t)n;
		strcpy(manager->said + manager->said_size++, "\n");
	}
	const char *named = strstr(text, "FDNAME=");
	if (named)
		sscanf(named, "FDNAME=%63[^\n]", name);
	if (strstr(text, "FDSTOREREMOVE=1"))
		forget(manager, name);
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
	if (rights && rights->cmsg_type == SCM_RIGHTS) {
		size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < count; i++)
			keep(manager, name, ((int *)(void *)CMSG_DATA(rights))[i]);
	}
	const char *status = strstr(text, "STATUS=");
	if (status)
		sscanf(status, "STATUS=%127[^\n]", manager->status);
	pthread_mutex_unlock(&manager->lock);
	if (strstr(text, "WATCHDOG=1"))
		manager->watchdogs++;
	if (strstr(text, "READY=1"))
		manager->ready++;
	return true;
}

static void *listen_to_broker(void *userdata)
{
	struct test_manager *manager = userdata;
	struct pollfd watched = { .fd = manager->notify_fd, .events = POLLIN };

	while (!manager->ending)
		if (poll(&watched, 1, 20) > 0)
			while (take_message(manager))
				;
	return NULL;
}

static const char *built_program(void)
{
	const char *program = getenv("KICKMSGD");

	return program && *program ? program : TEST_KICKMSGD;
}

/* Runs in the child: puts the descriptors to 3, 4, ..., and their names into the environment. */
static void hand_over(struct test_manager *manager)
{
	static char names[MANAGER_MAX_FDS * 20] = "kickmsgd.socket";
	static int fds[MANAGER_MAX_FDS + 1];
	size_t count = manager->stored_count + 1, used = strlen(names);
	char number[32];

	/* moved out of the way first: the number of a target may be another one's source */
	for (size_t i = 0; i < count; i++) {
		int from = i == 0 ? manager->listen_fd : manager->stored[i - 1].fd;

		fds[i] = fcntl(from, F_DUPFD, FIRST_FD + (int)count + 16);
		must(fds[i] >= 0, "dup");
		if (i > 0)
			used += (size_t)snprintf(names + used, sizeof names - used, ":%s",
				manager->stored[i - 1].name);
	}
	for (size_t i = 0; i < count; i++)
		must(dup2(fds[i], FIRST_FD + (int)i) >= 0, "dup2");
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	snprintf(number, sizeof number, "%zu", count + manager->more_fds);
	setenv("LISTEN_FDS", number, 1);
	snprintf(number, sizeof number, "%d", (int)getpid());
	setenv("WATCHDOG_PID", number, 1);
	if (manager->listen_pid)
		snprintf(number, sizeof number, "%d", (int)manager->listen_pid);
	setenv("LISTEN_PID", number, 1);
	snprintf(number, sizeof number, "%d", WATCHDOG_MS * 1000);
	setenv("WATCHDOG_USEC", number, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	setenv("NOTIFY_SOCKET", manager->notify, 1);
}

void test_manager_resume_unready(struct test_manager *manager)
{
	const char *program = *manager->program ? manager->program : built_program();
	pid_t parent = getpid();

	pthread_mutex_lock(&manager->lock);
	manager->starts++;
	manager->said_size = 0;
	manager->said[0] = '\0';
	manager->pid = fork();
	must(manager->pid >= 0, "fork");
	if (manager->pid > 0) {
		pthread_mutex_unlock(&manager->lock);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(99);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }); /* a watchdog's kill leaves no file */
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int log = open(manager->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log >= 0)
		dup2(log, STDERR_FILENO);
	int gate = manager->gate;
	if (gate > 0) /* moved out of the way */
		gate = fcntl(gate, F_DUPFD_CLOEXEC, FIRST_FD + (int)manager->stored_count + 17);
	hand_over(manager);
	if (gate != 0 && (write(gate, "", 1) != 1 || read(gate, &(char){ 0 }, 1) != 1))
		_exit(97);
	execl(program, program, "--config", manager->config, (char *)NULL);
	_exit(98);
}

int test_manager_fail(struct test_manager *manager)
{
	int status = -1;

	test_manager_resume_unready(manager);
	must(test_wait_until(
		     waitpid(manager->pid, &status, WNOHANG) == manager->pid, READY_LIMIT_MS),
		"the broker doesn't end");
	manager->pid = 0;
	test_manager_hear(manager);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void test_manager_resume(struct test_manager *manager)
{
	unsigned ready = manager->ready;

	test_manager_resume_unready(manager);
	must(test_wait_until(manager->ready != ready, READY_LIMIT_MS), "the broker isn't ready");
}

void test_manager_start(struct test_manager *manager, const char *config_text)
{
	static const char text[] = "[broker]\n";

	memset(manager, 0, sizeof *manager);
	strcpy(manager->dir, "/tmp/kickmsg-manager-XXXXXX");
	must(mkdtemp(manager->dir), "mkdtemp");
	manager->janitor = test_start_janitor(manager->dir);
	snprintf(manager->socket, sizeof manager->socket, "%s/socket", manager->dir);
	snprintf(manager->notify, sizeof manager->notify, "%s/notify", manager->dir);
	snprintf(manager->log, sizeof manager->log, "%s/log", manager->dir);
	snprintf(manager->config, sizeof manager->config, "%s/config", manager->dir);
	int fd = open(manager->config, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	const char *config = config_text ? config_text : text;
	must(fd >= 0 && write(fd, config, strlen(config)) == (ssize_t)strlen(config), "config");
	close(fd);
	manager->listen_fd = bound_socket(manager->socket, SOCK_SEQPACKET);
	must(listen(manager->listen_fd, SOMAXCONN) == 0, "listen");
	manager->notify_fd = bound_socket(manager->notify, SOCK_DGRAM);
	setenv("KICKMSG_SOCKET", manager->socket, 1);
	pthread_mutex_init(&manager->lock, NULL);
	must(pthread_create(&manager->thread, NULL, listen_to_broker, manager) == 0, "thread");
	test_manager_resume(manager);
}

void test_manager_kill(struct test_manager *manager, int signal)
{
	kill(manager->pid, signal);
	waitpid(manager->pid, NULL, 0);
	manager->pid = 0;
	/* a manager hears what its dead child had still said */
	test_manager_hear(manager);
}

bool test_manager_watchdog(struct test_manager *manager)
{
	int status;

	kill(manager->pid, SIGSTOP);
	must(waitpid(manager->pid, &status, WUNTRACED) == manager->pid, "waitpid");
	test_manager_hear(manager);
	unsigned heard = manager->watchdogs;
	/* The manager's own clock, since it waits for a silence. */
	poll(NULL, 0, 2 * WATCHDOG_MS);
	test_manager_hear(manager);
	bool silent = manager->watchdogs == heard;
	kill(manager->pid, SIGABRT);
	kill(manager->pid, SIGCONT);
	must(waitpid(manager->pid, &status, 0) == manager->pid, "waitpid");
	manager->pid = 0;
	return silent && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* Reads the path of the program that a process runs. False: there is none. */
static bool read_program(pid_t pid, char *ret, size_t size)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
	ssize_t n = readlink(path, ret, size - 1);
	ret[n > 0 ? n : 0] = '\0';
	return n > 0;
}

bool test_manager_upgrade(struct test_manager *manager)
{
	char fresh[112], link[160] = "", own[160] = "";
	const bool first = !*manager->program;
	struct stat before, after;

	snprintf(manager->program, sizeof manager->program, "%s/kickmsgd", manager->dir);
	snprintf(fresh, sizeof fresh, "%s.new", manager->program);
	int from = open(built_program(), O_RDONLY | O_CLOEXEC);
	int to = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	bool good = from >= 0 && to >= 0 && fstat(from, &before) == 0 &&
		    /* not copy_file_range(2): /tmp may be another file system */
		    sendfile(to, from, NULL, (size_t)before.st_size) == before.st_size &&
		    fstat(to, &after) == 0 && after.st_ino != before.st_ino;
	close(from);
	close(to);
	/* a process that was only just forked would run the fresh program */
	good = good && read_program(getpid(), own, sizeof own) &&
	       test_wait_until(
		       read_program(manager->pid, link, sizeof link) && strcmp(link, own) != 0,
		       READY_LIMIT_MS);
	good = good && rename(fresh, manager->program) == 0;
	/* the program that runs has no name any more */
	good = good && (first || (read_program(manager->pid, link, sizeof link) &&
					 strstr(link, " (deleted)")));
	if (!good)
		fprintf(stderr, "the broker's program can't be replaced: it runs '%s'\n", link);
	return good;
}

void test_manager_hear(struct test_manager *manager)
{
	while (take_message(manager))
		;
}

long test_manager_said(struct test_manager *manager, const char *text)
{
	pthread_mutex_lock(&manager->lock);
	const char *found = strstr(manager->said, text);
	pthread_mutex_unlock(&manager->lock);
	return found ? found - manager->said : -1;
}

long test_manager_said_last(struct test_manager *manager, const char *text)
{
	const char *found, *last = NULL;

	pthread_mutex_lock(&manager->lock);
	for (found = manager->said; (found = strstr(found, text)); found++)
		last = found;
	pthread_mutex_unlock(&manager->lock);
	return last ? last - manager->said : -1;
}

bool test_manager_status_has(struct test_manager *manager, const char *text)
{
	pthread_mutex_lock(&manager->lock);
	bool has = strstr(manager->status, text) != NULL;
	pthread_mutex_unlock(&manager->lock);
	return has;
}

size_t test_manager_stored(struct test_manager *manager, char kind)
{
	size_t count = 0;

	pthread_mutex_lock(&manager->lock);
	for (size_t i = 0; i < manager->stored_count; i++)
		count += !kind || manager->stored[i].name[0] == kind;
	pthread_mutex_unlock(&manager->lock);
	return count;
}

int test_manager_find(struct test_manager *manager, const char *name)
{
	pthread_mutex_lock(&manager->lock);
	struct manager_fd *found = find(manager, name);
	int fd = found ? found->fd : -1;
	pthread_mutex_unlock(&manager->lock);
	return fd;
}

void test_manager_forget(struct test_manager *manager, const char *name)
{
	pthread_mutex_lock(&manager->lock);
	forget(manager, name);
	pthread_mutex_unlock(&manager->lock);
}

void test_manager_keep(struct test_manager *manager, const char *name, int fd)
{
	pthread_mutex_lock(&manager->lock);
	keep(manager, name, fd);
	pthread_mutex_unlock(&manager->lock);
}

bool test_manager_logged(const struct test_manager *manager, const char *text)
{
	static char all[1 << 20];
	int fd = open(manager->log, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, all, sizeof all - 1);

	if (fd >= 0)
		close(fd);
	all[n > 0 ? n : 0] = '\0';
	return strstr(all, text) != NULL;
}

int test_manager_stop(struct test_manager *manager)
{
	int status = -1;

	if (manager->pid > 0) {
		kill(manager->pid, SIGTERM);
		waitpid(manager->pid, &status, 0);
	}
	manager->ending = true;
	pthread_join(manager->thread, NULL);
	while (manager->stored_count > 0)
		forget(manager, manager->stored[0].name);
	close(manager->listen_fd);
	close(manager->notify_fd);
	kill(manager->janitor, SIGTERM);
	waitpid(manager->janitor, NULL, 0);
	pthread_mutex_destroy(&manager->lock);
	return status;
}
