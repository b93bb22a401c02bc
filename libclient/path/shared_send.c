/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing to a shared ring (shared.h), from top to bottom.
 *
 * The privileged publisher's send writes the bytes into the next cell's buffer and commits: one
 * locked instruction, no slot. Messages of other publishers, and all loans, go by a slot:
 *
 *    1. claim a free slot                               slot.h S1, U2
 *    2. write the payload in place
 *    3. delivering = slot                               endpoint.h H1
 *    4. W = RING                                        slot.h S3
 *    5. commit to the next cell                         shared.h U4
 *    6. drop RING of the slot whose cell it was         slot.h S4
 *    7. ring the bell                                   bell.h B1
 *    8. evicting, delivering = none                     endpoint.h H1
 *
 * A loan's bytes are written by its user, with plain stores. A reader that was overtaken may meet
 * them; it throws away what it read.
 */
#include "libclient/path/shared_send.h"

#include <errno.h>

#include "common/clock.h"
#include "common/shared/bell.h"
#include "common/shared/shared.h"
#include "libclient/export.h"
#include "libclient/path/loan.h"
#include "libclient/path/look.h"
#include "libclient/rejoin/move.h"

/* --- claiming a slot ------------------------------------------------------------------- */

/* Where no slot is free, the oldest message gives up its own. The second look is a short one, for
 * slots that came free meanwhile, so that a large pool is walked once. */
int km_shared_claim(struct kickmsg_publisher *publisher, size_t len, uint32_t *ret_slot)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;

	if (len > region->geometry.max_payload_size)
		return -EMSGSIZE;
	int r = km_slot_cache_claim(&here->cache, region, here->id, UINT32_MAX, ret_slot);
	if (r == -EAGAIN)
		r = km_shared_claim_oldest(
			region, here->record, here->id, here->cursors[0].next, ret_slot);
	if (r == -EAGAIN)
		r = km_slot_cache_claim(
			&here->cache, region, here->id, KM_SLOT_CACHE_FEW, ret_slot);
	if (r == -EAGAIN)
		return km_publisher_find_no_slot(publisher);
	if (r == 0)
		km_shared_begin_slot();
	return r;
}

/* --- publishing it --------------------------------------------------------------------- */

/* The twin of km_shared_append() (shared.h): commits a message that is in slot `ref`, or that the
 * usual case didn't take. */
static km_always_inline int commit_as(struct kickmsg_publisher *publisher, uint32_t ref,
	const struct km_shared_message *message, const uint64_t *publish_ns)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	int r = km_shared_commit(
		region, here->record, ref, message, publish_ns, &here->cursors[0].next, NULL);

	if (r < 0)
		km_hazard_clear(&here->record->evicting);
	else if (__builtin_expect(km_bell_notify(region->bell), 0))
		km_publisher_hurry(publisher);
	km_endpoint_count_sent(here->record, 1, message->len);
	return r;
}

static int commit(
	struct kickmsg_publisher *publisher, uint32_t ref, const struct km_shared_message *message)
{
	return commit_as(publisher, ref, message, NULL);
}

static km_noinline int commit_timed(struct kickmsg_publisher *publisher,
	const struct km_shared_message *message, uint64_t publish_ns)
{
	return commit_as(publisher, KM_SHARED_INLINE, message, &publish_ns);
}

/* Writes the publish time, just before the slot's message is published. For topics with
 * timestamps. */
static void stamp(const struct km_region *region, uint32_t slot)
{
	km_store(U6, relaxed, km_shared_slot_time(region, slot), km_clock_publish_ns());
}

static int publish_here(struct kickmsg_publisher *publisher, uint32_t slot, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	struct km_shared_message message = {
		.data = km_region_payload(region, slot),
		.len = len,
		.publisher_id = here->id,
		.sequence = ++publisher->sequence,
	};

	km_shared_write_head(km_shared_slot_head(region, slot), &message);
	km_hazard_set(&here->record->delivering, slot);
	km_slot_send(&region->slots[slot], KM_SLOT_RING);
	int r = commit(publisher, slot, &message);
	if (r < 0)
		km_slot_drop(&region->slots[slot], KM_SLOT_RING);
	km_hazard_clear(&here->record->delivering);
	return r;
}

