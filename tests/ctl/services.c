/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsgctl services and call: the participants of services, and a call from the command line. */
#include <pthread.h>
#include <stdatomic.h>

#include "libclient/kickmsg-service.h"
#include "tests/support/broker/ctl.h"
#include "tests/support/broker/user.h"

static struct kickmsg_server *server;
static pthread_t thread;
static atomic_bool stop_serving;

static void answer(struct kickmsg_request *request)
{
	const char *asked = request->data;

	if (request->len == 4 && memcmp(asked, "more", 4) == 0)
		for (char i = '1'; i <= '2'; i++)
			ck_assert_int_eq(kickmsg_reply_more(request, &i, 1), 0);
	if (request->len == 2 && memcmp(asked, "no", 2) == 0)
		ck_assert_int_eq(kickmsg_reply_error(request, -EDOM), 0);
	else if (request->len == 5 && memcmp(asked, "leave", 5) == 0)
		atomic_store(&stop_serving, true);
	else if (request->len != 5 || memcmp(asked, "never", 5) != 0)
		ck_assert_int_eq(kickmsg_reply(request, asked, request->len), 0);
}

static void *keep_answering(void *unused)
{
	struct kickmsg_request request;

	(void)unused;
	while (!atomic_load(&stop_serving)) {
		int r = kickmsg_take_request(server, -1, &request);

		ck_assert(r == 0 || r == -EINTR);
		if (r == 0)
			answer(&request);
	}
	kickmsg_server_free(server);
	return NULL;
}

static struct kickmsg_server *serve(struct kickmsg_client *who, const char *name)
{
	struct kickmsg_service_config config;
	struct kickmsg_server *ret = NULL;

	kickmsg_service_config_init(&config);
	config.max_replies = 3;
	config.max_request_size = config.max_reply_size = 100;
	ck_assert_int_eq(kickmsg_serve(who, name, &config, &ret), 0);
	return ret;
}

static void start_serving(void)
{
	start();
	server = serve(client, "adder");
	atomic_store(&stop_serving, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, keep_answering, NULL), 0);
}

static void stop_serving_here(void)
{
	if (!atomic_exchange(&stop_serving, true))
		kickmsg_server_interrupt(server);
	pthread_join(thread, NULL);
	stop();
}

START_TEST(call_prints_replies_in_each_form)
{
	start_serving();
	expect(0, "call", "adder", "hello\n", NULL);
	ck_assert_str_eq(output, "hello.\n");
	expect(0, "call", "service:kickmsg:adder", "more", NULL);
	ck_assert_str_eq(output, "1\n2\nmore\n");
	expect(0, "call", "adder", "more", "--raw", NULL);
	ck_assert_str_eq(output, "12more");
	expect(0, "call", "kickmsg:adder", "hi", "--base64", NULL);
	ck_assert_str_eq(output, "aGk=\n");
	expect(0, "call", "adder", "hi", "--hex", "--timeout", "60", NULL);
	says("00000000  68 69");
	expect(0, "call", "adder", "more", "--json", NULL);
	ck_assert_str_eq(output, "{\"more\":true,\"len\":1,\"hex\":\"31\"}\n"
				 "{\"more\":true,\"len\":1,\"hex\":\"32\"}\n"
				 "{\"more\":false,\"len\":4,\"hex\":\"6d6f7265\"}\n");
	expect(0, "call", "adder", "--json", NULL);
	ck_assert_str_eq(output, "{\"more\":false,\"len\":0,\"hex\":\"\"}\n");
	expect(0, "call", "adder", "--stdin", NULL); /* standard input is empty here */
	ck_assert_str_eq(output, "\n");
	stop_serving_here();
}
END_TEST

