/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a client goes, in turns (turn.h): it may have thousands of endpoints, in as many topics. After
 * each piece the next broker knows what was done, and goes on from there if this one ends.
 *
 *   farewell (DETACH of all)           WAITS - LEAVE - LOOK
 *   hang-up                     HEAR - WAITS --------- LOOK - HANG UP
 *   death                       HEAR - WAITS --------- LOOK - HANG UP - DIE - TEND
 *
 *   HEAR      the farewells that still wait in the connection are heard
 *   WAITS     the client waits for no topic any more
 *   LEAVE     its endpoints have left
 *   LOOK      their topics are looked after, each once
 *   HANG UP   the connection is closed; whether the client left or died is logged
 *   DIE       the endpoints that it didn't give back are dead
 *   TEND      their topics will be tended
 *
 * A client that is hung up on may live, and its connection outlives the broker. So its record says
 * that it goes, before the first piece is done, and the next broker hangs up as well.
 *
 * Until its turn an endpoint of a client that is gone counts as live, as if the kernel had told of
 * the death so much later. Nothing new comes to the client meanwhile: it isn't listened to, and what
 * it waited for isn't served.
 */
#pragma once

#include "daemon/run/broker.h"

/* The client gives all that it has back, and stays connected. Does a bounded part of that at once.
 * Returns whether there is more, for km_parting_go_on(). */
bool km_parting_leave(struct km_session *session);
/* Does a piece. Returns whether there is more. */
bool km_parting_go_on(struct km_session *session);

/* The connection ends, or the process is dead: a bounded part of that is done at once. */
void km_parting_hang_up(struct km_session *session);
void km_parting_die(struct km_session *session, const char *why);

/* Does all that is under way, before the broker serves anybody. */
void km_parting_finish(struct km_broker *broker);

/* Drops what is under way: the session is freed, or goes in another way. */
void km_parting_drop(struct km_session *session);

/* Is there a client that began to go before the number km_parting_now() had this value? `account`:
 * one of this user, or null: any. */
bool km_parting_is_under_way(
	const struct km_broker *broker, const struct km_account *account, uint64_t number);
uint64_t km_parting_now(const struct km_broker *broker);
