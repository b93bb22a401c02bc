/* SPDX-License-Identifier: Apache-2.0 */
/* Names that subscribers wait for: see awaited.h. */
#include <stdlib.h>

#include "daemon/keep/keep.h"
#include "daemon/serve/awaited.h"

struct km_awaited *km_awaited_find(struct km_broker *broker, const struct km_topic_key *key)
{
	struct km_awaited *awaited;

	LIST_FOREACH (awaited, km_topic_wait_bucket(broker, key), in_bucket)
		if (km_topic_key_equals(&awaited->key, key))
			break;
	return awaited;
}

static struct km_awaited *find_or_make(
	struct km_broker *broker, const struct km_topic_key *key, km_awaited_step *serve)
{
	struct km_awaited *awaited = km_awaited_find(broker, key);

	if (!awaited && (awaited = calloc(1, sizeof *awaited))) {
		awaited->work.step = serve;
		awaited->broker = broker;
		awaited->key = *key;
		TAILQ_INIT(&awaited->waits);
		LIST_INSERT_HEAD(km_topic_wait_bucket(broker, key), awaited, in_bucket);
	}
	return awaited;
}

void km_awaited_keep(struct km_wait *wait)
{
	km_keep_put(wait->session->broker, KM_STATE_WAITS, &wait->kept_at, &wait->kept,
		sizeof wait->kept, wait->kept.id);
}

void km_awaited_count(struct km_wait *wait, bool counts)
{
	struct km_session *session = wait->session;

	if (counts == wait->counts)
		return;
	wait->counts = counts;
	if (counts) {
		session->wait_count++;
		km_account_take(session->account, KM_ENDPOINTS, 1);
	} else {
		session->wait_count--;
		km_account_give(session->account, KM_ENDPOINTS, 1);
	}
}

void km_awaited_leave_queue(struct km_wait *wait)
{
	struct km_broker *broker = wait->session->broker;
	struct km_awaited *awaited = wait->awaited;

	wait->awaited = NULL;
	if (!awaited) {
		TAILQ_REMOVE(&broker->late, wait, queued);
		return;
	}
	TAILQ_REMOVE(&awaited->waits, wait, queued);
	if (TAILQ_EMPTY(&awaited->waits)) {
		km_turn_remove(&broker->turns, &awaited->work);
		LIST_REMOVE(awaited, in_bucket);
		free(awaited);
	}
}

void km_awaited_free_wait(struct km_wait *wait)
{
	km_awaited_count(wait, false);
	km_state_drop(wait->session->broker->state, KM_STATE_WAITS, &wait->kept_at);
	km_awaited_leave_queue(wait);
	LIST_REMOVE(wait, of_session);
	free(wait);
}

struct km_wait *km_awaited_add(struct km_session *session, const struct km_topic_key *key,
	const struct km_kept_wait *kept, km_awaited_step *serve)
{
	struct km_wait *wait = calloc(1, sizeof *wait);
	struct km_awaited *awaited = wait ? find_or_make(session->broker, key, serve) : NULL;

	if (!awaited) {
		free(wait);
		return NULL;
	}
	wait->awaited = awaited;
	wait->session = session;
	wait->kept = *kept;
	TAILQ_INSERT_TAIL(&awaited->waits, wait, queued);
	LIST_INSERT_HEAD(&session->waits, wait, of_session);
	km_awaited_count(wait, true);
	return wait;
}

struct km_wait *km_awaited_find_wait(const struct km_session *session, uint64_t id)
{
	struct km_wait *wait;

	LIST_FOREACH (wait, &session->waits, of_session)
		if (wait->kept.id == id)
			break;
	return wait;
}
