/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for kickmsg_client_new() in all tests with a broker. A call may take longer than the library's
 * default time-out where the machine is busy, is suspended, or emulates another one. A test that says how
 * long its client waits gets what it says. */
#include "libclient/kickmsg.h"

#define PATIENCE_NS UINT64_C(120000000000)

int __real_kickmsg_client_new(
	const struct kickmsg_client_config *config, struct kickmsg_client **ret);
int __wrap_kickmsg_client_new(
	const struct kickmsg_client_config *config, struct kickmsg_client **ret);

int __wrap_kickmsg_client_new(
	const struct kickmsg_client_config *config, struct kickmsg_client **ret)
{
	struct kickmsg_client_config patient = { 0 };

	if (config)
		patient = *config;
	if (patient.timeout_ns == 0)
		patient.timeout_ns = PATIENCE_NS;
	return __real_kickmsg_client_new(&patient, ret);
}
