/* SPDX-License-Identifier: Apache-2.0 */
/* How often an event is logged: see log_limit.h. */
#include <stdio.h>
#include <string.h>

#include "common/memory/layout.h"
#include "common/protocol/wire.h"
#include "daemon/run/log_limit.h"

#define PEERS 128 /* processes and topics that are counted at once */
#define USERS 8   /* of each kind */

/* A count of entries. It is told with the text of the last suppressed entry. */
struct bucket {
	int64_t since_ns;
	uint64_t peer;
	unsigned what;
	unsigned counts[2]; /* of level debug, which few see, and of the others */
	unsigned suppressed;
	bool used;
	/* The subjects of the last suppressed entry; the strings are those that follow. */
	struct km_log_about about;
	char client[KM_PREFIX_SIZE];
	char topic[KM_NAME_SIZE];
	char region[KM_NAME_WHOLE_SIZE];
	char text[160];
};

static struct bucket peers[PEERS];
static struct bucket users[KM_EVENT_NUMBERS][USERS];
static unsigned waiting; /* buckets that have something to tell */

static void tell(struct bucket *bucket, void (*say)(const struct km_log_entry *entry))
{
	if (bucket->suppressed == 0)
		return;
	struct km_log_entry entry = { bucket->what, &bucket->about, bucket->text,
		bucket->suppressed };
	bucket->suppressed = 0;
	waiting--;
	say(&entry);
}

static bool is_over(const struct bucket *bucket, int64_t now_ns)
{
	return now_ns - bucket->since_ns >= KM_LOG_INTERVAL_NS;
}

static void begin(struct bucket *bucket, int64_t now_ns)
{
	bucket->since_ns = now_ns;
	bucket->counts[0] = bucket->counts[1] = 0;
}

static void remember(struct bucket *bucket, const struct km_log_entry *entry, unsigned count)
{
	waiting += bucket->suppressed == 0;
	bucket->suppressed += count;
	bucket->what = entry->what;
	snprintf(bucket->client, sizeof bucket->client, "%s", entry->about->client);
	snprintf(bucket->topic, sizeof bucket->topic, "%s", entry->about->topic);
	snprintf(bucket->region, sizeof bucket->region, "%s", entry->about->region);
	snprintf(bucket->text, sizeof bucket->text, "%s", entry->text);
	bucket->about = (struct km_log_about){ entry->about->pid, entry->about->uid, bucket->client,
		bucket->topic, bucket->region };
}

/* The user's place. A user without a place gets a free one, else that of the user that was there
 * first. */
static struct bucket *find_user(const struct km_log_entry *entry, int64_t now_ns,
	void (*say)(const struct km_log_entry *entry))
{
	struct bucket *row = users[entry->what >> KM_EVENT_SHIFT], *place = row;

	for (unsigned i = 0; i < USERS; i++) {
		if (row[i].used && row[i].peer == entry->about->uid)
			return &row[i];
		if (place->used && (!row[i].used || row[i].since_ns < place->since_ns))
			place = &row[i];
	}
	tell(place, say);
	place->used = true;
	place->peer = entry->about->uid;
	begin(place, now_ns);
	return place;
}

static struct bucket *find_peer(uint64_t peer, const struct km_log_entry *entry, int64_t now_ns,
	void (*say)(const struct km_log_entry *entry))
{
	unsigned number = entry->what >> KM_EVENT_SHIFT;
	uint64_t hash = (peer * 64 + number) * UINT64_C(0x9e3779b97f4a7c15);
	struct bucket *bucket = &peers[hash >> 57];

	if (bucket->used && bucket->peer == peer && bucket->what >> KM_EVENT_SHIFT == number)
		return bucket;
	if (bucket->suppressed > 0) {
		struct km_log_entry gone = { bucket->what, &bucket->about, bucket->text, 0 };

		remember(find_user(&gone, now_ns, say), &gone, bucket->suppressed);
		bucket->suppressed = 0;
		waiting--;
	}
	bucket->used = true;
	bucket->peer = peer;
	bucket->what = entry->what;
	begin(bucket, now_ns);
	return bucket;
}

bool km_log_limit_allow(int64_t now_ns, uint64_t peer, const struct km_log_entry *entry,
	void (*say)(const struct km_log_entry *entry))
{
	struct bucket *by_peer = find_peer(peer, entry, now_ns, say);
	struct bucket *by_user = find_user(entry, now_ns, say);
	struct bucket *both[] = { by_peer, by_user };
	const bool is_debug = LOG_PRI(entry->what) == LOG_DEBUG;
	const unsigned times = is_debug ? KM_LOG_DEBUG_TIMES : 1;

	for (unsigned i = 0; i < 2; i++)
		if (is_over(both[i], now_ns)) {
			tell(both[i], say);
			begin(both[i], now_ns);
		}
	if (by_peer->counts[!is_debug] >= times * KM_LOG_PEER_BURST) {
		remember(by_peer, entry, 1);
		return false;
	}
	if (by_user->counts[!is_debug] >= times * KM_LOG_USER_BURST) {
		remember(by_user, entry, 1);
		return false;
	}
	by_peer->counts[!is_debug]++;
	by_user->counts[!is_debug]++;
	return true;
}

void km_log_limit_tell(int64_t now_ns, void (*say)(const struct km_log_entry *entry))
{
	struct bucket *all = users[0];

	for (unsigned i = 0; waiting > 0 && i < PEERS; i++)
		if (is_over(&peers[i], now_ns))
			tell(&peers[i], say);
	for (unsigned i = 0; waiting > 0 && i < KM_EVENT_NUMBERS * USERS; i++)
		if (is_over(&all[i], now_ns))
			tell(&all[i], say);
}
