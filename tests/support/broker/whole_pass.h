/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a whole pass over endpoints that stay the same, in pieces of `work`. */
#pragma once

#include "common/repair/reconcile.h"

struct test_endpoints {
	const struct km_known_endpoint *endpoints;
	size_t count, at;
	uint64_t owned;
};

static inline void test_rewind_endpoints(void *userdata)
{
	struct test_endpoints *list = userdata;

	list->at = 0;
}

static inline bool test_next_endpoint(void *userdata, struct km_known_endpoint *ret)
{
	struct test_endpoints *list = userdata;

	if (list->at == list->count)
		return false;
	*ret = list->endpoints[list->at++];
	return true;
}

static inline uint64_t test_owned_rings(void *userdata)
{
	const struct test_endpoints *list = userdata;

	return list->owned;
}

static inline int test_reconcile(const struct km_region *region,
	const struct km_known_endpoint *endpoints, size_t count, unsigned what, uint64_t work,
	void (*on_anomaly)(void *userdata, const struct km_anomaly *anomaly),
	struct km_reconcile_result *ret, const char **ret_reason)
{
	struct test_endpoints list = { .endpoints = endpoints, .count = count };
	struct km_pass pass = {
		.region = region,
		.endpoints = { test_rewind_endpoints, test_next_endpoint, test_owned_rings, &list },
		.what = what,
		.on_anomaly = on_anomaly,
	};

	for (size_t i = 0; i < count; i++)
		if (endpoints[i].role == KM_ROLE_SUBSCRIBER &&
			endpoints[i].state == KM_ENDPOINT_LIVE &&
			endpoints[i].ring < region->ring_count)
			list.owned |= UINT64_C(1) << endpoints[i].ring;
	int r = km_pass_init(&pass);
	if (r < 0)
		return r;
	do
		r = km_pass_step(&pass, work);
	while (r > 0);
	*ret = pass.result;
	if (r < 0)
		*ret_reason = pass.reason;
	km_pass_deinit(&pass);
	return r;
}
