/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of metrics, written in turns (turn.h). It has all topics' sums, and the numbers of as many
 * topics as the config says: the oldest ones, and none that is of one caller alone, since their
 * names come and go with callers.
 */
#pragma once

#include <event2/buffer.h>
#include <stdbool.h>

#include "daemon/run/broker.h"

struct km_page;
struct km_pulse;

/* Called in a turn, once; the body is null where memory ran out. The call frees the page. */
typedef void km_page_fn(void *userdata, struct evbuffer *body);

/* Begins a page. Errors: -ENOMEM. */
int km_page_new(struct km_broker *broker, const struct km_pulse *pulse, bool openmetrics,
	km_page_fn *on_done, void *userdata, struct km_page **ret);
/* Frees a page, at any time; on_done isn't called any more. */
void km_page_free(struct km_page *page);
