/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsgctl echo: what it prints of a topic's messages, observed or subscribed to. */
#include <pthread.h>
#include <stdatomic.h>

#include "libclient/kickmsg-operator.h"
#include "tests/support/broker/ctl.h"

static atomic_bool stop_sending;

/* Publishes "hello\n" with numbers behind it until the test has seen enough. */
static void *keep_sending(void *userdata)
{
	struct timespec pause = { 0, 1000000 };

	while (!atomic_load(&stop_sending)) {
		ck_assert_int_ge(kickmsg_send(userdata, "hello\n", 6), 0);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static void with_traffic(uint32_t transport, void (*look)(void))
{
	struct kickmsg_topic_config config = small;
	pthread_t thread;

	start();
	config.transport = transport;
	struct kickmsg_publisher *pub = flow_advertise(client, "e", &config);
	atomic_store(&stop_sending, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, keep_sending, pub), 0);
	look();
	atomic_store(&stop_sending, true);
	pthread_join(thread, NULL);
	stop();
}

static void look_in_every_form(void)
{
	struct kickmsg_topic_ref ref = { .name = "e" };
	struct kickmsg_participant people[4];
	uint64_t cursor = 0;

	expect(0, "echo", "e", "-n", "3", NULL);
	says("publisher=1 sequence=");
	says("len=6 hello.");
	expect(0, "echo", "e", "-n", "2", "--hex", NULL);
	says("68 65 6c 6c 6f 0a");
	/* each run prints one message, since echo may lose one between two */
	expect(0, "echo", "e", "-n", "1", "--raw", NULL);
	says("hello\n");
	expect(0, "echo", "e", "-n", "1", "--json", NULL);
	char *line = strchr(output, '{');
	ck_assert_ptr_nonnull(line);
	struct json_object *object = json_tokener_parse(line);
	ck_assert_ptr_nonnull(object);
	ck_assert_str_eq(text(object, "hex"), "68656c6c6f0a");
	ck_assert_int_eq(number(object, "len"), 6);
	ck_assert_int_eq(number(object, "publisher"), 1);
	json_object_put(object);
	/* echo has left: the test's own client is the only participant */
	ck_assert_int_eq(kickmsg_topic_participants(client, &ref, &cursor, people, 4), 1);
}

static void look_at_shared(void)
{
	look_in_every_form();
	expect(0, "echo", "e", "-n", "1", NULL);
	says("observing kickmsg:e: nobody notices");
}

static void look_at_rings(void)
{
	look_in_every_form();
	expect(0, "echo", "e", "-n", "1", NULL);
	says("subscribed to kickmsg:e, which has a ring for each subscriber");
}

START_TEST(echo_of_a_shared_ring_observes)
{
	with_traffic(KICKMSG_TRANSPORT_SHARED, look_at_shared);
}
END_TEST

/* Refusals are logged and counted, so the tool doesn't try what can't be. */
static void is_never_refused(void)
{
	struct kickmsg_broker_status status;

	expect(0, "echo", "e", "-n", "1", NULL);
	ck_assert_int_eq(kickmsg_broker_get_status(client, &status), 0);
	ck_assert_uint_eq(status.refused, 0);
}

START_TEST(echo_of_rings_subscribes_and_says_so)
{
	with_traffic(KICKMSG_TRANSPORT_RINGS, look_at_rings);
	with_traffic(KICKMSG_TRANSPORT_RINGS, is_never_refused);
}
END_TEST

START_TEST(echo_of_what_is_not_there_is_a_clear_error)
{
	start();
	expect(1, "echo", "nowhere", NULL);
	says("kickmsgctl: kickmsg:nowhere: ");
	struct json_object *root = json(1, "echo", "nowhere", "--json", NULL);
	ck_assert_int_eq(number(at(root, "topics", 0), "errno"), ENOENT);
	json_object_put(root);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-echo");
	TCase *tc = tcase_create("ctl-echo");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, echo_of_a_shared_ring_observes);
	tcase_add_test(tc, echo_of_rings_subscribes_and_says_so);
	tcase_add_test(tc, echo_of_what_is_not_there_is_a_clear_error);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
