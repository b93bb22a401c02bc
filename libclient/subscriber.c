/* SPDX-License-Identifier: Apache-2.0 */
/* A subscriber's beginning and end; what it does in between is in receive.c. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "control.h"
#include "move.h"
#include "wait.h"

/* A page that is never written to costs nothing but addresses. */
static int make_room_for_copies(struct kickmsg_subscriber *subscriber)
{
	const struct km_geometry *geometry = &subscriber->attachment.region.geometry;
	const uint64_t line = KM_CACHE_LINE;
	uint64_t stride = (geometry->max_payload_size + line - 1) / line * line;

	subscriber->copies_memory = calloc(
		1, ((uint64_t)geometry->max_borrows + 1) * stride + line);
	if (!subscriber->copies_memory)
		return -ENOMEM;
	uintptr_t start = (uintptr_t)subscriber->copies_memory;
	subscriber->copies = (unsigned char *)subscriber->copies_memory + (line - start % line);
	subscriber->copy_stride = stride;
	return 0;
}

int km_subscriber_init(struct kickmsg_subscriber *subscriber, struct km_endpoint *endpoint,
	uint32_t ring_index, uint64_t start)
{
	const struct km_region *region = &subscriber->attachment.region;

	subscriber->endpoint = endpoint;
	subscriber->holds = calloc(
		(size_t)region->geometry.max_borrows + 1, sizeof *subscriber->holds);
	if (!subscriber->holds)
		return -ENOMEM;
	subscriber->ring_index = ring_index;
	subscriber->next = start;
	if (region->shared)
		return make_room_for_copies(subscriber);
	subscriber->ring = km_region_ring(region, ring_index);
	return 0;
}

void km_subscriber_deinit(struct kickmsg_subscriber *subscriber)
{
	const struct km_region *region = &subscriber->attachment.region;

	for (uint32_t i = 0;
		subscriber->ring && subscriber->holds && i <= region->geometry.max_borrows; i++)
		if (subscriber->holds[i].busy) {
			km_slot_drop(&region->slots[subscriber->holds[i].slot],
				UINT64_C(1) << subscriber->ring_index);
			km_hazard_clear(&subscriber->endpoint->held[i]);
		}
	free(subscriber->holds);
	free(subscriber->copies_memory);
	if (subscriber->attachment.observes)
		free(subscriber->endpoint);
	subscriber->holds = NULL;
}

static int check_options(
	struct kickmsg_client *client, const struct kickmsg_subscribe_options *options)
{
	static const struct kickmsg_subscribe_options zero;

	if (options->skip_own <= 1 && options->observe <= 1 && options->writable <= 1 &&
		memcmp(options->reserved, zero.reserved, sizeof zero.reserved) == 0)
		return 0;
	return km_client_fail(
		client, -EINVAL, "fields of the subscribe options that must be zero are not");
}

int km_subscriber_make_record(struct km_endpoint **ret)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : -ENOMEM;
}

int km_subscriber_attach(struct kickmsg_client *client, struct km_msg_attach *request,
	const struct kickmsg_subscribe_options *options, struct kickmsg_subscriber **ret)
{
	static const struct kickmsg_subscribe_options defaults;
	union km_msg answer;
	struct km_endpoint *endpoint;

	if (!options)
		options = &defaults;
	int r = check_options(client, options);
	if (r < 0)
		return r;
	if (options->observe && options->writable)
		return km_client_fail(client, -EINVAL,
			"an observer can't have the topic's memory writable: nobody would know of "
			"it");
	if (options->schema) {
		request->has_wanted = 1;
		memcpy(&request->wanted, options->schema, sizeof request->wanted);
	}
	request->history = options->history;
	if (options->observe)
		request->flags |= KM_ATTACH_OBSERVE;
	if (options->writable)
		request->flags |= KM_ATTACH_WRITABLE;
	struct kickmsg_subscriber *subscriber = calloc(1, sizeof *subscriber);
	if (!subscriber)
		return -ENOMEM;
	subscriber->attachment.observes = options->observe;
	subscriber->attachment.writable = options->writable;
	subscriber->attachment.role = KM_ROLE_SUBSCRIBER;
	subscriber->spin_ns = options->spin_ns;
	r = km_attachment_ask(&subscriber->attachment, client, request, &answer, &endpoint);
	if (r == -EPROTOTYPE && options->ret_schema_diff)
		*options->ret_schema_diff = answer.error.detail;
	if (r == 0 && options->observe)
		r = km_subscriber_make_record(&endpoint);
	if (r == 0)
		r = km_subscriber_init(
			subscriber, endpoint, answer.attached.ring, answer.attached.start);
	if (r < 0) {
		kickmsg_subscriber_free(subscriber);
		return r;
	}
	km_request_warn(client, request);
	*ret = subscriber;
	return 0;
}

