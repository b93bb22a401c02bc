/* SPDX-License-Identifier: Apache-2.0 */
/* Asking for a fresh place, and preparing it: see rejoin.h. Going over to it is move.c's. */
#include "rejoin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "control.h"
#include "move.h"
#include "own.h"
#include "reconnect.h"
#include "waiter.h"

#define MAX_ASKED      16 /* requests on their way: the broker doesn't wait for who doesn't read */
#define BACKOFF_MIN_NS INT64_C(10000000)
#define BACKOFF_MAX_NS INT64_C(1000000000)

/* --- what dispatch tells ------------------------------------------------------------------------ */

static void forget_event(struct kickmsg_client *client, struct km_event *event)
{
	if (event->kind != 0)
		TAILQ_REMOVE(&client->told, event, next);
	event->kind = 0;
}

/* The latest of a thing takes the place of what was not yet told of it. */
static void tell(struct kickmsg_client *client, struct km_event *event,
	enum kickmsg_event_kind kind, int error, const char *text)
{
	forget_event(client, event);
	event->error = error;
	snprintf(event->text, sizeof event->text, "%s", text);
	if (!client->on_event)
		return;
	event->kind = kind;
	TAILQ_INSERT_TAIL(&client->told, event, next);
}

bool km_rejoin_take_event(struct kickmsg_client *client, struct km_told *ret)
{
	struct km_event *event = TAILQ_FIRST(&client->told);

	if (!event)
		return false;
	*ret = (struct km_told){ .event = { .kind = event->kind, .error = event->error } };
	memcpy(ret->text, event->text, sizeof ret->text);
	ret->event.text = ret->text;
	if (event->attachment) {
		const struct km_msg_attach *request = event->attachment->request;

		memcpy(ret->topic, *request->raw ? request->raw : request->topic,
			sizeof ret->topic);
		ret->event.topic = ret->topic;
		if (event->attachment->role == KM_ROLE_PUBLISHER)
			ret->event.publisher = (struct kickmsg_publisher *)event->attachment;
		else
			ret->event.subscriber = (struct kickmsg_subscriber *)event->attachment;
	}
	forget_event(client, event);
	return true;
}

/* --- asking --------------------------------------------------------------------------------------- */

/* As it was asked for, and with the shape of what was there: whoever comes first makes it so. */
static void fill_request(const struct km_attachment *attachment, struct km_msg_attach *ret)
{
	struct km_control_header *header = attachment->region.header;

	*ret = *attachment->request;
	ret->flags = KM_ATTACH_ANY_CONFIG;
	if (attachment->observes)
		ret->flags |= KM_ATTACH_OBSERVE;
	else if (attachment->role == KM_ROLE_SUBSCRIBER)
		ret->flags |= KM_ATTACH_CREATE;
	if (attachment->writable)
		ret->flags |= KM_ATTACH_WRITABLE;
	/* it has seen nothing of the fresh region: all that is still there is for it. Unless others
	 * have made it with private rings: then there is none. */
	ret->history = 0;
	if (attachment->role == KM_ROLE_SUBSCRIBER && attachment->region.shared &&
		attachment->event.error != -EOPNOTSUPP)
		ret->history = UINT32_MAX;
	ret->has_geometry = 1;
	ret->geometry = attachment->region.geometry;
	/* what others can write is looked at */
	ret->linger_ns = header->linger_ns <= KM_MAX_LINGER_NS ? header->linger_ns : 0;
	ret->persistent = header->persistent == 1;
	ret->has_schema = km_load(L0, acquire, &header->schema_state) == 1;
	memset(&ret->schema, 0, sizeof ret->schema);
	if (ret->has_schema)
		memcpy(&ret->schema, header->schema, sizeof ret->schema);
}

