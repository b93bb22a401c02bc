/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the broker reconciles, and what it may give out again afterwards.
 *
 * Settling: after a whole pass that ran to its end, ids, rings and records of those that were dead
 * when it began may be used again, also when the pass left some bits because a hazard named their
 * slots:
 *   - no slot carries a dead publisher's id any more: the pass dropped those whatever hazards say,
 *     and the dead claim no slots;
 *   - a bit of a dead subscriber's ring that was left is either being delivered (then it is a
 *     message for the ring's next owner, or its publisher drops it), being evicted (then the
 *     evictor drops it), or stale. A slot isn't reused while the bit is there, so the bit is never
 *     mistaken for one of the next owner's; as no window and no held[] has it, a later pass drops
 *     it. The topic stays dirty until one has.
 *
 * A client that gave an endpoint back is through with it; the broker doesn't take that on trust:
 * until the record's hazards are empty its place isn't given to anybody else.
 *
 * With automatic = no nothing of the dead is touched before the operator says so. What leaves in
 * good order is settled all the same as long as the topic has no dead.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "atomic.h"
#include "cleanup.h"
#include "health.h"
#include "keep.h"
#include "lifetime.h"
#include "live.h"
#include "log.h"
#include "member.h"
#include "quarantine.h"
#include "recover.h"
#include "segment.h"
#include "shared.h"
#include "topic.h"

/* A party for each member. Who has left and is quiet counts as dead for a pass that repairs: it has
 * no claim to anything. Returns how many. */
static size_t list_parties(const struct km_topic *topic, unsigned what, struct km_party *ret)
{
	const struct km_member *member;
	size_t count = 0;

	LIST_FOREACH (member, &topic->members, of_topic) {
		bool gone = what && member->state == KM_PARTY_LEAVING && km_member_is_quiet(member);

		ret[count++] = (struct km_party){
			.record = km_member_record(member),
			.state = gone ? KM_PARTY_DEAD : member->state,
			.role = member->role,
			.id = member->id,
			.ring = member->ring,
			.held_count = member->held_count,
		};
	}
	return count;
}

static size_t count_members(const struct km_topic *topic)
{
	return (size_t)topic->publishers + topic->subscribers + topic->leaving + topic->dead;
}

/* Rings that no living member has: a pass that resets rings closes them. */
static void forget_dead_rings(struct km_topic *topic)
{
	const struct km_member *member;
	uint64_t owned = 0;

	LIST_FOREACH (member, &topic->members, of_topic)
		if (member->state == KM_PARTY_LIVE && member->role == KM_ROLE_SUBSCRIBER &&
			!topic->region.shared)
			owned |= UINT64_C(1) << member->ring;
	topic->live &= owned | ~KM_LIVE_RINGS;
}

/* Settles all that were dead in this pass: `parties` are in the order of the members. */
static uint32_t settle(struct km_topic *topic, const struct km_party *parties)
{
	struct km_member *member = LIST_FIRST(&topic->members), *next;
	uint32_t count = 0;

	for (size_t i = 0; member; i++, member = next) {
		next = LIST_NEXT(member, of_topic);
		if (parties[i].state == KM_PARTY_DEAD) {
			km_member_settle(member);
			count++;
		}
	}
	return count;
}

static void log_repairs(const struct km_topic *topic, const struct km_recovery *recovery)
{
	const struct km_reconcile_result *result = &recovery->result;

	if (result->bits_cleared || result->slots_reclaimed || result->rings_drained)
		km_log(LOG_INFO | KM_EVENT_REPAIRED, NULL, topic,
			"repaired: %u stale references dropped, %u slots of the dead reclaimed,"
			" %u rings reset (%u messages), %u endpoints freed",
			result->bits_cleared, result->slots_reclaimed, result->rings_drained,
			result->messages_drained, recovery->settled);
}

/* Is header->live what the broker wrote? A client that was hung up on, and got a fresh region for a
 * name that this one doesn't have any more, has left it behind: it says so there, and closes its
 * rings. */
static bool live_is_mine(const struct km_topic *topic)
{
	uint64_t live = km_load(L1, acquire, &topic->region.header->live), differs;

	if (!(live & KM_LIVE_LEFT))
		return live == topic->live;
	differs = (live & ~KM_LIVE_LEFT) ^ topic->live;
	return !(differs & ~KM_LIVE_RINGS) && !(live & differs);
}

