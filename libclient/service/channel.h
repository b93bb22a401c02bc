/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel: one caller's requests and replies, at either end. It is two topics with one publisher and one
 * subscriber each, so all that moves in it is sent and received as in any topic.
 *
 *   caller   out: requests --->  in    server
 *            in   <--- replies  :out
 *
 * A channel is for one caller and one server, and ends with the first of them that ends. The broker says
 * so in the header of the topic that comes in, behind all that the other one wrote there. Once a broker is
 * gone that nobody took over from, the channel goes on, but its end is told by its other end alone.
 *
 * Nothing is pushed out: requests that the caller may have in flight, its cancellations, and what the
 * server says to all these have room (shape.h), and each end sends no more than that.
 */
#pragma once

#include "libclient/handle/handle.h"
#include "libclient/kickmsg.h"
#include "libclient/path/rings_send.h"
#include "libclient/path/shared_sample.h"
#include "libclient/service/message.h"
#include "libclient/service/shape.h"
#include "libclient/service/tagged.h"
#include "libclient/watch/watch.h"

struct km_channel {
	struct kickmsg_client *client;
	struct kickmsg_publisher *out;
	struct kickmsg_subscriber *in;
	uint32_t changes; /* of the header of `in`, as seen last */
	bool gone;        /* the other end is gone */
	/* The connection of its client by which the channel came. */
	uint64_t connection;
	/* The cell where the next message comes to, and its word as the last look found it, which was in
	 * vain; null: a message is as likely as not. */
	const _Atomic uint64_t *next;
	uint64_t next_word;
	/* loop.h */
	struct km_watched ends; /* of its end */
	bool muted;
};

/*
 * Attaches to the two topics of `service` that have this owner. The caller makes them (`shape` isn't
 * null), the server takes them as they are. After an error the channel is closed. Errors: as
 * kickmsg_advertise() and kickmsg_subscribe().
 */
int km_channel_open(struct km_channel *ret, struct kickmsg_client *client, const char *service,
	uint64_t owner, const struct km_service_shape *shape);
/* Closes a channel. Takes one that was never opened, or half. */
void km_channel_close(struct km_channel *channel);

/* The result of a publish that has reached so many, or has failed. */
int km_channel_result_of(struct km_channel *channel, int reached);

/* Has the other end ended? All messages that it sent before can be received now. */
bool km_channel_look(struct km_channel *channel);

/*
 * Send a message, also in place: lend, send, give back. `answered` may be null, or a sample that is over
 * with the message. With private rings it is given back before the other end can hear of the message, so its
 * slot is free for what the other end sends next; with a shared ring behind the message. After an error but
 * -ECONNRESET it is kept. Errors: -ECONNRESET there is no other end any more; -EMSGSIZE, -EAGAIN, -EINVAL
 * as kickmsg_send() and kickmsg_loan(). A loan also -EDQUOT: KM_SERVICE_LOANS are lent. One more is for the
 * messages that are copied.
 */
int km_channel_send_anyhow(struct km_channel *channel, const void *data, size_t len,
	const struct km_label *label, struct kickmsg_sample *answered);
int km_channel_loan(struct km_channel *channel, size_t len, void **ret_payload);
int km_channel_publish_anyhow(struct km_channel *channel, void *payload, size_t len,
	const struct km_label *label, struct kickmsg_sample *answered);
int km_channel_discard(struct km_channel *channel, void *payload);
/* Has the channel lent this payload? */
bool km_channel_has_lent_anyhow(const struct km_channel *channel, const void *payload);

/*
 * A channel counts requests and their ends alone as sent, so that their difference is in flight, for
 * anybody who looks. Other messages are counted back out.
 */
static km_always_inline void km_channel_count(
	const struct km_channel *channel, enum km_message_kind kind)
{
	if (kind == KM_MESSAGE_MORE || kind == KM_MESSAGE_CANCEL || kind == KM_MESSAGE_HELLO ||
		kind == KM_MESSAGE_ROOM)
		km_endpoint_count(
			&channel->out->handle.place.record->messages, (uint64_t)-INT64_C(1));
}

