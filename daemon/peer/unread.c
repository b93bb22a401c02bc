/* SPDX-License-Identifier: Apache-2.0 */
/* Answers with descriptors that nobody has read: see unread.h. */
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/protocol/wire.h"
#include "daemon/peer/unread.h"
#include "daemon/run/broker.h"

/* The kernel counts more bytes than that for each unread message. A message that is being freed may
 * still count a few. */
#define LEAST_UNREAD 256

/* Entries of the list that are looked at in one go. */
#define ENTRIES_A_LOOK 256

static bool is_unread(int socket)
{
	int bytes;

	return ioctl(socket, SIOCOUTQ, &bytes) == 0 && bytes >= LEAST_UNREAD;
}

void km_unread_sent(struct km_broker *broker, struct km_unread *unread, int socket,
	struct km_account *account, unsigned fds)
{
	unread->socket = socket;
	unread->account = account;
	if (unread->fds == 0)
		TAILQ_INSERT_TAIL(&broker->unread, unread, next);
	unread->fds += fds;
	km_account_take(account, KM_UNREAD, fds);
	broker->store.parking.elsewhere = broker->accounts.used[KM_UNREAD];
}

static void drop(struct km_broker *broker, struct km_unread *unread)
{
	if (unread->fds == 0)
		return;
	TAILQ_REMOVE(&broker->unread, unread, next);
	km_account_give(unread->account, KM_UNREAD, unread->fds);
	unread->fds = 0;
	broker->store.parking.elsewhere = broker->accounts.used[KM_UNREAD];
}

void km_unread_restore(
	struct km_broker *broker, struct km_unread *unread, int socket, struct km_account *account)
{
	if (socket >= 0 && is_unread(socket))
		km_unread_sent(broker, unread, socket, account, KM_WIRE_MAX_FDS);
}

bool km_unread_look(struct km_broker *broker, struct km_unread *unread)
{
	if (unread->fds > 0 && !is_unread(unread->socket))
		drop(broker, unread);
	return unread->fds > 0;
}

bool km_unread_keep(struct km_broker *broker, struct km_unread *unread)
{
	struct km_unread *kept;

	if (!km_unread_look(broker, unread))
		return false;
	const unsigned fds = unread->fds;
	drop(broker, unread);
	kept = calloc(1, sizeof *kept);
	if (!kept)
		return false;
	shutdown(unread->socket, SHUT_RDWR); /* a copy may wait in the parking */
	kept->is_over = true;
	/* the event is there already: this can't fail */
	struct km_account *account = km_account_ref(&broker->accounts, unread->account->uid);
	km_unread_sent(broker, kept, unread->socket, account, fds);
	return true;
}

static void let_go(struct km_broker *broker, struct km_unread *unread)
{
	drop(broker, unread);
	if (!unread->is_over)
		return;
	km_hangup(&broker->hangup, unread->socket, unread->account);
	km_account_unref(unread->account);
	free(unread);
}

void km_unread_settle(struct km_broker *broker)
{
	struct km_unread *unread;

	for (int i = 0; i < ENTRIES_A_LOOK && (unread = TAILQ_FIRST(&broker->unread)); i++) {
		if (!is_unread(unread->socket)) {
			let_go(broker, unread);
			continue;
		}
		TAILQ_REMOVE(&broker->unread, unread, next);
		TAILQ_INSERT_TAIL(&broker->unread, unread, next);
	}
}

void km_unread_deinit(struct km_broker *broker)
{
	while (!TAILQ_EMPTY(&broker->unread))
		let_go(broker, TAILQ_FIRST(&broker->unread));
}
