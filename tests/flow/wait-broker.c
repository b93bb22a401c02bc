/* SPDX-License-Identifier: Apache-2.0 */
/* A client that is started before its broker. */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/support/broker/flow.h"

#define LOOKS 3

static struct kickmsg_client *client;
static struct kickmsg_client_config config;

static void setup(void)
{
	test_broker_start(&broker, NULL);
	test_broker_kill(&broker); /* its socket stays, and nobody listens there */
	client = NULL;
	config = (struct kickmsg_client_config){ .socket_path = broker.socket };
}

static void teardown(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

static void *make_client(void *ret)
{
	*(int *)ret = kickmsg_client_new(&config, &client);
	return NULL;
}

/* Hangs up on some connections, so that the test knows that the client has looked in vain. */
static void turn_away(int count)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, broker.socket);
	unlink(broker.socket);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	for (; count > 0; count--)
		close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	close(listener);
}

START_TEST(client_new_before_its_broker_waits)
{
	pthread_t thread;
	int r = 1;

	config.wait_for_broker_ns = UINT64_MAX;
	pthread_create(&thread, NULL, make_client, &r);
	/* each call connects up to 16 times to a broker that hangs up */
	turn_away(16 * LOOKS);
	test_broker_resume(&broker);
	pthread_join(thread, NULL);
	ck_assert_int_eq(r, 0);
	kickmsg_publisher_free(flow_advertise(client, "a", NULL));
}
END_TEST

START_TEST(client_new_no_socket_waits_in_vain)
{
	unlink(broker.socket);
	config.wait_for_broker_ns = 1000000;
	ck_assert_int_eq(kickmsg_client_new(&config, &client), -ECONNREFUSED);
	ck_assert_str_ne(kickmsg_client_last_error(NULL), "");
	ck_assert_ptr_null(client);
	test_broker_resume(&broker);
}
END_TEST

START_TEST(client_new_other_error_does_not_wait)
{
	config.wait_for_broker_ns = UINT64_MAX;
	test_broker_resume(&broker);
	config.prefix = "";
	ck_assert_int_eq(kickmsg_client_new(&config, &client), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-wait-broker");
	TCase *tc = tcase_create("wait-broker");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, client_new_before_its_broker_waits);
	tcase_add_test(tc, client_new_no_socket_waits_in_vain);
	tcase_add_test(tc, client_new_other_error_does_not_wait);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
