/* SPDX-License-Identifier: Apache-2.0 */
/* Which config files there are, and their order: see config_files.h. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/run/config_files.h"
#include "daemon/run/config_load.h"

#define MAX_DROP_INS 1024

static const char *const folders[] = { "/etc/kickmsg", "/run/kickmsg", "/usr/lib/kickmsg" };
#define FOLDERS (sizeof folders / sizeof folders[0])

struct drop_in {
	char *name;
	unsigned folder;
};

enum stage { START, MAIN, FOLDER, DROP_INS, SETTLE };

struct km_config_reading {
	const struct km_config_source *source;
	km_config_file_fn *on_file; /* or null */
	struct km_config config;    /* as far as it is read */
	bool is_given;              /* it is the caller's now */
	struct km_config_load load; /* of the file at hand */
	enum stage stage;
	unsigned folder; /* the next one */
	bool has_main;
	struct drop_in list[MAX_DROP_INS];
	size_t count, next;
};

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct drop_in *)a)->name, ((const struct drop_in *)b)->name);
}

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int fail(char *ret_text, size_t size, const char *path, int error)
{
	snprintf(ret_text, size, "%s: %s", path, strerror(-error));
	return error;
}

static bool is_conf(const char *name)
{
	size_t len = strlen(name);

	return name[0] != '.' && len > 5 && strcmp(name + len - 5, ".conf") == 0;
}

/* Is it the name of one of the first `count` drop-ins? */
static bool is_known(const struct km_config_reading *reading, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(reading->list[i].name, name) == 0)
			return true;
	return false;
}

/* Adds a folder's files whose names no folder before it has. */
static int list_folder(
	struct km_config_reading *reading, unsigned folder, char *ret_text, size_t size)
{
	const size_t before = reading->count;
	km_config_file_fn *on_file = reading->on_file;
	char path[PATH_MAX], file[2 * PATH_MAX];
	struct dirent *entry;

	snprintf(path, sizeof path, "%s%s/kickmsgd.conf.d", reading->source->root, folders[folder]);
	_cleanup_(close_dir) DIR *dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : fail(ret_text, size, path, -errno);
	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;
		bool is_wanted = is_conf(name) && !is_known(reading, before, name);

		if (!is_wanted && on_file && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
			snprintf(file, sizeof file, "%s/%s", path, name);
			on_file(file, is_conf(name)
					      ? "a folder before this one has that name"
					      : "a name that is hidden or doesn't end in .conf");
		}
		if (!is_wanted)
			continue;
		if (reading->count == MAX_DROP_INS)
			return fail(ret_text, size, path, -E2BIG);
		char *copy = strdup(name);
		if (!copy)
			return fail(ret_text, size, path, -ENOMEM);
		reading->list[reading->count++] = (struct drop_in){ copy, folder };
	}
	return 0;
}

static int open_next(
	struct km_config_reading *reading, const char *path, char *ret_text, size_t size)
{
	return km_config_load_begin(&reading->load, &reading->config, path, ret_text, size);
}

/* Opens the main file of the next folder, if none before it had one. */
static int open_main(struct km_config_reading *reading, char *ret_text, size_t size)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s%s/kickmsgd.conf", reading->source->root,
		folders[reading->folder++]);
	if (reading->has_main) {
		if (reading->on_file && access(path, F_OK) == 0)
			reading->on_file(path, "a folder before this one has that name");
		return 0;
	}
	int r = open_next(reading, path, ret_text, size);
	reading->has_main = r == 0;
	return r == -ENOENT ? 0 : r;
}

/* An empty file, and /dev/null, say nothing: that masks a drop-in. */
static int open_drop_in(struct km_config_reading *reading, char *ret_text, size_t size)
{
	const struct drop_in *drop_in = &reading->list[reading->next++];
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s%s/kickmsgd.conf.d/%s", reading->source->root,
		folders[drop_in->folder], drop_in->name);
	return open_next(reading, path, ret_text, size);
}

/* Checks the metrics' settings when all files are read: the key that allows them may stand in
 * another file. */