/* A publisher that leaves out a subscriber's ring has to know it. */
static bool is_to_be_asked(
	const struct kickmsg_client *client, const struct km_attachment *attachment)
{
	if (attachment->latest == client->connection || attachment->asked || attachment->refused)
		return false;
	if (attachment->role == KM_ROLE_SUBSCRIBER)
		return true;
	const struct kickmsg_subscriber *own = ((const struct kickmsg_publisher *)attachment)->own;
	return !own || own->attachment.latest == client->connection;
}

static void ask_again_later(struct kickmsg_client *client)
{
	if (client->rejoin_ns > 0)
		return;
	client->rejoin_ns = km_clock_ns() + km_reconnect_jitter(client, client->rejoin_backoff_ns);
	client->rejoin_backoff_ns *= 2;
	if (client->rejoin_backoff_ns > BACKOFF_MAX_NS)
		client->rejoin_backoff_ns = BACKOFF_MAX_NS;
}

static void ask(struct kickmsg_client *client)
{
	struct km_attachment *attachment;
	struct km_msg_attach request;

	for (attachment = client->attachments; attachment && client->asked < MAX_ASKED;
		attachment = attachment->next) {
		if (!is_to_be_asked(client, attachment))
			continue;
		fill_request(attachment, &request);
		request.header.serial = km_client_next_serial(client);
		if (km_wire_send(client->socket, &request, sizeof request, NULL, 0) < 0) {
			/* full, or hung up, which the next look says */
			ask_again_later(client);
			return;
		}
		attachment->asked = request.header.serial;
		client->asked++;
	}
}

void km_rejoin_begin(struct kickmsg_client *client)
{
	client->rejoin_backoff_ns = BACKOFF_MIN_NS;
	client->rejoin_ns = 0;
	client->events++; /* who waits for a topic asks anew */
	tell(client, &client->up, KICKMSG_EVENT_RECONNECTED, 0, "");
	ask(client);
}

void km_rejoin_lost(struct kickmsg_client *client)
{
	struct km_attachment *attachment;

	for (attachment = client->attachments; attachment; attachment = attachment->next) {
		attachment->asked = 0;
		attachment->refused = false;
	}
	client->asked = 0;
	client->rejoin_ns = 0;
	/* in the order in which it was; that it was up meanwhile is no news any more */
	forget_event(client, &client->up);
	tell(client, &client->down, KICKMSG_EVENT_DISCONNECTED, -ENOTCONN,
		"the broker has closed the connection");
}

int km_rejoin_again(struct kickmsg_client *client)
{
	struct km_attachment *attachment;

	if (client->rejoin_ns == 0 || km_clock_ns() < client->rejoin_ns)
		return 0;
	client->rejoin_ns = 0;
	for (attachment = client->attachments; attachment; attachment = attachment->next)
		attachment->refused = false;
	ask(client);
	return 1;
}

/* --- preparing ------------------------------------------------------------------------------------ */

static bool is_same_region(const struct km_attachment *a, const struct km_attachment *b)
{
	return b && a->inode == b->inode;
}

static int init(struct km_attachment *fresh, const struct km_msg_attached *answer,
	struct km_endpoint *endpoint)
{
	struct kickmsg_subscriber *subscriber = (struct kickmsg_subscriber *)fresh;

	if (fresh->role == KM_ROLE_PUBLISHER)
		return km_publisher_init((struct kickmsg_publisher *)fresh, endpoint, answer->id);
	subscriber->rejoined = true;
	if (fresh->region.shared)
		subscriber->lost_before = answer->start - fresh->region.geometry.ring_capacity;
	if (fresh->observes && km_subscriber_make_record(&endpoint) < 0)
		return -ENOMEM;
	return km_subscriber_init(subscriber, endpoint, answer->ring, answer->start);
}

