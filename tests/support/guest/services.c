/* SPDX-License-Identifier: Apache-2.0 */
/* Each call of a service succeeds and fails: see services.h. */
#include "tests/support/guest/services.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#include "libclient/kickmsg-service.h"
#include "tests/support/guest/guest.h"

#define NEED(condition)                                                                            \
	do                                                                                         \
		if (!(condition))                                                                  \
			return __LINE__;                                                           \
	while (0)

static struct kickmsg_server *server;
static struct kickmsg_caller *caller;
static struct kickmsg_request request;
static struct kickmsg_reply reply;
static uint64_t id;
static void *room;
static char own[8];

static int visit_beginning(struct kickmsg_client *client, uint32_t transport)
{
	struct kickmsg_service_config config;

	DO(kickmsg_service_config_init, &config);
	config.transport = transport;
	config.max_calls = 0;
	NEED(CALL(kickmsg_serve, client, "s", &config, &server) == -EINVAL);
	config.max_calls = 4;
	config.max_replies = 2;
	NEED(CALL(kickmsg_open_service, client, "s", NULL, &caller) == -ENOENT);
	NEED(CALL(kickmsg_serve, client, "s", &config, &server) == 0);
	NEED(CALL(kickmsg_open_service, client, "s", NULL, &caller) == 0);
	NEED(CALL(kickmsg_call, caller, "x", 1, -1, &reply) == -ECONNREFUSED);
	NEED(CALL(kickmsg_caller_wait_server, caller, 0) == -EAGAIN);
	NEED(CALL(kickmsg_caller_wait_server, caller, 1000000) == -ETIMEDOUT);
	NEED(CALL(kickmsg_take_request, server, 0, &request) == -EAGAIN);
	NEED(CALL(kickmsg_take_request, server, 1000000, &request) == -ETIMEDOUT);
	NEED(CALL(kickmsg_caller_wait_server, caller, 0) == 0);
	NEED(VALUE(kickmsg_server_is_active, server) == 1);
	return 0;
}

static int begin(void)
{
	NEED(CALL(kickmsg_call_begin, caller, "x", 1, -1, &id) == 0);
	NEED(CALL(kickmsg_take_request, server, -1, &request) == 0);
	return 0;
}

static int visit_replies(void)
{
	NEED(CALL(kickmsg_call_begin, caller, own, 5000, -1, &id) == -EMSGSIZE);
	NEED(begin() == 0);
	NEED(CALL(kickmsg_request_status, &request) == 0);
	NEED(CALL(kickmsg_reply_error, &request, 1) == -EINVAL);
	NEED(CALL(kickmsg_reply_more, &request, "a", 1) == 0);
	NEED(CALL(kickmsg_reply_more, &request, "b", 1) == -EDQUOT);
	NEED(CALL(kickmsg_reply_loan, &request, 5000, &room) == -EMSGSIZE);
	NEED(CALL(kickmsg_reply_loan, &request, 8, &room) == 0);
	NEED(CALL(kickmsg_reply_discard, &request, own) == -EINVAL);
	NEED(CALL(kickmsg_reply_discard, &request, room) == 0);
	NEED(CALL(kickmsg_reply_publish, &request, room, 8, 0) == -EINVAL);
	NEED(CALL(kickmsg_reply_loan, &request, 8, &room) == 0);
	NEED(CALL(kickmsg_reply_publish, &request, room, 8, 0) == 0);
	NEED(CALL(kickmsg_request_status, &request) == -EINVAL);
	NEED(CALL(kickmsg_reply, &request, "x", 1) == -EINVAL);
	for (int i = 0; i < 2; i++) {
		NEED(CALL(kickmsg_take_reply, caller, -1, &reply) == 0);
		DO(kickmsg_reply_release, &reply);
	}
	NEED(begin() == 0);
	NEED(CALL(kickmsg_reply_error, &request, -EIO) == 0);
	NEED(CALL(kickmsg_take_reply, caller, -1, &reply) == 0 && reply.error == -EIO);
	NEED(begin() == 0);
	NEED(CALL(kickmsg_reply, &request, "x", 1) == 0);
	NEED(CALL(kickmsg_take_reply, caller, -1, &reply) == 0);
	DO(kickmsg_reply_release, &reply);
	NEED(CALL(kickmsg_take_reply, caller, -1, &reply) == -ENOENT);
	return 0;
}

