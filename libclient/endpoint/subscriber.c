/* SPDX-License-Identifier: Apache-2.0 */
/* A subscriber's beginning and end; path/receive.c has the rest of its life. */
#include "libclient/endpoint/subscriber.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "libclient/client/request.h"
#include "libclient/endpoint/attach.h"
#include "libclient/export.h"
#include "libclient/path/rings_receive.h"
#include "libclient/path/shared_receive.h"
#include "libclient/rejoin/move.h"
#include "libclient/rejoin/own.h"
#include "libclient/wait/ready.h"

static int check_options(
	struct kickmsg_client *client, const struct kickmsg_subscribe_options *options)
{
	static const struct kickmsg_subscribe_options zero;

	if (options->skip_own <= 1 && options->observe <= 1 && options->writable <= 1 &&
		options->strict <= 1 && options->interruptible <= 1 && options->reliable <= 1 &&
		memcmp(options->reserved, zero.reserved, sizeof zero.reserved) == 0)
		return 0;
	return km_client_fail(
		client, -EINVAL, "fields of the subscribe options that must be zero are not");
}

/* Messages of a topic with private rings that are for this newcomer. */
static uint32_t history_of(
	const struct kickmsg_subscribe_options *options, const struct km_region *region)
{
	if (options->history == KICKMSG_HISTORY_NONE)
		return 0;
	return options->history > 0 ? options->history : region->geometry.history;
}

static void ask_for(const struct kickmsg_subscribe_options *options, struct km_msg_attach *request)
{
	if (options->schema) {
		request->has_wanted = 1;
		memcpy(&request->wanted, options->schema, sizeof request->wanted);
	}
	if (options->history == KICKMSG_HISTORY_NONE)
		request->flags |= KM_ATTACH_NO_HISTORY;
	else
		request->history = options->history;
	if (options->observe)
		request->flags |= KM_ATTACH_OBSERVE;
	if (options->writable)
		request->flags |= KM_ATTACH_WRITABLE;
	if (options->reliable)
		request->flags |= KM_ATTACH_RELIABLE;
}

int km_subscriber_attach(struct kickmsg_client *client, struct km_msg_attach *request,
	const struct kickmsg_subscribe_options *options, struct kickmsg_subscriber **ret)
{
	KM_KEEP_ERRNO;
	static const struct kickmsg_subscribe_options defaults;
	union km_msg answer;

	if (!options)
		options = &defaults;
	int r = check_options(client, options);
	if (r < 0)
		return r;
	if (options->observe && options->writable)
		return km_client_fail(client, -EINVAL,
			"an observer can't have the topic's memory writable: nobody would know of "
			"it");
	if (options->reliable && (options->observe || options->depth > 0))
		return km_client_fail(client, -EINVAL,
			"a reliable subscriber gets every message, and publishers know of it: "
			"neither "
			"depth nor observe goes with that");
	ask_for(options, request);
	struct kickmsg_subscriber *subscriber = km_place_alloc(1, sizeof *subscriber);
	if (!subscriber)
		return km_client_fail(client, -ENOMEM, "%s", kickmsg_strerror(-ENOMEM));
	struct km_place *place = &subscriber->handle.place;
	place->observes = options->observe;
	place->writable = options->writable;
	place->role = KM_ROLE_SUBSCRIBER;
	subscriber->spin_ns = options->spin_ns < INT64_MAX ? options->spin_ns : INT64_MAX;
	subscriber->interruptible = options->interruptible;
	subscriber->depth = options->depth;
	r = km_attach(&subscriber->handle, client, request, options->wait_ns, &answer);
	if (r == -EPROTOTYPE && options->ret_schema_diff)
		*options->ret_schema_diff = answer.error.detail;
	if (r == 0)
		r = km_place_subscribe(
			place, place->record, answer.attached.ring, answer.attached.start);
	if (r == 0 && !place->region.shared)
		km_place_look_back(place, history_of(options, &place->region));
	if (r == 0 && options->depth > 0)
		place->region.path |= KM_PATH_NEWEST;
	if (r == 0 && options->reliable)
		place->region.path |= KM_PATH_RELIABLE;
	if (r == 0 && options->depth > place->region.geometry.ring_capacity)
		r = km_client_fail(client, -EINVAL, "depth is %u; the topic's ring_capacity is %u",
			options->depth, place->region.geometry.ring_capacity);
	if (r < 0) {
		kickmsg_subscriber_free(subscriber);
		return km_client_failed(client, r);
	}
	km_request_warn(client, request, &answer.attached);
	*ret = subscriber;
	return 0;
}

