/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's repairs: the broker does them, and says what it found and did. */
#include <string.h>

#include "libclient/client/control.h"
#include "libclient/client/request.h"
#include "libclient/export.h"
#include "libclient/look/look.h"

static int repair(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	uint32_t what, struct kickmsg_repair_report *ret)
{
	struct km_msg_repair request = { .what = what };
	union km_msg answer;
	const struct km_msg_repair_ok *done = &answer.repair_ok;
	int r = km_request_topic(client, topic, KM_OP_REPAIR, &request.topic);

	if (r < 0)
		return r;
	r = km_client_call(client, &request, sizeof request, KM_OP_REPAIR_OK, &answer, NULL, NULL);
	if (r < 0 || !ret)
		return r;
	*ret = (struct kickmsg_repair_report){
		.references_dropped = done->bits_cleared,
		.slots_reclaimed = done->slots_reclaimed,
		.rings_reset = done->rings_reset,
		.endpoints_freed = done->endpoints_freed,
	};
	km_health_read(&done->before, &ret->before);
	km_health_read(&done->after, &ret->after);
	return 0;
}

KM_EXPORT int kickmsg_topic_recover(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, struct kickmsg_repair_report *ret)
{
	return repair(client, topic, KM_REPAIR_ALL, ret);
}

KM_EXPORT int kickmsg_topic_repair(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, struct kickmsg_repair_report *ret)
{
	return repair(client, topic, KM_REPAIR_REFERENCES, ret);
}

KM_EXPORT int kickmsg_topic_reset_rings(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, struct kickmsg_repair_report *ret)
{
	return repair(client, topic, KM_REPAIR_RINGS, ret);
}

KM_EXPORT int kickmsg_topic_reclaim(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, struct kickmsg_repair_report *ret)
{
	return repair(client, topic, KM_REPAIR_SLOTS, ret);
}
