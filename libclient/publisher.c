/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher's beginning and end; what it does in between is in send.c. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "control.h"
#include "name.h"

int km_publisher_init(
	struct kickmsg_publisher *publisher, struct km_endpoint *endpoint, uint32_t id)
{
	const struct km_region *region = &publisher->attachment.region;

	publisher->loans = calloc(region->geometry.max_loans, sizeof *publisher->loans);
	if (!publisher->loans)
		return -ENOMEM;
	publisher->endpoint = endpoint;
	publisher->id = id;
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

static int prepare(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config, struct km_msg_advertise *ret)
{
	char text[KM_WIRE_TEXT_SIZE];

	*ret = (struct km_msg_advertise){ .header.op = KM_OP_ADVERTISE };
	if (km_name_sanitise(topic, ret->topic, sizeof ret->topic) < 0)
		return km_client_fail(client, -EINVAL,
			"topic name \"%.64s\" is empty or longer than %d bytes", topic,
			KM_NAME_SIZE - 1);
	if (!config)
		return 0;
	ret->has_geometry = 1;
	int r = km_topic_config_to_geometry(config, &ret->geometry, text, sizeof text);
	return r < 0 ? km_client_fail(client, r, "topic %s: %.180s", ret->topic, text) : 0;
}

KM_EXPORT int kickmsg_advertise(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config, struct kickmsg_publisher **ret)
{
	struct km_msg_advertise request;
	union km_msg answer;
	int fds[KM_WIRE_MAX_FDS];
	size_t count = 0;
	struct km_endpoint *endpoint;

	int r = prepare(client, topic, config, &request);
	if (r < 0)
		return r;
	struct kickmsg_publisher *publisher = calloc(1, sizeof *publisher);
	if (!publisher)
		return -ENOMEM;
	publisher->attachment.role = KM_ROLE_PUBLISHER;
	r = km_client_call(client, &request, sizeof request, KM_OP_ATTACHED, &answer, fds, &count);
	if (r < 0) {
		free(publisher);
		return r;
	}
	r = km_attachment_map(&publisher->attachment, client, &answer.attached, fds, &endpoint);
	km_close_fds(fds, count);
	km_attachment_link(&publisher->attachment, client);
	if (r == 0)
		r = km_publisher_init(publisher, endpoint, answer.attached.id);
	if (r < 0) {
		kickmsg_publisher_free(publisher);
		return r;
	}
	*ret = publisher;
	return 0;
}

KM_EXPORT void kickmsg_publisher_free(struct kickmsg_publisher *publisher)
{
	if (!publisher)
		return;
	km_publisher_deinit(publisher);
	/* unmapped first: when the broker hears of it, nothing here can touch the region any more
	 */
	km_attachment_unmap(&publisher->attachment);
	km_attachment_detach(&publisher->attachment);
	free(publisher);
}
