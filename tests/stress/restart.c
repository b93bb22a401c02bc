/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker ends at random, again and again, while 8 publishers and 8 subscribers run, half of
 * them on a topic with a shared ring, and clients come and go: by SIGKILL, by `systemctl restart`,
 * by the watchdog's kill, by an upgrade of its program. No client sees an error, no sleeper is
 * forgotten, every subscriber's count is exact, and no descriptor and no memfd is left in the end.
 * usage: stress-restart [ENDS [SEED]]
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libclient/kickmsg.h"
#include "tests/support/broker/broker.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/manager.h"

#define PUBLISHERS  8
#define SUBSCRIBERS 8
#define VISITORS    2
#define TOPICS      2 /* one with private rings, one with a shared ring */
#define WORKERS     (PUBLISHERS + SUBSCRIBERS + VISITORS)
#define MAX_CALLS   (1 << 20)
#define LAST        UINT64_MAX /* the last message of all */
/* Messages come all the time, so a receive that waits so long was not woken. */
#define FORGOTTEN_NS INT64_C(30000000000)

/* The memory that all processes of the test share. */
struct board {
	_Atomic unsigned attached; /* workers that have begun */
	_Atomic bool publishers_stop, visitors_gone;
	_Atomic unsigned publishers_done;
	_Atomic uint64_t sent[TOPICS];
	_Atomic uint64_t calls, visits;
	uint64_t received[SUBSCRIBERS], lost[SUBSCRIBERS];
	uint32_t call_us[MAX_CALLS]; /* times of control calls */
};

/* The ways in which a broker ends, and how often each. */
enum way { KILL, RESTART, WATCHDOG, UPGRADE, WAYS };
static unsigned counts[WAYS];

static struct board *board;
static struct test_manager manager;

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void note_call(int64_t started_ns)
{
	uint64_t index = board->calls++;

	if (index < MAX_CALLS)
		board->call_us[index] = (uint32_t)((now_ns() - started_ns) / 1000);
}

/* A control call, which must not fail when the broker ends. */
#define MUST(call)                                                                                 \
	do {                                                                                       \
		int64_t started_ = now_ns();                                                       \
		int r_ = (int)(call);                                                              \
		if (r_ < 0) {                                                                      \
			fprintf(stderr, "pid %d: %s: %s\n", (int)getpid(), #call,                  \
				kickmsg_strerror(r_));                                             \
			_exit(1);                                                                  \
		}                                                                                  \
		note_call(started_);                                                               \
	} while (0)

/* Every second worker is on a topic with a shared ring. */
static const char *topic_of(unsigned index)
{
	return index % TOPICS ? "busy-shared" : "busy";
}

static void config_fill(struct kickmsg_topic_config *config, unsigned index)
{
	kickmsg_topic_config_init(config);
	config->transport = index % TOPICS ? KICKMSG_TRANSPORT_SHARED : KICKMSG_TRANSPORT_RINGS;
	config->max_subscribers = SUBSCRIBERS + VISITORS;
	config->pool_size = 2048;
}

static void send_one(struct kickmsg_publisher *publisher, uint64_t value)
{
	ssize_t r = kickmsg_send(publisher, &value, sizeof value);

	if (r != sizeof value) {
		fprintf(stderr, "send: %s\n", kickmsg_strerror((int)r));
		_exit(1);
	}
}

static void publish_all_along(unsigned index)
{
	struct kickmsg_topic_config config;
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;
	uint64_t sent = 0;

	config_fill(&config, index);
	MUST(kickmsg_client_new(NULL, &client));
	MUST(kickmsg_advertise(client, topic_of(index), &config, &publisher));
	board->attached++;
	while (board->attached < PUBLISHERS + SUBSCRIBERS)
		test_nap();
	while (!board->publishers_stop) {
		for (int i = 0; i < 50; i++)
			send_one(publisher, sent++);
		test_nap();
	}
	/* the other publishers have finished, so nothing pushes out the last message of each
	 * topic */
	if (index < TOPICS) {
		while (board->publishers_done < PUBLISHERS - TOPICS || !board->visitors_gone)
			test_nap();
		send_one(publisher, LAST);
		sent++;
	}
	board->sent[index % TOPICS] += sent;
	board->publishers_done++;
	kickmsg_client_free(client);
}

