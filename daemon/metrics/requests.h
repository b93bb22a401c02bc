/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which answer a request gets. Only GET is answered, and nothing can be changed. Each answer forbids
 * browsers to guess its type, to load anything for it, and to show it inside another page. None allows
 * pages from elsewhere to read it.
 */
#pragma once

#include <event2/http.h>
#include <stdbool.h>

#include "daemon/run/broker.h"

struct km_pulse;
struct km_request;

struct km_requests {
	struct km_broker *broker;
	const struct km_pulse *pulse;
	TAILQ_HEAD(, km_request) waiting; /* for answers that are being written */
};

void km_requests_init(
	struct km_requests *requests, struct km_broker *broker, const struct km_pulse *pulse);
/* Drops the answers that are being written. evhttp frees their requests. */
void km_requests_drop(struct km_requests *requests);

/* Answers, at once or in turns. `anywhere`: the request may name any Host. */
void km_requests_serve(struct km_requests *requests, struct evhttp_request *request, bool anywhere);
