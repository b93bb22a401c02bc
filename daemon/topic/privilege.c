/* SPDX-License-Identifier: Apache-2.0 */
/* The privilege of a shared ring: see privilege.h. */
#include "daemon/topic/privilege.h"
#include "common/memory/atomic.h"
#include "common/shared/shared.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"

static void grant(struct km_topic *topic, uint32_t id)
{
	topic->privileged = id;
	km_store(U8, release, &topic->region.header->privileged, id);
}

void km_privilege_offer(struct km_member *member)
{
	if (member->topic->region.shared && member->topic->privileged == 0)
		grant(member->topic, member->kept.id);
}

void km_privilege_pass_on(struct km_topic *topic, const struct km_member *from)
{
	const struct km_member *member, *heir = NULL;

	if (!topic->region.shared || from->kept.role != KM_ROLE_PUBLISHER ||
		topic->privileged != from->kept.id)
		return;
	/* newest first */
	LIST_FOREACH (member, &topic->members, of_topic)
		if (member->kept.role == KM_ROLE_PUBLISHER &&
			member->kept.state == KM_ENDPOINT_LIVE)
			heir = member;
	grant(topic, heir ? heir->kept.id : 0);
}

void km_privilege_restore(struct km_topic *topic)
{
	const struct km_member *member, *heir = NULL;

	if (!topic->region.shared)
		return;
	/* The broker before this one wrote the word. A client that wrote another number there has
	 * spoilt its own topic alone. */
	uint32_t id = km_load(U8, acquire, &topic->region.header->privileged);

	topic->privileged = 0;
	LIST_FOREACH (member, &topic->members, of_topic) {
		if (member->kept.role != KM_ROLE_PUBLISHER)
			continue;
		if (member->kept.id == id)
			topic->privileged = id;
		if (member->kept.state == KM_ENDPOINT_LIVE)
			heir = member;
	}
	if (topic->privileged == 0)
		grant(topic, heir ? heir->kept.id : 0);
}
