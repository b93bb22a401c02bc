/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work that lower rooms of the broker leave to higher ones; start.c says which function does
 * it. Each handler is described where it is done: question_drop is km_question_drop() of
 * question.h, and so on.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct km_broker;
struct km_session;
struct km_topic;
union km_msg;

struct km_handlers {
	void (*sweep)(struct km_broker *broker);
	/* for sessions */
	void (*request_serve)(struct km_session *session, const union km_msg *message);
	void (*question_drop)(struct km_session *session);
	void (*reserve_drop)(struct km_session *session);
	bool (*wait_forget)(struct km_session *session, unsigned most);
	void (*wait_end)(struct km_session *session, uint64_t id);
	void (*notice_forget_session)(struct km_session *session);
	void (*happened_forget)(struct km_session *session);
	void (*parting_hang_up)(struct km_session *session);
	void (*parting_drop)(struct km_session *session);
	void (*death_probe)(struct km_session *session);
	event_callback_fn death_on_pidfd, death_on_probe; /* of a session */
	/* for topics */
	void (*tend_forget)(struct km_topic *topic);
	void (*notice_changed)(struct km_topic *topic);
	void (*notice_forget_topic)(struct km_topic *topic);
};
