/* SPDX-License-Identifier: Apache-2.0 */
/* A run of kickmsgctl: see ctl.h. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/terminal.h"

static const char clear_screen[] = "\033[H\033[2J\033[3J";

/* Gathers the output of a look first: it replaces the last look's in one write. */
static int watch_once(struct ctl *ctl)
{
	FILE *screen = stdout;
	char *text = NULL;
	size_t size = 0;
	bool redraws = ctl_is_terminal() && !ctl->json;
	FILE *gathered = redraws ? open_memstream(&text, &size) : NULL;

	if (gathered)
		stdout = gathered;
	print_begin(ctl);
	int status = ctl->verb->run(ctl);
	print_end(ctl, status);
	stdout = screen;
	if (gathered) {
		fclose(gathered);
		fputs(clear_screen, stdout);
		fwrite(text, 1, size, stdout);
	}
	free(text);
	fflush(stdout);
	return status;
}

/* Connects, for the one topic's prefix if one is named, since a participant has its topic's. */
static int connect_for(struct ctl *ctl)
{
	bool is_named = ctl->words && ctl->word_count && !ctl->words[0].pattern;

	return ctl_connect(ctl, is_named ? ctl_topic(ctl)->prefix : NULL, &ctl->client);
}

/* Waits for the next broker; an interrupt ends the program then. */
static int connect_again(struct ctl *ctl)
{
	kickmsg_client_free(ctl_steal(ctl->client));
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	int status = connect_for(ctl);
	ctl_catch_interrupts(NULL, NULL);
	return status;
}

static int watch(struct ctl *ctl)
{
	const struct ctl_value *interval = &ctl->values[CTL_OPT_INTERVAL];
	const int64_t interval_ns = (int64_t)((interval->given ? interval->seconds : 1) * 1e9);
	const uint64_t rounds = ctl->values[CTL_OPT_COUNT].count;
	int64_t when = 0;
	int status = CTL_DONE;

	ctl_catch_interrupts(NULL, NULL);
	for (uint64_t round = 0; !rounds || round < rounds; round++) {
		status = watch_once(ctl);
		if (status == CTL_NO_BROKER && ctl_given(ctl, CTL_OPT_WAIT))
			status = connect_again(ctl);
		if (status == CTL_NO_BROKER || ferror(stdout) || ctl_is_interrupted())
			break;
		/* the first look at rates is two, and has ended only now */
		when = ctl_next_look(round == 0 ? ctl_now_ns() : when, interval_ns);
		if (round + 1 != rounds && !ctl_sleep_until(when))
			break;
	}
	return status;
}

static int run_verb(struct ctl *ctl)
{
	bool is_live = ctl->verb->way == CTL_IS_LIVE;
	bool pages = !is_live && !ctl->json && !ctl_given(ctl, CTL_OPT_NO_PAGER);
	int status;

	if (ctl_given(ctl, CTL_OPT_WATCH))
		return watch(ctl);
	if (pages)
		ctl_pager_begin();
	if (!is_live)
		print_begin(ctl);
	status = ctl->verb->run(ctl);
	print_end(ctl, status);
	if (pages)
		ctl_pager_end();
	return status;
}

static int run(int argc, char **argv)
{
	struct ctl ctl = { .begin_ns = ctl_now_ns() };
	int status = ctl_parse_command(&ctl, argc, argv);

	if (status == 0 && ctl.verb->run != ctl_help && ctl.verb->run != ctl_completion &&
		!ctl_given(&ctl, CTL_OPT_FROM))
		status = connect_for(&ctl);
	if (status == 0)
		status = run_verb(&ctl);
	else
		print_end(&ctl, status);
	kickmsg_client_free(ctl.client);
	ctl_free_command(&ctl);
	return status < 0 ? CTL_DONE : status;
}

int main(int argc, char **argv)
{
	ctl_output_begin();
	signal(SIGPIPE, SIG_IGN); /* a pipe that is closed is output that is lost */
	ctl_terminal_begin();
	return ctl_output_end(run(argc, argv));
}
