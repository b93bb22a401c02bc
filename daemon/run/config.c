/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's config, and its defaults: see config.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "daemon/run/config.h"

struct km_config_file {
	struct km_config_file *next;
	char path[];
};

void km_config_init(struct km_config *config)
{
	*config = (struct km_config){
		.socket_mode = 0660,
		.log_level = LOG_INFO,
		.total = { [KM_CLIENTS] = { 1024 },
			[KM_TOPICS] = { 4096 },
			[KM_ENDPOINTS] = { 65536 } },
		.client_endpoints = { 256 },
		.user_rate = { [KM_CLIENTS] = { 500 }, [KM_TOPICS] = { 1000 } },
		.automatic = true,
		.interval_ms = 1000,
		.metrics = { .mode = 0660, .topics = 1000 },
	};
	km_policy_init(&config->policy);
}

void km_config_deinit(struct km_config *config)
{
	struct km_config_file *file;

	km_policy_deinit(&config->policy);
	while ((file = config->files)) {
		config->files = file->next;
		free(file);
	}
}

/* Adds the file to a text, the newest first. Returns how much of ret is used. */
static size_t add_file(const struct km_config_file *file, char *ret, size_t size)
{
	size_t used = file->next ? add_file(file->next, ret, size) : 0;
	int n = snprintf(ret + used, size - used, "%s%s", used ? " " : "", file->path);

	return n < 0 ? used : used + (size_t)n < size ? used + (size_t)n : size - 1;
}

const char *km_config_files_text(const struct km_config *config, char *ret, size_t size)
{
	snprintf(ret, size, "none");
	if (config->files)
		add_file(config->files, ret, size);
	return ret;
}

static const char *const levels[] = { [LOG_ERR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_NOTICE] = "notice",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug" };

int km_config_parse_level(const char *text, int *ret)
{
	for (int level = LOG_ERR; level <= LOG_DEBUG; level++)
		if (strcmp(levels[level], text) == 0) {
			*ret = level;
			return 0;
		}
	return -EINVAL;
}

const char *km_config_level_name(int level)
{
	return levels[level];
}

const char *km_config_add_file(struct km_config *config, const char *path)
{
	struct km_config_file *file = malloc(sizeof *file + strlen(path) + 1);

	if (!file)
		return NULL;
	file->next = config->files;
	config->files = file;
	return strcpy(file->path, path);
}
