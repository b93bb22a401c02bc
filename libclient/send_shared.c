/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing to a shared ring (shared.h).
 *
 * The privileged publisher's send() writes the bytes into the next cell's buffer and commits: one
 * locked instruction, no slot. What others send, and every loan, goes by a slot:
 *
 *   claim (S1) - fence (U2) - write - delivering = slot (H1) - W = RING (S3) - commit (U4) - drop RING
 *   of the slot whose cell it was (S4) - ring the bell (B1) - delivering, evicting = none (H1)
 *
 * A loan's bytes are written by its user, with plain stores. A reader that was overtaken may meet
 * them; it throws away what it read.
 */
#include <errno.h>

#include "bell.h"
#include "internal.h"
#include "rejoin.h"
#include "shared.h"

static inline uint64_t load_live(const struct kickmsg_publisher *publisher)
{
	return km_load(L1, acquire, &publisher->attachment.region.header->live);
}

static int commit(
	struct kickmsg_publisher *publisher, uint32_t ref, const struct km_shared_message *message)
{
	const struct km_region *region = &publisher->attachment.region;
	struct km_endpoint *endpoint = publisher->endpoint;
	int r = km_shared_commit(region, endpoint, ref, message, &publisher->cursors[0].next);

	if (r < 0)
		km_hazard_clear(&endpoint->evicting);
	else if (__builtin_expect(km_bell_notify(region->bell), 0))
		km_publisher_hurry(publisher);
	km_endpoint_count(&endpoint->messages, 1);
	return r;
}

int km_shared_publish(struct kickmsg_publisher *publisher, uint32_t slot, size_t len)
{
	const struct km_region *region = &publisher->attachment.region;
	struct km_endpoint *endpoint = publisher->endpoint;
	uint64_t live = load_live(publisher);
	struct km_shared_message message = {
		.data = km_region_payload(region, slot),
		.len = len,
		.publisher_id = publisher->id,
	};

	if (__builtin_expect(live != publisher->live, 0)) {
		int look = km_publisher_look(publisher, live, slot, len);

		if (look <= 0)
			return look;
	}
	message.sequence = ++publisher->sequence;
	km_shared_write_head(km_shared_slot_head(region, slot), &message);
	km_hazard_set(&endpoint->delivering, slot);
	km_slot_send(&region->slots[slot], KM_SLOT_RING);
	int r = commit(publisher, slot, &message);
	if (r < 0)
		km_slot_drop(&region->slots[slot], KM_SLOT_RING);
	km_hazard_clear(&endpoint->delivering);
	km_slot_cache_remember(&publisher->cache, region, slot);
	return r;
}

/* What km_shared_append() leaves, and what those send that aren't privileged. */
static km_noinline ssize_t send_anyhow(
	struct kickmsg_publisher *publisher, const void *data, size_t len, bool is_privileged)
{
	const struct km_region *region = &publisher->attachment.region;
	struct km_shared_message message = {
		.data = data,
		.len = len,
		.publisher_id = publisher->id,
	};
	uint32_t slot;
	int r;

	if (is_privileged) {
		uint64_t live = load_live(publisher);

		r = live == publisher->live
			    ? 1
			    : km_publisher_look(publisher, live, KM_HAZARD_NONE, len);
		if (r <= 0)
			return r < 0 ? r : kickmsg_send(publisher, data, len);
		message.sequence = ++publisher->sequence;
		r = commit(publisher, KM_SHARED_INLINE, &message);
		return r < 0 ? r : (ssize_t)len;
	}
	r = km_publisher_claim(publisher, len, &slot);
	if (r < 0)
		return r;
	km_shared_write((_Atomic uint64_t *)km_region_payload(region, slot), data, len);
	/* the claim may have gone to another region, where it is another */
	r = region->shared ? km_shared_publish(publisher, slot, len)
			   : km_publisher_publish(publisher, slot, len);
	return r < 0 ? r : (ssize_t)len;
}

static km_noinline ssize_t wake(struct kickmsg_publisher *publisher, uint32_t seen, size_t len)
{
	if (km_bell_ring(publisher->attachment.region.bell, seen))
		km_publisher_hurry(publisher);
	return (ssize_t)len;
}

/* The usual case has no call in it, so that few registers are saved. */
ssize_t km_shared_send(struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	const struct km_region *region = &publisher->attachment.region;
	struct km_shared_message message = {
		.data = data,
		.len = len,
		.sequence = publisher->sequence + 1,
		.publisher_id = publisher->id,
	};
	/* once a message: see shared.h */
	bool is_privileged = len <= region->geometry.max_payload_size &&
			     km_load(U8, acquire, &region->header->privileged) == publisher->id;

	if (!is_privileged || load_live(publisher) != publisher->live ||
		!km_shared_append(region, &message, &publisher->cursors[0].next))
		return send_anyhow(publisher, data, len, is_privileged);
	publisher->sequence++;
	km_endpoint_count(&publisher->endpoint->messages, 1);
	uint32_t seen = km_bell_listen(region->bell);
	if (__builtin_expect(!(seen & KM_BELL_WOKEN), 0))
		return wake(publisher, seen, len);
	return (ssize_t)len;
}
