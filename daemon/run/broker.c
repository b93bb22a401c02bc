/* SPDX-License-Identifier: Apache-2.0 */
/* The state that all rooms of the broker share: see broker.h. */
#include "daemon/run/broker.h"
#include "daemon/run/handlers.h"

void km_broker_sweep(struct km_broker *broker)
{
	broker->handlers->sweep(broker);
}
