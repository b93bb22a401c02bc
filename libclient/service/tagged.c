/* SPDX-License-Identifier: Apache-2.0 */
/* Messages with tags: see tagged.h. The paths are those of messages with a time, rings_send.c and
 * shared_send.c, from where the time is known. */
#include "libclient/service/tagged.h"

#include <string.h>

#include "common/shared/bell.h"
#include "common/shared/shared.h"
#include "libclient/export.h"
#include "libclient/path/loan.h"
#include "libclient/path/rings_send.h"
#include "libclient/path/shared_send.h"
#include "libclient/rejoin/move.h"

int km_tagged_publish(struct kickmsg_publisher *publisher, void *payload, size_t len, uint64_t tag)
{
	struct km_place *here = &publisher->handle.place, *of;
	const struct km_loan *loan;

	if (here->region.shared) {
		loan = km_loan_find(here, payload, &of);
		if (loan && of == here)
			km_store(U6, relaxed, km_shared_slot_time(&here->region, loan->slot), tag);
		return km_shared_publish(publisher, payload, len);
	}
	/* the usual case first: its only loan */
	if (here->loans[0].payload == payload || (km_loan_find(here, payload, &of) && of == here))
		((struct km_sample_header *)payload - 1)->publish_ns = tag;
	return km_rings_publish(publisher, payload, len);
}

/* Sends by a slot, as any publisher may. */
static km_noinline int send_by_slot(
	struct kickmsg_publisher *publisher, const void *data, size_t len, uint64_t tag)
{
	void *payload;
	int r = kickmsg_loan(publisher, len, &payload);

	if (r < 0)
		return r;
	km_shared_write(payload, data, len);
	r = km_tagged_publish(publisher, payload, len, tag);
	return r < 0 ? r : 0;
}

/* Sends a message of any length into the cell, as the privileged publisher. */
static km_noinline int send_inline(
	struct kickmsg_publisher *publisher, const void *data, size_t len, uint64_t tag)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_shared_message message = {
		.data = data,
		.len = len,
		.publisher_id = here->id,
		.sequence = ++publisher->sequence,
	};
	int r = km_shared_commit(&here->region, here->record, KM_SHARED_INLINE, &message, &tag,
		&here->cursors[0].next, NULL);

	if (r < 0)
		km_hazard_clear(&here->record->evicting);
	else if (km_bell_notify(here->region.bell))
		km_publisher_hurry(publisher);
	km_endpoint_count_sent(here->record, 1, len);
	return r;
}

int km_tagged_send(struct kickmsg_publisher *publisher, const void *data, size_t len, uint64_t tag)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	const struct km_control_header *header = region->header;

	if (km_load(U8, acquire, &header->privileged) != here->id ||
		km_load(L1, acquire, &header->live) != here->live ||
		len > region->geometry.max_payload_size)
		return send_by_slot(publisher, data, len, tag);
	if (len > region->short_size)
		return send_inline(publisher, data, len, tag);
	km_shared_prefetch(region, here->cursors[0].next, len, true);
	if (!km_shared_append(region, data, len, &here->id, &tag, &publisher->sequence,
		    &here->cursors[0].next, true))
		return send_inline(publisher, data, len, tag);
	km_endpoint_count_sent(here->record, 1, len);
	uint32_t seen = km_bell_listen(region->bell);
	if (__builtin_expect(!(seen & KM_BELL_WOKEN), 0) && km_bell_ring(region->bell, seen))
		km_publisher_hurry(publisher);
	return 0;
}
