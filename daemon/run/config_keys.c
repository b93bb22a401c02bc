/* SPDX-License-Identifier: Apache-2.0 */
/* The meaning of the config's keys: see config_keys.h. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "daemon/run/config_keys.h"

struct setting {
	struct km_config *config;
	const struct km_origin *origin;
	char *text; /* what is wrong */
	size_t text_size;
};

/* Says what is wrong. Returns -EINVAL. */
__attribute__((format(printf, 2, 3))) static int wrong(
	struct setting *setting, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(setting->text, setting->text_size, format, args);
	va_end(args);
	return -EINVAL;
}

/* Reads a whole number, with an optional K, M, G or T behind it where `units` says so. */
static int parse_number(const char *text, int base, bool units, uint64_t max, uint64_t *ret)
{
	static const char names[] = "KMGT";
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	unsigned long long value = strtoull(text, &end, base);
	if (errno || value > max)
		return -ERANGE;
	if (units && *end && strchr(names, *end)) {
		unsigned shift = 10 * (unsigned)(strchr(names, *end) - names + 1);

		if (value > max >> shift)
			return -ERANGE;
		value <<= shift;
		end++;
	}
	if (*end)
		return -EINVAL;
	*ret = value;
	return 0;
}

static int set_number(
	struct setting *setting, const char *key, const char *value, uint64_t min, unsigned *field)
{
	uint64_t number;

	if (parse_number(value, 10, false, UINT_MAX / 4, &number) < 0 || number < min)
		return wrong(setting, "%s = %s: not a number from %llu to %u", key, value,
			(unsigned long long)min, UINT_MAX / 4);
	*field = (unsigned)number;
	return 0;
}

static int set_broker(struct setting *setting, const char *key, const char *value)
{
	struct km_config *config = setting->config;
	uint64_t number;

	if (strcmp(key, "socket") == 0) {
		if (!*value || strlen(value) >= sizeof config->socket)
			return wrong(setting, "socket: a path of 1 to %zu bytes",
				sizeof config->socket - 1);
		strcpy(config->socket, value);
		return 0;
	}
	if (strcmp(key, "socket_mode") == 0) {
		if (parse_number(value, 8, false, 0777, &number) < 0)
			return wrong(setting, "socket_mode = %s: not an octal mode", value);
		config->socket_mode = (mode_t)number;
		return 0;
	}
	return wrong(setting, "[broker] has no key '%s'", key);
}

static const char *const section_names[] = {
	[KM_CONFIG_BROKER] = "broker",
	[KM_CONFIG_LIMITS] = "limits",
	[KM_CONFIG_RECOVERY] = "recovery",
	[KM_CONFIG_METRICS] = "metrics",
	[KM_CONFIG_LOG] = "log",
};

static const struct {
	enum km_config_section section;
	const char *key;
} keys[KM_KEYS] = {
	[KM_KEY_SOCKET] = { KM_CONFIG_BROKER, "socket" },
	[KM_KEY_SOCKET_MODE] = { KM_CONFIG_BROKER, "socket_mode" },
	[KM_KEY_AUTOMATIC] = { KM_CONFIG_RECOVERY, "automatic" },
	[KM_KEY_INTERVAL] = { KM_CONFIG_RECOVERY, "interval" },
	[KM_KEY_LISTEN] = { KM_CONFIG_METRICS, "listen" },
	[KM_KEY_LISTEN_ANYWHERE] = { KM_CONFIG_METRICS, "listen_anywhere" },
	[KM_KEY_LISTEN_MODE] = { KM_CONFIG_METRICS, "listen_mode" },
	[KM_KEY_LISTED_TOPICS] = { KM_CONFIG_METRICS, "listed_topics" },
	[KM_KEY_LEVEL] = { KM_CONFIG_LOG, "level" },
};

