/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as the broker before this one left them. */
#pragma once

#include "daemon/run/broker.h"

struct km_kept_session;

/* Takes back one record, at its place in the state. A session that can't be taken back is dropped
 * from the state and logged; then null is returned. */
struct km_session *km_restore_session(
	struct km_broker *broker, uint32_t place, const struct km_kept_session *kept);
