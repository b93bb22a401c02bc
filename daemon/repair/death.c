/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Death, as the kernel tells it.
 *
 *   pidfd readable       every thread has ended and given back its memory: dead
 *   segments unmapped    the exclusive try-lock on each client segment succeeds: no mapping is
 *                        left (execve), dead
 *   socket hung up       says nothing: the process may run on with its mappings
 *
 * A client may be gone before the broker has read that it gave its endpoints back. So these farewells
 * are heard first: a client that left in good order isn't dead, and needs no operator.
 *
 * In exit and execve the socket may be seen to close a moment before the mapping's lock is gone; so
 * after a hang-up there are looks at growing intervals.
 */
#include <poll.h>

#include "common/clock.h"
#include "daemon/peer/memory.h"
#include "daemon/peer/session.h"
#include "daemon/repair/death.h"
#include "daemon/repair/farewell.h"
#include "daemon/repair/tend.h"
#include "daemon/run/log.h"
#include "daemon/topic/leave.h"
#include "daemon/topic/member.h"

/* Counts the endpoints that the session didn't give back. */
static unsigned count_live(const struct km_session *session)
{
	const struct km_member *member;
	unsigned count = 0;

	LIST_FOREACH (member, &session->members, of_session)
		count += member->kept.state == KM_ENDPOINT_LIVE;
	return count;
}

static void log_end(const struct km_session *session, const char *why)
{
	unsigned live = count_live(session);

	if (live > 0)
		km_log(LOG_INFO | KM_EVENT_CLIENT_DIED, session, NULL,
			"client died (%s) with %u endpoints", why, live);
	else
		/* a client that leaves with nothing attached has simply ended */
		km_log(LOG_DEBUG | KM_EVENT_CLIENT_LEFT, session, NULL, "client left (%s)", why);
}

static void die(struct km_session *session, const char *why)
{
	struct km_broker *broker = session->broker;
	struct km_member *member;

	km_farewell_hear_last(session);
	if (session->kept.state == KM_SESSION_READY ||
		session->kept.state == KM_SESSION_DISCONNECTED) {
		km_account_give(session->account, KM_CLIENTS, 1);
		log_end(session, why);
	}
	session->kept.state = KM_SESSION_DEAD;
	session->kept.died_ns = km_clock_ns();
	km_session_close(session);
	broker->sweep = true;
	LIST_FOREACH (member, &session->members, of_session) {
		if (member->kept.state == KM_ENDPOINT_LIVE)
			km_log(LOG_DEBUG | KM_EVENT_ENDPOINT_DIED, session, member->topic,
				"%s died", km_member_role_name(member->kept.role));
		if (member->kept.state == KM_ENDPOINT_LIVE || !km_member_is_quiet(member))
			km_leave_die(member);
		km_tend_soon(member->topic);
	}
}

bool km_death_check(struct km_session *session)
{
	struct pollfd ended = { session->pidfd, POLLIN, 0 };

	if (session->kept.state == KM_SESSION_DEAD)
		return true;
	/* without a pidfd: the broker couldn't have one any more when it began */
	if (session->pidfd < 0 || (poll(&ended, 1, 0) == 1 && ended.revents & POLLIN)) {
		die(session, "its process ended");
		return true;
	}
	if (km_memory_is_unmapped(session)) {
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
		return; /* the tick of health looks from here on */
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
