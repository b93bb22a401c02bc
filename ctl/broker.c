/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status, client, reload, evict: the broker itself, and its clients.
 *
 * The file is long because it has four verbs and the tables of two of them.
 */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ctl/listings.h"
#include "ctl/terminal.h"

enum { PAGE = 64, PATIENCE_NS = 2000000000, LOOK_NS = 10000000 };

enum {
	VERSION,
	PID,
	SOCKET,
	UPTIME,
	STARTED,
	CLIENTS,
	MAX_CLIENTS,
	TOPICS,
	MAX_TOPICS,
	ENDPOINTS,
	MAX_ENDPOINTS,
	BYTES,
	MAX_BYTES,
	STRANGERS,
	RESIDENT,
	DESCRIPTORS,
	REFUSED,
	GONE,
	REPAIRED,
	QUARANTINED,
	REPAIRS,
	SURVIVES,
	LOG_LEVEL,
	CONFIG_ERROR
};

static const struct ctl_column status_columns[] = {
	[VERSION] = { "VERSION", "version", CTL_TYPE_TEXT, true },
	[PID] = { "PID", "pid", CTL_TYPE_COUNT, true },
	[SOCKET] = { "SOCKET", "socket", CTL_TYPE_TEXT, true },
	[UPTIME] = { "UPTIME", "uptime_ns", CTL_TYPE_DURATION, true },
	[STARTED] = { "STARTED", "started_realtime_ns", CTL_TYPE_MOMENT, false },
	[CLIENTS] = { "CLIENTS", "clients", CTL_TYPE_COUNT, true },
	[MAX_CLIENTS] = { "MAX-CLIENTS", "max_clients", CTL_TYPE_COUNT, true },
	[TOPICS] = { "TOPICS", "topics", CTL_TYPE_COUNT, true },
	[MAX_TOPICS] = { "MAX-TOPICS", "max_topics", CTL_TYPE_COUNT, true },
	[ENDPOINTS] = { "ENDPOINTS", "endpoints", CTL_TYPE_COUNT, true },
	[MAX_ENDPOINTS] = { "MAX-ENDPOINTS", "max_endpoints", CTL_TYPE_COUNT, true },
	[BYTES] = { "SHARED-MEMORY", "bytes", CTL_TYPE_BYTES, true },
	[MAX_BYTES] = { "MAX-MEMORY", "max_bytes", CTL_TYPE_BYTES, true },
	[STRANGERS] = { "SILENT-CONNECTIONS", "strangers", CTL_TYPE_COUNT, true },
	[RESIDENT] = { "OWN-MEMORY", "resident_bytes", CTL_TYPE_BYTES, true },
	[DESCRIPTORS] = { "DESCRIPTORS", "descriptors", CTL_TYPE_COUNT, true },
	[REFUSED] = { "REFUSED-REQUESTS", "refused", CTL_TYPE_COUNT, true },
	[GONE] = { "CLIENTS-GONE", "gone", CTL_TYPE_COUNT, true },
	[REPAIRED] = { "REPAIRED-TOPICS", "repaired", CTL_TYPE_COUNT, true },
	[QUARANTINED] = { "QUARANTINED-TOPICS", "quarantined", CTL_TYPE_COUNT, true },
	[REPAIRS] = { "REPAIRS-BY-ITSELF", "repairs", CTL_TYPE_BOOL, true },
	[SURVIVES] = { "TOPICS-OUTLIVE-IT", "survives_restart", CTL_TYPE_BOOL, true },
	[LOG_LEVEL] = { "LOG-LEVEL", "log_level", CTL_TYPE_TEXT, true },
	[CONFIG_ERROR] = { "CONFIG-REFUSED", "config_error", CTL_TYPE_TEXT, true },
};
static const struct ctl_columns status_listing = CTL_COLUMNS(status_columns);

