/* SPDX-License-Identifier: Apache-2.0 */
/* The places that are kept back for operators, and the peers that may have them. The kernel says
 * who a peer is, so a broker that took its socket back from the last one knows it as well. */
#pragma once

#include <stdbool.h>

#include "daemon/run/policy.h"

struct km_session;

/* Does the session belong to root, to the broker's own user or to a member of the administrators'
 * group? Some room is for these alone, so that nobody can lock them out. Refuses nothing. */
bool km_operator_is(const struct km_session *session);

/* May the session's request open descriptors? The last ones are for operators. Refuses nothing. */
bool km_operator_has_descriptors(const struct km_session *session);

/* Adds the supplementary groups of the session's user; none where the kernel doesn't say. They are
 * good until the next call. */
void km_operator_add_groups(const struct km_session *session, struct km_peer *peer);

/* The user with its groups, as rules ask for it. */
struct km_peer km_operator_peer(const struct km_session *session);
