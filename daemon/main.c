/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsgd: the broker's process. */
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/output.h"
#include "daemon/run/backoff.h"
#include "daemon/run/log.h"
#include "daemon/run/options.h"
#include "daemon/start/start.h"

/* Signals that a request or a log's reader can cause are errors where they happen and don't end the
 * broker: a limit of file sizes (ulimit -f), a reader that went away, a terminal that belongs to
 * others. A parent may have blocked signals; the broker has to hear SIGTERM. */
static void settle_signals(void)
{
	static const int ignored[] = { SIGXFSZ, SIGPIPE, SIGTTOU };
	sigset_t none;

	for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int main(int argc, char **argv)
{
	static struct km_broker broker;
	static struct km_config_source source;
	static struct km_config config;
	int r;

	km_output_begin();
	settle_signals();
	switch (km_options_parse(argc, argv, &source, &config)) {
	case KM_OPTIONS_DONE:
		return km_output_end("kickmsgd", EXIT_SUCCESS);
	case KM_OPTIONS_WRONG:
		return 2;
	case KM_OPTIONS_FAILED:
		return km_output_end("kickmsgd", EXIT_FAILURE);
	case KM_OPTIONS_RUN:
		break;
	}
	km_log_init(config.log_level);
	r = km_start_init(&broker, &source, &config);
	bool failed = r < 0;
	if (r == 0)
		r = km_start_run(&broker);
	km_start_deinit(&broker);
	km_log_deinit();
	km_config_deinit(&config);
	if (failed)
		km_back_off(NULL, "see its log");
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
