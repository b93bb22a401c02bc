/* SPDX-License-Identifier: Apache-2.0 */
/* Tries the claims of docs/threat-model.md about other processes: of another user than the
 * broker's, of the broker's own, and of the same user as another client. The test needs root to
 * become others. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "libclient/handle/handle.h"
#include "tests/support/broker/flow.h"
#include "tests/support/broker/user.h"

static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;

static void setup(void)
{
	struct kickmsg_topic_config config;

	user_start_broker("");
	client = flow_client("publisher");
	kickmsg_topic_config_init(&config);
	config.transport = KICKMSG_TRANSPORT_SHARED;
	publisher = flow_advertise(client, "t", &config);
}

static void teardown(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

/* A subscriber's descriptors of "t": control and payload, which it has read only. */
static void subscribe_raw(int ret_fds[2])
{
	struct km_msg_attach request = { .header.op = KM_OP_SUBSCRIBE, .topic = "t" };
	int socket = test_peer_hello(broker.socket, "raw", NULL), fds[KM_WIRE_MAX_FDS];
	union km_msg answer;
	size_t count;

	NEED(km_wire_send(socket, &request, sizeof request, NULL, 0) == 0);
	NEED(km_wire_receive(socket, &answer, fds, &count) > 0);
	NEED(answer.header.op == KM_OP_ATTACHED);
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
}

static int reopen(int fd)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, O_RDWR | O_CLOEXEC);
}

static void try_as_another_user(void *unused)
{
	int fds[2];

	user_become(USER_A, 0);
	subscribe_raw(fds);
	for (int i = 0; i < 2; i++) {
		NEED(reopen(fds[i]) == -1 && errno == EACCES);
		NEED(fchmod(fds[i], 0666) == -1 && errno == EPERM);
		NEED(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fds[i], 0) == MAP_FAILED);
		void *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fds[i], 0);
		NEED(memory != MAP_FAILED && mprotect(memory, 4096, PROT_WRITE) == -1);
	}
	test_child_ready();
}

START_TEST(another_user_s_subscriber_gets_no_write_access)
{
	test_child_end(test_child_start(try_as_another_user, NULL), 0);
}
END_TEST

static void try_as_the_broker_s_user(void *unused)
{
	int fds[2];

	subscribe_raw(fds);
	for (int i = 0; i < 2; i++)
		NEED(reopen(fds[i]) >= 0);
	test_child_ready();
}

/* Other processes of the broker's own user can do more: read only is for honest programs there. */
START_TEST(the_broker_s_own_user_gets_it_by_proc)
{
	test_child_end(test_child_start(try_as_the_broker_s_user, NULL), 0);
}
END_TEST

/* A subscriber whose memory and connection others try to get at; it is an ordinary process, which
 * one that changed its user isn't. */
static int victim_pipe[2];
struct victim {
	pid_t pid;
	int socket;
	void *payload;
};

static void be_a_victim(void *unused)
{
	struct kickmsg_client *mine = user_client(USER_A, 0);
	struct kickmsg_subscriber *subscriber;

	NEED(prctl(PR_SET_DUMPABLE, 1) == 0);
	NEED(kickmsg_subscribe(mine, "t", NULL, &subscriber) == 0);
	struct victim victim = { getpid(), mine->socket, subscriber->handle.place.payload };
	NEED(write(victim_pipe[1], &victim, sizeof victim) == sizeof victim);
	test_child_ready();
	pause();
}

static int open_of(pid_t pid, const char *what, int flags)
{
	char path[128];

	snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
	return open(path, flags | O_CLOEXEC);
}

static int open_mapping(const struct victim *victim)
{
	char what[64];

	snprintf(what, sizeof what, "map_files/%lx-%lx", (unsigned long)victim->payload,
		(unsigned long)victim->payload +
			(publisher->handle.place.region.payload_size + 4095) / 4096 * 4096);
	return open_of(victim->pid, what, O_RDWR);
}

static void try_as_the_same_user(void *argument)
{
	const struct victim *victim = argument;

	user_become(USER_A, 0);
	int pidfd = (int)syscall(SYS_pidfd_open, victim->pid, 0);
	int socket = (int)syscall(SYS_pidfd_getfd, pidfd, victim->socket, 0);
	int memory = open_of(victim->pid, "mem", O_RDWR);

	NEED(pidfd >= 0);
	/* Yama, where the machine has it, says no */
	NEED(socket >= 0 || errno == EPERM);
	NEED(memory >= 0 || errno == EACCES || errno == EPERM);
	/* what the victim has read only isn't writable through it either */
	if (memory >= 0)
		NEED(pwrite(memory, "x", 1, (off_t)(uintptr_t)victim->payload) == -1);
	NEED(open_mapping(victim) == -1);
	test_child_ready();
}

static void try_as_a_third_user(void *argument)
{
	const struct victim *victim = argument;

	user_become(USER_B, 0);
	int pidfd = (int)syscall(SYS_pidfd_open, victim->pid, 0);
	NEED(pidfd >= 0);
	NEED(syscall(SYS_pidfd_getfd, pidfd, victim->socket, 0) == -1 && errno == EPERM);
	NEED(open_of(victim->pid, "mem", O_RDWR) == -1);
	NEED(open_mapping(victim) == -1);
	/* the client has no hold on the broker either */
	NEED(open_of(broker.pid, "mem", O_RDWR) == -1);
	NEED(open_of(broker.pid, "fd/0", O_RDONLY) == -1);
	test_child_ready();
}

START_TEST(clients_of_one_user_can_speak_for_each_other)
{
	struct victim victim;

	ck_assert_int_eq(pipe(victim_pipe), 0);
	pid_t child = test_child_start(be_a_victim, NULL);
	ck_assert_int_eq(read(victim_pipe[0], &victim, sizeof victim), sizeof victim);
	test_child_end(test_child_start(try_as_the_same_user, &victim), 0);
	test_child_end(test_child_start(try_as_a_third_user, &victim), 0);
	test_child_end(child, SIGKILL);
	close(victim_pipe[0]);
	close(victim_pipe[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("threat");
	TCase *tc = tcase_create("threat");

	if (user_cannot_change())
		return 77;
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, another_user_s_subscriber_gets_no_write_access);
	tcase_add_test(tc, the_broker_s_own_user_gets_it_by_proc);
	tcase_add_test(tc, clients_of_one_user_can_speak_for_each_other);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
