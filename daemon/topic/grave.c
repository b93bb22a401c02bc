/* SPDX-License-Identifier: Apache-2.0 */
/* Giving memory back in turns: see grave.h. */
#include <fcntl.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/memory/segment.h"
#include "daemon/run/account.h"
#include "daemon/run/turn.h"
#include "daemon/topic/grave.h"

/* Bytes that are given back in one piece, and bytes that are given back at once. */
#define PIECE   (UINT64_C(2) << 20)
#define AT_ONCE (2 * PIECE)

struct km_grave {
	struct km_work work;
	LIST_ENTRY(km_grave) next;
	struct km_account *account;
	int fd;
	uint64_t at, end;
	uint64_t charged;
	void *mapping;
};

static void close_grave(struct km_grave *grave)
{
	LIST_REMOVE(grave, next);
	grave->account->graves--;
	km_account_give(grave->account, KM_BYTES, grave->charged);
	km_account_unref(grave->account);
	km_segment_unmap(grave->mapping, grave->end);
	km_close(grave->fd);
	free(grave);
}

static bool step(struct km_work *work)
{
	struct km_grave *grave = (struct km_grave *)work;
	uint64_t end = grave->end - grave->at > PIECE ? grave->at + PIECE : grave->end;

	km_segment_empty(grave->fd, grave->at, end);
	grave->at = end;
	if (end < grave->end)
		return true;
	close_grave(grave);
	return false;
}

void km_grave_empty(struct km_broker *broker, struct km_account *account, int fd, uint64_t from,
	uint64_t size, void *mapping)
{
	bool large = size > from && size - from > AT_ONCE;
	struct km_grave *grave = large ? calloc(1, sizeof *grave) : NULL;

	if (grave)
		grave->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (!grave || grave->fd < 0) {
		free(grave);
		km_segment_empty(fd, from, size);
		km_segment_unmap(mapping, size);
		return;
	}
	/* the table has this account already */
	grave->account = km_account_ref(account->accounts, account->uid);
	grave->work.step = step;
	grave->at = from;
	grave->end = size;
	grave->charged = size - from;
	grave->mapping = mapping;
	account->graves++;
	km_account_take(account, KM_BYTES, grave->charged);
	LIST_INSERT_HEAD(&broker->graves, grave, next);
	km_turn_add(&broker->turns, &grave->work);
}

void km_grave_deinit(struct km_broker *broker)
{
	while (!LIST_EMPTY(&broker->graves)) {
		km_turn_remove(&broker->turns, &LIST_FIRST(&broker->graves)->work);
		close_grave(LIST_FIRST(&broker->graves));
	}
}
