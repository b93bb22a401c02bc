/* SPDX-License-Identifier: Apache-2.0 */
/* How a client goes: see parting.h. */
#include "daemon/repair/parting.h"

#include "common/clock.h"
#include "daemon/keep/keep.h"
#include "daemon/peer/session.h"
#include "daemon/repair/farewell.h"
#include "daemon/repair/recover.h"
#include "daemon/repair/tend.h"
#include "daemon/run/handlers.h"
#include "daemon/run/log.h"
#include "daemon/topic/leave.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"

/* Endpoints or waits of a piece: each takes up to 4 us, with the record of a topic of its own. */
#define PIECE 64

/* Farewells that are heard at most. A socket's queue holds some three hundred, but a process that
 * lives may go on sending. */
#define HEARD_MAX 1024

/* So many pieces of a client's end are done at once. Most ends have no more, so an operator who asks right
 * after a death finds its end done. Many clients may die at once: a round of the event loop does further
 * pieces for KM_TURN_NS. */
#define PIECES_AT_ONCE 8

/* When all has left, topics with so much to look at (in the units of a pass) are tended at once: the next
 * client finds their names and limits free. So much takes a millisecond. The other topics are tended
 * in turns. */
#define WORK_AT_ONCE 65536

enum stage { STAYS, HEAR, WAITS, LEAVE, LOOK, HANG_UP, DIE, TEND };

static bool is_dead(const struct km_session *session)
{
	return session->kept.state == KM_SESSION_DEAD;
}

/* Goes on through the session's members. Returns whether there are more. A member that is settled
 * moves parting.next on (km_leave_free()). */
static bool for_some(struct km_session *session, void (*what)(struct km_member *member))
{
	struct km_parting *parting = &session->parting;
	struct km_member *member;

	for (int i = 0; i < PIECE && (member = parting->next); i++) {
		parting->next = LIST_NEXT(member, of_session);
		what(member);
	}
	return parting->next != NULL;
}

/* Each topic is looked at once, for the look goes through its members. */
static void look(struct km_member *member)
{
	struct km_parting *parting = &member->session->parting;
	struct km_topic *topic = member->topic;

	if (member->kept.state != KM_ENDPOINT_LEAVING || topic->left_look == parting->number)
		return;
	topic->left_look = parting->number;
	uint64_t work = km_recovery_work(topic);
	if (work > parting->at_once) {
		km_tend_left(topic);
		return;
	}
	parting->at_once -= work;
	km_tend(topic);
}

static void die(struct km_member *member)
{
	if (member->kept.state == KM_ENDPOINT_LIVE)
		km_log(LOG_DEBUG | KM_EVENT_ENDPOINT_DIED, member->session, member->topic,
			"%s died", km_member_role_name(member->kept.role));
	if (member->kept.state == KM_ENDPOINT_LIVE || !km_member_is_quiet(member))
		km_leave_die(member);
}

static void tend(struct km_member *member)
{
	km_tend_soon(member->topic);
}

static void log_end(const struct km_session *session)
{
	const char *why = session->parting.why;

	if (session->live > 0)
		km_log(LOG_INFO | KM_EVENT_CLIENT_DIED, session, NULL,
			"client died (%s) with %u endpoints", why, session->live);
	else
		/* a client that leaves with nothing attached has simply ended */
		km_log(LOG_DEBUG | KM_EVENT_CLIENT_LEFT, session, NULL, "client left (%s)", why);
}

static void hang_up(struct km_session *session)
{
	if (!is_dead(session))
		km_session_hung_up(session); /* it may be dead then */
	if (!is_dead(session))
		return;
	log_end(session);
	km_session_close(session);
}

/* Hears the next farewell. Returns whether there was any message. */
static bool hear_next(struct km_session *session)
{
	union km_msg message;

	if (session->parting.heard == HEARD_MAX || !km_farewell_peek(session, &message))
		return false;
	if (message.header.op == KM_OP_DETACH) {
		if (message.detach.endpoint != KM_ALL_ENDPOINTS)
			km_farewell_take_leave_of(session, message.detach.endpoint);
		else if (for_some(session, km_farewell_take_leave))
			return true; /* and goes on with this message */
	}
	session->parting.heard++;
	km_keep_commit(session->broker);
	km_wire_skip(session->socket);
	return true;
}

/* Does a piece of the stage. Returns whether there is more of it. */
static bool do_some(struct km_session *session)
{
	switch ((enum stage)session->parting.stage) {
	case HEAR:
		return hear_next(session);
	case WAITS:
		return session->broker->handlers->wait_forget(session, PIECE);
	case LEAVE:
		return for_some(session, km_farewell_take_leave);
	case LOOK:
		return for_some(session, look);
	case HANG_UP:
		hang_up(session);
		return false;
	case DIE:
		return for_some(session, die);
	case TEND:
		return for_some(session, tend);
	case STAYS:
		break;
	}
	return false;
}

