/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling operators what happens at the broker: topics made and freed, clients and endpoints that come,
 * leave and die, repairs, refusals, all kinds of log_event.h. They are told whatever the log's level is.
 *
 *   km_log() --> the last KM_HAPPENINGS_KEPT -- 10 ms --> each watcher from where it is --> HAPPENED
 *                          ^                                                          |
 *                          +------------- 10 ms to 1 s <------------------------------+ not yet read
 *
 * The happenings are kept once for all watchers, and a watcher is a place among them. Happenings that
 * a watcher hasn't heard when they are overwritten are counted and told as missed. A watcher that
 * hasn't read what it was sent before gets nothing: the broker looks after it again, each time after
 * twice the time. So a watcher that doesn't read at all costs a look a second, or one each 10 ms while
 * something happens. All of it is done in turns. While nobody watches nothing is kept.
 *
 * The next broker goes on telling those that watched this one. It says itself that it serves now, behind
 * what it finds as it starts; what this one hadn't told is not known to it.
 */
#pragma once

#include "daemon/run/broker.h"

#define KM_HAPPENINGS_KEPT 1024

/* The session watches from now on. Errors: -ENOMEM. */
int km_happened_watch(struct km_session *session);
/* The session no longer watches, if it did. */
void km_happened_forget(struct km_session *session);

/* Errors: -ENOMEM. */
int km_happened_init(struct km_broker *broker);
void km_happened_deinit(struct km_broker *broker);
