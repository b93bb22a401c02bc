/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the broker reconciles, and what it may give out again afterwards.
 *
 * Settling comes after a whole pass that ran to its end. Ids, rings and records of those that were
 * dead when it began may be used again, also when the pass left some bits because a hazard named
 * their slots:
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
 * In the middle of a pass members may come, leave and die. The first walk through the members says
 * who is settled in the end (`gone_in`); all others, newcomers too, count in every step
 * (reconcile.c). A pass ends when the topic is quarantined.
 */
#include <errno.h>
#include <sys/file.h>

#include "common/memory/atomic.h"
#include "common/memory/segment.h"
#include "common/shared/shared.h"
#include "daemon/keep/keep.h"
#include "daemon/repair/recover.h"
#include "daemon/run/log.h"
#include "daemon/topic/header.h"
#include "daemon/topic/leave.h"
#include "daemon/topic/member.h"
#include "daemon/topic/quarantine.h"
#include "daemon/topic/topic.h"
#include "daemon/topic/walk.h"

/* Topics with at least so many slots are large. At once so many passes over large topics may be
 * under way on somebody's request: each remembers 32 bytes of a slot. */
#define LARGE_POOL   65536
#define LARGE_PASSES 2

static void rewind_endpoints(void *userdata)
{
	struct km_recovery *recovery = userdata;

	km_walk_rewind(&recovery->walk);
	recovery->first_walk = recovery->pass.step == 0;
}

/* Does the member count as dead for this pass? For a pass that repairs, so does one that has left
 * and is quiet: it has no claim to anything. */
static bool is_gone(struct km_recovery *recovery, struct km_member *member)
{
	if (!recovery->pass.what)
		return member->kept.state == KM_ENDPOINT_DEAD;
	if (recovery->first_walk) {
		const bool is_dead = member->kept.state == KM_ENDPOINT_DEAD;

		recovery->met_dead |= is_dead;
		if (is_dead ||
			(member->kept.state == KM_ENDPOINT_LEAVING && km_member_is_quiet(member)))
			member->gone_in = recovery->number;
	}
	return member->gone_in == recovery->number;
}

static bool next_endpoint(void *userdata, struct km_known_endpoint *ret)
{
	struct km_recovery *recovery = userdata;
	struct km_member *member = km_walk_next(&recovery->walk);

	if (!member)
		return false;
	*ret = (struct km_known_endpoint){
		.record = km_member_record(member),
		.state = is_gone(recovery, member)                ? KM_ENDPOINT_DEAD
			 : member->kept.state == KM_ENDPOINT_DEAD ? KM_ENDPOINT_LEAVING
								  : member->kept.state,
		.role = member->kept.role,
		.id = member->kept.id,
		.ring = member->kept.ring,
		.held_count = member->held_count,
	};
	return true;
}

static uint64_t owned_rings(void *userdata)
{
	const struct km_recovery *recovery = userdata;

	return recovery->walk.topic->rings_owned;
}

/* Settles a member. Returns what is left of the work: each walk in the topic is looked at for the
 * member that goes. */
static uint64_t settle_member(struct km_member *member, uint64_t work)
{
	const uint64_t walks = member->topic->walk_count;

	km_leave_settle(member);
	return work > walks ? work - walks : 0;
}

/* Settles members that the first walk found gone. True: there are more. */
static bool settle(struct km_recovery *recovery, uint64_t work)
{
	struct km_topic *topic = recovery->walk.topic;
	uint32_t before = recovery->settled;
	struct km_member *member = NULL;

	for (; work > 0 && (member = km_walk_next(&recovery->walk)); work -= work > 0)
		if (member->gone_in == recovery->number) {
			work = settle_member(member, work);
			recovery->settled++;
		}
	if (recovery->settled != before)
		km_keep_topic(topic);
	return member != NULL;
}

bool km_recovery_settle_unseen(struct km_walk *walk, uint64_t work)
{
	struct km_topic *topic = walk->topic;
	struct km_member *member = NULL;
	bool settled = false;

	for (; work > 0 && (member = km_walk_next(walk)); work -= work > 0)
		if (member->kept.state == KM_ENDPOINT_DEAD ||
			(member->kept.state == KM_ENDPOINT_LEAVING && km_member_is_quiet(member))) {
			work = settle_member(member, work);
			settled = true;
		}
	if (settled)
		km_keep_topic(topic);
	return member != NULL;
}

/* A subscriber that leaves with messages in its ring has damaged nothing. */
static void log_repairs(const struct km_recovery *recovery)
{
	const struct km_reconcile_result *result = &recovery->pass.result;

	if (result->bits_cleared || result->slots_reclaimed ||
		(result->rings_drained && recovery->met_dead))
		km_log(LOG_INFO | KM_EVENT_REPAIRED, NULL, recovery->walk.topic,
			"repaired: %u stale references dropped, %u slots of the dead reclaimed,"
			" %u rings reset (%u messages), %u endpoints freed",
			result->bits_cleared, result->slots_reclaimed, result->rings_drained,
			result->messages_drained, recovery->settled);
}

/* Is header->live what the broker wrote? A client may have left this region behind: it was hung up
 * on, and got a fresh region for a name that this topic doesn't have any more. Such a client says
 * so in the word, and closes its rings. */
