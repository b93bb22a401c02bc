/* SPDX-License-Identifier: Apache-2.0 */
/* list, info, clients, unlink: see ctl.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "ctl.h"

enum { PAGE = 64 };

static void print_state(const struct kickmsg_topic_info *info)
{
	if (info->unlinked)
		printf(" UNLINKED");
	if (info->quarantined)
		printf(" QUARANTINED");
	putchar('\n');
}

static const char *transport_name(const struct kickmsg_topic_config *config)
{
	return config->transport == KICKMSG_TRANSPORT_SHARED ? "shared" : "rings";
}

/* What list and info have in common. */
static struct json_object *json_info(struct ctl *ctl, const struct kickmsg_topic_info *info)
{
	const struct kickmsg_topic_config *config = &info->config;
	const struct kickmsg_topic_ref topic = ctl_ref(info);
	struct json_object *object = json_new_entry(ctl, &topic);
	char hash[17];

	snprintf(hash, sizeof hash, "%016" PRIx64, info->config_hash);
	json_add_text(object, "region", info->region);
	json_add_int(object, "id", info->id);
	json_add_int(object, "publishers", info->publishers);
	json_add_int(object, "subscribers", info->subscribers);
	json_add_int(object, "max_publishers", config->max_publishers);
	json_add_int(object, "max_subscribers", config->max_subscribers);
	json_add_int(object, "ring_capacity", config->ring_capacity);
	json_add_int(object, "pool_size", config->pool_size);
	json_add_int(object, "max_payload_size", config->max_payload_size);
	json_add_int(object, "max_loans", config->max_loans);
	json_add_int(object, "max_borrows", config->max_borrows);
	json_add_text(object, "transport", transport_name(config));
	json_add_int(object, "linger_ns", config->linger_ns);
	json_add_bool(object, "persistent", config->persistent != 0);
	json_add_text(object, "config_hash", hash);
	json_add_int(object, "total_bytes", info->total_bytes);
	json_add_int(object, "owner_uid", info->owner_uid);
	json_add_int(object, "created_realtime_ns", info->created_realtime_ns);
	json_add_bool(object, "has_schema", info->has_schema != 0);
	json_add_bool(object, "unlinked", info->unlinked != 0);
	json_add_bool(object, "quarantined", info->quarantined != 0);
	return object;
}

static void list_one(struct ctl *ctl, const struct kickmsg_topic_info *info)
{
	const struct kickmsg_topic_config *config = &info->config;
	const struct kickmsg_topic_ref topic = ctl_ref(info);

	if (ctl->json) {
		json_info(ctl, info);
		return;
	}
	print_name(&topic);
	printf(": publishers=%" PRIu32 "/%" PRIu32 " subscribers=%" PRIu32 "/%" PRIu32
	       " ring_capacity=%" PRIu32 " pool_size=%" PRIu32 " max_payload_size=%" PRIu64,
		info->publishers, config->max_publishers, info->subscribers,
		config->max_subscribers, config->ring_capacity, config->pool_size,
		config->max_payload_size);
	print_state(info);
}

int ctl_list(struct ctl *ctl)
{
	_cleanup_(km_freep) struct kickmsg_topic_info *topics = NULL;
	size_t count = 0;
	int r = ctl_fetch_topics(ctl, &topics, &count);

	if (r < 0)
		return ctl_failed(ctl, NULL, NULL, r);
	for (size_t i = 0; i < count; i++)
		list_one(ctl, &topics[i]);
	return CTL_HEALTHY;
}

