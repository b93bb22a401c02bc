/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watching what happens at the broker: see kickmsg-operator.h. Happenings wait here until
 * kickmsg_client_dispatch() tells them. There is room for KEPT happenings; an older one makes room for a
 * newer one, and is counted as missed. After a lost connection the client asks anew, and says so.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "libclient/client/control.h"
#include "libclient/client/reconnect.h"
#include "libclient/export.h"
#include "libclient/kickmsg-operator.h"

enum { KEPT = 256 };

static_assert(
	sizeof(((struct kickmsg_happening *)0)->kind) == sizeof(((struct km_happening *)0)->kind) &&
		sizeof(((struct kickmsg_happening *)0)->client_name) ==
			sizeof(((struct km_happening *)0)->client) &&
		sizeof(((struct kickmsg_happening *)0)->topic) ==
			sizeof(((struct km_happening *)0)->topic) &&
		sizeof(((struct kickmsg_happening *)0)->text) ==
			sizeof(((struct km_happening *)0)->text),
	"the broker's texts fit");

static_assert(
	sizeof(((struct kickmsg_happening *)0)->topic) == KICKMSG_WHOLE_NAME_SIZE, "any name fits");

struct waiting {
	uint64_t missed; /* before this one */
	struct km_happening happening;
};

struct happenings {
	struct km_happened_link link;
	/* The number of a new connection's request that isn't answered, or 0. */
	uint32_t serial;
	size_t first, count;
	struct waiting waiting[KEPT];
};

static void put(struct happenings *all, uint64_t missed, const struct km_happening *happening)
{
	if (all->count == KEPT) {
		struct waiting *oldest = &all->waiting[all->first];

		all->first = (all->first + 1) % KEPT;
		all->waiting[all->first].missed += oldest->missed + 1;
		all->count--;
	}
	all->waiting[(all->first + all->count++) % KEPT] = (struct waiting){ missed, *happening };
	all->link.waits = true;
}

/* A happening that the library tells itself. */
static void say(struct happenings *all, const char *kind, const char *text)
{
	struct km_happening happening = {
		.realtime_ns = km_clock_realtime_ns(), .level = 4, .pid = -1, .uid = UINT32_MAX
	};

	strcpy(happening.kind, kind);
	strcpy(happening.text, text);
	put(all, 0, &happening);
}

static bool on_message(struct kickmsg_client *client, const union km_msg *message)
{
	struct happenings *all = (struct happenings *)client->happened;
	const struct km_msg_happened *page = &message->happened;

	if (message->header.op == KM_OP_HAPPENED) {
		for (uint32_t i = 0; i < page->count; i++)
			put(all, i == 0 ? page->missed : 0, &page->happenings[i]);
	} else if (all->serial != 0 && message->header.serial == all->serial) {
		all->serial = 0;
		if (message->header.op == KM_OP_ERROR)
			say(all, "watch-refused", message->error.text);
		else
			say(all, "watch-resumed",
				"there is a broker again; what happened meanwhile isn't known");
	} else {
		return false;
	}
	km_reconnect_arm(client);
	return true;
}

static void on_up(struct kickmsg_client *client)
{
	struct happenings *all = (struct happenings *)client->happened;
	struct km_msg_list request = { .header = { .op = KM_OP_WATCH,
					       .serial = km_client_next_serial(client) } };

	int r = km_wire_send(client->socket, &request, sizeof request, NULL, 0);
	if (r == 0)
		all->serial = request.header.serial;
	else
		say(all, "watch-refused", kickmsg_strerror(r));
}

static void on_down(struct kickmsg_client *client)
{
	struct happenings *all = (struct happenings *)client->happened;

	all->serial = 0;
	say(all, "watch-lost", "the broker has closed the connection");
}

static void take(struct km_happened_link *link, struct kickmsg_happening *ret)
{
	struct happenings *all = (struct happenings *)link;
	const struct waiting *waiting = &all->waiting[all->first];
	const struct km_happening *said = &waiting->happening;

	*ret = (struct kickmsg_happening){
		.realtime_ns = said->realtime_ns,
		.missed = waiting->missed,
		.level = said->level,
		.pid = said->pid,
		.uid = said->uid,
	};
	strcpy(ret->kind, said->kind);
	km_name_unescape(said->client, ret->client_name, sizeof ret->client_name);
	strcpy(ret->topic, said->topic);
	strcpy(ret->text, said->text);
	all->first = (all->first + 1) % KEPT;
	all->link.waits = --all->count > 0;
}

KM_EXPORT int kickmsg_broker_watch(struct kickmsg_client *client,
	void (*on_happening)(void *userdata, const struct kickmsg_happening *happening),
	void *userdata)
{
	KM_KEEP_ERRNO;
	struct km_msg_list request = { .header.op = KM_OP_WATCH };
	union km_msg answer;

	if (!on_happening)
		return km_client_fail(client, -EINVAL, "there is nothing to be called");
	_cleanup_(km_freep) struct happenings *fresh = calloc(1, sizeof *fresh);
	if (!fresh)
		return km_client_fail(client, -ENOMEM, "no memory");
	if (km_client_is_inherited(client))
		return -ECHILD;
	fresh->link = (struct km_happened_link){
		.on_message = on_message,
		.on_up = on_up,
		.on_down = on_down,
		.take = take,
		.on_happening = on_happening,
		.userdata = userdata,
	};
	km_client_lock(client);
	int r = client->happened ? -EBUSY : 0;
	if (r == 0)
		r = km_client_call_locked(
			client, &request, sizeof request, KM_OP_OK, &answer, NULL, NULL);
	if (r == 0)
		client->happened = (struct km_happened_link *)km_steal_ptr(fresh);
	km_client_unlock(client);
	return r == -EBUSY ? km_client_fail(client, r, "the client watches the broker already") : r;
}