static int publish(struct kickmsg_publisher *publisher, uint32_t slot, size_t len)
{
	struct km_place *here = &publisher->handle.place;
	uint64_t live = km_place_load_live(here);

	if (__builtin_expect(live != here->live, 0)) {
		int look = km_publisher_look(publisher, live, slot, len);

		if (look <= 0)
			return look;
	}
	return publish_here(publisher, slot, len);
}

/* --- the calls ------------------------------------------------------------------------- */

static km_always_inline ssize_t send_privileged(
	struct kickmsg_publisher *publisher, const void *data, size_t len, bool timed)
{
	struct km_place *here = &publisher->handle.place;
	uint64_t live = km_place_load_live(here);
	int r = live == here->live ? 1 : km_publisher_look(publisher, live, KM_HAZARD_NONE, len);

	if (r <= 0)
		return r < 0 ? r : kickmsg_send(publisher, data, len);
	struct km_shared_message message = {
		.data = data,
		.len = len,
		.publisher_id = here->id,
		.sequence = ++publisher->sequence,
	};
	r = timed ? commit_timed(publisher, &message, km_clock_publish_ns())
		  : commit(publisher, KM_SHARED_INLINE, &message);
	return r < 0 ? r : (ssize_t)len;
}

static km_always_inline ssize_t send_by_slot(
	struct kickmsg_publisher *publisher, const void *data, size_t len, bool timed)
{
	uint32_t slot;
	int r = km_shared_claim(publisher, len, &slot);

	if (r < 0)
		return r == -ERESTART ? kickmsg_send(publisher, data, len) : r;
	km_shared_write(
		(_Atomic uint64_t *)km_region_payload(&publisher->handle.place.region, slot), data,
		len);
	if (timed)
		stamp(&publisher->handle.place.region, slot);
	r = publish(publisher, slot, len);
	return r < 0 ? r : (ssize_t)len;
}

/* The twin of send_as(). The privilege is looked at once a message: see shared.h. */
static km_always_inline ssize_t send_anyhow_as(
	struct kickmsg_publisher *publisher, const void *data, size_t len, bool timed)
{
	const struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;

	if (len <= region->geometry.max_payload_size &&
		km_load(U8, acquire, &region->header->privileged) == here->id)
		return send_privileged(publisher, data, len, timed);
	return send_by_slot(publisher, data, len, timed);
}

static km_noinline ssize_t send_anyhow(
	struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	return send_anyhow_as(publisher, data, len, false);
}

static km_noinline ssize_t send_anyhow_timed(
	struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	return send_anyhow_as(publisher, data, len, true);
}

km_noinline ssize_t km_shared_wake(struct kickmsg_publisher *publisher, uint32_t seen, size_t len)
{
	if (km_bell_ring(publisher->handle.place.region.bell, seen))
		km_publisher_hurry(publisher);
	return (ssize_t)len;
}

/* The usual case, whose twin is send_anyhow_as(). Without timestamps it has no call in it, so that few
 * registers are saved. */
static km_always_inline ssize_t send_as(
	struct kickmsg_publisher *publisher, const void *data, size_t len, bool timed)
{
	ssize_t (*const anyhow)(struct kickmsg_publisher *, const void *,
		size_t) = timed ? send_anyhow_timed : send_anyhow;
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	const struct km_control_header *header = region->header;
	uint64_t publish_ns;

	if (len > region->short_size || km_load(U8, acquire, &header->privileged) != here->id)
		return anyhow(publisher, data, len);
	km_shared_prefetch(region, here->cursors[0].next, len, timed);
	if (km_load(L4, relaxed, &header->live) != here->live)
		return anyhow(publisher, data, len);
	if (timed)
		publish_ns = km_clock_publish_ns();
	if (!km_shared_append(region, data, len, &here->id, timed ? &publish_ns : NULL,
		    &publisher->sequence, &here->cursors[0].next, true))
		return anyhow(publisher, data, len);
	km_endpoint_count_sent(here->record, 1, len);
	uint32_t seen = km_bell_listen(region->bell);
	if (__builtin_expect(!(seen & KM_BELL_WOKEN), 0))
		return km_shared_wake(publisher, seen, len);
	return (ssize_t)len;
}