static void print_info(
	const struct kickmsg_topic_info *info, const struct kickmsg_topic_sizing *sizing)
{
	const struct kickmsg_topic_config *config = &info->config;
	const struct kickmsg_topic_ref topic = ctl_ref(info);

	print_name(&topic);
	putchar(':');
	print_state(info);
	printf("  region=%s id=%" PRIu64 " owner_uid=%" PRIu32 " created=", info->region, info->id,
		info->owner_uid);
	print_time(info->created_realtime_ns);
	printf("\n  publishers=%" PRIu32 "/%" PRIu32 " subscribers=%" PRIu32 "/%" PRIu32
	       " max_loans=%" PRIu32 " max_borrows=%" PRIu32 "\n",
		info->publishers, config->max_publishers, info->subscribers,
		config->max_subscribers, config->max_loans, config->max_borrows);
	printf("  ring_capacity=%" PRIu32 " pool_size=%" PRIu32 " needed_pool=%" PRIu64
	       " max_payload_size=%" PRIu64 " total_bytes=%" PRIu64 "\n",
		config->ring_capacity, config->pool_size, sizing->needed_pool,
		config->max_payload_size, info->total_bytes);
	printf("  transport=%s config_hash=%016" PRIx64 " schema=%s lives=", transport_name(config),
		info->config_hash, info->has_schema ? "yes" : "none");
	if (config->persistent)
		printf("until-unlinked\n");
	else
		printf("%.3fs-after-last-participant\n", (double)config->linger_ns / 1e9);
}

int ctl_info(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info)
{
	struct kickmsg_topic_sizing sizing = { 0 };
	struct kickmsg_topic_info asked;

	if (!info) {
		int r = kickmsg_topic_info(ctl->client, topic, &asked);
		if (r < 0)
			return ctl_failed(ctl, topic, info, r);
		info = &asked;
	}
	kickmsg_topic_config_check(&info->config, &sizing);
	if (info->kind == KICKMSG_BROADCAST)
		sizing.needed_pool = sizing.needed_pool_broadcast;
	if (ctl->json)
		json_add_int(json_info(ctl, info), "needed_pool", sizing.needed_pool);
	else
		print_info(info, &sizing);
	return CTL_HEALTHY;
}

static void print_client(
	struct ctl *ctl, struct json_object *list, const struct kickmsg_participant *who)
{
	static const char *const roles[] = { "none", "publisher", "subscriber", "both" };
	const char *role = roles[who->role & KICKMSG_ROLE_BOTH];

	if (!ctl->json) {
		printf("  ");
		print_text(who->client_name);
		printf(": pid=%" PRId32 " uid=%" PRIu32 " role=%s publishers=%" PRIu32
		       " subscribers=%" PRIu32 " since=",
			who->pid, who->uid, role, who->publishers, who->subscribers);
		print_time(who->since_realtime_ns);
		puts(who->alive ? " alive" : " DEAD");
		return;
	}
	struct json_object *object = json_add_object(list);

	json_add_text(object, "name", who->client_name);
	json_add_int(object, "client_id", who->client_id);
	json_add_int(object, "pid", (uint64_t)who->pid);
	json_add_int(object, "uid", who->uid);
	json_add_text(object, "role", role);
	json_add_int(object, "publishers", who->publishers);
	json_add_int(object, "subscribers", who->subscribers);
	json_add_int(object, "since_realtime_ns", who->since_realtime_ns);
	json_add_bool(object, "alive", who->alive != 0);
}

int ctl_clients(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info)
{
	struct kickmsg_participant page[PAGE];
	struct json_object *list = NULL;
	uint64_t cursor = 0;
	bool first = true;
	ssize_t n;

	do {
		n = kickmsg_topic_participants(ctl->client, topic, &cursor, page, PAGE);
		if (n < 0)
			return ctl_failed(ctl, topic, info, (int)n);
		if (first && ctl->json) {
			list = json_add_array(json_new_entry(ctl, topic), "clients");
		} else if (first) {
			print_name(topic);
			puts(":");
		}
		first = false;
		for (ssize_t i = 0; i < n; i++)
			print_client(ctl, list, &page[i]);
	} while (n > 0);
	return CTL_HEALTHY;
}

int ctl_unlink(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info)
{
	int r = kickmsg_unlink(ctl->client, topic);

	if (r < 0)
		return ctl_failed(ctl, topic, info, r);
	if (ctl->json) {
		json_add_bool(json_new_entry(ctl, topic), "unlinked", true);
	} else {
		print_name(topic);
		puts(": unlinked");
	}
	return CTL_HEALTHY;
}
