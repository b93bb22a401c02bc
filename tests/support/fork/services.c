/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of services in a child of fork: see fork.h. */
#include "tests/support/fork/fork.h"

static struct kickmsg_server *new_server;
static struct kickmsg_caller *new_caller;
static struct kickmsg_reply reply;
static void *room;

FORK_IS(kickmsg_serve, kickmsg_serve(fork_client, "s", NULL, &new_server))
FORK_IS(kickmsg_open_service, kickmsg_open_service(fork_client, "s", NULL, &new_caller))
FORK_IS(kickmsg_caller_wait_server, kickmsg_caller_wait_server(fork_caller, -1))
FORK_IS(kickmsg_take_request, kickmsg_take_request(fork_server, -1, &fork_request))
FORK_IS(kickmsg_request_status, kickmsg_request_status(&fork_request))
FORK_IS(kickmsg_reply, kickmsg_reply(&fork_request, fork_bytes, 1))
FORK_IS(kickmsg_reply_more, kickmsg_reply_more(&fork_request, fork_bytes, 1))
FORK_IS(kickmsg_reply_error, kickmsg_reply_error(&fork_request, -EIO))
FORK_IS(kickmsg_reply_loan, kickmsg_reply_loan(&fork_request, 1, &room))
FORK_IS(kickmsg_reply_publish, kickmsg_reply_publish(&fork_request, room, 1, 0))
FORK_IS(kickmsg_reply_discard, kickmsg_reply_discard(&fork_request, room))
FORK_IS(kickmsg_call, kickmsg_call(fork_caller, fork_bytes, 1, -1, &reply))
FORK_IS(kickmsg_call_begin, kickmsg_call_begin(fork_caller, fork_bytes, 1, -1, &fork_id))
FORK_IS(kickmsg_call_loan, kickmsg_call_loan(fork_caller, 1, &room))
FORK_IS(kickmsg_call_publish, kickmsg_call_publish(fork_caller, room, 1, -1, &fork_id))
FORK_IS(kickmsg_call_discard, kickmsg_call_discard(fork_caller, room))
FORK_IS(kickmsg_call_cancel, kickmsg_call_cancel(fork_caller, fork_id))
FORK_IS(kickmsg_take_reply, kickmsg_take_reply(fork_caller, -1, &reply))
FORK_IS(kickmsg_server_get_fd, kickmsg_server_get_fd(fork_server))
FORK_IS(kickmsg_caller_get_fd, kickmsg_caller_get_fd(fork_caller))

FORK_CALL(kickmsg_waitset_add_server)
{
	struct kickmsg_waitset *set;

	(void)h;
	if (kickmsg_waitset_new(&set) != 0)
		return false;
	bool is_right = fork_says(kickmsg_waitset_add_server(set, fork_server, NULL));
	kickmsg_waitset_free(set);
	return is_right;
}

FORK_CALL(kickmsg_waitset_add_caller)
{
	struct kickmsg_waitset *set;

	(void)h;
	if (kickmsg_waitset_new(&set) != 0)
		return false;
	bool is_right = fork_says(kickmsg_waitset_add_caller(set, fork_caller, NULL));
	kickmsg_waitset_free(set);
	return is_right;
}

FORK_CALL(kickmsg_server_is_active)
{
	(void)h;
	return kickmsg_server_is_active(fork_server) == 0;
}

FORK_CALL(kickmsg_reply_release)
{
	struct kickmsg_reply copy = fork_held;

	(void)h;
	kickmsg_reply_release(&copy);
	return copy.data == NULL;
}

FORK_CALL(kickmsg_server_interrupt)
{
	(void)h;
	kickmsg_server_interrupt(fork_server);
	return fork_says(kickmsg_take_request(fork_server, -1, &fork_request));
}

FORK_CALL(kickmsg_caller_interrupt)
{
	(void)h;
	kickmsg_caller_interrupt(fork_caller);
	return fork_says(kickmsg_take_reply(fork_caller, -1, &reply));
}

FORK_CALL(kickmsg_server_free)
{
	(void)h;
	kickmsg_server_free(fork_server);
	return kickmsg_serve(fork_client, "s", NULL, &new_server) == -ECHILD;
}

FORK_CALL(kickmsg_caller_free)
{
	(void)h;
	kickmsg_caller_free(fork_caller);
	return fork_says(kickmsg_caller_wait_server(fork_caller, -1));
}

static const struct fork_call calls[] = {
	FORK_ROW(kickmsg_waitset_add_caller),
	FORK_ROW(kickmsg_waitset_add_server),
	FORK_DATA_ROW(kickmsg_call),
	FORK_DATA_ROW(kickmsg_call_begin),
	FORK_DATA_ROW(kickmsg_call_cancel),
	FORK_DATA_ROW(kickmsg_call_discard),
	FORK_DATA_ROW(kickmsg_call_loan),
	FORK_DATA_ROW(kickmsg_call_publish),
	FORK_ROW(kickmsg_caller_free),
	FORK_ROW(kickmsg_caller_get_fd),
	FORK_DATA_ROW(kickmsg_caller_interrupt),
	FORK_ROW(kickmsg_caller_wait_server),
	FORK_ROW(kickmsg_open_service),
	FORK_DATA_ROW(kickmsg_reply),
	FORK_DATA_ROW(kickmsg_reply_discard),
	FORK_DATA_ROW(kickmsg_reply_error),
	FORK_DATA_ROW(kickmsg_reply_loan),
	FORK_DATA_ROW(kickmsg_reply_more),
	FORK_DATA_ROW(kickmsg_reply_publish),
	FORK_DATA_ROW(kickmsg_reply_release),
	FORK_DATA_ROW(kickmsg_request_status),
	FORK_ROW(kickmsg_serve),
	FORK_ROW(kickmsg_server_free),
	FORK_ROW(kickmsg_server_get_fd),
	FORK_DATA_ROW(kickmsg_server_interrupt),
	FORK_DATA_ROW(kickmsg_server_is_active),
	FORK_NO_HANDLE(kickmsg_service_config_init),
	FORK_DATA_ROW(kickmsg_take_reply),
	FORK_DATA_ROW(kickmsg_take_request),
};

const struct fork_table fork_services_calls = { calls, sizeof calls / sizeof calls[0] };
