/* SPDX-License-Identifier: Apache-2.0 */
/* Channels: see channel.h. */
#include "libclient/service/channel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/memory/copy.h"
#include "common/ring/lost.h"
#include "libclient/client/control.h"
#include "libclient/client/request.h"
#include "libclient/endpoint/publisher.h"
#include "libclient/endpoint/subscriber.h"
#include "libclient/path/loan.h"
#include "libclient/path/rings_send.h"
#include "libclient/service/tagged.h"

/* Names a topic of the channel. `geometry` null: the topic exists. */
static void name(enum km_kind kind, const char *service, uint64_t owner,
	const struct km_geometry *geometry, struct km_msg_attach *ret)
{
	*ret = (struct km_msg_attach){ .kind = kind };
	snprintf(ret->topic, sizeof ret->topic, "%s", service);
	snprintf(ret->owner, sizeof ret->owner, "%" PRIu64, owner);
	if (!geometry)
		return;
	ret->has_geometry = 1;
	ret->geometry = *geometry;
}

static int open_caller(struct km_channel *ret, const char *service, uint64_t owner,
	const struct km_service_shape *shape)
{
	struct km_geometry requests = km_service_requests(shape);
	struct km_geometry replies = km_service_replies(shape);
	struct km_msg_attach request;

	name(KM_KIND_REPLIES, service, owner, &replies, &request);
	request.flags = KM_ATTACH_CREATE;
	int r = km_subscriber_attach(ret->client, &request, NULL, &ret->in);
	if (r < 0)
		return r;
	name(KM_KIND_REQUESTS, service, owner, &requests, &request);
	return km_publisher_attach(ret->client, &request, &ret->out);
}

/* Opens the server's end, which listens before it can speak. */
static int open_server(struct km_channel *ret, const char *service, uint64_t owner)
{
	struct km_msg_attach request;

	name(KM_KIND_REQUESTS, service, owner, NULL, &request);
	int r = km_subscriber_attach(ret->client, &request, NULL, &ret->in);
	if (r < 0)
		return r;
	name(KM_KIND_REPLIES, service, owner, NULL, &request);
	request.flags = KM_ATTACH_MUST_EXIST;
	return km_publisher_attach(ret->client, &request, &ret->out);
}

/* Each message may have a word behind its bytes, and has a tag in place of its time. */
static bool can_carry(const struct km_handle *handle)
{
	const struct km_geometry *geometry = &handle->place.region.geometry;

	return geometry->max_payload_size >= KM_WORD_SIZE && geometry->timestamps;
}

int km_channel_open(struct km_channel *ret, struct kickmsg_client *client, const char *service,
	uint64_t owner, const struct km_service_shape *shape)
{
	*ret = (struct km_channel){ .client = client };
	int r = shape ? open_caller(ret, service, owner, shape) : open_server(ret, service, owner);

	/* a server gets the caller's topics, whatever shape that has given them */
	if (r == 0 && !(can_carry(&ret->out->handle) && can_carry(&ret->in->handle)))
		r = km_client_fail(client, -EPROTO,
			"a channel of service '%s' can't carry its messages", service);
	if (r == 0 && ret->out->handle.place.region.shared) {
		ret->scratch = malloc(ret->out->handle.place.region.geometry.max_payload_size);
		if (!ret->scratch)
			r = km_client_fail(client, -ENOMEM, "%s", kickmsg_strerror(-ENOMEM));
	}
	if (r < 0) {
		km_channel_close(ret);
		return r;
	}
	ret->connection = ret->in->handle.place.connection;
	return 0;
}

void km_channel_close(struct km_channel *channel)
{
	kickmsg_publisher_free(channel->out);
	kickmsg_subscriber_free(channel->in);
	free(channel->scratch);
	channel->out = NULL;
	channel->in = NULL;
	channel->scratch = NULL;
}

bool km_channel_look(struct km_channel *channel)
{
	const struct km_region *region = &channel->in->handle.place.region;
	uint32_t changes = km_load(M1, acquire, &region->header->changes);

	if (channel->gone ||
		(changes == channel->changes && !km_place_is_left(&channel->in->handle.place)))
		return channel->gone;
	struct km_seen seen = km_seen_look(region, KM_ROLE_SUBSCRIBER);
	channel->changes = changes;
	channel->gone = seen.left + seen.died > 0 || seen.given_up ||
			(seen.peers > 0 && km_lost_all_departed(region));
	return channel->gone;
}

/* --- sending -------------------------------------------------------------------------------------- */