static enum stage next_stage(const struct km_session *session)
{
	const struct km_parting *parting = &session->parting;

	switch ((enum stage)parting->stage) {
	case HEAR:
		return WAITS;
	case WAITS:
		return parting->is_over ? LOOK : LEAVE;
	case LEAVE:
		return LOOK;
	case LOOK:
		return parting->is_over ? HANG_UP : STAYS;
	case HANG_UP:
		return is_dead(session) ? DIE : STAYS;
	case DIE:
		return TEND;
	case TEND:
	case STAYS:
		break;
	}
	return STAYS;
}

static void enter(struct km_session *session, enum stage stage)
{
	session->parting.stage = (unsigned char)stage;
	session->parting.next = LIST_FIRST(&session->members);
}

static void begin(struct km_session *session, enum stage stage)
{
	struct km_parting *parting = &session->parting;
	struct km_broker *broker = session->broker;

	parting->number = ++broker->next_parting;
	parting->heard = 0;
	parting->at_once = stage == WAITS ? WORK_AT_ONCE : 0;
	LIST_INSERT_HEAD(&broker->partings, session, parting.under_way);
	enter(session, stage);
}

void km_parting_drop(struct km_session *session)
{
	if (session->parting.stage == STAYS)
		return;
	km_turn_remove(&session->broker->turns, &session->parting.work);
	LIST_REMOVE(session, parting.under_way);
	session->parting.stage = STAYS;
	km_session_look(session);
}

bool km_parting_go_on(struct km_session *session)
{
	if (!do_some(session))
		enter(session, next_stage(session));
	/* the next broker goes on behind this piece */
	km_keep_commit(session->broker);
	if (session->parting.stage != STAYS)
		return true;
	session->parting.stage = TEND;
	km_parting_drop(session);
	return false;
}

static bool on_turn(struct km_work *work)
{
	struct km_parting *parting = (struct km_parting *)work;

	return km_parting_go_on(parting->session);
}

bool km_parting_leave(struct km_session *session)
{
	begin(session, WAITS);
	for (int i = 0; i < PIECES_AT_ONCE; i++)
		if (!km_parting_go_on(session))
			return false;
	return true;
}

static void on_next_round(evutil_socket_t fd, short what, void *userdata)
{
	struct km_broker *broker = userdata;

	broker->parting_round = false;
}

/* May one more piece be done in this round? */
static bool has_time(struct km_broker *broker)
{
	const struct timeval at_once = { 0 };

	if (!broker->parting_round) {
		if (event_base_once(broker->base, -1, EV_TIMEOUT, on_next_round, broker, &at_once) <
			0)
			return false;
		broker->parting_round = true;
		broker->parting_pieces = PIECES_AT_ONCE;
		broker->parting_end_ns = km_clock_ns() + KM_TURN_NS;
	}
	if (broker->parting_pieces == 0)
		return km_clock_ns() < broker->parting_end_ns;
	broker->parting_pieces--;
	return true;
}

/* Does what is to be done at once, and the rest in turns. */
static void go(struct km_session *session)
{
	while (has_time(session->broker))
		if (!km_parting_go_on(session))
			return;
	km_turn_add(&session->broker->turns, &session->parting.work);
}

/* Listens to the client no more. */
static void turn_away(struct km_session *session)
{
	km_session_deafen(session);
	session->parting.is_over = true;
	session->parting.session = session;
	session->parting.work.step = on_turn;
	session->broker->handlers->happened_forget(session);
	session->broker->handlers->notice_forget_session(session);
	begin(session, HEAR);
}

void km_parting_hang_up(struct km_session *session)
{
	if (session->parting.is_over)
		return;
	session->kept.goes = true;
	km_keep_session(session);
	turn_away(session);
	go(session);
}

void km_parting_die(struct km_session *session, const char *why)
{
	struct km_parting *parting = &session->parting;

	km_session_look(session);
	if (session->kept.state == KM_SESSION_NEW) {
		session->kept.state = KM_SESSION_DEAD;
		km_session_close(session);
		return;
	}
	parting->why = why;
	km_account_give(session->account, KM_CLIENTS, 1);
	session->kept.state = KM_SESSION_DEAD;
	session->kept.died_ns = km_clock_ns();
	if (parting->is_over && parting->stage != STAYS)
		return; /* it goes on to the end */
	turn_away(session);
	go(session);
}

void km_parting_finish(struct km_broker *broker)
{
	struct km_session *session;

	while ((session = LIST_FIRST(&broker->partings)))
		km_parting_go_on(session);
}

bool km_parting_is_under_way(
	const struct km_broker *broker, const struct km_account *account, uint64_t number)
{
	const struct km_session *session;

	/* the last that began is the first one */
	LIST_FOREACH (session, &broker->partings, parting.under_way)
		if (session->parting.number <= number && (!account || session->account == account))
			return true;
	return false;
}

uint64_t km_parting_now(const struct km_broker *broker)
{
	return broker->next_parting;
}
