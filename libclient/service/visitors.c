/* SPDX-License-Identifier: Apache-2.0 */
/* The callers of a server: see server.h. */
#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "libclient/client/control.h"
#include "libclient/client/reconnect.h"
#include "libclient/export.h"
#include "libclient/rejoin/move.h"
#include "libclient/service/server.h"

/* Time after the first questions in vain, and at most; and after a broker's end, until callers of the last
 * broker are given up. */
#define ASK_AGAIN_NS  INT64_C(50000000)
#define ASK_SELDOM_NS INT64_C(1600000000)
#define ASK_OFTEN     20
#define ORPHAN_NS     INT64_C(60000000000)
/* Meetings, and pages of callers, of one look. The next look goes on from there, so that a crowd of callers
 * holds up nobody who was met. */
#define AT_A_LOOK 16

static void free_visitor(struct km_visitor *visitor)
{
	km_loop_leave(visitor->server->loop, &visitor->channel);
	km_channel_close(&visitor->channel);
	free(km_steal_ptr(visitor->tasks));
	visitor->count = 0;
	visitor->next = visitor->server->spare;
	visitor->server->spare = visitor;
}

void km_server_free_visitors(struct kickmsg_server *server)
{
	while (server->visitors) {
		struct km_visitor *visitor = server->visitors;

		server->visitors = visitor->next;
		free_visitor(visitor);
	}
	while (server->spare) {
		struct km_visitor *visitor = server->spare;

		server->spare = visitor->next;
		free(visitor);
	}
	server->turn = NULL;
}

/* --- newcomers ------------------------------------------------------------------------------------ */

static struct km_visitor *new_visitor(struct kickmsg_server *server, const struct km_caller *caller)
{
	struct km_visitor *visitor = server->spare;

	if (visitor)
		server->spare = visitor->next;
	else
		visitor = malloc(sizeof *visitor);
	if (!visitor)
		return NULL;
	*visitor = (struct km_visitor){
		.server = server,
		.endpoint = caller->endpoint,
		.info = { .pid = caller->pid,
			.uid = caller->uid,
			.gid = caller->gid,
			.client_id = caller->client_id },
	};
	km_name_unescape(caller->name, visitor->info.name, sizeof visitor->info.name);
	return visitor;
}

/* Says HELLO to a visitor: the server listens. */
static int greet(struct km_visitor *visitor)
{
	const struct km_label hello = { .word = visitor->server->number, .kind = KM_MESSAGE_HELLO };

	const uint32_t count = visitor->channel.in->handle.place.region.geometry.max_borrows;

	visitor->tasks = calloc(count, sizeof *visitor->tasks);
	if (!visitor->tasks)
		return -ENOMEM;
	visitor->count = count;
	for (uint32_t i = 0; i < count; i++)
		visitor->tasks[i].next = i + 1 < count ? i + 1 : KM_TASK_NONE;
	return km_channel_send(&visitor->channel, NULL, 0, &hello, NULL);
}

/* Meets a caller. A caller that is gone meanwhile, or whose memory is of no use, is passed over.
 * Errors: those after which the meeting is to be tried again. */
static int meet(struct kickmsg_server *server, const struct km_caller *caller)
{
	struct km_visitor *visitor = new_visitor(server, caller);

	if (!visitor)
		return -ENOMEM;
	int r = km_channel_open(
		&visitor->channel, server->client, server->name, caller->endpoint, NULL);
	if (r == 0)
		r = greet(visitor);
	if (r == 0 && server->loop)
		r = km_loop_join(server->loop, &visitor->channel, false);
	if (r == 0) {
		visitor->next = server->visitors;
		server->visitors = visitor;
		return 0;
	}
	free_visitor(visitor);
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -EDQUOT || r == -ENOTCONN ||
			       r == -ETIMEDOUT || r == -ENOENT || r == -EIO || r == -ENOSPC ||
			       r == -EACCES
		       ? r
		       : 0;
}

/* In a frame of its own, since an answer of any kind has room there. */
static km_noinline int ask_once(
	struct kickmsg_server *server, uint64_t cursor, struct km_msg_callers_ok *ret)
{
	struct km_msg_topic request = {
		.header.op = KM_OP_CALLERS, .kind = KM_KIND_SERVICE, .cursor = cursor
	};
	union km_msg answer;

	memcpy(request.topic, server->name, sizeof request.topic);
	int r = km_client_call(
		server->client, &request, sizeof request, KM_OP_CALLERS_OK, &answer, NULL, NULL);
	if (r == 0)
		*ret = answer.callers_ok;
	return r;
}

static bool is_met(const struct kickmsg_server *server, uint64_t endpoint)
{
	const struct km_visitor *visitor = server->visitors;

	while (visitor && (visitor->endpoint != endpoint || visitor->orphan_ns > 0))
		visitor = visitor->next;
	return visitor != NULL;
}

