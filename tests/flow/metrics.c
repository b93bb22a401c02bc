/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics over HTTP: the numbers, the addresses, and clients that mean harm. The file is long because
 * what is true of every connection stands here. */
#include <netinet/in.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "tests/support/broker/http.h"

#define IDLE_CONNECTIONS 40
#define PLACES           8

static struct kickmsg_topic_config small = {
	.max_subscribers = 3,
	.ring_capacity = 4,
	.pool_size = 64,
	.max_publishers = 2,
	.max_payload_size = 64,
	.max_loans = 2,
	.max_borrows = 2,
};

/* The value of a sample, by what stands before it in its line; -1: there is none. */
static double sample(const char *__restrict format, ...) __attribute__((format(printf, 1, 2)));
static double sample(const char *__restrict format, ...)
{
	char name[256];
	va_list args;

	name[0] = '\n';
	va_start(args, format);
	int len = vsnprintf(name + 1, sizeof name - 2, format, args) + 1;
	va_end(args);
	strcpy(name + len, " ");
	ck_assert_int_eq(http_get("/metrics"), 200);
	const char *found = strstr(http_answer, name);
	return found ? strtod(found + len, NULL) : -1;
}

START_TEST(numbers_are_those_of_the_topic)
{
	struct kickmsg_sample held;

	http_start("");
	struct kickmsg_client *client = flow_client("worker");
	struct kickmsg_publisher *publisher = flow_advertise(client, "a b", &small);
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, "a b");
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(kickmsg_send(publisher, "xyz", 3), 3);
	ck_assert_int_eq(kickmsg_try_receive(subscriber, &held), 0);
	ck_assert_double_eq(sample("kickmsg_topic_messages_total{topic=\"kickmsg:a%%20b\"}"), 6);
	ck_assert_ptr_nonnull(
		strstr(http_answer, "Content-Type: application/openmetrics-text; version="));
	ck_assert_str_eq(http_answer + strlen(http_answer) - 6, "# EOF\n");
	ck_assert_ptr_nonnull(strstr(http_answer, "\n# UNIT kickmsg_topic_bytes bytes\n"));
	ck_assert_double_eq(sample("kickmsg_topic_bytes_total{topic=\"kickmsg:a%%20b\"}"), 18);
	ck_assert_double_eq(sample("kickmsg_topic_received_total{topic=\"kickmsg:a%%20b\"}"), 1);
	ck_assert_double_eq(sample("kickmsg_topic_lost_total{topic=\"kickmsg:a%%20b\"}"), 2);
	ck_assert_double_eq(sample("kickmsg_topic_publishers{topic=\"kickmsg:a%%20b\"}"), 1);
	ck_assert_double_eq(sample("kickmsg_topic_holders{topic=\"kickmsg:a%%20b\"}"), 1);
	ck_assert_double_eq(sample("kickmsg_topic_slots{topic=\"kickmsg:a%%20b\"}"), 64);
	/* three wait in the ring, one is held */
	ck_assert_double_eq(sample("kickmsg_topic_free_slots{topic=\"kickmsg:a%%20b\"}"), 60);
	ck_assert_double_gt(sample("kickmsg_topic_memory_bytes{topic=\"kickmsg:a%%20b\"}"), 4096);
	ck_assert_double_eq(sample("kickmsg_used{resource=\"clients\"}"), 1);
	ck_assert_double_eq(sample("kickmsg_limit{resource=\"topics\"}"), 4096);
	ck_assert_int_eq(kickmsg_sample_release(&held), 0);
	ck_assert_double_eq(sample("kickmsg_topic_holders{topic=\"kickmsg:a%%20b\"}"), 0);
	/* what a topic had stays in the sums when it is gone */
	kickmsg_client_free(client);
	ck_assert(test_wait_until(
		sample("kickmsg_topic_messages_total{topic=\"kickmsg:a%%20b\"}") < 0,
		FLOW_WAIT_MS));
	ck_assert_double_eq(sample("kickmsg_messages_total"), 6);
	ck_assert_double_eq(sample("kickmsg_bytes_total"), 18);
	ck_assert_double_eq(sample("kickmsg_lost_total"), 2);
	client = flow_client("later");
	ck_assert_int_eq(kickmsg_send(flow_advertise(client, "c", &small), "x", 1), 1);
	ck_assert_double_eq(sample("kickmsg_messages_total"), 7);
	ck_assert_double_eq(sample("kickmsg_bytes_total"), 19);
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

