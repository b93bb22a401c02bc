/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints that stand still: see watch.h. A generation moves at each claim of the slot, so the same slot in
 * the same generation is the same message. Nothing is done about it: a frozen client costs
 * what it visibly has, and the operator is told.
 */
#include <stdlib.h>

#include "common/ring/endpoint.h"
#include "daemon/repair/watch.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"

static uint32_t watch_count(const struct km_member *member)
{
	return 2 + member->held_count;
}

/* Hazard i of a member: delivering, evicting, held[]. */
static uint32_t read_hazard(const struct km_member *member, uint32_t i)
{
	struct km_endpoint *record = km_member_record(member);

	if (i == 0)
		return km_load(C3, acquire, &record->delivering);
	if (i == 1)
		return km_load(C6, acquire, &record->evicting);
	return km_load(C6, acquire, &record->held[i - 2]);
}

static uint64_t read_generation(const struct km_topic *topic, uint32_t slot)
{
	return km_load(C1, acquire, &topic->region.slots[slot].generation);
}

void km_watch_look(struct km_member *member, int64_t now_ns)
{
	const struct km_topic *topic = member->topic;

	for (uint32_t i = 0; i < watch_count(member); i++) {
		uint32_t slot = read_hazard(member, i);
		bool names_one = slot < topic->region.geometry.pool_size;

		if (!member->watches) {
			if (!names_one)
				continue; /* most records never show anything at a look */
			member->watches = calloc(watch_count(member), sizeof *member->watches);
			if (!member->watches)
				return;
			for (uint32_t k = 0; k < watch_count(member); k++)
				member->watches[k].slot = KM_HAZARD_NONE;
		}
		struct km_watch *watch = &member->watches[i];
		uint64_t generation = names_one ? read_generation(topic, slot) : 0;

		if (!names_one)
			watch->slot = KM_HAZARD_NONE;
		else if (watch->slot != slot || watch->generation != generation)
			*watch = (struct km_watch){ slot, generation, now_ns };
	}
}

void km_watch_report(const struct km_member *member, int64_t now_ns, int64_t min_ns,
	void (*on_anomaly)(void *userdata, const struct km_anomaly *anomaly), void *userdata)
{
	const struct km_topic *topic = member->topic;

	if (member->kept.state == KM_ENDPOINT_DEAD || !member->watches)
		return;
	for (uint32_t i = 0; i < watch_count(member); i++) {
		const struct km_watch *watch = &member->watches[i];

		if (watch->slot == KM_HAZARD_NONE || now_ns - watch->since_ns < min_ns ||
			read_hazard(member, i) != watch->slot ||
			read_generation(topic, watch->slot) != watch->generation)
			continue;
		struct km_anomaly anomaly = {
			.kind = i < 2 ? KM_ANOMALY_STILL_HAZARD : KM_ANOMALY_LONG_HELD,
			.slot = watch->slot,
			.ring = member->kept.role == KM_ROLE_SUBSCRIBER ? member->kept.ring
									: KM_HAZARD_NONE,
			.owner_id = member->kept.id,
			.age_ns = (uint64_t)(now_ns - watch->since_ns),
		};
		on_anomaly(userdata, &anomaly);
	}
}