KM_EXPORT int kickmsg_subscribe(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_subscribe_options *options, struct kickmsg_subscriber **ret)
{
	struct km_msg_attach request = { 0 };
	uint64_t wait_ns = options ? options->wait_ns : 0, seen;
	struct kickmsg_topic_ref ref = { .name = topic };
	struct km_wait_state wait;
	int r = km_request_name(client, KM_KIND_PUBSUB, topic, NULL, &request);

	if (r == 0)
		r = km_subscriber_attach(client, &request, options, ret);
	if (r != -ENOENT || wait_ns == 0)
		return r;
	km_wait_begin(&wait, wait_ns);
	do {
		/* asked for before looking again: whatever comes after that look is told */
		r = km_wait_ask(client, &ref, &seen);
		if (r == 0)
			r = km_subscriber_attach(client, &request, options, ret);
	} while (r == -ENOENT && (r = km_wait_event(client, &wait, seen)) == 0);
	return r;
}

KM_EXPORT int kickmsg_subscribe_or_create(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config, const struct kickmsg_subscribe_options *options,
	struct kickmsg_subscriber **ret)
{
	struct km_msg_attach request = { .flags = KM_ATTACH_CREATE | KM_ATTACH_ANY_CONFIG };
	int r = km_request_name(client, KM_KIND_PUBSUB, topic, NULL, &request);

	if (r == 0)
		r = km_request_config(client, config, &request);
	return r < 0 ? r : km_subscriber_attach(client, &request, options, ret);
}

/* The first position from head on that carries no message. */
static uint64_t count_waiting(const struct kickmsg_subscriber *subscriber)
{
	const struct km_region *region = &subscriber->attachment.region;
	uint64_t head = km_load(R2, acquire, &subscriber->ring->head), p = head;

	while (p - head < region->geometry.ring_capacity) {
		uint64_t cell = km_load(
			R1, acquire, &subscriber->ring->cells[p & region->cell_mask]);

		if (km_cell_laps_ahead(cell, p, region->cell_shift) < 0)
			break;
		p++;
	}
	return p - head;
}

KM_EXPORT void kickmsg_subscriber_get_stats(
	const struct kickmsg_subscriber *subscriber, struct kickmsg_subscriber_stats *ret)
{
	*ret = (struct kickmsg_subscriber_stats){
		.received = subscriber->received +
			    km_load(H2, relaxed, &subscriber->endpoint->messages),
		.borrowed = subscriber->borrowed,
		.ring = subscriber->ring_index,
	};
	uint64_t lost;

	ret->lost = kickmsg_subscriber_lost(subscriber);
	if (!subscriber->ring) {
		km_shared_count(subscriber, &lost, &ret->waiting);
		return;
	}
	ret->waiting = count_waiting(subscriber) + subscriber->has_pending;
	ret->received -= subscriber->has_pending;
}

KM_EXPORT void kickmsg_subscriber_free(struct kickmsg_subscriber *subscriber)
{
	if (!subscriber)
		return;
	km_move_end(&subscriber->attachment);
	/* before somebody else may get its ring */
	km_subscriber_unpair(subscriber);
	km_attachment_unlink(&subscriber->attachment);
	km_subscriber_deinit(subscriber);
	km_attachment_detach(&subscriber->attachment);
	free(subscriber);
}
