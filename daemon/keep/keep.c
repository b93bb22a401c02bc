/* SPDX-License-Identifier: Apache-2.0 */
/* The knowledge for the next broker: see keep.h. */
#include <errno.h>
#include <string.h>

#include "daemon/keep/keep.h"
#include "daemon/run/broker.h"
#include "daemon/run/log.h"

void km_keep_init(struct km_broker *broker)
{
	int fd = -1;

	if (!broker->store.active || broker->state)
		return;
	int r = km_state_new(&broker->state, &fd);
	if (r == 0)
		r = km_store_hand(&broker->store, KM_STORE_STATE, fd);
	if (r == 0)
		return;
	km_log(LOG_WARNING | KM_EVENT_NOT_KEPT, NULL, NULL,
		"clients will not outlive this broker: %s", strerror(-r));
	km_state_free(broker->state);
	broker->state = NULL;
	km_store_end(&broker->store);
}

void km_keep_put(struct km_broker *broker, enum km_state_table table, uint32_t *place,
	const void *record, size_t size, uint64_t id)
{
	if (!broker->state)
		return;
	if (!*place)
		km_state_reserve(broker->state, table, id);
	if (km_state_put(broker->state, table, place, record, size) < 0)
		km_log(LOG_WARNING | KM_EVENT_NOT_KEPT, NULL, NULL,
			"the state is full: the next broker will not know all of today's clients");
}

const char *km_keep_reason(int error)
{
	if (error == -ENOENT)
		return "the service manager kept too little of it (FileDescriptorStoreMax=), or "
		       "this broker may open too little (LimitNOFILE=)";
	if (error == -EPROTO)
		return "its record or a descriptor of it is not what it should be";
	return strerror(-error);
}

void km_keep_once(struct km_broker *broker, struct km_keep_once *once, enum km_state_table table,
	const void *record, size_t size, uint64_t id)
{
	if (!broker->state || once->changed)
		return;
	once->changed = true;
	once->table = table;
	once->record = record;
	once->size = size;
	once->id = id;
	LIST_INSERT_HEAD(&broker->changed, once, next);
}

static void take_from_list(struct km_keep_once *once)
{
	if (once->changed)
		LIST_REMOVE(once, next);
	once->changed = false;
}

void km_keep_once_drop(struct km_broker *broker, struct km_keep_once *once)
{
	take_from_list(once);
	km_state_drop(broker->state, once->table, &once->place);
}

void km_keep_commit(struct km_broker *broker)
{
	struct km_keep_once *once;

	if (!broker->state)
		return;
	while ((once = LIST_FIRST(&broker->changed))) {
		take_from_list(once);
		km_keep_put(broker, once->table, &once->place, once->record, once->size, once->id);
	}
	km_state_commit(broker->state);
}
