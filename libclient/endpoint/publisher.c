/* SPDX-License-Identifier: Apache-2.0 */
/* A publisher's beginning and end; path/send.c has the rest of its life. */
#include "libclient/endpoint/publisher.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "libclient/client/request.h"
#include "libclient/endpoint/attach.h"
#include "libclient/export.h"
#include "libclient/rejoin/move.h"
#include "libclient/rejoin/own.h"
#include "libclient/wait/ready.h"

int km_publisher_attach(struct kickmsg_client *client, struct km_msg_attach *request,
	struct kickmsg_publisher **ret)
{
	KM_KEEP_ERRNO;
	union km_msg answer;

	struct kickmsg_publisher *publisher = km_place_alloc(1, sizeof *publisher);
	if (!publisher)
		return km_client_fail(client, -ENOMEM, "%s", kickmsg_strerror(-ENOMEM));
	struct km_place *place = &publisher->handle.place;
	place->role = KM_ROLE_PUBLISHER;
	publisher->spin_ns = KM_ROOM_SPIN_NS;
	int r = km_attach(&publisher->handle, client, request, 0, &answer);
	if (r == 0)
		r = km_place_publish(place, place->record, answer.attached.id);
	if (r < 0) {
		kickmsg_publisher_free(publisher);
		return km_client_failed(client, r);
	}
	km_request_warn(client, request, &answer.attached);
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
	const struct km_place *here = &publisher->handle.place;
	const struct km_endpoint *record = here->record;

	if (km_handle_is_inherited(&publisher->handle)) {
		*ret = (struct kickmsg_publisher_stats){ 0 };
		return;
	}
	*ret = (struct kickmsg_publisher_stats){
		.sent = publisher->sent + km_load(H2, relaxed, &record->messages),
		.bytes = publisher->bytes + km_load(H2, relaxed, &record->bytes),
		.failed = publisher->failed + km_load(H2, relaxed, &record->failed),
		.evicted = publisher->evicted + km_load(H2, relaxed, &record->evicted),
		.loans = here->loan_count,
		.publisher_id = here->id,
		.no_room = publisher->no_room + km_load(H2, relaxed, &record->no_room),
	};
}

KM_EXPORT void kickmsg_publisher_free(struct kickmsg_publisher *publisher)
{
	KM_KEEP_ERRNO;
	if (!publisher || km_handle_is_inherited(&publisher->handle))
		return;
	km_handle_end(&publisher->handle);
	km_publisher_unpair(publisher);
	km_detach_begin(&publisher->handle);
	km_ready_free(km_steal_ptr(publisher->ready)); /* before what it watches is unmapped */
	km_detach_end(&publisher->handle);
	free(publisher);
}
