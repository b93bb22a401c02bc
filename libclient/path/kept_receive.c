/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A newcomer's messages from the kept ring: see kept_receive.h, and kept.h for why each message comes
 * once.
 *
 *   history      before the subscriber looks at its own ring: each receive takes the next message
 *   late cells   in its own ring, among the messages
 *
 * A subscriber holds no more slots by its history than by its own ring: it takes a message when it
 * receives it. A message that was pushed out of the kept ring before that is lost, and counted.
 */
#include "libclient/path/kept_receive.h"

#include "libclient/path/hold.h"
#include "libclient/path/rings_sample.h"

static void lose(struct km_place *here, uint64_t count)
{
	here->lost += count;
	here->newcomer.left -= count;
	km_store(H2, relaxed, &here->record->lost, here->lost);
	km_endpoint_count(&here->record->failed, count);
}

enum passed { TAKEN, BY_RING, GONE };

/* Goes on to the next message. One that is gone between kept_before and kept_behind may have come by the
 * ring, and one that comes by the ring isn't counted there. */
static void pass(struct km_place *here, enum passed passed)
{
	struct km_newcomer *newcomer = &here->newcomer;

	const bool sure = (int64_t)(newcomer->sure - newcomer->next) > 0;

	newcomer->next++;
	if (newcomer->left == 0)
		return;
	if (passed == TAKEN || (passed == BY_RING && sure))
		newcomer->left--;
	else if (passed == GONE && sure)
		lose(here, 1);
}

static int finish(struct km_place *here)
{
	struct km_newcomer *newcomer = &here->newcomer;

	lose(here, newcomer->left);
	newcomer->next = newcomer->end;
	here->region.path &= ~(uint32_t)KM_PATH_KEPT;
	return -ENODATA;
}

/* Was the message published by the member of a channel that doesn't hear itself? */
static bool is_own(struct km_place *here, const struct km_sample_header *sample)
{
	uint32_t own = km_load(P2, relaxed, &here->own_id);

	km_plain_read(sample, sizeof *sample);
	return own != 0 && sample->publisher_id == own;
}

static int hand_out(struct kickmsg_subscriber *subscriber, struct km_hold *hold, uint32_t slot,
	struct kickmsg_sample *ret)
{
	struct km_place *here = &subscriber->handle.place;
	struct km_newcomer *newcomer = &here->newcomer;
	const struct km_sample_header *sample = km_region_sample(&here->region, slot);
	/* positions count up to that of the first message of the own ring */
	const uint64_t ring_pos = here->next + here->offset - (newcomer->end - newcomer->next);

	hold->position = ring_pos;
	hold->slot = &here->region.slots[slot];
	pass(here, TAKEN);
	if (is_own(here, sample)) {
		km_place_let_go(here, hold);
		return -ENOENT;
	}
	km_endpoint_count(&here->record->evicted, 1);
	return km_rings_hand_out(subscriber, hold, ring_pos, sample, ret)
		       ? 0
		       : km_rings_senseless(here, hold);
}

int km_kept_receive(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	struct km_place *here = &subscriber->handle.place;
	struct km_newcomer *newcomer = &here->newcomer;

	while (newcomer->next != newcomer->end) {
		struct km_hold *hold = km_hold_spare(here);
		uint32_t slot;
		int r = km_kept_take(&here->kept, here->ring_index, newcomer->opening,
			newcomer->next, hold->held, &slot);

		if (r == 0)
			r = hand_out(subscriber, hold, slot, ret);
		else if (r == -ENOENT)
			pass(here, GONE);
		else if (r == -EALREADY)
			pass(here, BY_RING);
		if (r == 0 || r == -ESTALE)
			return r;
		if (r == -EOVERFLOW) {
			newcomer->late = KM_LATE_LOST;
			break;
		}
	}
	return finish(here);
}

/* Is the message, wherever it is now, this subscriber's? */
static bool is_wanted(const struct km_newcomer *newcomer, uint64_t kept_position)
{
	return newcomer->late != KM_LATE_IGNORED && (int64_t)(kept_position - newcomer->end) >= 0;
}

static void ignore(struct km_place *here, uint64_t position)
{
	if (position != here->next)
		km_rings_lose_up_to(here, position);
	km_place_expect(here, position + 1);
}

int km_kept_take_late(struct kickmsg_subscriber *subscriber, struct km_hold *hold,
	uint64_t position, uint32_t number, uint32_t *ret_slot)
{
	struct km_place *here = &subscriber->handle.place;
	struct km_newcomer *newcomer = &here->newcomer;
	const uint64_t kept_position = km_kept_late_position(&here->kept, number);

	if (!is_wanted(newcomer, kept_position) || newcomer->late == KM_LATE_LOST) {
		km_kept_lose_late(here, hold, position, number);
		return -ENOENT;
	}
	int r = km_kept_take(&here->kept, here->ring_index, newcomer->opening, kept_position,
		hold->held, ret_slot);
	if (r < 0)
		km_hazard_clear(hold->held);
	if (r == -EOVERFLOW)
		newcomer->late = KM_LATE_LOST;
	else if (r == -EALREADY)
		ignore(here, position);
	else
		return r;
	/* a position in the ring that isn't passed over counts as lost with the next message */
	return -ENOENT;
}

void km_kept_lose_late(
	struct km_place *here, struct km_hold *hold, uint64_t position, uint32_t number)
{
	km_hazard_clear(hold->held);
	if (!is_wanted(&here->newcomer, km_kept_late_position(&here->kept, number)))
		ignore(here, position);
}

void km_kept_skip(struct kickmsg_subscriber *subscriber, uint64_t most)
{
	struct km_place *here = &subscriber->handle.place;
	struct km_newcomer *newcomer = &here->newcomer;

	while (newcomer->left > most && newcomer->next != newcomer->end) {
		newcomer->next++;
		lose(here, 1);
	}
	if (newcomer->next == newcomer->end)
		finish(here);
}
