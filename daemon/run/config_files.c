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

struct drop_ins {
	struct drop_in list[MAX_DROP_INS];
	size_t count;
};

static void free_drop_ins(struct drop_ins **drop_ins)
{
	for (size_t i = 0; *drop_ins && i < (*drop_ins)->count; i++)
		free((*drop_ins)->list[i].name);
	free(*drop_ins);
}

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

static bool is_known(const struct drop_ins *drop_ins, const char *name)
{
	for (size_t i = 0; i < drop_ins->count; i++)
		if (strcmp(drop_ins->list[i].name, name) == 0)
			return true;
	return false;
}

/* Adds a folder's files whose names no folder before it has. */
static int list_folder(struct drop_ins *drop_ins, const char *root, unsigned folder,
	km_config_file_fn *on_file, char *ret_text, size_t size)
{
	char path[PATH_MAX], file[2 * PATH_MAX];
	struct dirent *entry;

	snprintf(path, sizeof path, "%s%s/kickmsgd.conf.d", root, folders[folder]);
	_cleanup_(close_dir) DIR *dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : fail(ret_text, size, path, -errno);
	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;
		bool is_wanted = is_conf(name) && !is_known(drop_ins, name);

		if (!is_wanted && on_file && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
			snprintf(file, sizeof file, "%s/%s", path, name);
			on_file(file, is_conf(name)
					      ? "a folder before this one has that name"
					      : "a name that is hidden or doesn't end in .conf");
		}
		if (!is_wanted)
			continue;
		if (drop_ins->count == MAX_DROP_INS)
			return fail(ret_text, size, path, -E2BIG);
		char *copy = strdup(name);
		if (!copy)
			return fail(ret_text, size, path, -ENOMEM);
		drop_ins->list[drop_ins->count++] = (struct drop_in){ copy, folder };
	}
	return 0;
}

static int load(struct km_config *config, const char *path, km_config_file_fn *on_file,
	char *ret_text, size_t size)
{
	int r = km_config_load(config, path, ret_text, size);

	if (r == 0 && on_file)
		on_file(path, NULL);
	return r;
}

static int load_main(struct km_config *config, const char *root, km_config_file_fn *on_file,
	char *ret_text, size_t size)
{
	char path[PATH_MAX];
	bool found = false;

	for (unsigned i = 0; i < FOLDERS; i++) {
		snprintf(path, sizeof path, "%s%s/kickmsgd.conf", root, folders[i]);
		if (found) {
			if (on_file && access(path, F_OK) == 0)
				on_file(path, "a folder before this one has that name");
			continue;
		}
		int r = load(config, path, on_file, ret_text, size);
		if (r < 0 && r != -ENOENT)
			return r;
		found = r == 0;
	}
	return 0;
}

static int load_folders(struct km_config *config, const char *root, km_config_file_fn *on_file,
	char *ret_text, size_t size)
{
	_cleanup_(free_drop_ins) struct drop_ins *drop_ins = calloc(1, sizeof *drop_ins);
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/.", root);
	if (*root && access(path, F_OK) < 0)
		return fail(ret_text, size, root, -errno);
	int r = drop_ins ? load_main(config, root, on_file, ret_text, size)
			 : fail(ret_text, size, "config", -ENOMEM);

	for (unsigned i = 0; r == 0 && i < FOLDERS; i++)
		r = list_folder(drop_ins, root, i, on_file, ret_text, size);
	if (r == 0)
		qsort(drop_ins->list, drop_ins->count, sizeof drop_ins->list[0], compare);
	for (size_t i = 0; r == 0 && i < drop_ins->count; i++) {
		/* an empty file, and /dev/null, say nothing: that masks a drop-in */
		snprintf(path, sizeof path, "%s%s/kickmsgd.conf.d/%s", root,
			folders[drop_ins->list[i].folder], drop_ins->list[i].name);
		r = load(config, path, on_file, ret_text, size);
	}
	return r;
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

int km_config_read(const struct km_config_source *source, struct km_config *ret,
	km_config_file_fn *on_file, char *ret_text, size_t size)
{
	int r;

	km_config_init(ret);
	if (source->file)
		r = load(ret, source->file, on_file, ret_text, size);
	else
		r = load_folders(ret, source->root, on_file, ret_text, size);
	if (r == 0)
		r = settle_metrics(source, ret, ret_text, size);
	if (r < 0) {
		km_config_deinit(ret);
		return r;
	}
	km_policy_settle(&ret->policy);
	if (source->socket)
		strcpy(ret->socket, source->socket);
	if (source->log_level >= 0)
		ret->log_level = source->log_level;
	return 0;
}
