/* SPDX-License-Identifier: Apache-2.0 */
/* A fixture of flow tests: two clients of a broker of their own. */
#pragma once

#include "tests/support/broker/flow.h"

static struct kickmsg_client *client, *other;

static void setup(void)
{
	test_broker_start(&broker, NULL);
	client = flow_client("node/a");
	other = flow_client("b");
}

static void teardown(void)
{
	kickmsg_client_free(client);
	kickmsg_client_free(other);
	flow_stop();
}
