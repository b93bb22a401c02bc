/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs ask the broker: see ctl.h. */
#include <string.h>

#include "cleanup.h"
#include "ctl.h"

bool ctl_is_damaged(const struct km_health *health)
{
	return health->quarantined || health->slots_orphaned || health->slots_stale ||
	       health->rings_undrained || health->endpoints_dead;
}

/* All topics, in the broker's order. *ret is the caller's to free. */
static int fetch_list(struct ctl *ctl, struct km_list_entry **ret, size_t *ret_count)
{
	_cleanup_(km_freep) struct km_list_entry *entries = NULL;
	struct km_msg_list request = { .header.op = KM_OP_LIST };
	union km_msg answer;
	size_t count = 0;

	do {
		int r = km_client_call(
			ctl->client, &request, sizeof request, KM_OP_LIST_OK, &answer, NULL, NULL);
		if (r < 0)
			return r;
		struct km_list_entry *more = reallocarray(
			entries, count + answer.list_ok.count + 1, sizeof *entries);
		if (!more)
			return -ENOMEM;
		entries = more;
		memcpy(entries + count, answer.list_ok.entries,
			answer.list_ok.count * sizeof *entries);
		count += answer.list_ok.count;
		request.cursor = answer.list_ok.next;
	} while (request.cursor);
	*ret = km_steal_ptr(entries);
	*ret_count = count;
	return 0;
}

static int failed(struct ctl *ctl, const struct ctl_topic *topic, int r)
{
	print_error(ctl, topic, r, kickmsg_client_last_error(ctl->client));
	return CTL_DAMAGED;
}

int ctl_list(struct ctl *ctl)
{
	_cleanup_(km_freep) struct km_list_entry *entries = NULL;
	size_t count = 0;
	int r = fetch_list(ctl, &entries, &count);

	if (r < 0)
		return failed(ctl, NULL, r);
	for (size_t i = 0; i < count; i++)
		print_list_entry(ctl, &entries[i]);
	return CTL_HEALTHY;
}

static int diagnose_one(struct ctl *ctl, const struct ctl_topic *topic, uint32_t what)
{
	struct km_msg_diagnose request = { .header.op = KM_OP_DIAGNOSE };
	union km_msg answer;
	int status = CTL_HEALTHY;

	memcpy(request.topic, topic->name, sizeof request.topic);
	memcpy(request.prefix, topic->prefix, sizeof request.prefix);
	do {
		int r = km_client_call(ctl->client, &request, sizeof request, KM_OP_DIAGNOSE_OK,
			&answer, NULL, NULL);
		if (r < 0)
			return failed(ctl, topic, r);
		const struct km_msg_diagnose_ok *page = &answer.diagnose_ok;

		if (request.cursor == 0) {
			print_health(ctl, topic, &page->health, page->reason);
			status = ctl_is_damaged(&page->health) ? CTL_DAMAGED : CTL_HEALTHY;
		}
		for (uint32_t i = 0; i < page->count; i++)
			print_anomaly(ctl, &page->anomalies[i]);
		/* a page that doesn't go on would be asked for for ever */
		if (page->next <= request.cursor)
			break;
		request.cursor = page->next;
	} while (true);
	return status;
}

static int repair_one(struct ctl *ctl, const struct ctl_topic *topic, uint32_t what)
{
	struct km_msg_repair request = { .header.op = KM_OP_REPAIR, .what = what };
	union km_msg answer;

	memcpy(request.topic, topic->name, sizeof request.topic);
	memcpy(request.prefix, topic->prefix, sizeof request.prefix);
	int r = km_client_call(
		ctl->client, &request, sizeof request, KM_OP_REPAIR_OK, &answer, NULL, NULL);
	if (r < 0)
		return failed(ctl, topic, r);
	print_repair(ctl, topic, &answer.repair_ok);
	return ctl_is_damaged(&answer.repair_ok.after) ? CTL_DAMAGED : CTL_HEALTHY;
}

/* Is there a topic of the same name that may be joined? The broker then means that one. */
static bool has_fresh_namesake(
	const struct km_list_entry *entries, size_t count, const struct km_list_entry *entry)
{
	for (size_t i = 0; i < count; i++)
		if (!entries[i].quarantined && strcmp(entries[i].topic, entry->topic) == 0 &&
			strcmp(entries[i].prefix, entry->prefix) == 0)
			return true;
	return false;
}

static int for_all(struct ctl *ctl, uint32_t what,
	int (*one)(struct ctl *ctl, const struct ctl_topic *topic, uint32_t what))
{
	_cleanup_(km_freep) struct km_list_entry *entries = NULL;
	size_t count = 0;
	int status = CTL_HEALTHY;
	int r = fetch_list(ctl, &entries, &count);

	if (r < 0)
		return failed(ctl, NULL, r);
	for (size_t i = 0; i < count; i++) {
		struct ctl_topic topic;

		memcpy(topic.name, entries[i].topic, sizeof topic.name);
		memcpy(topic.prefix, entries[i].prefix, sizeof topic.prefix);
		if (entries[i].quarantined && has_fresh_namesake(entries, count, &entries[i])) {
			print_error(ctl, &topic, -ESTALE,
				"an older topic of this name is quarantined and still has"
				" participants");
			status = CTL_DAMAGED;
		} else if (one(ctl, &topic, what) != CTL_HEALTHY) {
			status = CTL_DAMAGED;
		}
	}
	return status;
}

int ctl_diagnose(struct ctl *ctl, const struct ctl_topic *topic)
{
	return topic ? diagnose_one(ctl, topic, 0) : for_all(ctl, 0, diagnose_one);
}

int ctl_repair(struct ctl *ctl, const struct ctl_topic *topic, uint32_t what)
{
	return topic ? repair_one(ctl, topic, what) : for_all(ctl, what, repair_one);
}
