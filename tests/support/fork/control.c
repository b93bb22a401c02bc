/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of clients and topics' names in a child of fork: see fork.h. */
#include "tests/support/fork/fork.h"

static struct kickmsg_publisher *new_publisher;
static struct kickmsg_subscriber *new_subscriber;
static struct kickmsg_schema schema;

FORK_IS(kickmsg_client_get_fd, kickmsg_client_get_fd(fork_client))
FORK_IS(kickmsg_client_dispatch, kickmsg_client_dispatch(fork_client))
FORK_IS(kickmsg_advertise, kickmsg_advertise(fork_client, "t", NULL, &new_publisher))
FORK_IS(kickmsg_advertise_or_join,
	kickmsg_advertise_or_join(fork_client, "t", NULL, &new_publisher))
FORK_IS(kickmsg_subscribe, kickmsg_subscribe(fork_client, "rings", NULL, &new_subscriber))
FORK_IS(kickmsg_subscribe_or_create,
	kickmsg_subscribe_or_create(fork_client, "t", NULL, NULL, &new_subscriber))
FORK_IS(kickmsg_join_broadcast,
	kickmsg_join_broadcast(fork_client, "c", NULL, NULL, &new_publisher, &new_subscriber))
FORK_IS(kickmsg_create_mailbox,
	kickmsg_create_mailbox(fork_client, "m", NULL, NULL, &new_subscriber))
FORK_IS(kickmsg_open_mailbox, kickmsg_open_mailbox(fork_client, "parent", "m", &new_publisher))
FORK_IS(kickmsg_unlink, kickmsg_unlink(fork_client, &fork_ref))
FORK_IS(kickmsg_unlink_topic, kickmsg_unlink_topic(fork_client, "rings"))
FORK_IS(kickmsg_unlink_broadcast, kickmsg_unlink_broadcast(fork_client, "c"))
FORK_IS(kickmsg_unlink_mailbox, kickmsg_unlink_mailbox(fork_client, "m"))
FORK_IS(kickmsg_subscribe_to, kickmsg_subscribe_to(fork_client, &fork_ref, NULL, &new_subscriber))
FORK_IS(kickmsg_topic_schema, kickmsg_topic_schema(fork_client, &fork_ref, &schema))
FORK_IS(kickmsg_claim_schema, kickmsg_claim_schema(fork_client, &fork_ref, &schema, &schema))

FORK_CALL(kickmsg_client_get_info)
{
	struct kickmsg_client_info own = { .wait_threads = 1 };

	(void)h;
	kickmsg_client_get_info(fork_client, &own);
	return own.wait_threads == 0 && own.wait_mechanism == KICKMSG_WAIT_NONE;
}

FORK_CALL(kickmsg_client_last_error)
{
	(void)h;
	return strstr(kickmsg_client_last_error(fork_client), "fork") != NULL;
}

FORK_CALL(kickmsg_client_free)
{
	(void)h;
	kickmsg_client_free(fork_client);
	return kickmsg_client_dispatch(fork_client) == -ECHILD;
}

/* A child may make these calls as its parent does. */
FORK_CALL(kickmsg_client_new)
{
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_client *own;

	(void)h;
	if (kickmsg_client_new(NULL, &own) != 0)
		return false;
	publisher = flow_advertise(own, "child's", NULL);
	subscriber = flow_subscribe(own, "child's");
	flow_send_int(publisher, 7);
	bool good = flow_receive_int(subscriber) == 7;
	kickmsg_client_free(own);
	return good;
}

static const struct fork_call calls[] = {
	FORK_ROW(kickmsg_advertise),
	FORK_ROW(kickmsg_advertise_or_join),
	FORK_ROW(kickmsg_claim_schema),
	FORK_ROW(kickmsg_client_dispatch),
	FORK_ROW(kickmsg_client_free),
	FORK_ROW(kickmsg_client_get_fd),
	FORK_ROW(kickmsg_client_get_info),
	FORK_ROW(kickmsg_client_last_error),
	FORK_ROW(kickmsg_client_new),
	FORK_ROW(kickmsg_create_mailbox),
	FORK_NO_HANDLE(kickmsg_fnv1a64),
	FORK_ROW(kickmsg_join_broadcast),
	FORK_ROW(kickmsg_open_mailbox),
	FORK_NO_HANDLE(kickmsg_schema_diff),
	FORK_NO_HANDLE(kickmsg_schema_set_identity),
	FORK_NO_HANDLE(kickmsg_schema_set_layout),
	FORK_NO_HANDLE(kickmsg_strerror),
	FORK_ROW(kickmsg_subscribe),
	FORK_ROW(kickmsg_subscribe_or_create),
	FORK_ROW(kickmsg_subscribe_to),
	FORK_NO_HANDLE(kickmsg_topic_config_check),
	FORK_NO_HANDLE(kickmsg_topic_config_init),
	FORK_NO_HANDLE(kickmsg_topic_config_latched),
	FORK_ROW(kickmsg_topic_schema),
	FORK_ROW(kickmsg_unlink),
	FORK_ROW(kickmsg_unlink_broadcast),
	FORK_ROW(kickmsg_unlink_mailbox),
	FORK_ROW(kickmsg_unlink_topic),
	FORK_NO_HANDLE(kickmsg_version),
};

const struct fork_table fork_control_calls = { calls, sizeof calls / sizeof calls[0] };