ssize_t km_shared_send(struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	return send_as(publisher, data, len, false);
}

ssize_t km_shared_send_timed(struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	return send_as(publisher, data, len, true);
}

/* A batch looks once at who is live and who is privileged, and has one fence and one wake. A
 * publisher that has lost its privilege is dead or has left. */
int km_shared_send_many(struct kickmsg_publisher *publisher, const struct iovec *messages,
	uint32_t count, bool *ret_stale)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	const struct km_control_header *header = region->header;
	uint32_t sent = 0;
	uint64_t bytes = 0;

	if (km_load(U8, acquire, &header->privileged) != here->id ||
		km_load(L4, relaxed, &header->live) != here->live)
		return 0;
	for (; sent < count && sent < KM_MANY; sent++) {
		const size_t len = messages[sent].iov_len;

		if (len > region->short_size)
			break;
		km_shared_prefetch(region, here->cursors[0].next, len, false);
		if (!km_shared_append(region, messages[sent].iov_base, len, &here->id, NULL,
			    &publisher->sequence, &here->cursors[0].next, false))
			break;
		bytes += len;
	}
	if (sent == 0)
		return 0;
	km_shared_fence(region);
	km_endpoint_count_sent(here->record, sent, bytes);
	if (km_bell_notify(region->bell))
		km_publisher_hurry(publisher);
	return (int)sent;
}

int km_shared_loan(struct kickmsg_publisher *publisher, size_t len, void **ret_payload)
{
	struct km_place *here = &publisher->handle.place;
	const struct km_region *region = &here->region;
	uint32_t slot;

	if (here->loan_count == region->geometry.max_loans)
		return len > region->geometry.max_payload_size ? -EMSGSIZE : -EDQUOT;
	int r = km_shared_claim(publisher, len, &slot);
	if (r < 0)
		return r == -ERESTART ? kickmsg_loan(publisher, len, ret_payload) : r;
	*ret_payload = km_loan_begin(here, slot, len);
	return 0;
}

int km_shared_publish(struct kickmsg_publisher *publisher, void *payload, size_t len)
{
	struct km_place *here = &publisher->handle.place, *of;
	struct km_loan *loan = km_loan_find(here, payload, &of);

	if (!loan || of != here)
		return km_publisher_publish_past(publisher, payload, len);
	if (len > loan->len)
		return -EMSGSIZE;
	const uint64_t live = km_place_load_live(here);
	int r = live == here->live ? 1 : km_publisher_look_before_loan(publisher, live, loan);
	if (r <= 0)
		return r < 0 ? r : kickmsg_publish(publisher, payload, len);
	km_place_end_loan(here, loan);
	r = publish_here(publisher, loan->slot, len);
	if (here->past)
		km_handle_settle(&publisher->handle);
	return r < 0 ? r : (int)kickmsg_publisher_reached(publisher);
}

int km_shared_publish_timed(struct kickmsg_publisher *publisher, void *payload, size_t len)
{
	struct km_place *here = &publisher->handle.place, *of;
	struct km_loan *loan = km_loan_find(here, payload, &of);

	if (loan && of == here)
		stamp(&here->region, loan->slot);
	return km_shared_publish(publisher, payload, len);
}

uint32_t km_shared_reach(const struct kickmsg_publisher *publisher)
{
	const struct km_region *region = &publisher->handle.place.region;
	uint32_t count = km_load(L5, relaxed, &region->header->subscribers);

	if (count > region->geometry.max_subscribers)
		count = region->geometry.max_subscribers;
	uint32_t own = km_load(P4, relaxed, &publisher->unheard);
	return count > own ? count - own : 0;
}
