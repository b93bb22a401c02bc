/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing to a shared ring before which reliable subscribers may stand (common/shared/reader.h). The
 * steps are those of shared_send.c, but that the commit looks for room at its position. One that finds
 * none leaves nothing behind: a sequence isn't used, a slot is free again or still lent.
 */
#include "libclient/path/reliable_shared.h"

#include <errno.h>

#include "common/clock.h"
#include "common/shared/bell.h"
#include "common/shared/shared.h"
#include "libclient/export.h"
#include "libclient/path/loan.h"
#include "libclient/path/look.h"
#include "libclient/path/reliable.h"
#include "libclient/path/shared_send.h"
#include "libclient/rejoin/move.h"

/* The twin of km_shared_append() (shared.h) where there is to be room. The message's sequence is used
 * where it is committed. */
static int commit(struct kickmsg_publisher *publisher, uint32_t ref,
	struct km_shared_message *message, const uint64_t *publish_ns)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	struct km_ring_cursor *cursor = &here->cursors[0];
	int r = publish_ns ? km_shared_commit(region, here->record, ref, message, publish_ns,
				     &cursor->next, &cursor->head)
			   : km_shared_commit(region, here->record, ref, message, NULL,
				     &cursor->next, &cursor->head);

	if (r < 0)
		km_hazard_clear(&here->record->evicting);
	else if (__builtin_expect(km_bell_notify(region->bell), 0))
		km_publisher_hurry(publisher);
	if (r == -ENOBUFS)
		return r;
	publisher->sequence = message->sequence;
	km_endpoint_count_sent(here->record, 1, message->len);
	return r;
}

/* Publishes what lies in a slot. After -ENOBUFS the slot is the caller's, as it was. */
static int publish(struct kickmsg_publisher *publisher, uint32_t slot, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	struct km_shared_message message = {
		.data = km_region_payload(region, slot),
		.len = len,
		.publisher_id = here->id,
		.sequence = publisher->sequence + 1,
	};

	km_shared_write_head(km_shared_slot_head(region, slot), &message);
	if (region->geometry.timestamps)
		km_store(U6, relaxed, km_shared_slot_time(region, slot), km_clock_publish_ns());
	km_hazard_set(&here->record->delivering, slot);
	km_slot_send(&region->slots[slot], KM_SLOT_RING);
	int r = commit(publisher, slot, &message, NULL);
	if (r == -ENOBUFS)
		km_slot_take_back(&region->slots[slot], here->id);
	else if (r < 0)
		km_slot_drop(&region->slots[slot], KM_SLOT_RING);
	km_hazard_clear(&here->record->delivering);
	return r;
}

static int send_privileged(struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	struct km_shared_message message = {
		.data = data,
		.len = len,
		.publisher_id = here->id,
		.sequence = publisher->sequence + 1,
	};

	if (!here->region.geometry.timestamps)
		return commit(publisher, KM_SHARED_INLINE, &message, NULL);
	const uint64_t publish_ns = km_clock_publish_ns();
	return commit(publisher, KM_SHARED_INLINE, &message, &publish_ns);
}

static int send_by_slot(struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	struct km_ring_cursor *cursor = &here->cursors[0];
	const struct km_region *region = &here->region;
	uint32_t slot;

	/* before anything is claimed; the frontier is no nearer than that */
	if (!km_reader_has_room(region, cursor->next, &cursor->head))
		return -ENOBUFS;
	int r = km_shared_claim(publisher, len, &slot);
	if (r < 0)
		return r;
	km_shared_write((_Atomic uint64_t *)km_region_payload(region, slot), data, len);
	r = publish(publisher, slot, len);
	if (r == -ENOBUFS)
		km_slot_drop(&region->slots[slot], KM_SLOT_ID_MASK);
	return r;
}

/* The privilege is looked at once a message: see shared.h. */
km_noinline ssize_t km_reliable_shared_send_anyhow(
	struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	const uint64_t live = km_place_load_live(here);
	int r = 1;

	if (len > here->region.geometry.max_payload_size)
		return -EMSGSIZE;
	if (live != here->live)
		r = km_publisher_look(publisher, live, KM_HAZARD_NONE, len);
	if (r <= 0)
		return r < 0 ? r : kickmsg_send(publisher, data, len);
	r = km_load(U8, acquire, &here->region.header->privileged) == here->id
		    ? send_privileged(publisher, data, len)
		    : send_by_slot(publisher, data, len);
	if (r == -ERESTART)
		return kickmsg_send(publisher, data, len);
	if (r == -ENOBUFS)
		return km_reliable_refuse(publisher, live);
	return r < 0 ? r : (ssize_t)len;
}

/* The usual case, whose twin is km_reliable_shared_send_anyhow(): there is room as far as the publisher knows,
 * and the topic has no timestamps. False: nothing was done. */
static km_always_inline bool send_usual(
	struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	struct km_ring_cursor *cursor = &here->cursors[0];

	if (len > region->short_size || cursor->next - cursor->head > region->cell_mask ||
		km_load(U8, acquire, &region->header->privileged) != here->id)
		return false;
	km_shared_prefetch(region, cursor->next, len, false);
	if (km_load(L4, relaxed, &region->header->live) != here->live ||
		!km_shared_append(region, data, len, &here->id, NULL, &publisher->sequence,
			&cursor->next, true))
		return false;
	km_endpoint_count_sent(here->record, 1, len);
	return true;
}

/* Behind send_usual(): wakes whoever sleeps. */
static km_always_inline ssize_t end(struct kickmsg_publisher *publisher, size_t len)
{
	uint32_t seen = km_bell_listen(publisher->handle.place.region.bell);

	if (__builtin_expect(!(seen & KM_BELL_WOKEN), 0))
		return km_shared_wake(publisher, seen, len);
	return (ssize_t)len;
}

ssize_t km_reliable_shared_send(struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	if (!send_usual(publisher, data, len))
		return km_reliable_shared_send_anyhow(publisher, data, len);
	return end(publisher, len);
}

ssize_t km_reliable_shared_send_wait(
	struct kickmsg_publisher *publisher, const void *data, size_t len, int64_t timeout_ns)
{
	if (!send_usual(publisher, data, len))
		return km_reliable_send_wait(publisher, data, len, timeout_ns);
	return end(publisher, len);
}

int km_reliable_shared_publish(struct kickmsg_publisher *publisher, void *payload, size_t len)
{
	struct km_place *here = &publisher->handle.place, *of;
	struct km_loan *loan = km_loan_find(here, payload, &of);
	const uint64_t live = km_place_load_live(here);
	int r = 1;

	if (!loan || of != here)
		return km_publisher_publish_past(publisher, payload, len);
	if (len > loan->len)
		return -EMSGSIZE;
	if (live != here->live)
		r = km_publisher_look(publisher, live, KM_HAZARD_NONE, len);
	if (r == 0)
		return kickmsg_publish(publisher, payload, len);
	if (r > 0)
		r = publish(publisher, loan->slot, len);
	else
		km_slot_drop(&here->region.slots[loan->slot], KM_SLOT_ID_MASK);
	if (r == -ENOBUFS)
		return km_reliable_refuse(publisher, live);
	km_place_end_loan(here, loan);
	if (here->past)
		km_handle_settle(&publisher->handle);
	return r < 0 ? r : (int)kickmsg_publisher_reached(publisher);
}
