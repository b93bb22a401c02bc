/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics over HTTP, and a page for browsers: requests.c has the list. Off unless the config says where.
 *
 * Everybody who may connect may read, and nothing can be changed. A connection is one request. There are at
 * most 8 at a time, and more wait in the kernel's queue. A connection ends after 15 s, however far
 * it is. A request has at most 8 KiB of headers. On loopback a request whose Host is a name other
 * than localhost is refused, so that no page of a browser reads here by a name of its own.
 *
 * An address that can't be had is tried again each second: it may be the last broker's still.
 */
#pragma once

#include "daemon/run/broker.h"

/* Serves as the config says; also after it was read again. Errors are logged. */
void km_metrics_settle(struct km_broker *broker);
void km_metrics_free(struct km_broker *broker);