START_TEST(call_says_how_a_call_has_ended)
{
	char longer[102];

	start_serving();
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	expect(1, "call", "adder", "no", NULL);
	says("kickmsgctl: service:kickmsg:adder: its server says: Numerical argument out of "
	     "domain");
	expect(1, "call", "adder", longer, NULL);
	says("a request of 101 bytes is too long for it");
	expect(1, "call", "adder", "never", "--timeout", "0.05", NULL);
	says("no server has answered in 0.05 s");
	struct json_object *root = json(1, "call", "adder", "no", "--json", NULL);
	ck_assert_int_eq(number(at(root, "topics", 0), "errno"), EDOM);
	json_object_put(root);
	expect(1, "call", "addre", "x", NULL);
	says("service:kickmsg:addre: ");
	says("did you mean service:kickmsg:adder?");
	says("there is no service 'addre'");
	expect(1, "call", "ad", "x", NULL);
	says("did you mean service:kickmsg:adder?");
	expect(1, "call", "t", NULL); /* a topic is no service */
	says("there is no service 't'");
	expect(2, "call", "adder", "x", "--stdin", NULL);
	expect(2, "call", NULL);
	says("call needs a NAME");
	expect(2, "call", "a:b:c:d:e", NULL);
	says("is no name of a service: that is NAME, PREFIX:NAME or service:PREFIX:NAME");
	says_not("topic");
	expect(2, "call", "--channel", "adder", NULL);
	says("is no name of a service");
	expect(1, "call", "adder", "leave", NULL);
	says("its server died or left before it had answered");
	stop_serving_here();
	expect(3, "call", "adder", NULL);
}
END_TEST

START_TEST(call_without_the_right_is_not_allowed)
{
	const char *const words[] = { "call", "locked", "--timeout", "0.01", NULL };

	user_start_broker("[topic kickmsg:locked]\ncall = nobody\n");
	client = flow_client("worker");
	serve(client, "locked");
	if (getuid() == 0) { /* no rule refuses this user */
		expect_as(USER_B, 0, 4, words);
		says("may not call service 'locked'");
		expect(1, "call", "locked", "--timeout", "0.01", NULL);
	} else {
		expect(4, "call", "locked", "--timeout", "0.01", NULL);
	}
	kickmsg_client_free(client);
	flow_stop();
}
END_TEST

/* Runs `call` with these words, its output into /dev/full. */
static int call_into_full(const char *words)
{
	const char *program = getenv("KICKMSGCTL");
	char line[512];
	const char *argv[] = { "/bin/sh", "-c", line, NULL };

	snprintf(line, sizeof line, "exec '%s' --socket '%s' call adder %s >/dev/full",
		program ? program : TEST_KICKMSGCTL, broker.socket, words);
	return test_run(argv, output, sizeof output);
}

START_TEST(call_whose_output_is_lost_says_so)
{
	static const char *const words[] = { "hi", "more", "hi --json", "hi --raw", "hi --hex",
		"hi --base64", "more --raw-frames" };

	start_serving();
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		int r = call_into_full(words[i]);

		ck_assert_msg(r == 5, "call adder %s ends with %d: %s", words[i], r, output);
		says("not all of the output could be written");
	}
	/* the reply is empty, so nothing had to be written, which is no failure */
	ck_assert_int_eq(call_into_full("'' --raw"), 0);
	stop_serving_here();
}
END_TEST

static struct kickmsg_caller *open_service(struct kickmsg_client *who)
{
	struct kickmsg_caller *ret = NULL;
	struct kickmsg_request request;

	ck_assert_int_eq(kickmsg_open_service(who, "adder", NULL, &ret), 0);
	ck_assert(test_wait_until(kickmsg_take_request(server, 0, &request) != 0 &&
					  kickmsg_caller_wait_server(ret, 0) == 0,
		FLOW_WAIT_MS));
	return ret;
}