static const struct {
	const char *key;
	size_t offset;
	uint64_t min;
} limits[] = {
	{ "clients", offsetof(struct km_config, total[KM_CLIENTS]), 1 },
	{ "topics", offsetof(struct km_config, total[KM_TOPICS]), 1 },
	{ "endpoints", offsetof(struct km_config, total[KM_ENDPOINTS]), 1 },
	{ "memory", offsetof(struct km_config, total[KM_BYTES]), 0 },
	{ "user_clients", offsetof(struct km_config, user[KM_CLIENTS]), 0 },
	{ "user_topics", offsetof(struct km_config, user[KM_TOPICS]), 0 },
	{ "user_endpoints", offsetof(struct km_config, user[KM_ENDPOINTS]), 0 },
	{ "user_memory", offsetof(struct km_config, user[KM_BYTES]), 0 },
	{ "client_endpoints", offsetof(struct km_config, client_endpoints), 1 },
	{ "user_client_rate", offsetof(struct km_config, user_rate[KM_CLIENTS]), 0 },
	{ "user_topic_rate", offsetof(struct km_config, user_rate[KM_TOPICS]), 0 },
};

static int set_limit(struct setting *setting, const char *key, const char *value)
{
	struct km_limit limit = { .origin = *setting->origin };
	const size_t count = sizeof limits / sizeof limits[0];
	unsigned number = 0;
	size_t i = 0;

	while (i < count && strcmp(key, limits[i].key) != 0)
		i++;
	if (i == count)
		return wrong(setting, "[limits] has no key '%s'", key);
	if (strstr(key, "memory")) {
		if (parse_number(value, 10, true, INT64_MAX, &limit.value) < 0)
			return wrong(setting, "%s = %s: not a number of bytes", key, value);
	} else {
		if (set_number(setting, key, value, limits[i].min, &number) < 0)
			return -EINVAL;
		limit.value = number;
	}
	memcpy((char *)setting->config + limits[i].offset, &limit, sizeof limit);
	return 0;
}

static int set_recovery(struct setting *setting, const char *key, const char *value)
{
	struct km_config *config = setting->config;

	if (strcmp(key, "automatic") == 0) {
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
			return wrong(setting, "automatic = %s: not yes or no", value);
		config->automatic = value[0] == 'y';
		return 0;
	}
	if (strcmp(key, "interval") == 0)
		return set_number(setting, key, value, 1, &config->interval_ms);
	return wrong(setting, "[recovery] has no key '%s'", key);
}

static int set_listen(struct setting *setting, const char *value)
{
	struct km_config_metrics *metrics = &setting->config->metrics;
	struct km_address address;
	char text[256];

	metrics->listen[0] = '\0';
	if (strcmp(value, "off") == 0)
		return 0;
	if (km_address_parse(value, &address, text, sizeof text) < 0)
		return wrong(setting, "listen = %s", text);
	snprintf(metrics->listen, sizeof metrics->listen, "%s", value);
	return 0;
}

static int set_metrics(struct setting *setting, const char *key, const char *value)
{
	struct km_config_metrics *metrics = &setting->config->metrics;
	uint64_t number;

	if (strcmp(key, "listen") == 0)
		return set_listen(setting, value);
	if (strcmp(key, "listed_topics") == 0)
		return set_number(setting, key, value, 0, &metrics->topics);
	if (strcmp(key, "listen_anywhere") == 0) {
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
			return wrong(setting, "listen_anywhere = %s: not yes or no", value);
		metrics->anywhere = value[0] == 'y';
		return 0;
	}
	if (strcmp(key, "listen_mode") == 0) {
		if (parse_number(value, 8, false, 0777, &number) < 0)
			return wrong(setting, "listen_mode = %s: not an octal mode", value);
		metrics->mode = (mode_t)number;
		return 0;
	}
	return wrong(setting, "[metrics] has no key '%s'", key);
}

static int set_log(struct setting *setting, const char *key, const char *value)
{
	if (strcmp(key, "level") != 0)
		return wrong(setting, "[log] has no key '%s'", key);
	if (km_config_parse_level(value, &setting->config->log_level) < 0)
		return wrong(
			setting, "level = %s: not error, warning, notice, info or debug", value);
	return 0;
}

static int set_topic(struct setting *setting, const char *key, const char *value)
{
	int r = km_policy_set(&setting->config->policy, key, value, setting->origin, setting->text,
		setting->text_size);

	return r < 0 ? -EINVAL : 0;
}

static int set_nothing(struct setting *setting, const char *key, const char *value)
{
	return wrong(setting, "'%s' stands before any [section]", key);
}

