/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other users, for tests of who may do what: child processes that become them. Needs root; ids need
 * no entry in /etc/passwd. Include behind flow.h.
 */
#pragma once

#include <grp.h>
#include <sys/stat.h>

#define USER_A 65534
#define USER_B 12345

/* For children that Check doesn't know: ends the child unless the condition holds. */
#define NEED(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "uid %u, line %d: %s\n", geteuid(), __LINE__, #condition); \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* Starts a broker to which all users may connect. `config` goes behind a first section of two
 * lines. */
static inline void user_start_broker(const char *config)
{
	char text[2048];

	snprintf(text, sizeof text, "[broker]\nsocket_mode = 0666\n%s", config);
	test_broker_start(&broker, text);
	ck_assert_int_eq(chmod(broker.dir, 0755), 0);
}

/* From here on this process is that user, in the group of the same number and in `group`. */
static inline void user_become(uid_t uid, gid_t group)
{
	NEED(setgroups(group ? 1 : 0, &group) == 0 && setresgid(uid, uid, uid) == 0);
	NEED(setresuid(uid, uid, uid) == 0);
}

static inline struct kickmsg_client *user_client(uid_t uid, gid_t group)
{
	struct kickmsg_client *mine;
	struct kickmsg_client_config config = { .name = "mine" };

	user_become(uid, group);
	NEED(kickmsg_client_new(&config, &mine) == 0);
	return mine;
}

/* Repairs as this process' user. Returns 0, or the error, whose words are in *ret unless that is
 * null. */
static inline int user_repair(const char *topic, char said[KM_WIRE_TEXT_SIZE])
{
	struct km_msg_repair request = { .topic.header.op = KM_OP_REPAIR, .what = KM_REPAIR_ALL };
	int socket = test_peer_hello(broker.socket, "repairer", NULL);
	union km_msg answer;

	snprintf(request.topic.topic, sizeof request.topic.topic, "%s", topic);
	int op = test_peer_call(socket, &request, sizeof request, &answer);
	close(socket);
	if (op != KM_OP_ERROR)
		return op == KM_OP_REPAIR_OK ? 0 : -EPROTO;
	if (said)
		memcpy(said, answer.error.text, sizeof answer.error.text);
	return answer.error.error;
}

/* Says whether the test is to be skipped, and why. */
static inline bool user_cannot_change(void)
{
	if (geteuid() == 0)
		return false;
	puts("SKIP: only root can become other users");
	return true;
}
