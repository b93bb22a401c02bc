/* SPDX-License-Identifier: Apache-2.0 */
/* The rules `serve` and `call` for two users that aren't root; and a caller's requests and replies, which
 * nobody but it and the active server may have. */
#include <fcntl.h>
#include <sys/prctl.h>

#include "libclient/handle/handle.h"
#include "libclient/kickmsg-operator.h"
#include "libclient/service/caller.h"
#include "libclient/service/server.h"
#include "tests/support/broker/flow.h"
#include "tests/support/broker/user.h"

#define WAIT_NS (FLOW_WAIT_MS * INT64_C(1000000))

/* The rules begin at line 3. */
static const char rules[] = "[topic service:kickmsg:s]\n"
			    "serve = 65534\n"
			    "call = 12345\n"
			    "[topic *]\n"
			    "create = none\n"
			    "publish = none\n"
			    "subscribe = none\n"
			    "[topic service:kickmsg:closed]\n"
			    "serve = 65534\n"
			    "call = none\n";

/* As this user: 0, or the error of serving or calling; *said is what the broker says to it. */
static int try_as(uid_t uid, bool serves, const char *service, char said[KM_WIRE_TEXT_SIZE])
{
	struct {
		int r;
		char said[KM_WIRE_TEXT_SIZE];
	} outcome = { .r = -ECANCELED };
	struct kickmsg_server *server;
	struct kickmsg_caller *caller;
	int pipes[2];

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct kickmsg_client *mine = user_client(uid, 0);

		outcome.r = serves ? kickmsg_serve(mine, service, NULL, &server)
				   : kickmsg_open_service(mine, service, NULL, &caller);
		snprintf(outcome.said, sizeof outcome.said, "%s", kickmsg_client_last_error(mine));
		NEED(write(pipes[1], &outcome, sizeof outcome) == sizeof outcome);
		_exit(0);
	}
	close(pipes[1]);
	ck_assert_int_eq(read(pipes[0], &outcome, sizeof outcome), sizeof outcome);
	close(pipes[0]);
	waitpid(pid, NULL, 0);
	strcpy(said, outcome.said);
	return outcome.r;
}

/* A server as user A, which answers each request with the uid, gid and pid of who called. */
static void serve(void *service)
{
	struct kickmsg_request request;
	struct kickmsg_server *server;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	NEED(kickmsg_serve(user_client(USER_A, 0), service, NULL, &server) == 0);
	test_child_ready();
	while (kickmsg_take_request(server, -1, &request) == 0) {
		uint32_t who[] = { request.caller->uid, request.caller->gid,
			(uint32_t)request.caller->pid };

		NEED(kickmsg_reply(&request, who, sizeof who) == 0);
	}
	_exit(1);
}

