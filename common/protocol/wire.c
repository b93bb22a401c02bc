/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between client and broker: kinds and checks. See wire.h, and wire_socket.c for how they travel. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/protocol/wire.h"

enum { REQUEST = 1, ANSWER = 2 };

static const struct kind {
	uint32_t op;
	unsigned direction;
	size_t size;
	const char *name;
} kinds[] = {
#define REQUEST_KIND(number, NAME, member, type) { number, REQUEST, sizeof(struct type), #NAME },
#define ANSWER_KIND(number, NAME, member, type)  { number, ANSWER, sizeof(struct type), #NAME },
	KM_WIRE_REQUESTS(REQUEST_KIND) KM_WIRE_ANSWERS(ANSWER_KIND)
};

static const struct kind *find_kind(uint32_t op)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (kinds[i].op == op)
			return &kinds[i];
	return NULL;
}

size_t km_wire_size(uint32_t op)
{
	const struct kind *kind = find_kind(op);

	return kind ? kind->size : 0;
}

const char *km_wire_name(uint32_t op)
{
	const struct kind *kind = find_kind(op);

	return kind ? kind->name : "unknown";
}

#define ENDED(array) (memchr(array, 0, sizeof(array)) != NULL)

static bool km_msg_hello_is_good(const struct km_msg_hello *m)
{
	return ENDED(m->name) && ENDED(m->prefix);
}

static bool km_msg_attach_is_good(const struct km_msg_attach *m)
{
	static const struct km_geometry none;
	const uint32_t subscribers_alone = KM_ATTACH_CREATE | KM_ATTACH_OBSERVE |
					   KM_ATTACH_WRITABLE | KM_ATTACH_WAIT |
					   KM_ATTACH_RELIABLE | KM_ATTACH_NO_HISTORY;

	if (!ENDED(m->topic) || !ENDED(m->owner) || m->kind > KM_KIND_LAST ||
		(m->flags & ~(uint32_t)KM_ATTACH_FLAGS) != 0 || m->persistent > 1 ||
		m->has_schema > 1 || m->has_wanted > 1 || m->has_geometry > 1)
		return false;
	if (!m->has_geometry && (memcmp(&m->geometry, &none, sizeof none) != 0 ||
					m->linger_ns != 0 || m->persistent != 0))
		return false;
	if (m->header.op == KM_OP_ADVERTISE)
		return m->history == 0 && (m->flags & subscribers_alone) == 0;
	return (m->flags & KM_ATTACH_MUST_EXIST) == 0 &&
	       (m->history == 0 || (m->flags & KM_ATTACH_NO_HISTORY) == 0) &&
	       (~m->flags & (KM_ATTACH_OBSERVE | KM_ATTACH_WRITABLE)) != 0 &&
	       (~m->flags & (KM_ATTACH_CREATE | KM_ATTACH_WAIT)) != 0;
}

static bool km_msg_detach_is_good(const struct km_msg_detach *m)
{
	return true;
}

static bool km_msg_list_is_good(const struct km_msg_list *m)
{
	if (m->header.op == KM_OP_LOG_LEVEL)
		return m->cursor >= KM_LEAST_LOG_LEVEL && m->cursor <= KM_MOST_LOG_LEVEL;
	return (m->header.op != KM_OP_STATUS && m->header.op != KM_OP_WATCH) || m->cursor == 0;
}

static bool km_msg_topic_is_good(const struct km_msg_topic *m)
{
	return ENDED(m->topic) && ENDED(m->prefix) && ENDED(m->owner) && m->kind <= KM_KIND_LAST &&
	       m->reserved == 0 &&
	       (m->cursor == 0 || m->header.op == KM_OP_CLIENTS || m->header.op == KM_OP_STATS ||
		       m->header.op == KM_OP_DIAGNOSE || m->header.op == KM_OP_CALLERS);
}

static bool km_msg_claim_is_good(const struct km_msg_claim *m)
{
	return km_msg_topic_is_good(&m->topic);
}

static bool km_msg_repair_is_good(const struct km_msg_repair *m)
{
	return km_msg_topic_is_good(&m->topic) && m->reserved == 0 && m->what != 0 &&
	       (m->what & ~(uint32_t)KM_REPAIR_ALL) == 0;
}

static bool km_msg_rights_is_good(const struct km_msg_rights *m)
{
	return km_msg_topic_is_good(&m->topic) && m->of_other <= 1 &&
	       m->group_count <= KM_WIRE_MAX_GROUPS;
}

static bool request_is_good(const union km_msg *m)
{
	switch (m->header.op) {
#define CHECK(number, NAME, member, type)                                                          \
	case number:                                                                               \
		return type##_is_good(&m->member);
		KM_WIRE_REQUESTS(CHECK)
	default:
		return false;
	}
}

static bool entry_is_good(const struct km_list_entry *entry)
{
	return ENDED(entry->topic) && ENDED(entry->prefix) && ENDED(entry->owner) &&
	       ENDED(entry->region) && ENDED(entry->creator) && entry->kind <= KM_KIND_LAST;
}

static bool clients_are_good(const struct km_msg_clients_ok *m)
{
	if (m->count > KM_WIRE_CLIENTS_PAGE || m->reserved != 0)
		return false;
	for (uint32_t i = 0; i < m->count; i++)
		if (!ENDED(m->clients[i].name) || m->clients[i].reserved != 0)
			return false;
	return true;
}

static bool callers_are_good(const struct km_msg_callers_ok *m)
{
	if (m->count > KM_WIRE_CALLERS_PAGE || m->more > 1)
		return false;
	for (uint32_t i = 0; i < m->count; i++)
		if (!ENDED(m->callers[i].name) || m->callers[i].reserved != 0)
			return false;
	return true;
}