static bool live_is_mine(const struct km_topic *topic)
{
	uint64_t live = km_load(L4, relaxed, &topic->region.header->live), differs;

	if (!(live & KM_LIVE_LEFT))
		return live == topic->live;
	differs = (live & ~KM_LIVE_LEFT) ^ topic->live;
	return !(differs & ~KM_LIVE_RINGS) && !(live & differs);
}

/* Is each word that the broker alone writes as the broker wrote it? */
static bool is_sound(struct km_topic *topic)
{
	km_header_look(topic);
	if (!live_is_mine(topic)) {
		km_topic_quarantine(topic, "the word of live rings is not what the broker wrote");
		return false;
	}
	if (km_load(U8, acquire, &topic->region.header->privileged) != topic->privileged) {
		km_topic_quarantine(topic, "the privileged publisher is not whom the broker named");
		return false;
	}
	return true;
}

static bool is_large(const struct km_topic *topic)
{
	return topic->region.geometry.pool_size > LARGE_POOL;
}

/* Takes the lock for the first pass that repairs; the last one gives it back. */
static int take_lock(struct km_broker *broker)
{
	if (broker->reconciling == 0 && km_segment_lock(broker->reconcile_lock, true) < 0)
		return -EBUSY;
	broker->reconciling++;
	return 0;
}

static void give_lock(struct km_broker *broker)
{
	if (--broker->reconciling == 0)
		flock(broker->reconcile_lock, LOCK_UN);
}

int km_recovery_begin(struct km_recovery *recovery, struct km_topic *topic)
{
	struct km_broker *broker = topic->broker;

	recovery->settled = 0;
	recovery->passed = recovery->met_dead = false;
	if (topic->kept.quarantined)
		return -ESTALE;
	if ((recovery->what && topic->repaired) ||
		(is_large(topic) && !topic->tended && broker->large >= LARGE_PASSES))
		return -EAGAIN;
	int r = recovery->what ? take_lock(broker) : 0;
	if (r < 0)
		return r;
	recovery->pass = (struct km_pass){
		.region = &topic->region,
		.endpoints = { rewind_endpoints, next_endpoint, owned_rings, recovery },
		.what = recovery->what,
		.on_anomaly = recovery->on_anomaly,
		.userdata = recovery->userdata,
	};
	r = is_sound(topic) ? km_pass_init(&recovery->pass) : -ESTALE;
	if (r < 0) {
		if (recovery->what)
			give_lock(broker);
		return r;
	}
	recovery->number = ++broker->next_pass;
	recovery->active = true;
	broker->large += is_large(topic);
	topic->repaired |= recovery->what != 0;
	km_walk_begin(&recovery->walk, topic);
	return 0;
}

/* Decides what is to be looked at again after the pass, such as members that have gone since it
 * began. */
static void finish(struct km_recovery *recovery)
{
	struct km_topic *topic = recovery->walk.topic;
	const struct km_health *health = &recovery->pass.result.health;

	if (recovery->what)
		topic->dirty |= health->left_by_hazard > 0 || health->rings_undrained > 0 ||
				topic->leaving > 0;
	if (recovery->what)
		log_repairs(recovery);
}

int km_recovery_step(struct km_recovery *recovery, uint64_t work)
{
	struct km_topic *topic = recovery->walk.topic;

	if (topic->kept.quarantined)
		return -ESTALE;
	if (!recovery->passed) {
		uint64_t known = recovery->pass.unowned;
		int r = km_pass_step(&recovery->pass, work);

		/* the rings that it has just closed */
		if (recovery->what & KM_REPAIR_RINGS)
			topic->live &= ~(recovery->pass.unowned & ~known);
		if (r == -ESTALE)
			km_topic_quarantine(topic, recovery->pass.reason);
		if (r != 0)
			return r;
		recovery->passed = true;
		km_walk_rewind(&recovery->walk);
	}
	if (recovery->what == KM_REPAIR_ALL && settle(recovery, work))
		return 1;
	finish(recovery);
	return 0;
}

void km_recovery_end(struct km_recovery *recovery)
{
	struct km_topic *topic = recovery->walk.topic;

	if (!recovery->active)
		return;
	recovery->active = false;
	km_pass_deinit(&recovery->pass);
	topic->broker->large -= is_large(topic);
	if (recovery->what) {
		topic->repaired = false;
		give_lock(topic->broker);
	}
	km_walk_end(&recovery->walk);
}

int km_recovery_run(struct km_recovery *recovery, struct km_topic *topic, uint64_t work)
{
	int r = recovery->active ? 0 : km_recovery_begin(recovery, topic);

	if (r == 0)
		r = km_recovery_step(recovery, work);
	if (r <= 0 && r != -EAGAIN)
		km_recovery_end(recovery);
	return r == -EAGAIN ? 1 : r;
}

uint64_t km_recovery_work(const struct km_topic *topic)
{
	const struct km_geometry *geometry = &topic->region.geometry;
	uint64_t rings = topic->region.shared ? 1 : topic->region.ring_count;
	uint64_t gone = (uint64_t)topic->leaving + topic->dead;
	uint64_t members = (uint64_t)topic->publishers + topic->subscribers + gone;

	return geometry->pool_size + rings * geometry->ring_capacity + topic->region.kept_capacity +
	       members + gone * topic->walk_count;
}