static int check_metrics(const struct km_config_metrics *metrics, char *ret_text, size_t size)
{
	struct km_address address;

	if (!*metrics->listen || km_address_parse(metrics->listen, &address, ret_text, size) < 0)
		return *metrics->listen ? -EINVAL : 0;
	if (!address.reaches_out || metrics->anywhere)
		return 0;
	snprintf(ret_text, size,
		"metrics at %s: other hosts can reach it, and everybody there may read them; to "
		"allow that, say listen_anywhere = yes in [metrics]",
		metrics->listen);
	return -EINVAL;
}

static int settle_metrics(
	const struct km_config_source *source, struct km_config *ret, char *ret_text, size_t size)
{
	if (source->metrics)
		snprintf(ret->metrics.listen, sizeof ret->metrics.listen, "%s", source->metrics);
	return check_metrics(&ret->metrics, ret_text, size);
}

/* Begins with the one file, or with the folders. */
static int start(struct km_config_reading *reading, char *ret_text, size_t size)
{
	const struct km_config_source *source = reading->source;
	char path[PATH_MAX];

	reading->stage = source->file ? SETTLE : MAIN;
	if (source->file)
		return open_next(reading, source->file, ret_text, size);
	snprintf(path, sizeof path, "%s/.", source->root);
	if (*source->root && access(path, F_OK) < 0)
		return fail(ret_text, size, source->root, -errno);
	return 0;
}

static int settle(
	struct km_config_reading *reading, struct km_config *ret, char *ret_text, size_t size)
{
	const struct km_config_source *source = reading->source;
	int r = settle_metrics(source, &reading->config, ret_text, size);

	if (r < 0)
		return r;
	km_policy_settle(&reading->config.policy);
	*ret = reading->config;
	reading->is_given = true;
	if (source->socket)
		strcpy(ret->socket, source->socket);
	if (source->log_level >= 0)
		ret->log_level = source->log_level;
	return 0;
}

/* Goes on when no file is open. Returns 1, or an error; after the last step 0. */
static int go_on(
	struct km_config_reading *reading, struct km_config *ret, char *ret_text, size_t size)
{
	int r = 0;

	switch (reading->stage) {
	case START:
		r = start(reading, ret_text, size);
		break;
	case MAIN:
		r = open_main(reading, ret_text, size);
		if (reading->folder == FOLDERS) {
			reading->stage = FOLDER;
			reading->folder = 0;
		}
		break;
	case FOLDER:
		r = list_folder(reading, reading->folder++, ret_text, size);
		if (reading->folder == FOLDERS) {
			qsort(reading->list, reading->count, sizeof reading->list[0], compare);
			reading->stage = DROP_INS;
		}
		break;
	case DROP_INS:
		if (reading->next < reading->count)
			r = open_drop_in(reading, ret_text, size);
		else
			reading->stage = SETTLE;
		break;
	case SETTLE:
		return settle(reading, ret, ret_text, size);
	}
	return r < 0 ? r : 1;
}

struct km_config_reading *km_config_read_begin(
	const struct km_config_source *source, km_config_file_fn *on_file)
{
	struct km_config_reading *reading = calloc(1, sizeof *reading);

	if (!reading)
		return NULL;
	reading->source = source;
	reading->on_file = on_file;
	km_config_init(&reading->config);
	return reading;
}

int km_config_read_some(
	struct km_config_reading *reading, struct km_config *ret, char *ret_text, size_t size)
{
	if (!reading->load.file)
		return go_on(reading, ret, ret_text, size);
	int r = km_config_load_some(&reading->load, ret_text, size);
	if (r > 0)
		return r;
	km_config_load_end(&reading->load);
	if (r == 0 && reading->on_file)
		reading->on_file(reading->load.path, NULL);
	return r < 0 ? r : 1;
}

void km_config_read_end(struct km_config_reading *reading)
{
	if (!reading)
		return;
	km_config_load_end(&reading->load);
	if (!reading->is_given)
		km_config_deinit(&reading->config);
	for (size_t i = 0; i < reading->count; i++)
		free(reading->list[i].name);
	free(reading);
}

int km_config_read(const struct km_config_source *source, struct km_config *ret,
	km_config_file_fn *on_file, char *ret_text, size_t size)
{
	struct km_config_reading *reading = km_config_read_begin(source, on_file);
	int r;

	if (!reading)
		return fail(ret_text, size, "config", -ENOMEM);
	do
		r = km_config_read_some(reading, ret, ret_text, size);
	while (r > 0);
	km_config_read_end(reading);
	return r;
}