static bool rights_are_good(const struct km_msg_rights_ok *m)
{
	for (int i = 0; i < KM_RIGHTS; i++)
		if (!ENDED(m->rights[i].origin) || !ENDED(m->rights[i].value) ||
			m->rights[i].privilege > KM_PRIVILEGE_ADMIN)
			return false;
	return m->exists <= 1 && m->reserved == 0;
}

static bool sessions_are_good(const struct km_msg_sessions_ok *m)
{
	if (m->count > KM_WIRE_SESSION_PAGE || m->reserved != 0)
		return false;
	for (uint32_t i = 0; i < m->count; i++)
		if (!ENDED(m->sessions[i].name) || !ENDED(m->sessions[i].prefix))
			return false;
	return true;
}

static bool config_is_good(const struct km_msg_config_ok *m)
{
	if (m->count > KM_WIRE_CONFIG_PAGE || m->reserved != 0)
		return false;
	for (uint32_t i = 0; i < m->count; i++)
		if (!ENDED(m->entries[i].section) || !ENDED(m->entries[i].key) ||
			!ENDED(m->entries[i].value) || !ENDED(m->entries[i].origin))
			return false;
	return true;
}

static bool happened_is_good(const struct km_msg_happened *m)
{
	if (m->header.serial != 0 || m->count == 0 || m->count > KM_WIRE_HAPPENED_PAGE ||
		m->reserved != 0)
		return false;
	for (uint32_t i = 0; i < m->count; i++)
		if (!ENDED(m->happenings[i].kind) || !ENDED(m->happenings[i].client) ||
			!ENDED(m->happenings[i].topic) || !ENDED(m->happenings[i].text))
			return false;
	return true;
}

static bool answer_is_good(const union km_msg *m)
{
	switch (m->header.op) {
	case KM_OP_ERROR:
		return ENDED(m->error.text) && m->error.error < 0;
	case KM_OP_HELLO_OK:
		return m->hello_ok.segment_size > 0 && m->hello_ok.reserved == 0;
	case KM_OP_ATTACHED:
		return m->attached.observes <= 1 && m->attached.persistent <= 1 &&
		       m->attached.has_schema <= 1;
	case KM_OP_LIST_OK:
		if (m->list_ok.count > KM_WIRE_LIST_PAGE || m->list_ok.reserved != 0)
			return false;
		for (uint32_t i = 0; i < m->list_ok.count; i++)
			if (!entry_is_good(&m->list_ok.entries[i]))
				return false;
		return true;
	case KM_OP_DIAGNOSE_OK:
		if (m->diagnose_ok.count > KM_WIRE_ANOMALY_PAGE || m->diagnose_ok.reserved != 0 ||
			!ENDED(m->diagnose_ok.reason))
			return false;
		for (uint32_t i = 0; i < m->diagnose_ok.count; i++)
			if (!ENDED(m->diagnose_ok.anomalies[i].owner))
				return false;
		return true;
	case KM_OP_INFO_OK:
		return entry_is_good(&m->info_ok.entry);
	case KM_OP_STATS_OK:
		return m->stats_ok.count <= KM_WIRE_RINGS_PAGE;
	case KM_OP_CLIENTS_OK:
		return clients_are_good(&m->clients_ok);
	case KM_OP_SCHEMA_OK:
		return m->schema_ok.has_schema <= 1 && m->schema_ok.won <= 1;
	case KM_OP_RIGHTS_OK:
		return rights_are_good(&m->rights_ok);
	case KM_OP_CALLERS_OK:
		return callers_are_good(&m->callers_ok);
	case KM_OP_STATUS_OK:
		return ENDED(m->status_ok.version) && ENDED(m->status_ok.config_error) &&
		       m->status_ok.automatic <= 1 && m->status_ok.kept <= 1 &&
		       m->status_ok.reserved == 0;
	case KM_OP_SESSIONS_OK:
		return sessions_are_good(&m->sessions_ok);
	case KM_OP_NUMBERS_OK:
		return m->numbers_ok.count <= KM_WIRE_NUMBERS_PAGE && m->numbers_ok.reserved == 0;
	case KM_OP_CONFIG_OK:
		return config_is_good(&m->config_ok);
	case KM_OP_EVENT:
		return m->event.header.serial == 0 && m->event.reserved == 0;
	case KM_OP_HAPPENED:
		return happened_is_good(&m->happened);
	default:
		return true;
	}
}

static bool shape_is_good(const union km_msg *message, size_t size, unsigned direction)
{
	if (size < sizeof message->header)
		return false;
	const struct kind *kind = find_kind(message->header.op);

	return kind && kind->direction == direction && kind->size == size;
}

size_t km_wire_announced_fds(const union km_msg *answer)
{
	if (answer->header.op == KM_OP_ATTACHED)
		return 2 + (size_t)(answer->attached.bell_size > 0) +
		       (answer->attached.new_segment_size > 0);
	return answer->header.op == KM_OP_HELLO_OK;
}

int km_wire_check_request(const union km_msg *message, size_t size, size_t fd_count)
{
	if (!shape_is_good(message, size, REQUEST) || !request_is_good(message) || fd_count > 0)
		return -EPROTO;
	return 0;
}

int km_wire_check_answer(const union km_msg *message, size_t size, size_t fd_count)
{
	if (!shape_is_good(message, size, ANSWER) || !answer_is_good(message) ||
		fd_count != km_wire_announced_fds(message))
		return -EPROTO;
	return 0;
}
