/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that tools need: see kickmsg-operator.h. */
#include "libclient/kickmsg-operator.h"

#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/protocol/name.h"
#include "common/protocol/socketpath.h"
#include "libclient/client/control.h"
#include "libclient/client/request.h"
#include "libclient/export.h"
#include "libclient/look/look.h"

static_assert(KICKMSG_NAME_SIZE == KM_NAME_SIZE && KICKMSG_PREFIX_SIZE == KM_PREFIX_SIZE &&
		      (int)KICKMSG_RIGHT_CALL == (int)KM_RIGHT_CALL &&
		      (int)KICKMSG_RIGHT_RELIABLE == (int)KM_RIGHT_RELIABLE &&
		      KICKMSG_RIGHTS == KM_RIGHTS &&
		      (int)KICKMSG_PRIVILEGE_ADMIN == (int)KM_PRIVILEGE_ADMIN &&
		      (int)KICKMSG_ANOMALY_CORRUPT == (int)KM_ANOMALY_CORRUPT &&
		      KICKMSG_NO_NUMBER == KM_HAZARD_NONE &&
		      KICKMSG_WHOLE_NAME_SIZE == KM_NAME_WHOLE_SIZE,
	"the broker's numbers are the public ones");
static_assert(sizeof(((struct kickmsg_said_right *)0)->origin) ==
			      sizeof(((struct km_said_right *)0)->origin) &&
		      sizeof(((struct kickmsg_said_right *)0)->value) ==
			      sizeof(((struct km_said_right *)0)->value) &&
		      sizeof(((struct kickmsg_anomaly *)0)->owner_name) ==
			      sizeof(((struct km_anomaly *)0)->owner),
	"the broker's texts fit");

KM_EXPORT int kickmsg_socket_path(const char *said, char *ret, size_t size)
{
	KM_KEEP_ERRNO;
	const struct km_socket_choice choice = km_socket_choose(said);
	char path[KM_SOCKET_PATH_SIZE];
	size_t len = km_socket_client_path(&choice, path, sizeof path);

	if (len == 0 || len >= sizeof path || len >= size)
		return -EINVAL;
	memcpy(ret, path, len + 1);
	return 0;
}

KM_EXPORT const char *kickmsg_system_socket(void)
{
	return KM_SOCKET_SYSTEM_PATH;
}

KM_EXPORT int kickmsg_part_write(const char *part, char *ret, size_t size)
{
	KM_KEEP_ERRNO;

	return km_name_escape(part, ret, size);
}

KM_EXPORT int kickmsg_part_read(const char *written, char *ret, size_t size)
{
	return km_name_unescape(written, ret, size);
}

KM_EXPORT int kickmsg_name_write(const struct kickmsg_topic_ref *topic, char *ret, size_t size)
{
	KM_KEEP_ERRNO;
	char prefix[KM_PREFIX_SIZE], owner[KM_PREFIX_SIZE] = "", name[KM_NAME_SIZE];
	char whole[KM_NAME_WHOLE_SIZE];

	if (!kickmsg_kind_name(topic->kind) ||
		km_name_escape(topic->prefix, prefix, sizeof prefix) < 0 ||
		km_name_escape(topic->name, name, sizeof name) < 0 ||
		(km_kind_has_owner(topic->kind) &&
			km_name_escape(topic->owner, owner, sizeof owner) < 0) ||
		km_name_write((uint32_t)topic->kind, prefix, owner, name, whole, sizeof whole) <
			0 ||
		strlen(whole) >= size)
		return -EINVAL;
	strcpy(ret, whole);
	return 0;
}

KM_EXPORT const char *kickmsg_kind_name(enum kickmsg_kind kind)
{
	return (uint32_t)kind <= KM_KIND_LAST ? km_kind_name((uint32_t)kind) : NULL;
}

KM_EXPORT int kickmsg_topic_get_rights(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, const struct kickmsg_user *user,
	struct kickmsg_topic_rights *ret)
{
	struct km_msg_rights request = { 0 };
	union km_msg answer;
	const struct km_msg_rights_ok *said = &answer.rights_ok;
	int r = km_request_topic(client, topic, KM_OP_RIGHTS, &request.topic);

	if (r < 0)
		return r;
	if (user && user->group_count > KM_WIRE_MAX_GROUPS)
		return km_client_fail(
			client, -E2BIG, "more than %d groups can't be told", KM_WIRE_MAX_GROUPS);
	if (user) {
		request.of_other = 1;
		request.uid = user->uid;
		request.gid = user->gid;
		request.group_count = user->group_count;
		if (user->group_count > 0)
			memcpy(request.groups, user->groups,
				user->group_count * sizeof request.groups[0]);
	}
	r = km_client_call(client, &request, sizeof request, KM_OP_RIGHTS_OK, &answer, NULL, NULL);
	if (r < 0)
		return r;
	*ret = (struct kickmsg_topic_rights){
		.exists = said->exists,
		.owner_uid = said->owner_uid,
		.uid = said->uid,
	};
	for (int i = 0; i < KM_RIGHTS; i++) {
		ret->rights[i].allowed = said->rights[i].allowed;
		ret->rights[i].privilege = (enum kickmsg_privilege)said->rights[i].privilege;
		strcpy(ret->rights[i].origin, said->rights[i].origin);
		strcpy(ret->rights[i].value, said->rights[i].value);
	}
	return 0;
}

static void read_anomaly(const struct km_anomaly *anomaly, struct kickmsg_anomaly *ret)
{
	*ret = (struct kickmsg_anomaly){
		.kind = (enum kickmsg_anomaly_kind)anomaly->kind,
		.slot = anomaly->slot,
		.ring = anomaly->ring,
		.publisher_id = anomaly->owner_id,
		.owner_pid = anomaly->owner_pid,
		.owner_uid = anomaly->owner_uid,
		.owner_alive = anomaly->owner_alive,
		.age_ns = anomaly->age_ns,
	};
	km_name_unescape(anomaly->owner, ret->owner_name, sizeof ret->owner_name);
}

KM_EXPORT ssize_t kickmsg_topic_anomalies(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, uint64_t *cursor, struct kickmsg_anomaly *ret,
	size_t capacity)
{
	union km_msg answer;
	const struct km_msg_diagnose_ok *page = &answer.diagnose_ok;
	struct km_msg_topic names;
	size_t count = 0;

	if (capacity == 0)
		return km_client_fail(client, -EINVAL, "no room for any anomaly");
	int r = km_request_topic(client, topic, KM_OP_DIAGNOSE, &names);
	if (r < 0)
		return r;
	while (count < capacity && *cursor != KM_LOOK_END) {
		r = km_look_diagnose(client, &names, *cursor, &answer);
		if (r < 0)
			return count > 0 ? (ssize_t)count : r;
		uint32_t i = 0;
		for (; i < page->count && count < capacity; i++)
			read_anomaly(&page->anomalies[i], &ret[count++]);
		*cursor += i;
		/* a page that doesn't go on would be asked for without end */
		if (page->count == 0 || (i == page->count && page->next < *cursor))
			*cursor = KM_LOOK_END;
	}
	return (ssize_t)count;
}
