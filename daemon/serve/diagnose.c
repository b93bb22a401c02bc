/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DIAGNOSE: a look at a region under live traffic that changes nothing, with names for what it
 * finds.
 *
 * A pass that repairs nothing says what is wrong where. The broker's memory says whose that is, and
 * since when its owner is dead. watch.c remembers what stands still. Anomalies come in pages:
 * each request makes a new pass and skips what the cursor says was told before.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "daemon/peer/session.h"
#include "daemon/repair/recover.h"
#include "daemon/repair/watch.h"
#include "daemon/run/turn.h"
#include "daemon/serve/diagnose.h"
#include "daemon/serve/info.h"
#include "daemon/serve/question.h"
#include "daemon/serve/rights.h"
#include "daemon/serve/serve.h"
#include "daemon/serve/wanted.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"
#include "daemon/topic/walk.h"

/* DIAGNOSE under way. */
struct diagnosis {
	struct km_question question;
	struct km_msg_diagnose_ok answer;
	struct km_recovery recovery;
	enum { PASS, WATCH, OWNERS } step;
	uint64_t skip;
	uint64_t seen;
	int64_t now_ns;
};

struct km_topic *km_diagnose_find(struct km_session *session, const struct km_msg_topic *names,
	const char *verb, bool attached_may)
{
	struct km_topic *topic = km_wanted_topic_anyhow(session, names);

	if (!topic)
		return NULL;
	if (attached_may && km_info_has_endpoint(session, topic))
		return topic;
	return km_rights_allow(session, &topic->kept.key, topic, KM_RIGHT_ADMINISTER, verb) ? topic
											    : NULL;
}

/* Is the anomaly the member's: a publisher's by its id, a subscriber's by its ring? A shared ring's
 * subscriber may be shown by no number, and what belongs to nobody has none. */
static bool is_of(const struct km_anomaly *anomaly, const struct km_member *member)
{
	if (!anomaly->owner_id && anomaly->ring == KM_HAZARD_NONE &&
		anomaly->kind != KM_ANOMALY_DEAD_ENDPOINT)
		return false;
	if (anomaly->owner_id)
		return member->kept.role == KM_ROLE_PUBLISHER &&
		       member->kept.id == anomaly->owner_id;
	return member->kept.role == KM_ROLE_SUBSCRIBER && member->kept.ring == anomaly->ring;
}

/* Names the owner of an anomaly. The dead come before the living. */
static void name_owner(
	const struct diagnosis *diagnosis, const struct km_member *member, struct km_anomaly *entry)
{
	const struct km_session *session = member->session;

	if (!is_of(entry, member) || (*entry->owner && member->kept.state != KM_ENDPOINT_DEAD))
		return;
	entry->owner_pid = session->kept.pid;
	entry->owner_uid = session->kept.uid;
	entry->owner_alive = session->kept.state != KM_SESSION_DEAD;
	if (!entry->owner_alive)
		entry->age_ns = (uint64_t)(diagnosis->now_ns - session->kept.died_ns);
	snprintf(entry->owner, sizeof entry->owner, "%s", session->kept.name);
}

static void on_anomaly(void *userdata, const struct km_anomaly *anomaly)
{
	struct diagnosis *diagnosis = userdata;
	struct km_msg_diagnose_ok *answer = &diagnosis->answer;

	if (diagnosis->seen++ >= diagnosis->skip && answer->count < KM_WIRE_ANOMALY_PAGE)
		answer->anomalies[answer->count++] = *anomaly;
}

static void describe_quarantined(struct diagnosis *diagnosis)
{
	const struct km_anomaly corrupt = {
		.kind = KM_ANOMALY_CORRUPT, .slot = KM_HAZARD_NONE, .ring = KM_HAZARD_NONE
	};
	const struct km_topic *topic = diagnosis->question.walk.topic;
	struct km_msg_diagnose_ok *answer = &diagnosis->answer;

	memset(answer->anomalies, 0, sizeof answer->anomalies);
	answer->count = 0;
	diagnosis->seen = 0;
	answer->health = (struct km_health){
		.quarantined = 1,
		.publishers = topic->publishers,
		.subscribers = topic->subscribers,
		.endpoints_dead = topic->dead,
		.endpoints_leaving = topic->leaving,
	};
	on_anomaly(diagnosis, &corrupt);
}

