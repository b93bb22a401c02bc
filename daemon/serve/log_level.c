/* SPDX-License-Identifier: Apache-2.0 */
/* LOG_LEVEL: another level for the log, until the config is read again or another broker begins. It
 * decides what others can read of what they do, so it is for operators alone. */
#include <errno.h>

#include "daemon/peer/operator.h"
#include "daemon/peer/session.h"
#include "daemon/run/log.h"
#include "daemon/serve/serve.h"

static void say(const struct km_session *session, int level)
{
	km_log(LOG_NOTICE | KM_EVENT_LOG_LEVEL_SET, session, NULL, "the log's level is %s now",
		km_config_level_name(level));
}

void km_serve_log_level(struct km_session *session, const struct km_msg_list *request)
{
	struct km_msg_ok answer = { .header.op = KM_OP_OK };
	const int level = (int)request->cursor;

	if (!km_operator_is(session)) {
		km_session_refuse(session, NULL, -EPERM,
			"only root, the broker's user and the group kickmsg-admin may set the "
			"log's level");
		return;
	}
	/* the entry is written at that of the two levels that lets it through */
	if (level < km_log_level())
		say(session, level);
	const bool is_said = level < km_log_level();
	km_log_init(level);
	if (!is_said)
		say(session, level);
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
