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
#include "libclient/export.h"
#include "libclient/path/loan.h"
#include "libclient/path/rings_receive.h"

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

int km_channel_open(struct km_channel *ret, struct kickmsg_client *client, const char *service,
	uint64_t owner, const struct km_service_shape *shape)
{
	*ret = (struct km_channel){ .client = client };
	int r = shape ? open_caller(ret, service, owner, shape) : open_server(ret, service, owner);

	/* a server gets the caller's topics, whatever shape that has given them */
	if (r == 0 && !(ret->out->handle.place.region.geometry.timestamps &&
			      ret->in->handle.place.region.geometry.timestamps))
		r = km_client_fail(client, -EPROTO,
			"a channel of service '%s' can't carry its messages", service);
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
	channel->out = NULL;
	channel->in = NULL;
	channel->next = NULL;
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

int km_channel_result_of(struct km_channel *channel, int reached)
{
	if (reached == -ESTALE)
		channel->gone = true;
	return reached > 0 ? 0 : reached == 0 || reached == -ESTALE ? -ECONNRESET : reached;
}

/* Sends in place, with private rings. */
static int send_by_loan(struct km_channel *channel, const void *data, size_t len,
	const struct km_label *label, struct kickmsg_sample *answered)
{
	void *payload;
	int r = km_rings_loan(channel->out, len, &payload);

	if (r < 0)
		return r;
	if (len > 0 && len <= KM_CACHE_LINE)
		km_copy_short(payload, data, len);
	else if (len > 0)
		memcpy(payload, data, len);
	if (answered)
		km_sample_release(answered);
	return km_tagged_publish(channel->out, payload, len, km_message_tag(label), label->word);
}

int km_channel_send_anyhow(struct km_channel *channel, const void *data, size_t len,
	const struct km_label *label, struct kickmsg_sample *answered)
{
	const struct km_region *region = &channel->out->handle.place.region;
	int r;

	if (len > region->geometry.max_payload_size)
		return -EMSGSIZE;
	if (channel->gone)
		return -ECONNRESET;
	if (region->shared) {
		r = km_tagged_send(channel->out, data, len, km_message_tag(label), label->word);
		if (r == 0 && answered)
			km_sample_release(answered);
		r = r < 0 ? r : 1;
	} else {
		r = send_by_loan(channel, data, len, label, answered);
	}
	r = km_channel_result_of(channel, r);
	if (r == 0)
		km_channel_count(channel, label->kind);
	return r;
}

int km_channel_loan(struct km_channel *channel, size_t len, void **ret_payload)
{
	const struct km_region *region = &channel->out->handle.place.region;

	if (len > region->geometry.max_payload_size)
		return -EMSGSIZE;
	if (channel->gone)
		return -ECONNRESET;
	if (channel->out->handle.place.loan_count >= KM_SERVICE_LOANS)
		return -EDQUOT;
	int r = region->path == KM_PATH_RINGS_TIMED ? km_rings_loan(channel->out, len, ret_payload)
						    : kickmsg_loan(channel->out, len, ret_payload);
	return r < 0 ? km_channel_result_of(channel, r) : 0;
}

bool km_channel_has_lent_anyhow(const struct km_channel *channel, const void *payload)
{
	struct km_place *of;

	return km_loan_find(&channel->out->handle.place, payload, &of) != NULL;
}

int km_channel_publish_anyhow(struct km_channel *channel, void *payload, size_t len,
	const struct km_label *label, struct kickmsg_sample *answered)
{
	struct km_place *of;
	const struct km_loan *loan = km_loan_find(&channel->out->handle.place, payload, &of);

	if (!loan)
		return -EINVAL;
	if (len > loan->len)
		return -EMSGSIZE;
	if (channel->gone) {
		kickmsg_discard(channel->out, payload);
		return -ECONNRESET;
	}
	if (answered)
		km_sample_release(answered);
	int r = km_tagged_publish(channel->out, payload, len, km_message_tag(label), label->word);
	r = km_channel_result_of(channel, r);
	if (r == 0)
		km_channel_count(channel, label->kind);
	return r;
}

int km_channel_discard(struct km_channel *channel, void *payload)
{
	return kickmsg_discard(channel->out, payload);
}

/* --- receiving ------------------------------------------------------------------------------------ */

km_noinline int km_channel_receive_anyhow(struct km_channel *channel, struct kickmsg_sample *ret)
{
	const struct km_place *here = &channel->in->handle.place;
	const uint64_t inode = here->inode;

	/* before the look */
	km_channel_find_next(channel);
	int r = here->region.path == KM_PATH_RINGS_TIMED ? km_rings_receive(channel->in, ret)
							 : kickmsg_try_receive(channel->in, ret);
	if (r == -ESTALE) {
		channel->gone = true;
		r = -EAGAIN;
	}
	/* the cell is unmapped with the region that it left */
	if (r != -EAGAIN || channel->gone || here->inode != inode)
		channel->next = NULL;
	return r;
}
