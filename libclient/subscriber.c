/* SPDX-License-Identifier: Apache-2.0 */
/* A subscriber's beginning and end; what it does in between is in receive.c. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "control.h"
#include "name.h"

int km_subscriber_init(struct kickmsg_subscriber *subscriber, struct km_endpoint *endpoint,
	uint32_t ring_index, uint64_t start)
{
	const struct km_region *region = &subscriber->attachment.region;

	subscriber->holds = calloc(
		(size_t)region->geometry.max_borrows + 1, sizeof *subscriber->holds);
	if (!subscriber->holds)
		return -ENOMEM;
	subscriber->endpoint = endpoint;
	subscriber->ring = km_region_ring(region, ring_index);
	subscriber->ring_index = ring_index;
	subscriber->next = start;
	return 0;
}

void km_subscriber_deinit(struct kickmsg_subscriber *subscriber)
{
	const struct km_region *region = &subscriber->attachment.region;

	for (uint32_t i = 0; subscriber->holds && i <= region->geometry.max_borrows; i++)
		if (subscriber->holds[i].busy) {
			km_slot_drop(&region->slots[subscriber->holds[i].slot],
				UINT64_C(1) << subscriber->ring_index);
			km_hazard_clear(&subscriber->endpoint->held[i]);
		}
	free(subscriber->holds);
	subscriber->holds = NULL;
}

KM_EXPORT int kickmsg_subscribe(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_subscribe_options *options, struct kickmsg_subscriber **ret)
{
	struct km_msg_subscribe request = { .header.op = KM_OP_SUBSCRIBE };
	union km_msg answer;
	int fds[KM_WIRE_MAX_FDS];
	size_t count = 0;
	struct km_endpoint *endpoint;

	if (km_name_sanitise(topic, request.topic, sizeof request.topic) < 0)
		return km_client_fail(client, -EINVAL,
			"topic name \"%.64s\" is empty or longer than %d bytes", topic,
			KM_NAME_SIZE - 1);
	struct kickmsg_subscriber *subscriber = calloc(1, sizeof *subscriber);
	if (!subscriber)
		return -ENOMEM;
	subscriber->attachment.role = KM_ROLE_SUBSCRIBER;
	subscriber->spin_ns = options ? options->spin_ns : 0;
	int r = km_client_call(
		client, &request, sizeof request, KM_OP_ATTACHED, &answer, fds, &count);
	if (r < 0) {
		free(subscriber);
		return r;
	}
	r = km_attachment_map(&subscriber->attachment, client, &answer.attached, fds, &endpoint);
	km_close_fds(fds, count);
	km_attachment_link(&subscriber->attachment, client);
	if (r == 0)
		r = km_subscriber_init(
			subscriber, endpoint, answer.attached.ring, answer.attached.start);
	if (r < 0) {
		kickmsg_subscriber_free(subscriber);
		return r;
	}
	*ret = subscriber;
	return 0;
}

KM_EXPORT void kickmsg_subscriber_free(struct kickmsg_subscriber *subscriber)
{
	if (!subscriber)
		return;
	km_subscriber_deinit(subscriber);
	/* unmapped first: when the broker hears of it, nothing here can touch the region any more
	 */
	km_attachment_unmap(&subscriber->attachment);
	km_attachment_detach(&subscriber->attachment);
	free(subscriber);
}
