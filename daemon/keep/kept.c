/* SPDX-License-Identifier: Apache-2.0 */
/* Which contents a record can't have: see kept.h. */
#include <string.h>

#include "common/repair/reconcile.h"
#include "daemon/keep/kept.h"

static bool is_text(const char *text, size_t size)
{
	return memchr(text, 0, size) != NULL;
}

bool km_kept_session_is_good(const struct km_kept_session *kept)
{
	return kept->id > 0 && kept->state >= KM_SESSION_READY && kept->state <= KM_SESSION_DEAD &&
	       kept->segment_count <= UINT16_MAX && kept->watches <= 1 && kept->goes <= 1 &&
	       is_text(kept->name, sizeof kept->name) && is_text(kept->prefix, sizeof kept->prefix);
}

bool km_kept_topic_is_good(const struct km_kept_topic *kept)
{
	const struct km_topic_key *key = &kept->key;

	return kept->id > 0 && key->kind <= KM_KIND_LAST &&
	       is_text(key->prefix, sizeof key->prefix) && is_text(key->owner, sizeof key->owner) &&
	       is_text(key->name, sizeof key->name) && is_text(kept->reason, sizeof kept->reason) &&
	       is_text(kept->creator, sizeof kept->creator) &&
	       !km_geometry_check(&kept->geometry) &&
	       /* clients are told some of these values as they stand here */
	       (kept->named | kept->unlinked | kept->quarantined | kept->emptied | kept->observed |
		       kept->has_schema) <= 1 &&
	       kept->lifetime.persistent <= 1;
}

bool km_kept_member_is_good(const struct km_kept_member *kept)
{
	return kept->state >= KM_ENDPOINT_LIVE && kept->state <= KM_ENDPOINT_DEAD &&
	       (kept->role == KM_ROLE_PUBLISHER || kept->role == KM_ROLE_SUBSCRIBER) &&
	       kept->reliable <= (kept->role == KM_ROLE_SUBSCRIBER);
}

bool km_kept_wait_is_good(const struct km_kept_wait *kept)
{
	return kept->id > 0 && kept->request.header.op == KM_OP_SUBSCRIBE &&
	       kept->request.flags & KM_ATTACH_WAIT &&
	       km_wire_check_request((const void *)&kept->request, sizeof kept->request, 0) == 0;
}
