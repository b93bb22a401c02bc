/* SPDX-License-Identifier: Apache-2.0 */
/* log-level: how much the broker logs. */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

/* [level of syslog(3)] */
static const char *const names[] = { NULL, NULL, NULL, "error", "warning", "notice", "info",
	"debug" };

const char *ctl_level_name(uint32_t level)
{
	return level < COUNT_OF(names) && names[level] ? names[level] : "?";
}

static int tell(struct ctl *ctl)
{
	struct kickmsg_broker_status status;
	int r = kickmsg_broker_get_status(ctl->client, &status);

	if (r < 0)
		return ctl_failed(ctl, NULL, NULL, r);
	if (ctl->json)
		json_add_text(ctl->root, "log_level", ctl_level_name(status.log_level));
	else
		puts(ctl_level_name(status.log_level));
	return CTL_DONE;
}

/* COUNT_OF(names): it isn't one. */
static uint32_t find_level(const char *word)
{
	uint32_t level = 0;

	while (level < COUNT_OF(names) && (!names[level] || strcmp(word, names[level]) != 0))
		level++;
	return level;
}

int ctl_check_log_level(struct ctl *ctl)
{
	if (ctl->word_count && find_level(ctl->arguments[0]) == COUNT_OF(names))
		return ctl_wrong(
			ctl, "not error, warning, notice, info or debug: %s", ctl->arguments[0]);
	return 0;
}

int ctl_log_level(struct ctl *ctl)
{
	if (ctl->word_count == 0)
		return tell(ctl);
	const uint32_t level = find_level(ctl->arguments[0]);
	int r = kickmsg_broker_set_log_level(ctl->client, level);
	if (r < 0)
		return ctl_failed(ctl, NULL, NULL, r);
	if (ctl->json)
		json_add_text(ctl->root, "log_level", names[level]);
	else
		printf("The broker logs at level %s.\n", names[level]);
	return CTL_DONE;
}
