/* SPDX-License-Identifier: Apache-2.0 */
/* Messages with tags: see tagged.h. */
#include "libclient/service/tagged.h"

#include "libclient/export.h"
#include "libclient/path/loan.h"
#include "libclient/path/rings_send.h"
#include "libclient/rejoin/move.h"

static int publish_shared(
	struct kickmsg_publisher *publisher, void *payload, size_t len, uint64_t tag, uint64_t word)
{
	struct km_place *here = &publisher->handle.place, *of;
	const struct km_loan *loan = km_loan_find(here, payload, &of);

	if (loan && of == here)
		km_store(U6, relaxed, km_shared_slot_time(&here->region, loan->slot), tag);
	publisher->sequence = word - 1;
	int r = km_shared_publish(publisher, payload, len);
	return r < 0 ? r : (int)km_shared_reach(publisher);
}

int km_tagged_publish(
	struct kickmsg_publisher *publisher, void *payload, size_t len, uint64_t tag, uint64_t word)
{
	struct km_place *here = &publisher->handle.place, *of;

	if (here->region.shared)
		return publish_shared(publisher, payload, len, tag, word);
	if (km_loan_find(here, payload, &of) && of == here)
		km_tagged_mark(payload, tag, word);
	return km_rings_publish(publisher, payload, len);
}

/* Sends by a slot, as any publisher may. */
static km_noinline int send_by_slot(struct kickmsg_publisher *publisher, const void *data,
	size_t len, uint64_t tag, uint64_t word)
{
	void *payload;
	int r = kickmsg_loan(publisher, len, &payload);

	if (r < 0)
		return r;
	km_shared_write(payload, data, len);
	r = publish_shared(publisher, payload, len, tag, word);
	return r < 0 ? r : 0;
}

/* Sends a message of any length into the cell, as the privileged publisher. */
static int send_inline(struct kickmsg_publisher *publisher, const void *data, size_t len,
	uint64_t tag, uint64_t word)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_shared_message message = {
		.data = data, .len = len, .publisher_id = here->id, .sequence = word
	};
	publisher->sequence = word;
	int r = km_shared_commit(&here->region, here->record, KM_SHARED_INLINE, &message, &tag,
		&here->cursors[0].next, NULL);

	if (r < 0)
		km_hazard_clear(&here->record->evicting);
	else if (km_bell_notify(here->region.bell))
		km_publisher_hurry(publisher);
	km_endpoint_count_sent(here->record, 1, len);
	return r;
}

int km_tagged_send(struct kickmsg_publisher *publisher, const void *data, size_t len, uint64_t tag,
	uint64_t word)
{
	const struct km_place *here = &publisher->handle.place;
	const struct km_control_header *header = here->region.header;

	if (km_load(U8, acquire, &header->privileged) != here->id ||
		km_load(L1, acquire, &header->live) != here->live ||
		len > here->region.geometry.max_payload_size)
		return send_by_slot(publisher, data, len, tag, word);
	return send_inline(publisher, data, len, tag, word);
}