/* Topics without reliable subscribers have none of these lines. */
START_TEST(reliable_subscribers_are_counted)
{
	const struct kickmsg_subscribe_options reliable = { .reliable = 1 };
	struct kickmsg_topic_config config = small;
	struct kickmsg_subscriber *subscriber;

	http_start("");
	struct kickmsg_client *client = flow_client("worker");
	flow_advertise(client, "a", &small);
	config.max_reliable = 1;
	config.pool_size = 0;
	config.stall_ns = 2000000;
	struct kickmsg_publisher *publisher = flow_advertise(client, "r", &config);
	ck_assert_int_eq(kickmsg_subscribe(client, "r", &reliable, &subscriber), 0);
	ck_assert_double_eq(sample("kickmsg_topic_reliable_subscribers{topic=\"kickmsg:r\"}"), 1);
	ck_assert_double_eq(sample("kickmsg_topic_demotions_total{topic=\"kickmsg:r\"}"), 0);
	ck_assert_double_eq(sample("kickmsg_topic_stalls_total{topic=\"kickmsg:r\"}"), 0);
	ck_assert_double_eq(sample("kickmsg_topic_reliable_subscribers{topic=\"kickmsg:a\"}"), -1);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(kickmsg_send_wait(publisher, "x", 1, INT64_C(10000000000)), 1);
	ck_assert_double_eq(sample("kickmsg_topic_reliable_subscribers{topic=\"kickmsg:r\"}"), 0);
	ck_assert_double_eq(sample("kickmsg_topic_demotions_total{topic=\"kickmsg:r\"}"), 1);
	ck_assert_double_eq(sample("kickmsg_topic_no_room_sends_total{topic=\"kickmsg:r\"}"), 1);
	ck_assert_double_gt(sample("kickmsg_topic_stalls_total{topic=\"kickmsg:r\"}"), 0);
	ck_assert_double_eq(sample("kickmsg_demotions_total"), 1);
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

START_TEST(older_collectors_get_the_older_format)
{
	http_start("");
	ck_assert_int_eq(http_ask("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n"), 200);
	ck_assert_ptr_nonnull(strstr(http_answer, "Content-Type: text/plain; version=0.0.4"));
	ck_assert_ptr_nonnull(strstr(http_answer, "\n# TYPE kickmsg_messages_total counter\n"));
	ck_assert_ptr_null(strstr(http_answer, "# EOF"));
	ck_assert_ptr_null(strstr(http_answer, "# UNIT"));
	ck_assert_int_eq(http_get("/metrics"), 200);
	ck_assert_ptr_nonnull(strstr(http_answer, "\n# TYPE kickmsg_messages counter\n"));
	flow_stop();
}
END_TEST

START_TEST(topics_beyond_the_bound_are_in_the_sums)
{
	http_start("listed_topics = 1\n");
	struct kickmsg_client *client = flow_client("worker");
	static const char *const names[] = { "a", "b", "c" };
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(kickmsg_send(flow_advertise(client, names[i], &small), "x", 1), 1);
	ck_assert_double_eq(sample("kickmsg_unlisted_topics"), 2);
	ck_assert_double_eq(sample("kickmsg_messages_total"), 3);
	ck_assert_double_eq(sample("kickmsg_topic_messages_total{topic=\"kickmsg:a\"}"), 1);
	ck_assert_double_eq(sample("kickmsg_topic_messages_total{topic=\"kickmsg:b\"}"), -1);
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

static void die_attached(void *unused)
{
	struct kickmsg_client *client = flow_client("victim");

	flow_subscribe(client, "t");
	if (kickmsg_send(flow_advertise(client, "t", &small), "12345", 5) == 5)
		test_child_ready();
	pause();
}

START_TEST(a_recovery_is_counted_with_its_time)
{
	http_start("");
	struct kickmsg_client *client = flow_client("worker");
	flow_advertise(client, "t", &small);
	ck_assert_double_eq(sample("kickmsg_recovery_seconds_count"), 0);
	pid_t child = test_child_start(die_attached, NULL);
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	test_child_end(child, 0);
	/* two were recovered: the publisher and the subscriber */
	ck_assert(test_wait_until(sample("kickmsg_recovery_seconds_count") == 2, FLOW_WAIT_MS));
	ck_assert_double_eq(sample("kickmsg_recovery_seconds_bucket{le=\"+Inf\"}"), 2);
	/* what the dead one had sent stays counted */
	ck_assert_double_eq(sample("kickmsg_topic_messages_total{topic=\"kickmsg:t\"}"), 1);
	ck_assert_double_eq(sample("kickmsg_topic_bytes_total{topic=\"kickmsg:t\"}"), 5);
	ck_assert_double_ge(sample("kickmsg_clients_gone_total"), 1);
	ck_assert(test_wait_until(sample("kickmsg_loop_delay_seconds_count") > 1, FLOW_WAIT_MS));
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

START_TEST(what_else_is_asked_gets_its_status)
{
	http_start("[limits]\nclients = 1\n");
	ck_assert_int_eq(http_get("/healthz"), 200);
	ck_assert_int_eq(http_get("/readyz"), 200);
	struct kickmsg_client *client = flow_client("worker");
	ck_assert_int_eq(http_get("/readyz"), 503);
	ck_assert_int_eq(http_get("/healthz"), 200);
	kickmsg_client_free(client);
	ck_assert_int_eq(http_get("/etc/passwd"), 404);
	ck_assert_int_eq(http_get("/../metrics"), 404);
	ck_assert_int_eq(http_ask("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 403);
	ck_assert_int_ge(
		http_ask("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"),
		400);
	ck_assert_int_ge(http_ask("DELETE /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400);
	ck_assert_int_ne(http_ask("nonsense\r\n\r\n"), 200);
	ck_assert_int_eq(http_get("/healthz"), 200);
	flow_stop();
}
END_TEST

START_TEST(too_large_a_request_is_refused)
{
	static char text[65536];

	http_start("");
	int used = snprintf(text, sizeof text, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n");
	while (used < 32768)
		used += snprintf(
			text + used, sizeof text - (size_t)used, "X-Filler: %0500d\r\n", 0);
	snprintf(text + used, sizeof text - (size_t)used, "\r\n");
	ck_assert_int_ne(http_ask(text), 200);
	ck_assert_int_eq(http_get("/healthz"), 200);
	flow_stop();
}
END_TEST

/* The broker takes 8, the rest waits in the kernel's queue; those that went make room. */
START_TEST(silent_connections_are_bounded_and_end)
{
	int fds[IDLE_CONNECTIONS], count = 0;

	http_start("");
	ck_assert_int_eq(http_get("/healthz"), 200);
	ck_assert(test_wait_until(flow_sleeps(), FLOW_WAIT_MS));
	size_t before = test_fd_count(broker.pid);
	for (; count < 2 * PLACES; count++)
		ck_assert_int_ge(fds[count] = http_connect(), 0);
	ck_assert(test_wait_until(test_fd_count(broker.pid) >= before + PLACES - 1, FLOW_WAIT_MS));
	ck_assert_uint_le(test_fd_count(broker.pid), before + PLACES);
	/* clients of the broker notice nothing of it */
	kickmsg_client_free(flow_client("worker"));
	/* connections that the broker has taken end by themselves: they say nothing */
	ck_assert(http_read_all(fds[0], 20000));
	ck_assert(test_wait_until(test_fd_count(broker.pid) <= before + PLACES + 1, FLOW_WAIT_MS));
	while (count > 0)
		close(fds[--count]);
	ck_assert(test_wait_until(http_get("/healthz") == 200, FLOW_WAIT_MS));
	ck_assert(test_wait_until(test_fd_count(broker.pid) <= before + 1, FLOW_WAIT_MS));
	flow_stop();
}
END_TEST

static bool is_open(int fd)
{
	struct pollfd item = { fd, POLLIN, 0 };

	return poll(&item, 1, 0) == 0;
}

/* Connections that say nothing, or only a part of a request, come without end. A request is
 * answered before the connections that were there first have ended by themselves. */
START_TEST(silent_connections_shut_nobody_out)
{
	int fds[IDLE_CONNECTIONS], open = 0;

	http_start("");
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < IDLE_CONNECTIONS; i++) {
			if (round > 0)
				close(fds[i]);
			ck_assert_int_ge(fds[i] = http_connect(), 0);
			if (_i)
				send(fds[i], "GET /met", 8, MSG_NOSIGNAL);
		}
		ck_assert_int_eq(http_get("/healthz"), 200);
		ck_assert_int_eq(http_get("/metrics"), 200);
	}
	/* the answer came before the last of the silent connections had ended */
	for (int i = 0; i < IDLE_CONNECTIONS; i++)
		open += is_open(fds[i]);
	ck_assert_int_ge(open, PLACES - 3);
	for (int i = 0; i < IDLE_CONNECTIONS; i++)
		close(fds[i]);
	flow_stop();
}
END_TEST

/* A request that comes byte by byte is never silent for long. The whole connection has a time as
 * well. */
START_TEST(a_dripping_request_ends)
{
	bool ended = false;

	http_start("");
	int fd = http_connect();
	for (int i = 0; i < 300 && !ended; i++) {
		struct pollfd item = { fd, POLLIN | POLLHUP, 0 };

		ended = send(fd, "G", 1, MSG_NOSIGNAL) < 0;
		ended |= poll(&item, 1, 100) == 1;
	}
	ck_assert(ended);
	close(fd);
	ck_assert_int_eq(http_get("/healthz"), 200);
	flow_stop();
}
END_TEST

/* The line of a chunk's size, which is never ended: it isn't kept. */
START_TEST(an_endless_chunk_is_cut_off)
{
	static const char head[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
				   "Transfer-Encoding: chunked\r\n\r\n";
	char digits[4096];
	ssize_t r;
	size_t sent = 0;

	http_start("");
	memset(digits, '1', sizeof digits);
	int fd = http_connect();
	r = send(fd, head, sizeof head - 1, MSG_NOSIGNAL);
	while (r > 0 && sent < 4 << 20) {
		r = send(fd, digits, sizeof digits, MSG_NOSIGNAL);
		sent += r > 0 ? (size_t)r : 0;
	}
	ck_assert_int_lt(r, 0);
	close(fd);
	ck_assert_int_eq(http_get("/healthz"), 200);
	flow_stop();
}
END_TEST

START_TEST(the_next_broker_serves_there_too)
{
	http_start("");
	ck_assert_int_eq(http_get("/healthz"), 200);
	test_broker_kill(&broker);
	ck_assert_int_eq(access(http_path, F_OK), 0);
	test_broker_resume(&broker);
	ck_assert(test_wait_until(http_get("/metrics") == 200, FLOW_WAIT_MS));
	flow_stop();
	ck_assert_int_ne(access(http_path, F_OK), 0);
}
END_TEST

START_TEST(a_reload_moves_it)
{
	char other[128];
	struct stat st;

	http_start("");
	ck_assert_int_eq(stat(http_path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0660);
	FILE *file = fopen(broker.config, "w");
	ck_assert_ptr_nonnull(file);
	fprintf(file, "[metrics]\nlisten = unix:%s2\nlisten_mode = 0600\n", http_path);
	fclose(file);
	ck_assert_int_eq(kill(broker.pid, SIGHUP), 0);
	snprintf(other, sizeof other, "%s2", http_path);
	ck_assert(test_wait_until(access(other, F_OK) == 0, FLOW_WAIT_MS));
	ck_assert_int_ne(access(http_path, F_OK), 0);
	ck_assert_int_eq(stat(other, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	file = fopen(broker.config, "w");
	ck_assert_ptr_nonnull(file);
	fclose(file);
	ck_assert_int_eq(kill(broker.pid, SIGHUP), 0);
	ck_assert(test_wait_until(access(other, F_OK) != 0, FLOW_WAIT_MS));
	flow_stop();
}
END_TEST

static int check(const char *listen, const char *more, char *output, size_t size)
{
	const char *program = getenv("KICKMSGD");
	char config[128], text[512];

	snprintf(config, sizeof config, "%s/c", http_dir);
	snprintf(text, sizeof text, "[metrics]\nlisten = %s\n%s", listen, more);
	FILE *file = fopen(config, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
	const char *argv[] = { program && *program ? program : TEST_KICKMSGD, "--config", config,
		"--check-config", NULL };
	int r = test_run(argv, output, size);
	unlink(config);
	return r;
}

START_TEST(only_good_addresses_are_taken)
{
	static const char *const good[] = { "127.0.0.1:9470", "[::1]:9470", "unix:/x", "off",
		"127.9.9.9:1" };
	static const char *const bad[] = { "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000",
		"localhost:9470", ":9470", "unix:x", "unix:", "9470" };
	static const char *const outside[] = { "0.0.0.0:9470", "[::]:9470", "10.0.0.1:9470" };
	char output[4096];

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		ck_assert_msg(
			check(good[i], "", output, sizeof output) == 0, "%s: %s", good[i], output);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(
			check(bad[i], "", output, sizeof output) == 1, "%s: %s", bad[i], output);
	for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
		ck_assert_int_eq(check(outside[i], "", output, sizeof output), 1);
		ck_assert_ptr_nonnull(strstr(output, "listen_anywhere = yes"));
		ck_assert_int_eq(
			check(outside[i], "listen_anywhere = yes\n", output, sizeof output), 0);
	}
}
END_TEST

/* The address of an only socket that is bound, so that nobody else has it. */
START_TEST(an_address_that_is_taken_is_tried_again)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	char config[128];

	int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(taken, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(taken, 1), 0);
	ck_assert_int_eq(getsockname(taken, (struct sockaddr *)&address, &size), 0);
	snprintf(config, sizeof config, "[metrics]\nlisten = 127.0.0.1:%d\n",
		ntohs(address.sin_port));
	test_broker_start(&broker, config);
	ck_assert(test_wait_until(
		test_broker_logged(&broker, "trying again each second"), FLOW_WAIT_MS));
	kickmsg_client_free(flow_client("worker"));
	close(taken);
	ck_assert(test_wait_until(
		test_broker_logged(&broker, "metrics are served at 127.0.0.1:"), FLOW_WAIT_MS));
	flow_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-metrics");
	TCase *tc = tcase_create("flow-metrics");

	tcase_set_timeout(tc, 90);
	tcase_add_checked_fixture(tc, http_setup, http_teardown);
	tcase_add_test(tc, numbers_are_those_of_the_topic);
	tcase_add_test(tc, reliable_subscribers_are_counted);
	tcase_add_test(tc, older_collectors_get_the_older_format);
	tcase_add_test(tc, topics_beyond_the_bound_are_in_the_sums);
	tcase_add_test(tc, a_recovery_is_counted_with_its_time);
	tcase_add_test(tc, what_else_is_asked_gets_its_status);
	tcase_add_test(tc, too_large_a_request_is_refused);
	tcase_add_test(tc, silent_connections_are_bounded_and_end);
	tcase_add_loop_test(tc, silent_connections_shut_nobody_out, 0, 2);
	tcase_add_test(tc, a_dripping_request_ends);
	tcase_add_test(tc, an_endless_chunk_is_cut_off);
	tcase_add_test(tc, the_next_broker_serves_there_too);
	tcase_add_test(tc, a_reload_moves_it);
	tcase_add_test(tc, only_good_addresses_are_taken);
	tcase_add_test(tc, an_address_that_is_taken_is_tried_again);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
