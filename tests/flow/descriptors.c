/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client whose process can have no more descriptors, or no more memory, when the broker's answer
 * brings some: the error says so, nobody's place is lost, and later it goes on as if nothing had
 * been. And one that was started without descriptors 0 to 2.
 */
#include <fcntl.h>
#include <sys/resource.h>

#include "tests/support/broker/emulated.h"
#include "tests/support/broker/told.h"
#include "tests/support/refuse.h"

#define LIMIT 64

static struct kickmsg_client *client, *other;
static int hoard[LIMIT], hoarded;

static void limit(rlim_t count)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = count;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void let_go(void)
{
	while (hoarded > 0)
		close(hoard[--hoarded]);
}

/* Leaves so many descriptors. */
static void take_all_but(int room)
{
	let_go();
	while ((hoard[hoarded] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		hoarded++;
	while (room-- > 0)
		close(hoard[--hoarded]);
}

static void setup(void)
{
	test_broker_start(&broker, "[limits]\nclient_endpoints = 1000\n");
	limit(LIMIT);
}

static void teardown(void)
{
	let_go();
	flow_stop();
}

/* The number of descriptors that an answer brings for a topic with this transport. */
static int needed_by(int transport)
{
	return transport == KICKMSG_TRANSPORT_SHARED ? 3 : 2;
}

static bool is_gone(const char *topic)
{
	struct kickmsg_topic_ref ref = { .name = topic };
	struct kickmsg_topic_info info;

	return kickmsg_topic_get_info(other, &ref, &info) == -ENOENT;
}

START_TEST(attach_emfile_and_the_place_is_free)
{
	struct kickmsg_topic_config config = *over(_i);
	struct kickmsg_subscriber *subscriber, *more;
	struct kickmsg_publisher *publisher;

	config.max_subscribers = config.max_publishers = 2;
	client = flow_client("poor");
	other = flow_client("other");
	flow_advertise(other, TOPIC, &config);
	size_t before = test_fd_count(getpid());
	for (int room = 0; room < needed_by(_i); room++) {
		take_all_but(room);
		for (int i = 0; i < 16; i++) {
			ck_assert_int_eq(
				kickmsg_subscribe(client, TOPIC, NULL, &subscriber), -EMFILE);
			ck_assert_msg(flow_said(client, "RLIMIT_NOFILE"), "%s",
				kickmsg_client_last_error(client));
			ck_assert_int_eq(
				kickmsg_advertise(client, TOPIC, NULL, &publisher), -EMFILE);
			ck_assert_int_eq(
				kickmsg_advertise(client, "new", &config, &publisher), -EMFILE);
		}
		/* others get the place that the client couldn't have */
		let_go();
		ck_assert(test_wait_until(is_gone("new"), FLOW_WAIT_MS));
		ck_assert_int_eq(kickmsg_subscribe(other, TOPIC, NULL, &subscriber), 0);
		ck_assert_int_eq(kickmsg_subscribe(other, TOPIC, NULL, &more), 0);
		kickmsg_subscriber_free(subscriber);
		kickmsg_subscriber_free(more);
		ck_assert(test_wait_until(has_all(other, 1, 0), FLOW_WAIT_MS));
		ck_assert_uint_eq(test_fd_count(getpid()), before);
	}
	take_all_but(needed_by(_i));
	ck_assert_int_eq(kickmsg_subscribe(client, TOPIC, NULL, &subscriber), 0);
	let_go();
	ck_assert_uint_eq(test_fd_count(getpid()), before);
	kickmsg_client_free(client);
	kickmsg_client_free(other);
}
END_TEST

/* The answer that brought the client's next segment came without it, so the broker sends the
 * segment again. */
START_TEST(segment_that_was_lost_comes_again)
{
	struct kickmsg_topic_config config = *over(KICKMSG_TRANSPORT_RINGS);
	struct kickmsg_publisher *publisher;
	unsigned fits = 0;

	config.max_publishers = 1000;
	client = flow_client("poor");
	/* with no room for one descriptor more than a publisher takes, until there is one more */
	take_all_but(needed_by(KICKMSG_TRANSPORT_RINGS));
	while (kickmsg_advertise(client, TOPIC, &config, &publisher) == 0)
		ck_assert_uint_lt(++fits, 1000);
	ck_assert_uint_gt(fits, 100);
	for (int room = 0; room <= 2; room++) {
		take_all_but(room);
		for (int i = 0; i < 3; i++)
			ck_assert_int_eq(
				kickmsg_advertise(client, TOPIC, &config, &publisher), -EMFILE);
	}
	let_go();
	for (unsigned i = 0; i < 2 * fits; i++) {
		publisher = flow_advertise(client, TOPIC, &config);
		ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	}
	/* the client lives, in the broker's eyes, until it ends */
	ck_assert(has_all(client, 3 * fits, 0));
	kickmsg_client_free(client);
}
END_TEST

START_TEST(connect_emfile_and_nothing_stays)
{
	struct kickmsg_client_config config = { .socket_path = broker.socket };
	struct flow_stock stock;
	int room = 0, r = -EMFILE;

	flow_take_stock(&stock);
	for (; r < 0 && room < 10; room++) {
		take_all_but(room);
		r = kickmsg_client_new(&config, &client);
		let_go();
		if (r == 0)
			break;
		ck_assert_int_eq(r, -EMFILE);
		ck_assert_msg(
			flow_said(NULL, "RLIMIT_NOFILE"), "%s", kickmsg_client_last_error(NULL));
	}
	ck_assert_int_eq(r, 0);
	/* A client needs these descriptors: poll, timer, socket, and for a moment its memory. */
	ck_assert_int_eq(room, 4);
	kickmsg_client_free(client);
	flow_check_stock(&stock);
}
END_TEST

/* From now on opening a file of this kind fails, as on a machine that has no more of them. */
static const unsigned makers[] = { SYS_socket, SYS_epoll_create1, SYS_timerfd_create };

START_TEST(connect_enfile_and_nothing_stays)
{
	struct kickmsg_client_config config = { .socket_path = broker.socket };
	size_t before = test_fd_count(getpid());

	if (test_skip_emulated("connect_enfile_and_nothing_stays",
		    "system calls that fail when told to (seccomp)") ||
		!test_refuse(makers[_i], ENFILE))
		return;
	ck_assert_int_eq(kickmsg_client_new(&config, &client), -ENFILE);
	ck_assert_msg(flow_said(NULL, "fs.file-max"), "%s", kickmsg_client_last_error(NULL));
	ck_assert_uint_eq(test_fd_count(getpid()), before);
}
END_TEST

/* What dispatch told: the error of a connection that isn't there, and of a handle. */
static int down_error, rejoin_error, rejoined;

static void on_trouble(void *userdata, const struct kickmsg_event *event)
{
	if (event->kind == KICKMSG_EVENT_DISCONNECTED)
		down_error = event->error;
	if (event->kind == KICKMSG_EVENT_REJOIN_FAILED)
		rejoin_error = event->error;
	if (event->error == -EMFILE)
		ck_assert_ptr_nonnull(strstr(event->text, "RLIMIT_NOFILE"));
	rejoined += event->kind == KICKMSG_EVENT_REJOINED;
}

static void dispatch(void)
{
	int r = kickmsg_client_dispatch(client);

	ck_assert(r >= 0 || r == -ENOTCONN);
}

#define DISPATCH_UNTIL(condition) test_wait_until((dispatch(), (condition)), FLOW_WAIT_MS)

/* The index: the transport, and whether a descriptor is missing for the connection or for a
 * handle. */
START_TEST(rejoin_is_told_and_tried_again)
{
	int transport = _i % 2, room = _i < 2 ? 0 : needed_by(transport) - 1;
	struct kickmsg_client_config config = { .socket_path = broker.socket,
		.on_event = on_trouble };
	struct kickmsg_publisher *publisher;

	ck_assert_int_eq(kickmsg_client_new(&config, &client), 0);
	publisher = flow_advertise(client, TOPIC, over(transport));
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, TOPIC);
	take_all_but(room);
	limit(2 * LIMIT); /* for the broker */
	restart();
	limit(LIMIT);
	if (room == 0)
		ck_assert(DISPATCH_UNTIL(down_error == -EMFILE));
	else
		ck_assert(DISPATCH_UNTIL(rejoin_error == -EMFILE));
	flow_send_int(publisher, 1);
	ck_assert_int_eq(flow_receive_int(subscriber), 1);
	let_go();
	ck_assert(DISPATCH_UNTIL(rejoined == 2));
	flow_send_int(publisher, 2);
	ck_assert_int_eq(flow_receive_int(subscriber), 2);
	/* both endpoints are in the topic of the new broker, and no place is taken twice */
	other = flow_client("other");
	ck_assert(test_wait_until(has_all(other, 1, 1), FLOW_WAIT_MS));
	kickmsg_client_free(other);
	kickmsg_client_free(client);
}
END_TEST

/* A client that has to connect anew meets the limit: it is told, and messages go on. */
START_TEST(reconnect_enfile_is_told)
{
	struct kickmsg_client_config config = { .socket_path = broker.socket,
		.on_event = on_trouble };

	ck_assert_int_eq(kickmsg_client_new(&config, &client), 0);
	struct kickmsg_publisher *publisher = flow_advertise(client, TOPIC, over(_i));
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, TOPIC);
	limit(2 * LIMIT); /* for the broker */
	restart();
	if (test_skip_emulated(
		    "reconnect_enfile_is_told", "system calls that fail when told to (seccomp)") ||
		!test_refuse(SYS_socket, ENFILE))
		return;
	ck_assert(DISPATCH_UNTIL(down_error == -ENFILE));
	flow_send_int(publisher, 1);
	ck_assert_int_eq(flow_receive_int(subscriber), 1);
	kickmsg_client_free(client);
}
END_TEST

