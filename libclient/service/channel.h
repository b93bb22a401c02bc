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
 * Nothing is pushed out: requests that the caller may have in flight, its cancellations, and the replies
 * to all these have room (shape.c), and each end counts what it has sent.
 */
#pragma once

#include "libclient/handle/handle.h"
#include "libclient/kickmsg.h"
#include "libclient/service/message.h"
#include "libclient/service/shape.h"
#include "libclient/watch/watch.h"

struct km_channel {
	struct kickmsg_client *client;
	struct kickmsg_publisher *out;
	struct kickmsg_subscriber *in;
	uint32_t changes; /* of the header of `in`, as seen last */
	bool gone;        /* the other end is gone */
	/* The connection of its client by which the channel came. */
	uint64_t connection;
	/* With a shared ring, room for a message that has a word. */
	unsigned char *scratch;
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

/* Has the other end ended? All messages that it sent before can be received now. */
bool km_channel_look(struct km_channel *channel);

/*
 * Send a message, also in place: lend, send, give back. `answered` may be null, or a sample that is over
 * with the message. With private rings it is given back before the other end can hear of the message, so its
 * slot is free for what the other end sends next; with a shared ring behind the message. After an error but
 * -ECONNRESET it is kept. Errors: -ECONNRESET there is no other end any more; -EMSGSIZE, -EAGAIN, -EDQUOT,
 * -EINVAL as kickmsg_send() and kickmsg_loan().
 */
int km_channel_send(struct km_channel *channel, const void *data, size_t len,
	const struct km_label *label, struct kickmsg_sample *answered);
int km_channel_loan(struct km_channel *channel, size_t len, void **ret_payload);
int km_channel_publish(struct km_channel *channel, void *payload, size_t len,
	const struct km_label *label, struct kickmsg_sample *answered);
int km_channel_discard(struct km_channel *channel, void *payload);
/* Has the channel lent this payload? */
bool km_channel_has_lent(const struct km_channel *channel, const void *payload);

/* Receives the next message, which is to be released, also one of kind KM_MESSAGE_NONE. The peer may
 * send as fast as it is heard: the caller of this ends after some. Errors: -EAGAIN; -EDQUOT as
 * kickmsg_try_receive(). */
int km_channel_receive(struct km_channel *channel, struct kickmsg_sample *ret,
	struct km_label *ret_label, size_t *ret_len);