/* Makes a SUBSCRIBE. A subscriber has its client's prefix. */
static int request_subscribe(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	struct km_msg_attach *ret)
{
	struct km_msg_topic names;
	int r = km_request_topic(client, topic, KM_OP_SUBSCRIBE, &names);

	if (r < 0)
		return r;
	if (*names.prefix && strcmp(names.prefix, client->hello.prefix) != 0)
		return km_client_fail(client, -EINVAL,
			"this client takes part in topics with prefix '%s', not '%s'",
			client->hello.prefix, names.prefix);
	*ret = (struct km_msg_attach){ .kind = names.kind };
	strcpy(ret->topic, names.topic);
	strcpy(ret->owner, names.owner);
	return 0;
}

int km_subscriber_attach_to(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_subscribe_options *options, struct kickmsg_subscriber **ret)
{
	struct km_msg_attach request;
	int r = request_subscribe(client, topic, &request);

	if (options && options->wait_ns > 0)
		request.flags |= KM_ATTACH_WAIT;
	return r < 0 ? r : km_subscriber_attach(client, &request, options, ret);
}

KM_EXPORT int kickmsg_subscribe(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_subscribe_options *options, struct kickmsg_subscriber **ret)
{
	const struct kickmsg_topic_ref ref = { .name = topic };

	return km_subscriber_attach_to(client, &ref, options, ret);
}

KM_EXPORT int kickmsg_subscribe_or_create(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config, const struct kickmsg_subscribe_options *options,
	struct kickmsg_subscriber **ret)
{
	bool strict = options && options->strict;
	struct km_msg_attach request = { .flags = KM_ATTACH_CREATE |
						  (strict ? 0 : KM_ATTACH_ANY_CONFIG) };
	int r = km_request_name(client, KM_KIND_PUBSUB, topic, NULL, &request);

	if (r == 0)
		r = km_request_config(client, config, &request);
	return r < 0 ? r : km_subscriber_attach(client, &request, options, ret);
}

KM_EXPORT void kickmsg_subscriber_get_stats(
	const struct kickmsg_subscriber *subscriber, struct kickmsg_subscriber_stats *ret)
{
	const struct km_place *here = &subscriber->handle.place;
	uint64_t lost;

	if (km_handle_is_inherited(&subscriber->handle)) {
		*ret = (struct kickmsg_subscriber_stats){ 0 };
		return;
	}
	*ret = (struct kickmsg_subscriber_stats){
		.received = subscriber->received + km_load(H2, relaxed, &here->record->messages) -
			    subscriber->has_pending,
		.borrowed = subscriber->borrowed,
		.ring = here->ring_index,
		.lost = kickmsg_subscriber_lost(subscriber),
	};
	if (here->ring)
		ret->waiting = km_rings_waiting(subscriber);
	else
		km_shared_count(subscriber, &lost, &ret->waiting);
}

KM_EXPORT void kickmsg_subscriber_free(struct kickmsg_subscriber *subscriber)
{
	KM_KEEP_ERRNO;
	if (!subscriber || km_handle_is_inherited(&subscriber->handle))
		return;
	km_handle_end(&subscriber->handle);
	/* before another subscriber may get its ring */
	km_subscriber_unpair(subscriber);
	km_detach_begin(&subscriber->handle);
	km_ready_free(
		km_steal_ptr(subscriber->ready)); /* before the word that it watches is unmapped */
	km_detach_end(&subscriber->handle);
	free(subscriber);
}
