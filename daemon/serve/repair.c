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
#include <stdlib.h>
#include <string.h>

#include "daemon/peer/session.h"
#include "daemon/repair/recover.h"
#include "daemon/run/turn.h"
#include "daemon/serve/diagnose.h"
#include "daemon/serve/question.h"
#include "daemon/serve/serve.h"
#include "daemon/topic/topic.h"

static bool only_endpoints_are_left(const struct km_health *health)
{
	return health->endpoints_dead > 0 && !health->slots_orphaned && !health->slots_stale &&
	       !health->rings_undrained && !health->left_by_hazard;
}

/* REPAIR under way. */
struct repair {
	struct km_question question;
	struct km_msg_repair_ok answer;
	struct km_recovery recovery;
	/* the passes: what was asked for; a look for the answer; if only the dead themselves are left a
	 * whole one, and another look */
	enum { ASKED, LOOK, WHOLE, LOOK_AGAIN } pass;
	uint64_t live; /* rings before the whole one */
};

static void begin(struct repair *repair, unsigned pass, unsigned what)
{
	repair->pass = pass;
	repair->recovery = (struct km_recovery){ .what = what };
}

/* Goes on to the next pass when one is over. False: the repair is over, too. */
static bool next_pass(struct repair *repair)
{
	const struct km_topic *topic = repair->question.walk.topic;
	const struct km_reconcile_result *result = &repair->recovery.pass.result;
	struct km_msg_repair_ok *answer = &repair->answer;

	switch (repair->pass) {
	case ASKED:
		answer->before = result->health;
		answer->bits_cleared = result->bits_cleared;
		answer->slots_reclaimed = result->slots_reclaimed;
		answer->rings_reset = result->rings_drained;
		answer->endpoints_freed = repair->recovery.settled;
		begin(repair, LOOK, 0);
		return true;
	case LOOK:
		answer->after = result->health;
		if (!only_endpoints_are_left(&answer->after))
			return false;
		repair->live = topic->live;
		begin(repair, WHOLE, KM_REPAIR_ALL);
		return true;
	case WHOLE:
		answer->endpoints_freed += repair->recovery.settled;
		answer->rings_reset += (uint32_t)__builtin_popcountll(repair->live & ~topic->live);
		begin(repair, LOOK_AGAIN, 0);
		return true;
	default:
		answer->after = result->health;
		return false;
	}
}

static void answer(struct repair *repair, int r)
{
	struct km_session *session = repair->question.session;
	const struct km_topic *topic = repair->question.walk.topic;

	if (r == 0)
		km_session_answer(session, &repair->answer, sizeof repair->answer, NULL, 0);
	else if (topic->kept.quarantined)
		km_session_refuse(session, topic, -ESTALE,
			"topic '%s' is quarantined (%s): it can't be repaired; advertise it anew, "
			"the old"
			" memory goes with its last participant",
			topic->kept.key.name, topic->kept.reason);
	else if (r == -EBUSY)
		km_session_refuse(session, topic, r, "another repair is running; try again");
	else
		km_session_refuse(session, topic, r, "topic '%s' can't be repaired now: %s",
			topic->kept.key.name, strerror(-r));
}

static bool step(struct km_question *question)
{
	struct repair *repair = (struct repair *)question;
	int r = km_recovery_run(&repair->recovery, question->walk.topic, KM_PIECE);

	if (r > 0 || (r == 0 && next_pass(repair)))
		return true;
	answer(repair, r);
	return false;
}

static void end(struct km_question *question)
{
	km_recovery_end(&((struct repair *)question)->recovery);
}

void km_serve_repair(struct km_session *session, const struct km_msg_repair *request)
{
	struct km_topic *topic = km_diagnose_find(session, &request->topic, "repair", false);

	if (!topic)
		return;
	struct repair *repair = calloc(1, sizeof *repair);
	if (repair) {
		repair->question.step = step;
		repair->question.end = end;
		repair->answer.header.op = KM_OP_REPAIR_OK;
		begin(repair, ASKED, request->what);
	}
	km_question_ask(session, topic, repair ? &repair->question : NULL);
}