/* The broker's process as /proc has it, for those who may look there. */
static void put_process(struct ctl_table *table, int32_t pid)
{
	char path[64];
	unsigned long long pages, resident;
	uint64_t descriptors = 0;

	snprintf(path, sizeof path, "/proc/%" PRId32 "/statm", pid);
	FILE *file = fopen(path, "re");
	if (file && fscanf(file, "%llu %llu", &pages, &resident) == 2)
		ctl_put_count(table, RESIDENT, resident * (uint64_t)sysconf(_SC_PAGESIZE));
	if (file)
		fclose(file);
	snprintf(path, sizeof path, "/proc/%" PRId32 "/fd", pid);
	DIR *folder = opendir(path);
	if (!folder)
		return;
	for (const struct dirent *entry; (entry = readdir(folder));)
		descriptors += entry->d_name[0] != '.';
	closedir(folder);
	ctl_put_count(table, DESCRIPTORS, descriptors);
}

static void put_status(struct ctl_table *table, const struct kickmsg_broker_status *status)
{
	ctl_put_text(table, VERSION, status->version);
	ctl_put_count(table, PID, (uint64_t)status->pid);
	ctl_put_count(table, UPTIME, status->uptime_ns);
	ctl_put_count(table, STARTED, status->started_realtime_ns);
	ctl_put_count(table, CLIENTS, status->clients);
	ctl_put_count(table, MAX_CLIENTS, status->max_clients);
	ctl_put_count(table, TOPICS, status->topics);
	ctl_put_count(table, MAX_TOPICS, status->max_topics);
	ctl_put_count(table, ENDPOINTS, status->endpoints);
	ctl_put_count(table, MAX_ENDPOINTS, status->max_endpoints);
	ctl_put_count(table, BYTES, status->bytes);
	ctl_put_count(table, MAX_BYTES, status->max_bytes);
	ctl_put_count(table, STRANGERS, status->strangers);
	ctl_put_count(table, REFUSED, status->refused);
	ctl_put_count(table, GONE, status->gone);
	ctl_put_count(table, REPAIRED, status->repaired);
	ctl_put_count(table, QUARANTINED, status->quarantined);
	if (status->quarantined)
		ctl_mark_bad(table);
	ctl_put_bool(table, REPAIRS, status->repairs != 0);
	ctl_put_bool(table, SURVIVES, status->survives_restart != 0);
	ctl_put_text(table, LOG_LEVEL, ctl_level_name(status->log_level));
	if (*status->config_error) {
		ctl_put_text(table, CONFIG_ERROR, status->config_error);
		ctl_mark_bad(table);
	}
}

int ctl_status(struct ctl *ctl)
{
	_cleanup_table_ struct ctl_table *table = ctl_table_new(ctl, &status_listing);
	struct json_object *object = NULL;
	struct kickmsg_broker_status status;
	char path[128] = "?";
	int r = kickmsg_broker_get_status(ctl->client, &status);

	if (r < 0)
		return ctl_failed(ctl, NULL, NULL, r);
	if (ctl->json) {
		object = json_object_new_object();
		json_object_object_add(ctl->root, "broker", json_object_get(object));
	}
	ctl_table_row(table, object);
	put_status(table, &status);
	kickmsg_socket_path(ctl->values[CTL_OPT_SOCKET].text, path, sizeof path);
	ctl_put_text(table, SOCKET, path);
	put_process(table, status.pid);
	ctl_table_print_upright(table, NULL);
	return CTL_DONE;
}

enum {
	NAME,
	CLIENT_PID,
	UID,
	PREFIX,
	PUBLISHERS,
	SUBSCRIBERS,
	WAITS,
	AGE,
	STATE,
	ID,
	ALIVE,
	CONNECTED
};