/* The usual case is a short message through a shared ring, its twin km_channel_send_anyhow(). */
static km_always_inline int km_channel_send(struct km_channel *channel, const void *data,
	size_t len, const struct km_label *label, struct kickmsg_sample *answered)
{
	if (channel->gone ||
		!km_tagged_append(channel->out, data, len, km_message_tag(label), label->word))
		return km_channel_send_anyhow(channel, data, len, label, answered);
	km_channel_count(channel, label->kind);
	if (answered)
		km_sample_release(answered);
	return 0;
}

static km_always_inline bool km_channel_has_lent(
	const struct km_channel *channel, const void *payload)
{
	return (payload && channel->out->handle.place.loans[0].payload == payload) ||
	       km_channel_has_lent_anyhow(channel, payload);
}

/* The usual case is the only loan, with private rings. Its twin is km_channel_publish_anyhow(). */
static km_always_inline int km_channel_publish(struct km_channel *channel, void *payload,
	size_t len, const struct km_label *label, struct kickmsg_sample *answered)
{
	const struct km_place *here = &channel->out->handle.place;

	if (!payload || here->loans[0].payload != payload || len > here->loans[0].len ||
		channel->gone || here->region.path != KM_PATH_RINGS_TIMED)
		return km_channel_publish_anyhow(channel, payload, len, label, answered);
	if (answered)
		km_sample_release(answered);
	km_tagged_mark(payload, km_message_tag(label), label->word);
	int r = km_rings_publish(channel->out, payload, len);
	if (r <= 0)
		return km_channel_result_of(channel, r);
	km_channel_count(channel, label->kind);
	return 0;
}

/* Receives the next message, which is to be released, whatever its kind. The peer may send as fast as it is
 * heard: the caller of this ends after some. Errors: -EAGAIN; -EDQUOT as kickmsg_try_receive(). */
int km_channel_receive_anyhow(struct km_channel *channel, struct kickmsg_sample *ret);

/* The usual case is as that of km_channel_send(). */
static km_always_inline int km_channel_receive(
	struct km_channel *channel, struct kickmsg_sample *ret, struct km_label *ret_label)
{
	struct kickmsg_subscriber *in = channel->in;

	if (in->handle.place.region.path == KM_PATH_SHARED_TIMED &&
		km_shared_borrow_short(in, ret, true)) {
		*ret_label = km_message_label(ret->publish_ns, ret->publisher_sequence);
		return 0;
	}
	int r = km_channel_receive_anyhow(channel, ret);
	if (r < 0)
		return r;
	*ret_label = km_message_label(ret->publish_ns, km_tagged_word(ret));
	return 0;
}

/* Has nothing come since a look that was in vain? Other reasons to look aren't seen. */
static km_always_inline bool km_channel_is_quiet(const struct km_channel *channel)
{
	return channel->next && km_load(U1, acquire, channel->next) == channel->next_word;
}

/* Finds the cell where the next message comes to. False: the topic isn't as this library makes it, or each
 * look is to arm the descriptor. */
static km_always_inline bool km_channel_find_next(struct km_channel *channel)
{
	const struct km_place *here = &channel->in->handle.place;

	if (channel->in->ready)
		channel->next = NULL;
	else if (here->region.path == KM_PATH_SHARED_TIMED)
		channel->next = &km_region_cell(&here->region, here->next)->word;
	else
		channel->next = here->region.path == KM_PATH_RINGS_TIMED ? here->spot.cell : NULL;
	if (channel->next)
		channel->next_word = km_load(U1, acquire, channel->next);
	return channel->next != NULL;
}

/* Behind a message that was received: a look that finds nothing is as good as this. */
static km_always_inline bool km_channel_is_empty(struct km_channel *channel)
{
	const struct km_place *here = &channel->in->handle.place;

	if (!km_channel_find_next(channel))
		return false;
	if (km_cell_laps_ahead(channel->next_word, here->next, here->region.cell_shift) == -1)
		return true;
	channel->next = NULL; /* the word isn't that of a look in vain */
	return false;
}