static void receive_all(unsigned index)
{
	struct kickmsg_topic_config config;
	struct kickmsg_client *client;
	struct kickmsg_subscriber *subscriber;
	uint64_t value = 0;

	config_fill(&config, index);
	MUST(kickmsg_client_new(NULL, &client));
	MUST(kickmsg_subscribe_or_create(client, topic_of(index), &config, NULL, &subscriber));
	board->attached++;
	while (value != LAST) {
		ssize_t r = kickmsg_receive_copy(subscriber, &value, sizeof value, FORGOTTEN_NS);

		if (r != sizeof value) {
			fprintf(stderr, "receive: %s\n", kickmsg_strerror((int)r));
			_exit(1);
		}
		board->received[index]++;
	}
	board->lost[index] = kickmsg_subscriber_lost(subscriber);
	kickmsg_client_free(client);
}

/* A client that comes, takes part for a moment and goes, sometimes without a word. */
static void visit(unsigned seed)
{
	while (!board->publishers_stop) {
		pid_t pid = fork();

		if (pid == 0) {
			struct kickmsg_client *client;
			struct kickmsg_publisher *own;
			struct kickmsg_subscriber *subscriber;
			char name[32];

			snprintf(name, sizeof name, "visit%u", seed % 5);
			MUST(kickmsg_client_new(NULL, &client));
			MUST(kickmsg_advertise_or_join(client, name, NULL, &own));
			MUST(kickmsg_subscribe(client, topic_of(seed / 8), NULL, &subscriber));
			MUST(kickmsg_send(own, "x", 1));
			if (seed % 3 == 0)
				_exit(0);
			kickmsg_publisher_free(own);
			kickmsg_client_free(client);
			_exit(0);
		}
		int status;
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
			_exit(1);
		board->visits++;
		seed = seed * 1103515245 + 12345;
	}
}

static pid_t start_worker(unsigned index)
{
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (index < PUBLISHERS)
		publish_all_along(index);
	else if (index < PUBLISHERS + SUBSCRIBERS)
		receive_all(index - PUBLISHERS);
	else
		visit(index);
	_exit(0);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

struct memfds {
	uint64_t inodes[1024];
	size_t count;
};

static void add_memfd(struct memfds *memfds, uint64_t inode)
{
	for (size_t i = 0; i < memfds->count; i++)
		if (memfds->inodes[i] == inode)
			return;
	if (memfds->count < sizeof memfds->inodes / sizeof memfds->inodes[0])
		memfds->inodes[memfds->count++] = inode;
}

/* Counts what a process has open and mapped. */
static void add_memfds_of(struct memfds *memfds, pid_t pid)
{
	char path[384], link[64], line[512];
	struct dirent *entry;
	struct stat st;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof path, "/proc/%d/fd/%s", (int)pid, entry->d_name);
		ssize_t n = readlink(path, link, sizeof link);
		if (n > 7 && memcmp(link, "/memfd:", 7) == 0 && stat(path, &st) == 0)
			add_memfd(memfds, st.st_ino);
	}
	if (dir)
		closedir(dir);
	snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file)) {
		unsigned long long inode;

		if (strstr(line, "/memfd:") && sscanf(line, "%*s %*s %*s %*s %llu", &inode) == 1)
			add_memfd(memfds, inode);
	}
	if (file)
		fclose(file);
}

/* Counts the memfds that the manager (this process) or the broker has, each once. */
static size_t count_memfds(void)
{
	struct memfds memfds = { .count = 0 };

	add_memfds_of(&memfds, getpid());
	add_memfds_of(&memfds, manager.pid);
	return memfds.count;
}