static const struct ctl_column client_columns[] = {
	[NAME] = { "NAME", "name", CTL_TYPE_TEXT, true },
	[CLIENT_PID] = { "PID", "pid", CTL_TYPE_COUNT, true },
	[UID] = { "UID", "uid", CTL_TYPE_COUNT, true },
	[PREFIX] = { "PREFIX", "prefix", CTL_TYPE_TEXT, true },
	[PUBLISHERS] = { "PUBS", "publishers", CTL_TYPE_COUNT, true },
	[SUBSCRIBERS] = { "SUBS", "subscribers", CTL_TYPE_COUNT, true },
	[WAITS] = { "WAITS", "waits", CTL_TYPE_COUNT, true },
	[AGE] = { "AGE", "age_ns", CTL_TYPE_DURATION, true },
	[STATE] = { "STATE", NULL, CTL_TYPE_TEXT, true },
	[ID] = { "ID", "client_id", CTL_TYPE_COUNT, false },
	[ALIVE] = { "ALIVE", "alive", CTL_TYPE_BOOL, false },
	[CONNECTED] = { "CONNECTED", "connected", CTL_TYPE_BOOL, false },
};
const struct ctl_columns ctl_client_columns = CTL_LISTING(client_columns);

/* Does the word mean this client: by its pid, or as a pattern of names? */
static bool is_meant(const struct ctl *ctl, const struct kickmsg_broker_client *client)
{
	char written[KICKMSG_NAME_SIZE];

	if (ctl->word_count == 0)
		return true;
	const char *word = ctl->arguments[0];
	if (word[strspn(word, "0123456789")] == '\0')
		return client->pid > 0 && strtoull(word, NULL, 10) == (uint64_t)client->pid;
	return fnmatch(word, ctl_write_part(client->name, written), 0) == 0 ||
	       strcmp(word, client->name) == 0;
}

/* Fetches all clients that are meant. *ret is the caller's to free. Returns 0 or a negative
 * errno. */
static int fetch_clients(struct ctl *ctl, struct kickmsg_broker_client **ret, size_t *ret_count)
{
	_cleanup_free_ struct kickmsg_broker_client *clients = NULL;
	uint64_t cursor = 0;
	size_t count = 0;
	ssize_t n;

	do {
		struct kickmsg_broker_client *more = reallocarray(
			clients, count + PAGE, sizeof *more);
		if (!more)
			return -ENOMEM;
		clients = more;
		n = kickmsg_broker_clients(ctl->client, &cursor, clients + count, PAGE);
		if (n < 0)
			return (int)n;
		struct kickmsg_broker_client *page = clients + count;
		for (ssize_t i = 0; i < n; i++)
			if (is_meant(ctl, &page[i]))
				clients[count++] = page[i];
	} while (n > 0);
	*ret = ctl_steal(clients);
	*ret_count = count;
	return 0;
}

static int none_is_meant(struct ctl *ctl)
{
	char text[CTL_TEXT_SIZE], name[KICKMSG_NAME_SIZE], suggestions[CTL_TEXT_SIZE] = "";
	_cleanup_free_ struct kickmsg_broker_client *all = NULL;
	struct ctl_near near = { 0 };
	size_t count = 0;

	ctl->word_count = 0; /* all are meant */
	int r = fetch_clients(ctl, &all, &count);
	ctl->word_count = 1;
	if (r == 0)
		for (size_t i = 0; i < count; i++)
			if (all[i].pid != getpid()) {
				ctl_write_part(all[i].name, name);
				ctl_near_add(&near, ctl->arguments[0], name, 0, name);
			}
	snprintf(text, sizeof text, "there is no client '%.100s'%.300s", ctl->arguments[0],
		ctl_near_write(&near, suggestions, sizeof suggestions));
	print_error(ctl, NULL, -ESRCH, text);
	return CTL_FOUND;
}

