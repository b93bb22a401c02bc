/* SPDX-License-Identifier: Apache-2.0 */
/* Memory on its way back to the kernel, in turns. */
#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/memory/segment.h"
#include "daemon/run/turn.h"
#include "daemon/topic/grave.h"
#include "tests/support/broker/fixture.h"

static struct km_broker broker;
static struct km_config config;

static void after(void *userdata)
{
}

static void begin(void)
{
	memset(&broker, 0, sizeof broker);
	broker.base = event_base_new();
	ck_assert_int_eq(km_turns_init(&broker.turns, broker.base, after, NULL), 0);
}

static void end(void)
{
	km_turns_deinit(&broker.turns);
	event_base_free(broker.base);
	libevent_global_shutdown();
}

/* The mapping of a segment in the grave stays until its pages are gone, so that unmapping takes no
 * time. A small segment's mapping goes at once. */
START_TEST(grave_mapping_goes_when_it_is_empty)
{
	const uint64_t sizes[] = { KM_PAGE_SIZE, UINT64_C(16) << 20 };
	static struct km_accounts accounts;
	unsigned char resident;

	for (int i = 0; i < 2; i++) {
		void *mapping;
		int fd;

		begin();
		km_accounts_init(&accounts, &config);
		struct km_account *account = km_account_ref(&accounts, 7);
		ck_assert_int_eq(km_segment_create("grave", sizes[i], &fd), 0);
		ck_assert_int_eq(km_segment_map(fd, sizes[i], PROT_READ | PROT_WRITE, &mapping), 0);
		km_grave_empty(&broker, account, fd, 0, sizes[i], mapping);
		ck_assert_int_eq(account->graves, i);
		while (account->graves > 0) {
			ck_assert_int_eq(mincore(mapping, KM_PAGE_SIZE, &resident), 0);
			event_base_loop(broker.base, EVLOOP_ONCE);
		}
		ck_assert_int_eq(mincore(mapping, KM_PAGE_SIZE, &resident), -1);
		ck_assert_int_eq(errno, ENOMEM);
		close(fd);
		km_account_unref(account);
		end();
	}
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("grave");

	tcase_add_test(tc, grave_mapping_goes_when_it_is_empty);
	return fixture_run("grave", tc);
}
