/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsgd: the broker's process. */
#include <stdlib.h>

#include "broker.h"
#include "log.h"
#include "options.h"

int main(int argc, char **argv)
{
	static struct km_broker broker;
	static struct km_config_source source;
	static struct km_config config;
	int r;

	switch (km_options_parse(argc, argv, &source, &config)) {
	case KM_OPTIONS_DONE:
		return EXIT_SUCCESS;
	case KM_OPTIONS_WRONG:
		return 2;
	case KM_OPTIONS_BAD_CONFIG:
		return EXIT_FAILURE;
	case KM_OPTIONS_RUN:
		break;
	}
	km_log_init(config.log_level);
	r = km_broker_init(&broker, &source, &config);
	if (r == 0)
		r = km_broker_run(&broker);
	km_broker_deinit(&broker);
	km_log_deinit();
	km_config_deinit(&config);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