static int result_of(struct km_channel *channel, int reached)
{
	if (reached == -ESTALE)
		channel->gone = true;
	return reached > 0 ? 0 : reached == 0 || reached == -ESTALE ? -ECONNRESET : reached;
}

/*
 * A channel counts requests and their ends alone as sent, so that their difference is in flight, for
 * anybody who looks. Other messages are counted back out.
 */
static void count_out(const struct km_channel *channel, enum km_message_kind kind)
{
	if (kind == KM_MESSAGE_MORE || kind == KM_MESSAGE_CANCEL || kind == KM_MESSAGE_HELLO)
		km_endpoint_count(
			&channel->out->handle.place.record->messages, (uint64_t)-INT64_C(1));
}

/* Sends in place, with private rings; `size` is the message's. */
static int send_by_loan(struct km_channel *channel, const void *data, size_t len, size_t size,
	const struct km_label *label, struct kickmsg_sample *answered)
{
	void *payload;
	int r = km_rings_loan(channel->out, size, &payload);

	if (r < 0)
		return result_of(channel, r);
	if (len > 0 && len <= KM_CACHE_LINE)
		km_copy_short(payload, data, len);
	else if (len > 0)
		memcpy(payload, data, len);
	km_message_end(payload, len, label);
	if (answered)
		kickmsg_sample_release(answered);
	return result_of(
		channel, km_tagged_publish(channel->out, payload, size, km_message_tag(label)));
}

int km_channel_send(struct km_channel *channel, const void *data, size_t len,
	const struct km_label *label, struct kickmsg_sample *answered)
{
	const struct km_region *region = &channel->out->handle.place.region;
	const size_t size = len + km_message_extra(label->kind);
	int r;

	if (len > region->geometry.max_payload_size - KM_WORD_SIZE)
		return -EMSGSIZE;
	if (channel->gone)
		return -ECONNRESET;
	if (!channel->scratch) {
		r = send_by_loan(channel, data, len, size, label, answered);
	} else {
		if (size > len) {
			if (len > 0)
				memcpy(channel->scratch, data, len);
			km_message_end(channel->scratch, len, label);
			data = channel->scratch;
		}
		r = km_tagged_send(channel->out, data, size, km_message_tag(label));
		r = result_of(channel, r < 0 ? r : 1);
		if (r == 0 && answered)
			kickmsg_sample_release(answered);
	}
	if (r == 0)
		count_out(channel, label->kind);
	return r;
}

int km_channel_loan(struct km_channel *channel, size_t len, void **ret_payload)
{
	if (len > channel->out->handle.place.region.geometry.max_payload_size - KM_WORD_SIZE)
		return -EMSGSIZE;
	if (channel->gone)
		return -ECONNRESET;
	/* any message may get a word */
	int r = kickmsg_loan(channel->out, len + KM_WORD_SIZE, ret_payload);

	return r < 0 ? result_of(channel, r) : 0;
}

bool km_channel_has_lent(const struct km_channel *channel, const void *payload)
{
	struct km_place *of;

	return km_loan_find(&channel->out->handle.place, payload, &of) != NULL;
}

int km_channel_publish(struct km_channel *channel, void *payload, size_t len,
	const struct km_label *label, struct kickmsg_sample *answered)
{
	struct km_place *of;
	const struct km_loan *loan = km_loan_find(&channel->out->handle.place, payload, &of);

	if (!loan)
		return -EINVAL;
	if (len > loan->len - KM_WORD_SIZE)
		return -EMSGSIZE;
	if (channel->gone) {
		kickmsg_discard(channel->out, payload);
		return -ECONNRESET;
	}
	size_t size = km_message_end(payload, len, label);
	if (answered)
		kickmsg_sample_release(answered);
	int r = km_tagged_publish(channel->out, payload, size, km_message_tag(label));
	r = result_of(channel, r);
	if (r == 0)
		count_out(channel, label->kind);
	return r;
}

int km_channel_discard(struct km_channel *channel, void *payload)
{
	return kickmsg_discard(channel->out, payload);
}

/* --- receiving ------------------------------------------------------------------------------------ */

int km_channel_receive(struct km_channel *channel, struct kickmsg_sample *ret,
	struct km_label *ret_label, size_t *ret_len)
{
	int r = kickmsg_try_receive(channel->in, ret);

	if (r == 0 && !km_message_read(ret, ret_label, ret_len))
		ret_label->kind = KM_MESSAGE_NONE;
	if (r == -ESTALE) {
		channel->gone = true;
		r = -EAGAIN;
	}
	return r;
}
