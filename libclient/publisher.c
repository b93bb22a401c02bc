/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher's beginning and end; what it does in between is in send.c. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "control.h"
#include "move.h"

int km_publisher_init(
	struct kickmsg_publisher *publisher, struct km_endpoint *endpoint, uint32_t id)
{
	const struct km_region *region = &publisher->attachment.region;

	publisher->loans = calloc(region->geometry.max_loans, sizeof *publisher->loans);
	if (!publisher->loans)
		return -ENOMEM;
	publisher->endpoint = endpoint;
	publisher->id = id;
	km_store(P1, relaxed, &publisher->rings, (UINT64_C(1) << region->ring_count) - 1);
	for (uint32_t i = 0; i < KM_MAX_RINGS; i++)
		publisher->cursors[i].head = region->geometry.ring_capacity;
	km_slot_cache_init(&publisher->cache, region, id);
	return 0;
}

void km_publisher_deinit(struct kickmsg_publisher *publisher)
{
	const struct km_region *region = &publisher->attachment.region;

	for (uint32_t i = 0; publisher->loans && i < region->geometry.max_loans; i++)
		if (publisher->loans[i].busy)
			km_slot_drop(&region->slots[publisher->loans[i].slot], KM_SLOT_ID_MASK);
	free(publisher->loans);
	publisher->loans = NULL;
}

int km_publisher_attach(struct kickmsg_client *client, struct km_msg_attach *request,
	struct kickmsg_publisher **ret)
{
	union km_msg answer;
	struct km_endpoint *endpoint;

	struct kickmsg_publisher *publisher = calloc(1, sizeof *publisher);
	if (!publisher)
		return -ENOMEM;
	publisher->attachment.role = KM_ROLE_PUBLISHER;
	int r = km_attachment_ask(&publisher->attachment, client, request, &answer, &endpoint);
	if (r == 0)
		r = km_publisher_init(publisher, endpoint, answer.attached.id);
	if (r < 0) {
		kickmsg_publisher_free(publisher);
		return r;
	}
	km_request_warn(client, request);
	*ret = publisher;
	return 0;
}

static int advertise(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config, uint32_t flags, struct kickmsg_publisher **ret)
{
	struct km_msg_attach request = { .flags = flags };
	int r = km_request_name(client, KM_KIND_PUBSUB, topic, NULL, &request);

	if (r == 0)
		r = km_request_config(client, config, &request);
	return r < 0 ? r : km_publisher_attach(client, &request, ret);
}

KM_EXPORT int kickmsg_advertise(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config, struct kickmsg_publisher **ret)
{
	return advertise(client, topic, config, 0, ret);
}

KM_EXPORT int kickmsg_advertise_or_join(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config, struct kickmsg_publisher **ret)
{
	return advertise(client, topic, config, KM_ATTACH_ANY_CONFIG, ret);
}

KM_EXPORT void kickmsg_publisher_get_stats(
	const struct kickmsg_publisher *publisher, struct kickmsg_publisher_stats *ret)
{
	const struct km_endpoint *record = publisher->endpoint;

	*ret = (struct kickmsg_publisher_stats){
		.sent = publisher->sent + km_load(H2, relaxed, &record->messages),
		.failed = publisher->failed + km_load(H2, relaxed, &record->failed),
		.evicted = publisher->evicted + km_load(H2, relaxed, &record->evicted),
		.loans = publisher->loan_count,
		.publisher_id = publisher->id,
	};
}

KM_EXPORT void kickmsg_publisher_free(struct kickmsg_publisher *publisher)
{
	if (!publisher)
		return;
	km_move_end(&publisher->attachment);
	km_publisher_unpair(publisher);
	km_attachment_unlink(&publisher->attachment);
	km_publisher_deinit(publisher);
	km_attachment_detach(&publisher->attachment);
	free(publisher);
}
