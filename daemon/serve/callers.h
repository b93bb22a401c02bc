/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services as the broker has them: a topic of kind SERVICE, whose publishers serve and whose subscribers
 * call, and for each caller two topics with which the caller and the server that serves are alone.
 *
 * The oldest of the servers serves; the others stand by. The owner of requests and replies is the number
 * of their caller's endpoint at the service. So a server knows of each request whose it is, for nobody
 * else can have its memory, and the broker says who that is (CALLERS).
 */
#pragma once

#include "daemon/serve/wanted.h"

struct km_member;

/* The server that is active, or null. */
const struct km_member *km_callers_active(const struct km_topic *service);

/* May the session have its part of these requests or replies? Else it is refused (-EACCES). */
bool km_callers_allow(const struct km_wanted *wanted);

/* A caller has come to its topic of requests, which it makes last: wakes the servers, of which one may
 * have asked for callers too early. */
void km_callers_tell(const struct km_topic *requests);