/* Reports what stands still (watch), or whose the anomalies are. True: there are more members. */
static bool look_at_members(struct diagnosis *diagnosis, bool watch)
{
	struct km_session *session = diagnosis->question.session;
	int64_t min_ns = (int64_t)session->broker->config->interval_ms * 1000000;
	struct km_msg_diagnose_ok *answer = &diagnosis->answer;
	struct km_member *member = NULL;

	for (unsigned work = KM_PIECE / KM_WIRE_ANOMALY_PAGE; work > 0; work--) {
		member = km_walk_next(&diagnosis->question.walk);
		if (!member)
			break;
		if (watch)
			km_watch_report(member, diagnosis->now_ns, min_ns, on_anomaly, diagnosis);
		for (uint32_t i = 0; !watch && i < answer->count; i++)
			name_owner(diagnosis, member, &answer->anomalies[i]);
	}
	return member != NULL;
}

static bool end_step(struct diagnosis *diagnosis, unsigned next)
{
	diagnosis->step = next;
	km_walk_rewind(&diagnosis->question.walk);
	return true;
}

/* Goes on with the pass. False: it was refused. */
static bool pass(struct diagnosis *diagnosis)
{
	struct km_topic *topic = diagnosis->question.walk.topic;
	int r = km_recovery_run(&diagnosis->recovery, topic, KM_PIECE);

	if (r > 0)
		return true;
	if (r < 0 && r != -ESTALE) {
		km_session_refuse(diagnosis->question.session, topic, r,
			"topic '%s' can't be looked at now: %s", topic->kept.key.name,
			strerror(-r));
		return false;
	}
	diagnosis->now_ns = km_clock_ns();
	memcpy(diagnosis->answer.reason, topic->kept.reason, sizeof diagnosis->answer.reason);
	if (topic->kept.quarantined)
		describe_quarantined(diagnosis);
	else
		diagnosis->answer.health = diagnosis->recovery.pass.result.health;
	return end_step(diagnosis, topic->kept.quarantined ? OWNERS : WATCH);
}

static bool step(struct km_question *question)
{
	struct diagnosis *diagnosis = (struct diagnosis *)question;
	struct km_msg_diagnose_ok *answer = &diagnosis->answer;

	if (diagnosis->step == PASS)
		return pass(diagnosis);
	if (look_at_members(diagnosis, diagnosis->step == WATCH))
		return true;
	if (diagnosis->step == WATCH)
		return end_step(diagnosis, OWNERS);
	if (diagnosis->seen > diagnosis->skip + answer->count)
		answer->next = diagnosis->skip + answer->count;
	km_session_answer(question->session, answer, sizeof *answer, NULL, 0);
	return false;
}

static void end(struct km_question *question)
{
	km_recovery_end(&((struct diagnosis *)question)->recovery);
}

void km_serve_diagnose(struct km_session *session, const struct km_msg_topic *request)
{
	struct km_topic *topic = km_diagnose_find(session, request, "diagnose", true);

	if (!topic)
		return;
	struct diagnosis *diagnosis = calloc(1, sizeof *diagnosis);
	if (diagnosis) {
		diagnosis->question.step = step;
		diagnosis->question.end = end;
		diagnosis->answer.header.op = KM_OP_DIAGNOSE_OK;
		diagnosis->skip = request->cursor;
		diagnosis->recovery.on_anomaly = on_anomaly;
		diagnosis->recovery.userdata = diagnosis;
	}
	km_question_ask(session, topic, diagnosis ? &diagnosis->question : NULL);
}