/* Are all counts right? Prints what was measured. */
static bool judge(unsigned ends, size_t most_memfds)
{
	uint64_t calls = board->calls < MAX_CALLS ? board->calls : MAX_CALLS, received = 0;
	bool good = true;

	for (unsigned i = 0; i < SUBSCRIBERS; i++) {
		received += board->received[i];
		if (board->received[i] + board->lost[i] != board->sent[i % TOPICS]) {
			printf("subscriber %u: %llu received + %llu lost are not %llu sent\n", i,
				(unsigned long long)board->received[i],
				(unsigned long long)board->lost[i],
				(unsigned long long)board->sent[i % TOPICS]);
			good = false;
		}
	}
	/* without clients only the state, the lock and the empty parking remain */
	if (!test_wait_until(test_manager_is_empty(&manager), 20000)) {
		printf("%zu descriptors and %zu parked entries are left\n",
			test_manager_stored(&manager, 0), test_manager_parked(&manager));
		good = false;
	}
	if (!test_wait_until(count_memfds() == 2, 20000)) {
		printf("%zu memfds are left, not the state and the lock alone\n", count_memfds());
		good = false;
	}
	printf("memfds: %zu while all were there, %zu in the end, 2 of them the broker's own\n",
		most_memfds, count_memfds());
	qsort(board->call_us, calls, sizeof board->call_us[0], compare);
	printf("%u ends (%u by SIGKILL, %u restarts, %u by the watchdog, %u upgrades); %llu "
	       "visits; "
	       "%llu sent, %llu received; %llu control calls took %u us at the median, %u at p99, "
	       "%u at most\n",
		ends, counts[KILL], counts[RESTART], counts[WATCHDOG], counts[UPGRADE],
		(unsigned long long)board->visits,
		(unsigned long long)(board->sent[0] + board->sent[1]), (unsigned long long)received,
		(unsigned long long)board->calls, board->call_us[calls / 2],
		board->call_us[calls * 99 / 100], board->call_us[calls - 1]);
	return good && received > 0 && board->visits > 0 && most_memfds > 2;
}

/* Ends the broker, and starts the next one. */
static bool end_broker(enum way way)
{
	counts[way]++;
	switch (way) {
	case KILL:
	case RESTART:
		test_manager_kill(&manager, way == KILL ? SIGKILL : SIGTERM);
		break;
	case WATCHDOG:
		if (!test_manager_watchdog(&manager))
			return false;
		break;
	default:
		if (!test_manager_upgrade(&manager))
			return false;
		test_manager_kill(&manager, SIGTERM);
		break;
	}
	test_manager_resume_unready(&manager);
	return true;
}

int main(int argc, char **argv)
{
	unsigned ends = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 200;
	uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 0) | 1 : 88172645463325252u;
	pid_t workers[WORKERS];
	size_t most_memfds = 0;
	bool good = true;

	if (test_skip_emulated("stress-restart", TEST_LACKS_PEEKING))
		return 77;
	board = mmap(
		NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		return EXIT_FAILURE;
	test_manager_start(&manager, NULL);
	/* subscribers attach first: messages from before they came aren't their loss */
	for (unsigned i = PUBLISHERS; i < PUBLISHERS + SUBSCRIBERS; i++)
		workers[i] = start_worker(i);
	good = test_wait_until(board->attached == SUBSCRIBERS, 20000);
	for (unsigned i = 0; i < WORKERS; i++)
		if (i < PUBLISHERS || i >= PUBLISHERS + SUBSCRIBERS)
			workers[i] = start_worker(i);
	good = good && test_wait_until(board->attached == PUBLISHERS + SUBSCRIBERS, 20000);
	for (unsigned i = 0; good && i < ends; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		nanosleep(&(struct timespec){ .tv_nsec = (long)(state % 60000000) }, NULL);
		/* a broker that has just started may not have taken back what is parked */
		if (i == ends / 2)
			test_wait_until((most_memfds = count_memfds()) > 2, 20000);
		good = end_broker(i % 8 == 3   ? RESTART
				  : i % 8 == 5 ? WATCHDOG
				  : i % 8 == 7 ? UPGRADE
					       : KILL);
	}
	board->publishers_stop = true;
	good &= test_wait_until(board->publishers_done == PUBLISHERS - TOPICS, 60000);
	for (unsigned i = 0; !good && i < WORKERS; i++)
		kill(workers[i], SIGKILL);
	/* visitors are ended before subscribers, which keep the topic there that visitors come
	 * to */
	for (unsigned i = WORKERS; i-- > 0;) {
		int status;

		board->visitors_gone = i < PUBLISHERS + SUBSCRIBERS;
		good &= waitpid(workers[i], &status, 0) == workers[i] && status == 0;
	}
	good &= judge(ends, most_memfds);
	good &= test_manager_stop(&manager) == 0;
	puts(good ? "all is even" : "FAILED");
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