/* Asks the broker for callers behind `sweep`, and meets them. A caller that can't be met yet, since it has no
 * topics for example, keeps none behind it waiting: `newest` stays in front of it, and it is tried again in the
 * next sweep. Returns 1: the look has had its share, and the sweep is to go on. Errors: those of
 * kickmsg_advertise(); at the end of the sweep those of meet(), of the first that wasn't met. */
static int ask(struct kickmsg_server *server)
{
	struct km_msg_callers_ok page;
	int left = AT_A_LOOK;

	do {
		int r = left-- > 0 ? ask_once(server, server->sweep, &page) : 1;

		if (r != 0)
			return r;
		server->active = page.active == server->service->handle.place.endpoint;
		for (uint32_t i = 0; server->active && i < page.count; i++) {
			const struct km_caller *caller = &page.callers[i];

			if (caller->endpoint <= server->sweep)
				return -EPROTO;
			bool met = is_met(server, caller->endpoint);
			if (!met && left-- <= 0)
				return 1;
			r = met ? 0 : meet(server, caller);
			if (r == -ENOTCONN || r == -ETIMEDOUT)
				return r;
			server->sweep = caller->endpoint;
			server->unmet = server->unmet < 0 ? server->unmet : r;
			if (server->unmet == 0)
				server->newest = caller->endpoint;
		}
	} while (server->active && page.more && page.count > 0);
	server->sweep = server->newest;
	int unmet = server->unmet;
	server->unmet = 0;
	return unmet;
}

int64_t km_server_asks_at(const struct kickmsg_server *server)
{
	if (!server->asks)
		return INT64_MAX;
	if (server->asked_ns == 0)
		return 0;
	return server->asked_ns +
	       (server->asked_in_vain < ASK_OFTEN ? ASK_AGAIN_NS : ASK_SELDOM_NS);
}

/* --- who is gone ---------------------------------------------------------------------------------- */

static bool is_over(struct km_visitor *visitor)
{
	return (km_channel_look(&visitor->channel) ||
		       (visitor->orphan_ns > 0 && visitor->busy == 0 &&
			       km_clock_ns() - visitor->orphan_ns > ORPHAN_NS)) &&
	       visitor->taken == 0;
}

static void drop_gone(struct kickmsg_server *server)
{
	struct km_visitor **at = &server->visitors;

	while (*at) {
		struct km_visitor *visitor = *at;

		if (!is_over(visitor)) {
			at = &visitor->next;
			continue;
		}
		*at = visitor->next;
		if (server->turn == visitor)
			server->turn = visitor->next;
		free_visitor(visitor);
	}
}

/* Begins anew, since the service is in another broker's region: its callers come anew. */
static void begin_anew(struct kickmsg_server *server)
{
	const struct km_place *here = &server->service->handle.place;

	if (server->connection != 0)
		for (struct km_visitor *visitor = server->visitors; visitor;
			visitor = visitor->next)
			if (visitor->orphan_ns == 0)
				visitor->orphan_ns = km_clock_ns();
	server->connection = here->connection;
	server->endpoint = here->endpoint;
	server->newest = server->sweep = 0;
	server->unmet = 0;
	server->active = false;
	server->asks = true;
	server->gone_servers = 0;
	server->changes = km_load(M1, acquire, &here->region.header->changes) - 1;
}

void km_server_look(struct kickmsg_server *server)
{
	KM_KEEP_ERRNO;
	const struct km_place *here = &server->service->handle.place;

	if (here->connection != server->connection || here->endpoint != server->endpoint)
		begin_anew(server);
	uint32_t changes = km_load(M1, acquire, &here->region.header->changes);
	if (changes != server->changes) {
		/* these are servers, as seen by their callers */
		struct km_seen seen = km_seen_look(&here->region, KM_ROLE_SUBSCRIBER);

		server->changes = changes;
		/* for a server that stands by callers are no news */
		server->asks |= server->active || seen.left + seen.died != server->gone_servers;
		/* the news may be what the last question was too early for */
		server->asked_in_vain = 0;
		server->asked_ns = 0;
		server->gone_servers = seen.left + seen.died;
		drop_gone(server);
	}
	const int64_t at = km_server_asks_at(server);
	if (at == INT64_MAX || (at > 0 && km_clock_ns() < at))
		return;
	int r = ask(server);
	server->asks = r != 0;
	server->asked_ns = r < 0 ? km_clock_ns() : 0;
	server->asked_in_vain = r < 0    ? server->asked_in_vain + 1
				: r == 0 ? 0
					 : server->asked_in_vain;
}

void km_server_look_after(struct kickmsg_server *server)
{
	KM_KEEP_ERRNO;

	/* the next take sees more than messages */
	for (struct km_visitor *visitor = server->visitors; visitor; visitor = visitor->next)
		visitor->channel.next = NULL;
	if (km_client_trylock(server->client)) {
		km_reconnect_poke(server->client, false);
		bool moves = server->service->handle.fresh != NULL;
		km_client_unlock(server->client);
		if (moves) {
			/* before the word is unmapped */
			km_loop_unwatch(server->loop, &server->header);
			km_publisher_move(server->service);
		}
	}
	drop_gone(server);
}