/* Returns 1 when it is where it was: the broker lives, and had only hung up. */
static int prepare(struct kickmsg_client *client, struct km_attachment *attachment,
	const struct km_msg_attached *answer, const int *fds, struct km_attachment **ret)
{
	struct km_endpoint *endpoint = NULL;
	struct km_attachment *fresh = calloc(1, attachment->role == KM_ROLE_PUBLISHER
							? sizeof(struct kickmsg_publisher)
							: sizeof(struct kickmsg_subscriber));

	if (!fresh)
		return -ENOMEM;
	fresh->role = attachment->role;
	fresh->observes = attachment->observes;
	fresh->writable = attachment->writable;
	int r = km_attachment_map(fresh, client, answer, fds, &endpoint);
	if (r == 0 &&
		(is_same_region(fresh, attachment) || is_same_region(fresh, attachment->fresh)))
		r = 1;
	if (r == 0)
		r = init(fresh, answer, endpoint);
	if (r == 0)
		*ret = fresh;
	else
		km_move_free(fresh);
	return r;
}

/* The fresh place is there for its owner; those who are in the old one are told. */
static void park(struct kickmsg_client *client, struct km_attachment *attachment,
	struct km_attachment *fresh)
{
	struct kickmsg_subscriber *subscriber = (struct kickmsg_subscriber *)attachment;

	if (attachment->fresh) {
		km_move_leave_behind(attachment->fresh);
		km_move_skip(attachment->fresh, fresh);
	}
	attachment->fresh = fresh;
	if (attachment->role == KM_ROLE_SUBSCRIBER)
		km_store(P3, relaxed, &subscriber->prepared, 1);
	else
		subscriber = ((struct kickmsg_publisher *)attachment)->own;
	if (subscriber)
		km_own_tell_id(subscriber);
	km_move_leave_behind(attachment);
	tell(client, &attachment->event, KICKMSG_EVENT_REJOINED, 0, "");
}

static void refuse(struct kickmsg_client *client, struct km_attachment *attachment, int error,
	const char *text)
{
	attachment->refused = true;
	ask_again_later(client);
	/* the owner of a mailbox may come a moment later */
	if (error == -ENOENT && client->rejoin_backoff_ns < BACKOFF_MAX_NS)
		return;
	if (error != attachment->event.error)
		tell(client, &attachment->event, KICKMSG_EVENT_REJOIN_FAILED, error, text);
}

bool km_rejoin_answer(struct kickmsg_client *client, const union km_msg *answer, const int *fds)
{
	struct km_attachment *attachment, *fresh;

	for (attachment = client->attachments; attachment; attachment = attachment->next)
		if (attachment->asked && attachment->asked == answer->header.serial)
			break;
	if (!attachment)
		return false;
	attachment->asked = 0;
	client->asked--;
	client->answered = answer->header.serial;
	attachment->event.attachment = attachment;
	if (answer->header.op != KM_OP_ATTACHED) {
		bool error = answer->header.op == KM_OP_ERROR;

		refuse(client, attachment, error ? answer->error.error : -EPROTO,
			error ? answer->error.text : "");
	} else {
		int r = prepare(client, attachment, &answer->attached, fds, &fresh);

		if (r != 0)
			km_client_give_back(client, answer->attached.endpoint);
		if (r < 0) {
			refuse(client, attachment, r, "");
		} else {
			attachment->latest = client->connection;
			if (r == 0)
				park(client, attachment, fresh);
		}
	}
	ask(client);
	km_reconnect_arm(client);
	return true;
}

void km_rejoin_forget(struct km_attachment *attachment)
{
	struct kickmsg_client *client = attachment->client;
	struct km_attachment *fresh = attachment->fresh;

	forget_event(client, &attachment->event);
	/* an answer that still comes is given back as any that nobody waits for */
	if (attachment->asked)
		client->asked--;
	attachment->asked = 0;
	attachment->fresh = NULL;
	if (!fresh)
		return;
	uint64_t endpoint = fresh->connection == client->connection ? fresh->endpoint_name : 0;
	if (endpoint == 0)
		km_move_leave(fresh);
	km_move_free(fresh);
	if (endpoint > 0 && client->link == KM_LINK_UP)
		km_client_give_back(client, endpoint);
}
