/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing: the public calls choose by the region's path, and rings_send.c or shared_send.c does
 * the work. The choice is a table, so no path pays for the others. */
#include <errno.h>

#include "libclient/export.h"
#include "libclient/path/kept_send.h"
#include "libclient/path/loan.h"
#include "libclient/path/reliable.h"
#include "libclient/path/reliable_shared.h"
#include "libclient/path/rings_send.h"
#include "libclient/path/shared_send.h"
#include "libclient/rejoin/move.h"

KM_EXPORT ssize_t kickmsg_send(struct kickmsg_publisher *publisher, const void *data, size_t len)
{
	static ssize_t (*const sends[KM_PATHS])(
		struct kickmsg_publisher *, const void *, size_t) = {
		[KM_PATH_RINGS] = km_rings_send,
		[KM_PATH_SHARED] = km_shared_send,
		[KM_PATH_RINGS_TIMED] = km_rings_send_timed,
		[KM_PATH_SHARED_TIMED] = km_shared_send_timed,
		[KM_PATH_RELIABLE | KM_PATH_RINGS] = km_reliable_send,
		[KM_PATH_RELIABLE | KM_PATH_SHARED] = km_reliable_shared_send,
		[KM_PATH_RELIABLE | KM_PATH_RINGS_TIMED] = km_reliable_send,
		[KM_PATH_RELIABLE | KM_PATH_SHARED_TIMED] = km_reliable_shared_send_anyhow,
		[KM_PATH_KEPT | KM_PATH_RINGS] = km_kept_send,
		[KM_PATH_KEPT | KM_PATH_RINGS_TIMED] = km_kept_send,
	};

	return sends[publisher->handle.place.region.path](publisher, data, len);
}

KM_EXPORT int kickmsg_loan(struct kickmsg_publisher *publisher, size_t len, void **ret_payload)
{
	return publisher->handle.place.region.shared ? km_shared_loan(publisher, len, ret_payload)
						     : km_rings_loan(publisher, len, ret_payload);
}

KM_EXPORT int kickmsg_publish(struct kickmsg_publisher *publisher, void *payload, size_t len)
{
	static int (*const publishes[KM_PATHS])(struct kickmsg_publisher *, void *, size_t) = {
		[KM_PATH_RINGS] = km_rings_publish,
		[KM_PATH_SHARED] = km_shared_publish,
		[KM_PATH_RINGS_TIMED] = km_rings_publish_timed,
		[KM_PATH_SHARED_TIMED] = km_shared_publish_timed,
		[KM_PATH_RELIABLE | KM_PATH_RINGS] = km_reliable_publish,
		[KM_PATH_RELIABLE | KM_PATH_SHARED] = km_reliable_shared_publish,
		[KM_PATH_RELIABLE | KM_PATH_RINGS_TIMED] = km_reliable_publish,
		[KM_PATH_RELIABLE | KM_PATH_SHARED_TIMED] = km_reliable_shared_publish,
		[KM_PATH_KEPT | KM_PATH_RINGS] = km_kept_publish,
		[KM_PATH_KEPT | KM_PATH_RINGS_TIMED] = km_kept_publish,
	};

	return publishes[publisher->handle.place.region.path](publisher, payload, len);
}

KM_EXPORT int kickmsg_discard(struct kickmsg_publisher *publisher, void *payload)
{
	struct km_place *here = &publisher->handle.place, *of;
	struct km_loan *loan = km_loan_find(here, payload, &of);

	if (!loan)
		return km_handle_refusal(&publisher->handle, -EINVAL);
	km_place_end_loan(of, loan);
	km_slot_drop(&of->region.slots[loan->slot], KM_SLOT_ID_MASK);
	if (of != here)
		km_handle_settle(&publisher->handle);
	return 0;
}

KM_EXPORT uint32_t kickmsg_publisher_reached(const struct kickmsg_publisher *publisher)
{
	if (publisher->handle.place.region.shared)
		return publisher->sequence > 0 ? km_shared_reach(publisher) : 0;
	return (uint32_t)__builtin_popcountll(publisher->targets);
}