static int visit_requests(void)
{
	NEED(CALL(kickmsg_call_loan, caller, 5000, &room) == -EMSGSIZE);
	NEED(CALL(kickmsg_call_loan, caller, 8, &room) == 0);
	NEED(CALL(kickmsg_call_discard, caller, own) == -EINVAL);
	NEED(CALL(kickmsg_call_discard, caller, room) == 0);
	NEED(CALL(kickmsg_call_publish, caller, own, 8, -1, &id) == -EINVAL);
	NEED(CALL(kickmsg_call_loan, caller, 8, &room) == 0);
	NEED(CALL(kickmsg_call_publish, caller, room, 8, -1, &id) == 0);
	NEED(CALL(kickmsg_take_reply, caller, 1000000, &reply) == -ETIMEDOUT);
	NEED(CALL(kickmsg_call_cancel, caller, id) == 0);
	NEED(CALL(kickmsg_call_cancel, caller, id) == -ENOENT);
	NEED(CALL(kickmsg_take_reply, caller, -1, &reply) == 0 && reply.error == -ECANCELED);
	NEED(CALL(kickmsg_call, caller, "x", 1, 1000000, &reply) == -ETIMEDOUT);
	DO(kickmsg_server_interrupt, server);
	NEED(CALL(kickmsg_take_request, server, -1, &request) == -EINTR);
	DO(kickmsg_caller_interrupt, caller);
	NEED(CALL(kickmsg_call, caller, "x", 1, -1, &reply) == -EINTR);
	return 0;
}

static void *serve_one(void *unused)
{
	struct kickmsg_request its;

	if (kickmsg_take_request(server, -1, &its) == 0)
		kickmsg_reply(&its, its.data, its.len);
	return unused;
}

static int visit_call(void)
{
	pthread_t thread;

	/* the library answers requests that were given up before */
	NEED(CALL(kickmsg_take_request, server, 0, &request) == -EAGAIN);
	NEED(pthread_create(&thread, NULL, serve_one, NULL) == 0);
	NEED(CALL(kickmsg_call, caller, "x", 1, -1, &reply) == 0 && reply.len == 1);
	pthread_join(thread, NULL);
	DO(kickmsg_reply_release, &reply);
	return 0;
}

static int visit_end(void)
{
	/* an answer to one of its own calls comes before the call */
	NEED(begin() == 0);
	DO(kickmsg_server_free, server);
	NEED(CALL(kickmsg_take_reply, caller, -1, &reply) == 0 && reply.error == -ECONNRESET);
	DO(kickmsg_caller_free, caller);
	return 0;
}

/* The descriptors come last, since from then on each call arms them. */
static int visit_loops(void)
{
	struct rlimit files, none = { 0, 0 };
	struct kickmsg_waitset *set;
	void *ready;

	NEED(getrlimit(RLIMIT_NOFILE, &files) == 0);
	none.rlim_max = files.rlim_max;
	NEED(kickmsg_waitset_new(&set) == 0);
	NEED(setrlimit(RLIMIT_NOFILE, &none) == 0);
	NEED(CALL(kickmsg_server_get_fd, server) == -EMFILE);
	NEED(CALL(kickmsg_caller_get_fd, caller) == -EMFILE);
	NEED(CALL(kickmsg_waitset_add_server, set, server, &server) == -EMFILE);
	NEED(CALL(kickmsg_waitset_add_caller, set, caller, &caller) == -EMFILE);
	NEED(setrlimit(RLIMIT_NOFILE, &files) == 0);
	NEED(CALL(kickmsg_server_get_fd, server) >= 0);
	NEED(CALL(kickmsg_caller_get_fd, caller) >= 0);
	NEED(CALL(kickmsg_waitset_add_server, set, server, &server) == 0);
	NEED(CALL(kickmsg_waitset_add_caller, set, caller, &caller) == 0);
	NEED(kickmsg_call_begin(caller, "x", 1, -1, &id) == 0);
	NEED(kickmsg_waitset_wait(set, -1, &ready, 1) == 1);
	NEED(kickmsg_take_request(server, -1, &request) == 0);
	NEED(kickmsg_reply(&request, "x", 1) == 0);
	NEED(kickmsg_take_reply(caller, -1, &reply) == 0);
	kickmsg_reply_release(&reply);
	kickmsg_waitset_free(set);
	/* takes in vain, which arm, and which sleep beside the descriptors */
	NEED(kickmsg_call_begin(caller, "x", 1, -1, &id) == 0);
	NEED(kickmsg_take_request(server, -1, &request) == 0);
	for (int i = 0; i < 2; i++) {
		NEED(CALL(kickmsg_take_request, server, 0, &request) == -EAGAIN);
		NEED(CALL(kickmsg_take_reply, caller, 0, &reply) == -EAGAIN);
		NEED(CALL(kickmsg_take_request, server, 1, &request) == -ETIMEDOUT);
		NEED(CALL(kickmsg_take_reply, caller, 1, &reply) == -ETIMEDOUT);
	}
	NEED(kickmsg_call_cancel(caller, id) == 0);
	NEED(kickmsg_take_reply(caller, -1, &reply) == 0 && reply.error == -ECANCELED);
	return 0;
}

int guest_visit_services(struct kickmsg_client *client, uint32_t transport)
{
	int line = visit_beginning(client, transport);

	if (line == 0)
		line = visit_replies();
	if (line == 0)
		line = visit_requests();
	if (line == 0)
		line = visit_call();
	if (line == 0)
		line = visit_loops();
	return line == 0 ? visit_end() : line;
}
