/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DIAGNOSE: a look at a region under live traffic that changes nothing, with names for what it
 * finds.
 *
 * A pass that repairs nothing says what is wrong where; who that belongs to, and since when it is
 * dead, is in the broker's memory; what stands still, watch.c remembers. Anomalies come in pages:
 * each request makes a new pass and skips what the cursor says was told before.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "diagnose.h"
#include "info.h"
#include "recover.h"
#include "rights.h"
#include "session.h"
#include "topic.h"
#include "waiter.h"
#include "watch.h"

struct page {
	const struct km_topic *topic;
	struct km_msg_diagnose_ok *answer;
	uint64_t skip;
	uint64_t seen;
	int64_t now_ns;
};

struct km_topic *km_diagnose_find(struct km_session *session, const struct km_msg_topic *names,
	const char *verb, bool participants_may)
{
	struct km_topic_key key = { .kind = names->kind };

	strcpy(key.prefix, *names->prefix ? names->prefix : session->prefix);
	strcpy(key.name, names->topic);
	if (key.kind == KM_KIND_MAILBOX)
		strcpy(key.owner, *names->owner ? names->owner : session->name);
	struct km_topic *topic = km_topic_find_any(session->broker, &key);
	if (!topic) {
		km_session_refuse(session, NULL, -ENOENT, "there is no %s '%s' with prefix '%s'",
			km_kind_name(key.kind), key.name, key.prefix);
		return NULL;
	}
	if (participants_may && km_info_participates(session, topic))
		return topic;
	return km_rights_allow(session, &topic->key, topic, KM_RIGHT_ADMINISTER, verb) ? topic
										       : NULL;
}

/* Whose it is: a publisher's by its id, a subscriber's by its ring. The dead before the living. */
static const struct km_member *find_owner(
	const struct km_topic *topic, const struct km_anomaly *anomaly)
{
	const struct km_member *member, *found = NULL;

	/* a shared ring's subscriber may be shown by none, so may what belongs to nobody */
	if (!anomaly->owner_id && anomaly->ring == KM_HAZARD_NONE &&
		anomaly->kind != KM_ANOMALY_DEAD_ENDPOINT)
		return NULL;
	LIST_FOREACH (member, &topic->members, of_topic) {
		bool its = anomaly->owner_id ? member->role == KM_ROLE_PUBLISHER &&
						       member->id == anomaly->owner_id
					     : member->role == KM_ROLE_SUBSCRIBER &&
						       member->ring == anomaly->ring;

		if (its && (!found || member->state == KM_PARTY_DEAD))
			found = member;
	}
	return found;
}

static void on_anomaly(void *userdata, const struct km_anomaly *anomaly)
{
	struct page *page = userdata;
	struct km_msg_diagnose_ok *answer = page->answer;

	if (page->seen++ < page->skip || answer->count == KM_WIRE_ANOMALY_PAGE)
		return;
	struct km_anomaly *entry = &answer->anomalies[answer->count++];
	const struct km_member *owner = find_owner(page->topic, anomaly);

	*entry = *anomaly;
	if (!owner)
		return;
	const struct km_session *session = owner->session;
	entry->owner_pid = session->pid;
	entry->owner_uid = session->uid;
	entry->owner_alive = session->state != KM_SESSION_DEAD;
	if (!entry->owner_alive)
		entry->age_ns = (uint64_t)(page->now_ns - session->died_ns);
	snprintf(entry->owner, sizeof entry->owner, "%s", session->name);
}

static void describe_quarantined(const struct km_topic *topic, struct page *page)
{
	const struct km_anomaly corrupt = {
		.kind = KM_ANOMALY_CORRUPT, .slot = KM_HAZARD_NONE, .ring = KM_HAZARD_NONE
	};
	struct km_msg_diagnose_ok *answer = page->answer;

	answer->count = 0;
	page->seen = 0;
	answer->health = (struct km_health){
		.quarantined = 1,
		.publishers = topic->publishers,
		.subscribers = topic->subscribers,
		.endpoints_dead = topic->dead,
		.endpoints_leaving = topic->leaving,
	};
	memcpy(answer->reason, topic->reason, sizeof answer->reason);
	on_anomaly(page, &corrupt);
}

void km_diagnose_serve(struct km_session *session, const struct km_msg_diagnose *request)
{
	struct km_msg_diagnose_ok answer = { .header.op = KM_OP_DIAGNOSE_OK };
	struct km_msg_topic names = { .kind = request->kind };
	memcpy(names.topic, request->topic, sizeof names.topic);
	memcpy(names.prefix, request->prefix, sizeof names.prefix);
	memcpy(names.owner, request->owner, sizeof names.owner);
	struct km_topic *topic = km_diagnose_find(session, &names, "diagnose", true);
	int64_t min_ns = (int64_t)session->broker->config->interval_ms * 1000000;
	struct page page = {
		.topic = topic,
		.answer = &answer,
		.skip = request->cursor,
		.now_ns = km_clock_ns(),
	};
	struct km_recovery recovery = { .on_anomaly = on_anomaly, .userdata = &page };

	if (!topic)
		return;
	int r = km_topic_recover(topic, &recovery);
	if (r < 0 && r != -ESTALE) {
		km_session_refuse(session, topic, r, "topic '%s' can't be looked at now: %s",
			topic->key.name, strerror(-r));
		return;
	}
	if (topic->quarantined) {
		describe_quarantined(topic, &page);
	} else {
		answer.health = recovery.result.health;
		km_watch_report(topic, page.now_ns, min_ns, on_anomaly, &page);
	}
	if (page.seen > request->cursor + answer.count)
		answer.next = request->cursor + answer.count;
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