int km_config_set(struct km_config *config, enum km_config_section section, const char *key,
	const char *value, const struct km_origin *origin, char *ret_text, size_t size)
{
	static int (*const set[])(struct setting * setting, const char *key, const char *value) = {
		[KM_CONFIG_NO_SECTION] = set_nothing,
		[KM_CONFIG_BROKER] = set_broker,
		[KM_CONFIG_LIMITS] = set_limit,
		[KM_CONFIG_RECOVERY] = set_recovery,
		[KM_CONFIG_METRICS] = set_metrics,
		[KM_CONFIG_LOG] = set_log,
		[KM_CONFIG_TOPIC] = set_topic,
	};
	struct setting setting = { config, origin, ret_text, size };
	int r = set[section](&setting, key, value);

	for (int i = 0; r == 0 && i < KM_KEYS; i++)
		if (keys[i].section == section && strcmp(keys[i].key, key) == 0)
			config->origins[i] = *origin;
	return r;
}

int km_config_begin(struct km_config *config, const char *name, enum km_config_section *ret,
	char *ret_text, size_t size)
{
	for (int i = KM_CONFIG_BROKER; i <= KM_CONFIG_LOG; i++)
		if (strcmp(name, section_names[i]) == 0) {
			*ret = (enum km_config_section)i;
			return 0;
		}
	if (strncmp(name, "topic", 5) != 0 || (name[5] && name[5] != ' ')) {
		snprintf(ret_text, size, "there is no section [%s]", name);
		return -EINVAL;
	}
	name += 5 + strspn(name + 5, " ");
	if (km_policy_add(&config->policy, name, ret_text, size) < 0)
		return -EINVAL;
	*ret = KM_CONFIG_TOPIC;
	return 0;
}

static void tell_value(
	const struct km_config *config, enum km_config_key key, char *ret, size_t size)
{
	const struct km_config_metrics *metrics = &config->metrics;

	switch (key) {
	case KM_KEY_SOCKET:
		snprintf(ret, size, "%s", config->socket);
		break;
	case KM_KEY_SOCKET_MODE:
	case KM_KEY_LISTEN_MODE:
		snprintf(ret, size, "%04o",
			key == KM_KEY_SOCKET_MODE ? config->socket_mode : metrics->mode);
		break;
	case KM_KEY_AUTOMATIC:
	case KM_KEY_LISTEN_ANYWHERE:
		snprintf(ret, size, "%s",
			(key == KM_KEY_AUTOMATIC ? config->automatic : metrics->anywhere) ? "yes"
											  : "no");
		break;
	case KM_KEY_INTERVAL:
	case KM_KEY_LISTED_TOPICS:
		snprintf(ret, size, "%u",
			key == KM_KEY_INTERVAL ? config->interval_ms : metrics->topics);
		break;
	case KM_KEY_LISTEN:
		snprintf(ret, size, "%s", *metrics->listen ? metrics->listen : "off");
		break;
	case KM_KEY_LEVEL:
		snprintf(ret, size, "%s", km_config_level_name(config->log_level));
		break;
	case KM_KEYS:
		break;
	}
}

bool km_config_tell(const struct km_config *config, uint64_t index, struct km_config_entry *ret)
{
	const size_t limit_count = sizeof limits / sizeof limits[0];
	const struct km_limit *limit;

	*ret = (struct km_config_entry){ 0 };
	if (index < KM_KEYS) {
		strcpy(ret->section, section_names[keys[index].section]);
		strcpy(ret->key, keys[index].key);
		tell_value(config, (enum km_config_key)index, ret->value, sizeof ret->value);
		km_origin_text(&config->origins[index], ret->origin);
		return true;
	}
	index -= KM_KEYS;
	if (index >= limit_count)
		return km_policy_tell(&config->policy, index - limit_count, ret);
	limit = (const void *)((const char *)config + limits[index].offset);
	strcpy(ret->section, section_names[KM_CONFIG_LIMITS]);
	strcpy(ret->key, limits[index].key);
	snprintf(ret->value, sizeof ret->value, "%llu", (unsigned long long)limit->value);
	km_origin_text(&limit->origin, ret->origin);
	return true;
}
