/* SPDX-License-Identifier: Apache-2.0 */
/* The servers of the storm of calls: see stress_calls.h. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "libclient/kickmsg-service.h"
#include "tests/support/stress/stress_calls.h"

#define HELD     3 /* requests that a server keeps for a while */
#define VISITORS 64

/* The number of the last request of each caller, whose requests come in their order. */
static struct {
	uint64_t client_id, sequence;
} seen[VISITORS];

static void check_request(const struct kickmsg_request *request, struct calls_head *ret)
{
	uint64_t id = request->caller->client_id;
	uint32_t at = (uint32_t)(id % VISITORS);

	if (strcmp(request->caller->name, "caller") != 0)
		calls_broken("a request of '%s'", request->caller->name);
	if (request->len < sizeof *ret)
		calls_broken("a request of %zu bytes", request->len);
	memcpy(ret, request->data, sizeof *ret);
	if (ret->size != request->len)
		calls_broken("a request of %zu bytes, which were %u", request->len, ret->size);
	if (seen[at].client_id == id && ret->sequence <= seen[at].sequence)
		calls_broken("request %lu comes after %lu", ret->sequence, seen[at].sequence);
	seen[at].client_id = id;
	seen[at].sequence = ret->sequence;
}

static int reply(struct kickmsg_request *request, const struct calls_head *head, bool more)
{
	void *room;

	if (stress_once_in(&calls_rng, 2))
		return more ? kickmsg_reply_more(request, request->data, head->size)
			    : kickmsg_reply(request, request->data, head->size);
	int r = kickmsg_reply_loan(request, head->size, &room);
	if (r < 0)
		return r;
	calls_write(room, head);
	return kickmsg_reply_publish(request, room, head->size, more);
}

/* Answers a request. A caller that is gone doesn't get the answer, which is no fault. */
static void answer(struct kickmsg_request *request)
{
	struct calls_head head;
	int r = 0;

	memcpy(&head, request->data, sizeof head);
	for (uint16_t i = 1; r == 0 && i < head.replies; i++)
		r = reply(request, &head, true);
	if (r == 0)
		r = head.fails ? kickmsg_reply_error(request, -EDOM) : reply(request, &head, false);
	if (r < 0 && r != -ECONNRESET)
		calls_broken("reply: %d", r);
	atomic_fetch_add(&calls_board->served, 1);
}

void calls_serve(struct kickmsg_client *client, uint32_t transport)
{
	struct kickmsg_request held[HELD];
	struct kickmsg_service_config config;
	struct kickmsg_server *server;
	struct calls_head head;
	unsigned count = 0;

	kickmsg_service_config_init(&config);
	/* a caller takes a fresh place with each server, maybe before its old one is free */
	config.max_callers = 4 * CALLS_CALLERS;
	config.max_calls = CALLS_MAX;
	config.max_replies = CALLS_REPLIES;
	config.max_request_size = config.max_reply_size = CALLS_SIZE;
	config.transport = transport;
	int64_t end_ns = km_clock_ns() + CALLS_PATIENCE_NS;
	int r;
	while ((r = kickmsg_serve(client, CALLS_SERVICE, &config, &server)) == -ENOSPC &&
		km_clock_ns() < end_ns)
		usleep(RETRY_US);
	if (r < 0)
		calls_broken("serve: %s", kickmsg_client_last_error(client));
	for (;;) {
		r = kickmsg_take_request(server, SHORT_NS, &held[count]);
		if (r == 0)
			check_request(&held[count++], &head);
		else if (r != -ETIMEDOUT)
			calls_broken("take a request: %d", r);
		while (count > 0 && (r != 0 || count == HELD || stress_once_in(&calls_rng, 2)))
			answer(&held[--count]);
	}
}
