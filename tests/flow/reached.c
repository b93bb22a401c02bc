/* SPDX-License-Identifier: Apache-2.0 */
/* How many subscribers a message reached, as they come, leave and die, with both transports. */
#include <sys/prctl.h>

#include "tests/support/broker/flow.h"

static struct kickmsg_client *client;
static struct kickmsg_topic_config config;

static void setup(uint32_t transport)
{
	test_broker_start(&broker, "[recovery]\ninterval = 5\n");
	client = flow_client("a");
	kickmsg_topic_config_init(&config);
	config.transport = transport;
}

static void teardown(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

/* By either way of sending. */
static bool reaches(struct kickmsg_publisher *publisher, int count)
{
	void *loan;

	flow_send_int(publisher, 1);
	if (kickmsg_publisher_reached(publisher) != (uint32_t)count)
		return false;
	ck_assert_int_eq(kickmsg_loan(publisher, 1, &loan), 0);
	int r = kickmsg_publish(publisher, loan, 1);
	ck_assert_int_ge(r, 0);
	return r == count && kickmsg_publisher_reached(publisher) == (uint32_t)count;
}

static pid_t subscribe_elsewhere(void)
{
	pid_t pid = fork();

	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	flow_subscribe(flow_client("dies"), "t");
	for (;;)
		pause();
}

START_TEST(subscribers_come_leave_and_die_are_counted)
{
	struct kickmsg_subscriber *subscribers[3];

	setup((uint32_t)_i);
	struct kickmsg_publisher *publisher = flow_advertise(client, "t", &config);
	ck_assert_uint_eq(kickmsg_publisher_reached(publisher), 0);
	ck_assert(reaches(publisher, 0));
	for (int i = 0; i < 3; i++) {
		subscribers[i] = flow_subscribe(client, "t");
		ck_assert(reaches(publisher, i + 1));
	}
	kickmsg_subscriber_free(subscribers[1]);
	ck_assert(test_wait_until(reaches(publisher, 2), FLOW_WAIT_MS));
	pid_t pid = subscribe_elsewhere();
	ck_assert(test_wait_until(reaches(publisher, 3), FLOW_WAIT_MS));
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert(test_wait_until(reaches(publisher, 2), FLOW_WAIT_MS));
	teardown();
}
END_TEST

START_TEST(broadcast_member_that_skips_its_own_is_not_counted)
{
	static const struct kickmsg_subscribe_options skip = { .skip_own = 1 };
	struct kickmsg_publisher *publishers[2];
	struct kickmsg_subscriber *subscribers[2];

	setup((uint32_t)_i);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(kickmsg_join_broadcast(client, "c", &config, i ? NULL : &skip,
					 &publishers[i], &subscribers[i]),
			0);
	ck_assert(reaches(publishers[0], 1));
	ck_assert(reaches(publishers[1], 2));
	kickmsg_subscriber_free(subscribers[0]);
	ck_assert(test_wait_until(reaches(publishers[1], 1), FLOW_WAIT_MS));
	ck_assert(reaches(publishers[0], 1));
	teardown();
}
END_TEST

/* A broker that ends: the loan goes over to the fresh region and reaches who is there. */
START_TEST(rejoined_topic_is_counted_anew)
{
	void *loan;

	setup((uint32_t)_i);
	struct kickmsg_publisher *publisher = flow_advertise(client, "t", &config);
	flow_subscribe(client, "t");
	ck_assert_int_eq(kickmsg_loan(publisher, 1, &loan), 0);
	test_broker_kill(&broker);
	test_broker_resume(&broker);
	ck_assert(test_wait_until((kickmsg_client_dispatch(client), reaches(publisher, 1)) &&
					  kickmsg_publish(publisher, loan, 1) == 1,
		FLOW_WAIT_MS));
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-reached");
	TCase *tc = tcase_create("reached");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, subscribers_come_leave_and_die_are_counted, 0, 2);
	tcase_add_loop_test(tc, broadcast_member_that_skips_its_own_is_not_counted, 0, 2);
	tcase_add_loop_test(tc, rejoined_topic_is_counted_anew, 0, 2);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