static void call_as_b(void)
{
	const struct kickmsg_caller_options options = { .wait_ns = (uint64_t)WAIT_NS };
	struct kickmsg_caller *caller;
	struct kickmsg_reply reply;
	int status;

	pid_t pid = fork();
	if (pid == 0) {
		uint32_t me[] = { USER_B, USER_B, (uint32_t)getpid() };

		NEED(kickmsg_open_service(user_client(USER_B, 0), "s", &options, &caller) == 0);
		NEED(kickmsg_call(caller, "x", 1, WAIT_NS, &reply) == 0);
		NEED(reply.len == sizeof me && memcmp(reply.data, me, sizeof me) == 0);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

START_TEST(rules_say_who_serves_and_who_calls)
{
	char said[KM_WIRE_TEXT_SIZE], where[192];

	if (getuid() != 0)
		return;
	user_start_broker(rules);
	ck_assert_int_eq(try_as(USER_B, true, "s", said), -EACCES);
	snprintf(where, sizeof where, "%s:4: uid %u may not serve service 's'", broker.config,
		USER_B);
	ck_assert_str_eq(said, where);
	ck_assert(test_broker_logged(&broker, where));
	pid_t server = test_child_start(serve, (char[]){ "s" }),
	      closed = test_child_start(serve, (char[]){ "closed" });
	/* neither user has `subscribe` or `publish`: those keys don't count for services */
	call_as_b();
	ck_assert_int_eq(try_as(USER_A, false, "s", said), -EACCES);
	snprintf(where, sizeof where, "%s:5: uid %u may not call service 's'", broker.config,
		USER_A);
	ck_assert_str_eq(said, where);
	ck_assert_int_eq(try_as(USER_B, false, "closed", said), -EACCES);
	ck_assert_int_eq(try_as(USER_B, false, "none", said), -ENOENT);
	test_child_end(server, SIGKILL);
	test_child_end(closed, SIGKILL);
	flow_stop();
}
END_TEST

/* --- requests and replies are for two ------------------------------------------------------------- */

static int attach_raw(int socket, uint32_t op, uint32_t kind, const char *owner, uint32_t flags)
{
	struct km_msg_attach request = {
		.header.op = op, .topic = "s", .kind = kind, .flags = flags
	};
	union km_msg answer;

	snprintf(request.owner, sizeof request.owner, "%s", owner);
	if (!(flags & KM_ATTACH_MUST_EXIST) && op == KM_OP_ADVERTISE) {
		request.has_geometry = 1;
		km_geometry_init(&request.geometry);
	}
	int r = test_peer_call(socket, &request, sizeof request, &answer);
	return r == KM_OP_ERROR ? answer.error.error : r;
}

/* Each way in, as either role; all are refused. */
static void expect_refused(int socket, const char *owner)
{
	for (uint32_t kind = KM_KIND_REQUESTS; kind <= KM_KIND_REPLIES; kind++) {
		ck_assert_int_eq(attach_raw(socket, KM_OP_ADVERTISE, kind, owner, 0), -EACCES);
		ck_assert_int_eq(
			attach_raw(socket, KM_OP_ADVERTISE, kind, owner, KM_ATTACH_MUST_EXIST),
			-EACCES);
		ck_assert_int_eq(attach_raw(socket, KM_OP_SUBSCRIBE, kind, owner, 0), -EACCES);
		ck_assert_int_eq(attach_raw(socket, KM_OP_SUBSCRIBE, kind, owner, KM_ATTACH_CREATE),
			-EACCES);
		ck_assert_int_eq(
			attach_raw(socket, KM_OP_SUBSCRIBE, kind, owner, KM_ATTACH_OBSERVE),
			-EACCES);
	}
}

static int ask_for_callers(int socket, union km_msg *ret)
{
	struct km_msg_topic request = {
		.header.op = KM_OP_CALLERS, .topic = "s", .kind = KM_KIND_SERVICE
	};

	return test_peer_call(socket, &request, sizeof request, ret);
}

START_TEST(nobody_else_gets_requests_and_replies)
{
	struct kickmsg_server *server, *standby;
	struct kickmsg_caller *caller;
	struct kickmsg_request request;
	struct kickmsg_reply reply;
	union km_msg answer;
	char owner[32];

	test_broker_start(&broker, NULL);
	struct kickmsg_client *serving = flow_client("serving"), *calling = flow_client("calling"),
			      *waiting = flow_client("waiting");
	ck_assert_int_eq(kickmsg_serve(serving, "s", NULL, &server), 0);
	ck_assert_int_eq(kickmsg_serve(waiting, "s", NULL, &standby), 0);
	ck_assert_int_eq(kickmsg_open_service(calling, "s", NULL, &caller), 0);
	ck_assert(test_wait_until(kickmsg_take_request(server, 0, &request) == -EAGAIN &&
					  kickmsg_caller_wait_server(caller, 0) == 0,
		FLOW_WAIT_MS));
	snprintf(owner, sizeof owner, "%llu", (unsigned long long)caller->endpoint);
	/* a stranger, also as a caller and as a server that stands by */
	int socket = test_peer_hello(broker.socket, "calling", NULL);
	expect_refused(socket, owner);
	expect_refused(socket, "1");
	expect_refused(socket, "no-number");
	ck_assert_int_eq(ask_for_callers(socket, &answer), KM_OP_ERROR);
	ck_assert_int_eq(answer.error.error, -EPERM);
	ck_assert_int_eq(
		attach_raw(socket, KM_OP_SUBSCRIBE, KM_KIND_SERVICE, "", 0), KM_OP_ATTACHED);
	expect_refused(socket, owner);
	ck_assert_int_eq(ask_for_callers(socket, &answer), KM_OP_ERROR);
	ck_assert_int_eq(
		attach_raw(socket, KM_OP_ADVERTISE, KM_KIND_SERVICE, "", KM_ATTACH_MUST_EXIST),
		KM_OP_ATTACHED);
	expect_refused(socket, owner);
	/* the server that stands by hears which one is active, and nothing of the callers */
	ck_assert_int_eq(ask_for_callers(socket, &answer), KM_OP_CALLERS_OK);
	ck_assert_uint_eq(answer.callers_ok.active, server->service->handle.place.endpoint);
	ck_assert_uint_eq(answer.callers_ok.count, 0);
	close(socket);
	/* a caller's topics have one name: another way to write its number is no number of a caller */
	socket = test_peer_hello(broker.socket, "numbers", NULL);
	ck_assert_int_eq(test_peer_call(socket,
				 &(struct km_msg_attach){ .header.op = KM_OP_SUBSCRIBE,
					 .topic = "s",
					 .kind = KM_KIND_SERVICE },
				 sizeof(struct km_msg_attach), &answer),
		KM_OP_ATTACHED);
	static const char *const before[] = { "0", "00", "-", "" }, *const behind[] = { "", "", "",
		"x" };
	for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
		char other[32];

		snprintf(other, sizeof other, "%s%llu%s", before[i],
			(unsigned long long)answer.attached.endpoint, behind[i]);
		ck_assert_int_eq(
			attach_raw(socket, KM_OP_ADVERTISE, KM_KIND_REQUESTS, other, 0), -EACCES);
	}
	close(socket);
	/* the two themselves have one part each, not the other's */
	struct kickmsg_topic_ref ref = { .name = "s", .owner = owner, .kind = KICKMSG_REQUESTS };
	struct kickmsg_subscriber *own;
	ck_assert_int_eq(kickmsg_subscribe_to(calling, &ref, NULL, &own), -EACCES);
	ref.kind = KICKMSG_REPLIES;
	ck_assert_int_eq(kickmsg_subscribe_to(serving, &ref, NULL, &own), -EACCES);
	ck_assert_int_eq(kickmsg_subscribe_to(waiting, &ref, NULL, &own), -EACCES);
	uint64_t id;
	ck_assert_int_eq(kickmsg_call_begin(caller, "x", 1, -1, &id), 0);
	ck_assert_int_eq(kickmsg_take_request(server, WAIT_NS, &request), 0);
	ck_assert_int_eq(kickmsg_reply(&request, "y", 1), 0);
	ck_assert_int_eq(kickmsg_take_reply(caller, WAIT_NS, &reply), 0);
	ck_assert_int_eq(reply.error, 0);
	kickmsg_client_free(calling);
	kickmsg_client_free(serving);
	kickmsg_client_free(waiting);
	flow_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-service-rights");
	TCase *tcase = tcase_create("service-rights");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, rules_say_who_serves_and_who_calls);
	tcase_add_test(tcase, nobody_else_gets_requests_and_replies);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