static void put_client(struct ctl_table *table, struct json_object *object,
	const struct kickmsg_broker_client *client)
{
	ctl_table_row(table, object);
	ctl_put_part(table, NAME, client->name);
	ctl_put_count(table, CLIENT_PID, (uint64_t)client->pid);
	ctl_put_count(table, UID, client->uid);
	ctl_put_part(table, PREFIX, client->prefix);
	ctl_put_count(table, PUBLISHERS, client->publishers);
	ctl_put_count(table, SUBSCRIBERS, client->subscribers);
	ctl_put_count(table, WAITS, client->waits);
	ctl_put_count(table, AGE, client->age_ns);
	ctl_put_count(table, ID, client->client_id);
	ctl_put_bool(table, ALIVE, client->alive != 0);
	ctl_put_bool(table, CONNECTED, client->connected != 0);
	ctl_put_text(table, STATE,
		!client->alive       ? "dead"
		: !client->connected ? "hung up"
				     : "alive");
	if (!client->alive)
		ctl_mark_bad(table);
}

static ssize_t index_of(
	const struct kickmsg_broker_client *clients, size_t count, uint64_t client_id)
{
	for (size_t i = 0; i < count; i++)
		if (clients[i].client_id == client_id)
			return (ssize_t)i;
	return -1;
}

/* Puts what these clients have in one topic; with --json into each client's array. Returns 0 or a negative
 * errno. */
static int put_topic(struct ctl *ctl, struct ctl_table *table, struct json_object *list,
	const struct kickmsg_topic_ref *topic, const struct kickmsg_broker_client *clients,
	size_t count)
{
	struct kickmsg_participant page[PAGE];
	struct json_object *topics, *entry = NULL;
	uint64_t cursor = 0;
	ssize_t n, client;

	while ((n = kickmsg_topic_participants(ctl->client, topic, &cursor, page, PAGE)) > 0)
		for (ssize_t i = 0; i < n; i++) {
			client = index_of(clients, count, page[i].client_id);
			if (client < 0)
				continue;
			if (list) {
				topics = json_object_array_get_idx(list, (size_t)client);
				json_object_object_get_ex(topics, "topics", &topics);
				entry = json_new_named(topic);
				json_object_array_add(topics, json_object_get(entry));
			}
			ctl_put_participant(table, entry, topic, &page[i]);
		}
	/* gone since it was listed */
	return n == -ENOENT || n == -ESTALE ? 0 : (int)n;
}

/* Shows the topics that clients take part in, and what they hold there. */
static int print_topics(struct ctl *ctl, struct json_object *list,
	const struct kickmsg_broker_client *clients, size_t count)
{
	_cleanup_free_ struct kickmsg_topic_info *topics = NULL;
	_cleanup_table_ struct ctl_table *table = ctl_participants_new(ctl, true);
	size_t topic_count = 0;
	int r = ctl_fetch_topics(ctl->client, &topics, &topic_count);

	for (size_t i = 0; list && i < count; i++)
		json_add_array(json_object_array_get_idx(list, i), "topics");
	for (size_t i = 0; r == 0 && i < topic_count; i++) {
		struct kickmsg_topic_ref topic = ctl_ref(&topics[i]);

		if (topics[i].unlinked || topics[i].quarantined)
			continue;
		r = put_topic(ctl, table, list, &topic, clients, count);
	}
	if (r == 0 && !ctl->json)
		putchar('\n');
	if (r == 0)
		ctl_table_print(table, NULL, "It takes part in no topic.");
	return r;
}

int ctl_client(struct ctl *ctl)
{
	_cleanup_free_ struct kickmsg_broker_client *clients = NULL;
	_cleanup_table_ struct ctl_table *table = ctl_table_new(ctl, &ctl_client_columns);
	struct json_object *list = NULL;
	size_t count = 0;
	int r = fetch_clients(ctl, &clients, &count);

	if (r < 0)
		return ctl_failed(ctl, NULL, NULL, r);
	if (count == 0)
		return none_is_meant(ctl);
	if (ctl->json)
		list = json_add_array(ctl->root, "clients");
	for (size_t i = 0; i < count; i++)
		put_client(
			table, list ? json_object_get(json_add_object(list)) : NULL, &clients[i]);
	ctl_table_print(table, NULL, NULL);
	if (ctl->word_count)
		r = print_topics(ctl, list, clients, count);
	return r < 0 ? ctl_failed(ctl, NULL, NULL, r) : CTL_DONE;
}

