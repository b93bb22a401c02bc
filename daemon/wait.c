/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for topics: see wait.h. A wait whose client gave up stays until the topic comes: the
 * client takes an event that it doesn't need for nothing. */
#include <errno.h>
#include <stdlib.h>

#include "naming.h"
#include "session.h"
#include "topic.h"
#include "wait.h"

#define MAX_WAITS 256 /* of a session */

static void free_wait(struct km_wait *wait)
{
	LIST_REMOVE(wait, in_bucket);
	LIST_REMOVE(wait, of_session);
	wait->session->wait_count--;
	free(wait);
}

static int add(struct km_session *session, const struct km_topic_key *key)
{
	struct km_wait *wait;

	LIST_FOREACH (wait, &session->waits, of_session)
		if (km_topic_key_equals(&wait->key, key))
			return 0;
	if (session->wait_count == MAX_WAITS)
		return km_session_refuse(session, NULL, -EDQUOT,
			       "the limit of %d topics that a client waits for is reached",
			       MAX_WAITS),
		       -EDQUOT;
	wait = calloc(1, sizeof *wait);
	if (!wait)
		return km_session_refuse(session, NULL, -ENOMEM, "no memory to wait"), -ENOMEM;
	wait->session = session;
	wait->key = *key;
	LIST_INSERT_HEAD(km_topic_wait_bucket(session->broker, key), wait, in_bucket);
	LIST_INSERT_HEAD(&session->waits, wait, of_session);
	session->wait_count++;
	return 0;
}

void km_wait_serve(struct km_session *session, const struct km_msg_topic *request)
{
	struct km_msg_ok answer = { .header.op = KM_OP_OK };
	struct km_topic_key key;

	/* if it is there already the client finds it when it asks again, as it does */
	if (km_naming_topic(session, request, &key) == 0 && add(session, &key) == 0)
		km_session_answer(session, &answer, sizeof answer, NULL, 0);
}

void km_wait_tell(const struct km_topic *topic)
{
	struct km_wait *wait, *next;

	for (wait = LIST_FIRST(km_topic_wait_bucket(topic->broker, &topic->key)); wait;
		wait = next) {
		next = LIST_NEXT(wait, in_bucket);
		if (!km_topic_key_equals(&wait->key, &topic->key))
			continue;
		struct km_session *session = wait->session;
		free_wait(wait);
		km_session_tell(session);
	}
}

void km_wait_forget(struct km_session *session)
{
	while (!LIST_EMPTY(&session->waits))
		free_wait(LIST_FIRST(&session->waits));
}
