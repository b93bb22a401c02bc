/* SPDX-License-Identifier: Apache-2.0 */
/* CONFIG: the configuration that is in force, with the line that says each value. It names users, so it is
 * for operators alone. A cursor is how many values were told. */
#include <errno.h>
#include <string.h>

#include "daemon/peer/operator.h"
#include "daemon/peer/session.h"
#include "daemon/run/config_keys.h"
#include "daemon/serve/serve.h"

/* The command line goes over the files. */
static void correct_origin(
	const struct km_broker *broker, uint64_t index, struct km_config_entry *entry)
{
	const struct km_config_source *source = broker->config_source;

	if ((index == KM_KEY_SOCKET && source->socket) ||
		(index == KM_KEY_LISTEN && source->metrics) ||
		(index == KM_KEY_LEVEL && source->log_level >= 0))
		strcpy(entry->origin, "the command line");
}

void km_serve_config(struct km_session *session, const struct km_msg_list *request)
{
	struct km_msg_config_ok answer = { .header.op = KM_OP_CONFIG_OK };
	const struct km_broker *broker = session->broker;
	struct km_config_entry *entry = answer.entries, beyond;
	uint64_t index = request->cursor;

	if (!km_operator_is(session)) {
		km_session_refuse(session, NULL, -EPERM,
			"only root, the broker's user and the group kickmsg-admin may see the "
			"configuration");
		return;
	}
	while (answer.count < KM_WIRE_CONFIG_PAGE && km_config_tell(broker->config, index, entry)) {
		correct_origin(broker, index++, entry++);
		answer.count++;
	}
	if (answer.count == KM_WIRE_CONFIG_PAGE && km_config_tell(broker->config, index, &beyond))
		answer.next = index;
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
