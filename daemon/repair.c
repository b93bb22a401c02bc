/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REPAIR: the operator's kinds of repair, one or several of them, with what was there before and
 * after.
 *
 * Only a whole pass settles the endpoints of the dead. When an operator has done all that there was
 * to do kind by kind, nothing is left to repair but them; the whole pass that proves it then
 * settles them.
 */
#include <errno.h>
#include <string.h>

#include "diagnose.h"
#include "recover.h"
#include "session.h"

static bool only_endpoints_are_left(const struct km_health *health)
{
	return health->endpoints_dead > 0 && !health->slots_orphaned && !health->slots_stale &&
	       !health->rings_undrained && !health->left_by_hazard;
}

/* A look for the answer, and the settling if that is all that is left. */
static int look_after(struct km_topic *topic, struct km_msg_repair_ok *answer)
{
	struct km_recovery look = { .what = 0 }, whole = { .what = KM_REPAIR_ALL };
	int r = km_topic_recover(topic, &look);

	if (r == 0 && only_endpoints_are_left(&look.result.health)) {
		uint64_t live = topic->live;

		r = km_topic_recover(topic, &whole);
		answer->endpoints_freed += whole.settled;
		answer->rings_reset += (uint32_t)__builtin_popcountll(live & ~topic->live);
		if (r == 0)
			r = km_topic_recover(topic, &look);
	}
	answer->after = look.result.health;
	return r;
}

void km_repair_serve(struct km_session *session, const struct km_msg_repair *request)
{
	struct km_msg_repair_ok answer = { .header.op = KM_OP_REPAIR_OK };
	struct km_recovery recovery = { .what = request->what };
	struct km_msg_topic names = { .kind = request->kind };
	memcpy(names.topic, request->topic, sizeof names.topic);
	memcpy(names.prefix, request->prefix, sizeof names.prefix);
	memcpy(names.owner, request->owner, sizeof names.owner);
	struct km_topic *topic = km_diagnose_find(session, &names, "repair", false);

	if (!topic)
		return;
	int r = km_topic_recover(topic, &recovery);
	if (r == 0) {
		answer.before = recovery.result.health;
		answer.bits_cleared = recovery.result.bits_cleared;
		answer.slots_reclaimed = recovery.result.slots_reclaimed;
		answer.rings_reset = recovery.result.rings_drained;
		answer.endpoints_freed = recovery.settled;
		r = look_after(topic, &answer);
	}
	if (r == 0)
		km_session_answer(session, &answer, sizeof answer, NULL, 0);
	else if (topic->quarantined)
		km_session_refuse(session, topic, -ESTALE,
			"topic '%s' is quarantined (%s): it can't be repaired; advertise it anew, "
			"the old"
			" memory goes with its last participant",
			topic->key.name, topic->reason);
	else if (r == -EBUSY)
		km_session_refuse(session, topic, r, "another repair is running; try again");
	else
		km_session_refuse(session, topic, r, "topic '%s' can't be repaired now: %s",
			topic->key.name, strerror(-r));
}
