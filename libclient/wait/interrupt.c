/* SPDX-License-Identifier: Apache-2.0 */
/* The calls by which users end a wait: see common/ring/interrupt.h. */
#include "libclient/export.h"
#include "libclient/handle/handle.h"

KM_EXPORT void kickmsg_subscriber_interrupt(struct kickmsg_subscriber *subscriber)
{
	km_interrupt(&subscriber->interrupt);
}
