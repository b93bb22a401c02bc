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
 * are heard first (parting.h): a client that left in good order isn't dead, and needs no operator.
 *
 * In exit and execve the socket may be seen to close a moment before the mapping's lock is gone; so
 * after a hang-up there are looks at growing intervals.
 */
#include <poll.h>

#include "common/clock.h"
#include "daemon/peer/memory.h"
#include "daemon/peer/session.h"
#include "daemon/repair/death.h"
#include "daemon/repair/parting.h"

bool km_death_check(struct km_session *session)
{
	struct pollfd ended = { session->pidfd, POLLIN, 0 };

	if (session->kept.state == KM_SESSION_DEAD)
		return true;
	/* without a pidfd: the broker couldn't have one any more when it began */
	if (session->pidfd < 0 || (poll(&ended, 1, 0) == 1 && ended.revents & POLLIN)) {
		km_parting_die(session, "its process ended");
		return true;
	}
	if (km_memory_is_unmapped(session)) {
		km_parting_die(session, "it maps its memory no more");
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
