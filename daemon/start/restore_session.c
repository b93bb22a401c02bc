/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as the broker before this one left them: see restore_session.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/keep/keep.h"
#include "daemon/peer/memory.h"
#include "daemon/peer/session.h"
#include "daemon/peer/unread.h"
#include "daemon/run/log.h"
#include "daemon/serve/happened.h"
#include "daemon/start/restore_session.h"

/* Only a pidfd tells of a death; other descriptors become readable for other reasons. */
static bool is_pidfd(int fd)
{
	return syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0 || errno != EBADF;
}

static bool is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Finds the pidfd of a session that isn't dead: its own, or the one that its connection gives
 * again. There is none when the kernel says that the process is gone (before Linux 6.16, of a
 * process that was waited for). */
static int take_pidfd(struct km_session *session, uint64_t id, int connection)
{
	session->pidfd = km_store_take(&session->broker->store, KM_STORE_PIDFD, id, 0);
	session->keeps_pidfd = session->pidfd >= 0;
	if (session->keeps_pidfd)
		return is_pidfd(session->pidfd) ? 0 : -EPROTO;
	int r = km_session_peer_pidfd(connection, &session->pidfd);
	return r == -ESRCH ? 0 : r == -ENOPROTOOPT ? -ENOENT : r;
}

/* Takes the session's connection and pidfd. A connection that was hung up on waits for its pidfd's
 * sake alone. */
static int take_connection(struct km_session *session, const struct km_kept_session *kept)
{
	_cleanup_(km_closep) int connection = -1;

	if (kept->state == KM_SESSION_DEAD)
		return 0;
	connection = km_store_take(&session->broker->store, KM_STORE_CONNECTION, kept->id, 0);
	if (connection < 0)
		return -ENOENT;
	if (!is_socket(connection))
		return -EPROTO;
	int r = take_pidfd(session, kept->id, connection);
	if (kept->state == KM_SESSION_READY)
		session->socket = km_steal_fd(connection);
	return r;
}

/* Takes the session's descriptors. Errors: -ENOENT one is missing; -EPROTO, -ENOMEM. */
static int take_session_fds(struct km_session *session, const struct km_kept_session *kept)
{
	struct km_store *store = &session->broker->store;
	int r = take_connection(session, kept);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < kept->segment_count; i++) {
		int fd = km_store_take(store, KM_STORE_SEGMENT, kept->id, i);

		r = fd < 0 ? -ENOENT : km_memory_restore(session, fd);
		if (r < 0) {
			km_close(fd);
			return r;
		}
	}
	return 0;
}

struct km_session *km_restore_session(
	struct km_broker *broker, uint32_t place, const struct km_kept_session *kept)
{
	struct km_session *session = NULL;
	int r = km_kept_session_is_good(kept) ? 0 : -EPROTO;

	if (r == 0)
		session = calloc(1, sizeof *session);
	if (r == 0 && !session)
		r = -ENOMEM;

	if (r == 0) {
		*session = (struct km_session){ .broker = broker,
			.socket = -1,
			.pidfd = -1,
			.again = true,
			.kept = *kept,
			.kept_at = place };
		/* until all of the session is there */
		session->kept.state = KM_SESSION_NEW;
		session->kept.segment_count = 0;
		LIST_INSERT_HEAD(&broker->sessions, session, next);
		session->account = km_account_ref(&broker->accounts, session->kept.uid);
		r = session->account ? take_session_fds(session, kept) : -ENOMEM;
	}
	if (r == 0 && kept->state != KM_SESSION_DEAD)
		r = km_session_watch(session);
	if (r == 0 && kept->watches && session->socket >= 0)
		r = km_happened_watch(session);
	if (r == 0) {
		session->kept.state = kept->state;
		km_unread_restore(broker, &session->unread, session->socket, session->account);
		if (kept->state != KM_SESSION_DEAD)
			km_account_take(session->account, KM_CLIENTS, 1);
		km_session_look(session);
		return session;
	}
	km_log(LOG_ERR | KM_EVENT_NOT_TAKEN_BACK, session, NULL,
		"can't be taken back, it has to connect anew: %s", km_keep_reason(r));
	for (uint32_t i = 0; session && i < kept->segment_count; i++)
		km_store_remove(&broker->store, KM_PARKED_SEGMENT, kept->id, i);
	if (session) {
		km_memory_free(session);
		km_session_free(session);
	} else
		km_state_drop(broker->state, KM_STATE_SESSIONS, &place);
	return NULL;
}
