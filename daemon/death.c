/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Death, as the kernel tells it.
 *
 *   pidfd readable       every thread has ended and given back its memory: dead
 *   segments unmapped    the exclusive try-lock on each client segment succeeds: no mapping is
 *                        left (execve), dead
 *   socket hung up       says nothing: the process may run on with its mappings
 *
 * In exit and execve the socket may be seen to close a moment before the mapping's lock is gone; so
 * after a hang-up there are looks at growing intervals.
 */
#include <poll.h>

#include "death.h"
#include "log.h"
#include "member.h"
#include "recover.h"
#include "session.h"
#include "waiter.h"

static void die(struct km_session *session, const char *why)
{
	struct km_broker *broker = session->broker;
	struct km_member *member;

	if (session->state == KM_SESSION_READY || session->state == KM_SESSION_DISCONNECTED)
		km_account_give(session->account, KM_CLIENTS, 1);
	/* leaving with nothing attached is how clients ordinarily end */
	km_log((session->member_count ? LOG_INFO : LOG_DEBUG) | KM_EVENT_CLIENT_GONE, session, NULL,
		"client is gone (%s) with %u endpoints", why, session->member_count);
	session->state = KM_SESSION_DEAD;
	session->died_ns = km_clock_ns();
	km_session_close(session);
	broker->sweep = true;
	LIST_FOREACH (member, &session->members, of_session)
		km_member_die(member);
	/* a member that is settled leaves the list, so begin again each time */
	do
		LIST_FOREACH (member, &session->members, of_session)
			if (member->topic->has_died) {
				km_topic_tend(member->topic);
				break;
			}
	while (member);
}

bool km_death_check(struct km_session *session)
{
	struct pollfd ended = { session->pidfd, POLLIN, 0 };

	if (session->state == KM_SESSION_DEAD)
		return true;
	if (session->pidfd >= 0 && poll(&ended, 1, 0) == 1 && ended.revents & POLLIN) {
		die(session, "its process ended");
		return true;
	}
	if (km_session_memory_unmapped(session)) {
		die(session, "it maps its memory no more");
		return true;
	}
	return false;
}

void km_death_probe(struct km_session *session)
{
	unsigned limit = session->broker->config->interval_ms;

	if (km_death_check(session) || session->member_count == 0)
		return;
	session->probe_ms = session->probe_ms ? 2 * session->probe_ms : 1;
	if (session->probe_ms > limit)
		return; /* from here on the health tick looks */
	struct timeval wait = { session->probe_ms / 1000, session->probe_ms % 1000 * 1000 };
	evtimer_add(session->probe_event, &wait);
}

void km_death_on_pidfd(evutil_socket_t fd, short what, void *userdata)
{
	struct km_session *session = userdata;
	struct km_broker *broker = session->broker;

	km_death_check(session);
	km_broker_sweep(broker);
}

void km_death_on_probe(evutil_socket_t fd, short what, void *userdata)
{
	struct km_session *session = userdata;
	struct km_broker *broker = session->broker;

	km_death_probe(session);
	km_broker_sweep(broker);
}