/* So much memory more than this process has. */
static struct rlimit limit_memory(size_t more)
{
	struct rlimit before, tight;
	long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	ck_assert(file && fscanf(file, "%ld", &pages) == 1 && fclose(file) == 0);
	ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
	tight = before;
	tight.rlim_cur = (rlim_t)(pages * sysconf(_SC_PAGESIZE)) + more;
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &tight), 0);
	return before;
}

/* Subscribing fails for want of memory, and another client has the one place. */
static void expect_enomem(const struct kickmsg_topic_config *config)
{
	struct kickmsg_subscriber *subscriber;

	client = flow_client("poor");
	other = flow_client("other");
	flow_advertise(other, TOPIC, config);
	for (int i = 0; i < 16; i++) {
		struct rlimit before = limit_memory(1048576);
		int r = kickmsg_subscribe(client, TOPIC, NULL, &subscriber);

		ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert(flow_said(client, "memory"));
	}
	ck_assert_int_eq(kickmsg_subscribe(other, TOPIC, NULL, &subscriber), 0);
	kickmsg_client_free(client);
	kickmsg_client_free(other);
}

/* The mapping can't be had, though the descriptors came. */
START_TEST(attach_enomem_and_the_place_is_free)
{
	if (test_skip_emulated("attach_enomem_and_the_place_is_free", TEST_LACKS_ADDRESS_LIMIT))
		return;
	struct kickmsg_topic_config config = *over(_i);

	config.max_subscribers = 1;
	config.max_payload_size = 65536;
	expect_enomem(&config);
}
END_TEST