static void in_flight_is(uint64_t count)
{
	struct json_object *root = json(0, "services", "adder", NULL);
	struct json_object *service = at(root, "topics", 0);

	ck_assert_str_eq(text(service, "name"), "service:kickmsg:adder");
	ck_assert_str_eq(text(service, "kind"), "service");
	ck_assert_str_eq(text(service, "server"), "worker");
	ck_assert_int_eq(number(service, "server_pid"), getpid());
	ck_assert_int_eq(number(service, "servers"), 2);
	ck_assert_int_eq(number(service, "standby"), 1);
	ck_assert_int_eq(number(service, "callers"), 2);
	ck_assert_uint_eq(number(service, "in_flight"), count);
	json_object_put(root);
}

START_TEST(services_shows_who_serves_and_what_is_in_flight)
{
	struct kickmsg_request requests[3];
	struct kickmsg_reply reply;
	uint64_t ids[3];

	start();
	struct kickmsg_client *other = flow_client("other");
	server = serve(client, "adder");
	serve(other, "adder");
	struct kickmsg_caller *caller = open_service(other);
	open_service(other);
	in_flight_is(0);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(kickmsg_call_begin(caller, "x", 1, -1, &ids[i]), 0);
	in_flight_is(3);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(kickmsg_take_request(server, -1, &requests[i]), 0);
	in_flight_is(3);
	/* a call in flight ends only with its server's last word, not with an earlier reply or a
	 * cancellation */
	ck_assert_int_eq(kickmsg_reply_more(&requests[0], "y", 1), 0);
	ck_assert_int_eq(kickmsg_call_cancel(caller, ids[1]), 0);
	ck_assert_int_eq(kickmsg_request_status(&requests[1]), -ECANCELED);
	in_flight_is(3);
	ck_assert_int_eq(kickmsg_reply(&requests[0], "y", 1), 0);
	ck_assert_int_eq(kickmsg_reply_error(&requests[1], -EIO), 0);
	in_flight_is(1);
	ck_assert_int_eq(kickmsg_reply(&requests[2], "y", 1), 0);
	while (kickmsg_take_reply(caller, 0, &reply) == 0)
		kickmsg_reply_release(&reply);
	in_flight_is(0);
	kickmsg_client_free(other);
	stop();
}
END_TEST

START_TEST(services_lists_services_alone)
{
	start();
	expect(0, "services", NULL);
	says("There is no service.");
	server = serve(client, "adder");
	expect(0, "services", "--no-legend", "-o", "name,standby,callers,in-flight,state", NULL);
	squeeze();
	ck_assert_str_eq(output, "service:kickmsg:adder 0 0 0 ok\n");
	expect(0, "services", "a*", "-W", "-n", "2", "-i", "0.01", NULL);
	says("worker");
	expect(1, "services", "t", NULL);
	says("there is no such service");
	says_not("no such topic");
	expect(1, "info", "service:kickmsg:add", NULL);
	says("there is no service 'add' with prefix 'kickmsg'; did you mean "
	     "service:kickmsg:adder?");
	expect(2, "services", "--channel", NULL);
	says("services takes no --channel");
	expect(0, "help", "services", NULL);
	says("service:PREFIX:NAME");
	says_not("TOPIC");
	says_not("--mailbox");
	expect(1, "services", "kickm*:t", NULL);
	says("no service matches 'kickm*:t'");
	expect(2, "services", "channel:kickmsg:adder", NULL);
	struct kickmsg_caller *caller = open_service(client);
	kickmsg_server_free(server);
	(void)caller;
	expect(0, "services", "adder", NULL);
	says("no server");
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-services");
	TCase *tc = tcase_create("ctl-services");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, call_prints_replies_in_each_form);
	tcase_add_test(tc, call_says_how_a_call_has_ended);
	tcase_add_test(tc, call_without_the_right_is_not_allowed);
	tcase_add_test(tc, call_whose_output_is_lost_says_so);
	tcase_add_test(tc, services_shows_who_serves_and_what_is_in_flight);
	tcase_add_test(tc, services_lists_services_alone);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