static int pass(struct km_topic *topic, struct km_recovery *recovery)
{
	_cleanup_(km_freep) struct km_party *parties = calloc(
		count_members(topic) + 1, sizeof *parties);
	struct km_reconcile_result *result = &recovery->result;
	const char *reason = NULL;

	if (!parties)
		return -ENOMEM;
	if (!live_is_mine(topic)) {
		km_topic_quarantine(topic, "the word of live rings is not what the broker wrote");
		return -ESTALE;
	}
	if (km_load(U8, acquire, &topic->region.header->privileged) != topic->privileged) {
		km_topic_quarantine(topic, "the privileged publisher is not whom the broker named");
		return -ESTALE;
	}
	size_t count = list_parties(topic, recovery->what, parties);
	int r = km_reconcile(&topic->region, parties, count, recovery->what, recovery->on_anomaly,
		recovery->userdata, result, &reason);
	if (r == -ESTALE)
		km_topic_quarantine(topic, reason);
	if (r < 0)
		return r;
	if (recovery->what & KM_REPAIR_RINGS)
		forget_dead_rings(topic);
	if (recovery->what == KM_REPAIR_ALL)
		recovery->settled = settle(topic, parties);
	if (recovery->what)
		topic->dirty = result->health.left_by_hazard > 0 ||
			       result->health.rings_undrained > 0 || topic->leaving > 0;
	return 0;
}

int km_topic_recover(struct km_topic *topic, struct km_recovery *recovery)
{
	int lock = topic->broker->reconcile_lock;

	recovery->settled = 0;
	memset(&recovery->result, 0, sizeof recovery->result);
	if (topic->quarantined)
		return -ESTALE;
	if (!recovery->what)
		return pass(topic, recovery);
	if (km_segment_lock(lock, true) < 0)
		return -EBUSY;
	int r = pass(topic, recovery);
	flock(lock, LOCK_UN);
	if (r == 0)
		log_repairs(topic, recovery);
	return r;
}

/* Will nobody touch the region any more? */
static bool all_are_through(const struct km_topic *topic)
{
	const struct km_member *member;

	LIST_FOREACH (member, &topic->members, of_topic)
		if (member->state == KM_PARTY_LIVE ||
			(member->state == KM_PARTY_LEAVING && !km_member_is_quiet(member)))
			return false;
	return true;
}

/* Settles without a pass: nobody will ever again be given what is in this region. */
static void settle_unseen(struct km_topic *topic)
{
	struct km_member *member = LIST_FIRST(&topic->members), *next;

	for (; member; member = next) {
		next = LIST_NEXT(member, of_topic);
		if (member->state == KM_PARTY_DEAD ||
			(member->state == KM_PARTY_LEAVING && km_member_is_quiet(member)))
			km_member_settle(member);
	}
	topic->dirty = topic->leaving > 0;
}

void km_topic_tend(struct km_topic *topic)
{
	const bool may_repair = topic->broker->config->automatic || topic->dead == 0;
	struct km_recovery recovery = { .what = may_repair ? KM_REPAIR_ALL : 0 };

	km_keep_commit(topic->broker); /* what the gone had lost: draining their rings changes it */
	topic->has_died = false;
	topic->dirty = false;
	if (topic->quarantined) {
		km_topic_keep_quarantined(topic);
		settle_unseen(topic);
		return;
	}
	if (may_repair && !km_lifetime_keeps(topic) && all_are_through(topic)) {
		km_topic_forget_name(topic);
		settle_unseen(topic);
		return;
	}
	/* A publisher may have died between its commit and its wake. That is nothing to keep for the
	 * operator: the subscriber would sleep on beside its message. */
	if (!may_repair)
		km_live_wake_all(&topic->region);
	int r = km_topic_recover(topic, &recovery);
	if (recovery.settled > 0)
		km_health_look_again(topic);
	if (r < 0 && r != -ESTALE) {
		topic->dirty = true;
		km_log(LOG_WARNING | KM_EVENT_CANT_RECONCILE, NULL, topic,
			"can't reconcile now: %s", strerror(-r));
	}
}