int ctl_reload(struct ctl *ctl)
{
	struct kickmsg_broker_status before, now;
	const int64_t until = ctl_now_ns() + 5 * (int64_t)PATIENCE_NS;
	char text[CTL_TEXT_SIZE];
	int r = kickmsg_broker_get_status(ctl->client, &before);

	if (r < 0)
		return ctl_failed(ctl, NULL, NULL, r);
	if (kill(before.pid, SIGHUP) < 0) {
		r = -errno;
		snprintf(text, sizeof text, "may not signal the broker, process %" PRId32 ": %s",
			before.pid, strerror(-r));
		print_error(ctl, NULL, r, text);
		return ctl_status_of(r);
	}
	do {
		ctl_sleep_until(ctl_now_ns() + LOOK_NS);
		r = kickmsg_broker_get_status(ctl->client, &now);
	} while (r == 0 && now.config_reads == before.config_reads && ctl_now_ns() < until);
	if (r < 0)
		return ctl_failed(ctl, NULL, NULL, r);
	if (now.config_reads == before.config_reads)
		strcpy(text, "the broker hasn't read its configuration yet");
	else
		snprintf(text, sizeof text, "%s", now.config_error);
	if (*text) {
		print_error(ctl, NULL, -EINVAL, text);
		return CTL_FOUND;
	}
	if (!ctl->json)
		puts("The broker has read its configuration.");
	return CTL_DONE;
}

/* Ends the process of a client. Its pidfd comes first: if the broker has the client still after
 * that, no other process can have got its number. */
static int end_process(struct ctl *ctl, const struct kickmsg_broker_client *client)
{
	if (client->pid <= 0) {
		print_error(ctl, NULL, -ESRCH,
			"the client's process is in another pid namespace, and can't be ended from "
			"here");
		return CTL_FOUND;
	}
	_cleanup_free_ struct kickmsg_broker_client *again = NULL;
	char text[CTL_TEXT_SIZE];
	bool is_there = false;
	size_t count = 0;
	int fd = (int)syscall(SYS_pidfd_open, client->pid, 0);
	int r = fd < 0 ? -errno : fetch_clients(ctl, &again, &count);

	for (size_t i = 0; r == 0 && i < count; i++)
		is_there |= again[i].client_id == client->client_id && again[i].alive;
	if (r == 0 && is_there && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	if (r == -ESRCH || (r == 0 && !is_there))
		return CTL_DONE; /* the process is gone */
	if (r < 0) {
		snprintf(text, sizeof text, "process %" PRId32 " can't be ended: %s", client->pid,
			strerror(-r));
		print_error(ctl, NULL, r, text);
		return ctl_status_of(r);
	}
	if (!ctl->json)
		printf("Process %" PRId32 " is ended.\n", client->pid);
	return CTL_DONE;
}

/* This tool is a client itself, by the name that all its users have. Returns how many others there are. */
static size_t leave_myself_out(struct kickmsg_broker_client *clients, size_t count)
{
	size_t others = 0;

	for (size_t i = 0; i < count; i++)
		if (clients[i].pid != getpid())
			clients[others++] = clients[i];
	return others;
}

int ctl_evict(struct ctl *ctl)
{
	_cleanup_free_ struct kickmsg_broker_client *clients = NULL;
	size_t count = 0;
	int r = fetch_clients(ctl, &clients, &count), status = CTL_DONE;

	if (r < 0)
		return ctl_failed(ctl, NULL, NULL, r);
	count = leave_myself_out(clients, count);
	if (count == 0)
		return none_is_meant(ctl);
	if (!ctl_given(ctl, CTL_OPT_KILL)) {
		print_error(ctl, NULL, -EOPNOTSUPP,
			"the memory that a client has mapped can't be taken back: --kill ends its "
			"process");
		return CTL_FOUND;
	}
	for (size_t i = 0; i < count && status == CTL_DONE; i++)
		status = end_process(ctl, &clients[i]);
	return status;
}