/* All is mapped, and what the subscriber needs for itself can't be had. */
START_TEST(own_memory_enomem_and_the_place_is_free)
{
	if (test_skip_emulated("own_memory_enomem_and_the_place_is_free", TEST_LACKS_ADDRESS_LIMIT))
		return;
	struct kickmsg_topic_config config = *over(KICKMSG_TRANSPORT_SHARED);

	config.max_subscribers = 1;
	config.max_payload_size = 16384;
	config.ring_capacity = config.pool_size = 2;
	config.max_borrows = 1024;
	expect_enomem(&config);
}
END_TEST

static bool stdio_is_free(void)
{
	return fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0;
}

START_TEST(started_without_stdio_none_of_ours_is_there)
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct kickmsg_client_config config = { .socket_path = broker.socket };
		struct kickmsg_publisher *publisher;
		struct kickmsg_subscriber *subscriber;
		int step = 1;

		close(0), close(1), close(2);
		if (kickmsg_client_new(&config, &client) == 0 && stdio_is_free() && ++step &&
			kickmsg_client_get_fd(client) > 2 &&
			kickmsg_advertise(client, TOPIC, over(_i), &publisher) == 0 &&
			stdio_is_free() && ++step &&
			kickmsg_subscribe(client, TOPIC, NULL, &subscriber) == 0 &&
			stdio_is_free() && ++step && kickmsg_send(publisher, "x", 1) == 1 &&
			kickmsg_client_dispatch(client) >= 0 && stdio_is_free())
			step = 0;
		_exit(step);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(
		WIFEXITED(status) && WEXITSTATUS(status) == 0, "step %d", WEXITSTATUS(status));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("descriptors");
	TCase *tcase = tcase_create("descriptors");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 100);
	tcase_add_loop_test(tcase, attach_emfile_and_the_place_is_free, 0, 2);
	tcase_add_test(tcase, segment_that_was_lost_comes_again);
	tcase_add_test(tcase, connect_emfile_and_nothing_stays);
	tcase_add_loop_test(tcase, connect_enfile_and_nothing_stays, 0, 3);
	tcase_add_loop_test(tcase, rejoin_is_told_and_tried_again, 0, 4);
	tcase_add_loop_test(tcase, reconnect_enfile_is_told, 0, 2);
	tcase_add_loop_test(tcase, attach_enomem_and_the_place_is_free, 0, 2);
	tcase_add_test(tcase, own_memory_enomem_and_the_place_is_free);
	tcase_add_loop_test(tcase, started_without_stdio_none_of_ours_is_there, 0, 2);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
