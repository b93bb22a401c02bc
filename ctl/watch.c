/* SPDX-License-Identifier: Apache-2.0 */
/* watch: what happens at the broker, a line each. A broker that comes after this one is watched, too. */
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/terminal.h"

struct watch {
	const struct ctl *ctl;
	char pattern[KICKMSG_WHOLE_NAME_SIZE + 2]; /* of whole names; "": all */
	uint64_t most, count;                      /* lines; 0: any number */
	bool is_refused;                           /* by the broker that came after the first */
	bool is_unread;                            /* the output has no reader any more */
};

/* Words of the library are about the watch itself, and a pattern hides none of these. */
static bool is_wanted(const struct watch *watch, const struct kickmsg_happening *happening)
{
	return !*watch->pattern || strncmp(happening->kind, "watch-", 6) == 0 ||
	       fnmatch(watch->pattern, happening->topic, 0) == 0;
}

static void print_json(const struct kickmsg_happening *happening)
{
	struct json_object *object = json_object_new_object();

	json_add_int(object, "realtime_ns", happening->realtime_ns);
	json_add_text(object, "event", happening->kind);
	json_add_int(object, "missed", happening->missed);
	json_add_int(object, "level", happening->level);
	if (*happening->topic)
		json_add_text(object, "name", happening->topic);
	if (happening->pid >= 0)
		json_add_int(object, "pid", (uint64_t)happening->pid);
	if (happening->uid != UINT32_MAX)
		json_add_int(object, "uid", happening->uid);
	if (*happening->client_name)
		json_add_part(object, "client", happening->client_name);
	json_add_text(object, "text", happening->text);
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

static void print_line(const struct kickmsg_happening *happening)
{
	static const char *const colours[] = { "\033[1;31m", "\033[1;31m", "\033[1;31m",
		"\033[1;31m", "\033[33m", "", "", "" };
	const bool is_coloured = ctl_is_coloured() && happening->level < COUNT_OF(colours);
	time_t seconds = (time_t)(happening->realtime_ns / 1000000000);
	struct tm tm;

	localtime_r(&seconds, &tm);
	printf("%02d:%02d:%02d.%03u %s%-15s%s", tm.tm_hour, tm.tm_min, tm.tm_sec,
		(unsigned)(happening->realtime_ns % 1000000000 / 1000000),
		is_coloured ? colours[happening->level] : "", happening->kind,
		is_coloured && *colours[happening->level] ? "\033[0m" : "");
	if (*happening->topic)
		printf(" %s", happening->topic);
	if (*happening->client_name) {
		fputs(" client=", stdout);
		print_part(happening->client_name);
	}
	if (happening->pid >= 0)
		printf(" pid=%" PRId32 " uid=%" PRIu32, happening->pid, happening->uid);
	fputs(": ", stdout);
	print_text(happening->text);
	putchar('\n');
}

static void on_happening(void *userdata, const struct kickmsg_happening *happening)
{
	struct watch *watch = userdata;

	watch->is_refused |= strcmp(happening->kind, "watch-refused") == 0;
	if (happening->missed > 0 && !watch->ctl->json)
		printf("%" PRIu64 " events missed\n", happening->missed);
	if ((watch->most > 0 && watch->count >= watch->most) ||
		!(is_wanted(watch, happening) || (watch->ctl->json && happening->missed > 0)))
		return;
	watch->count++;
	if (watch->ctl->json)
		print_json(happening);
	else
		print_line(happening);
}

/* Waits until the client has something to do, but not beyond `until`. False: no more of it. */
static bool wait_for_more(struct watch *watch, int64_t until, const sigset_t *mask)
{
	struct pollfd watched[] = {
		{ kickmsg_client_get_fd(watch->ctl->client), POLLIN, 0 },
		{ STDOUT_FILENO, 0, 0 }, /* a reader that is gone */
	};
	const int64_t left = until - ctl_now_ns();
	const struct timespec timeout = { left / 1000000000, left % 1000000000 };

	if (left <= 0 || ctl_is_interrupted())
		return false;
	int r = ppoll(watched, COUNT_OF(watched), &timeout, mask);
	watch->is_unread = r > 0 && (watched[1].revents & POLLERR);
	return (r > 0 || (r < 0 && errno == EINTR)) && !watch->is_unread && !ctl_is_interrupted();
}

/* An interrupt comes only while it waits. */
static void watch_on(struct ctl *ctl, struct watch *watch)
{
	const struct ctl_value *timeout = &ctl->values[CTL_OPT_TIMEOUT];
	const int64_t until = timeout->given ? ctl_now_ns() + (int64_t)(timeout->seconds * 1e9)
					     : INT64_MAX;
	sigset_t interrupts, before;

	sigemptyset(&interrupts);
	sigaddset(&interrupts, SIGINT);
	sigaddset(&interrupts, SIGTERM);
	sigprocmask(SIG_BLOCK, &interrupts, &before);
	do {
		/* a broker that is gone comes back */
		kickmsg_client_dispatch(ctl->client);
		fflush(stdout);
	} while (!watch->is_refused && (watch->most == 0 || watch->count < watch->most) &&
		 !ferror(stdout) && wait_for_more(watch, until, &before));
	sigprocmask(SIG_SETMASK, &before, NULL);
}

int ctl_check_watch(struct ctl *ctl)
{
	if (ctl->word_count && strlen(ctl->arguments[0]) >= KICKMSG_WHOLE_NAME_SIZE)
		return ctl_wrong(ctl, "too long a pattern: %s", ctl->arguments[0]);
	return 0;
}

int ctl_watch(struct ctl *ctl)
{
	struct watch watch = { .ctl = ctl, .most = ctl->values[CTL_OPT_COUNT].count };
	const char *word = ctl->word_count > 0 ? ctl->arguments[0] : "";

	/* a word without a wildcard is a part of the name */
	if (*word)
		snprintf(watch.pattern, sizeof watch.pattern, strpbrk(word, "*?[") ? "%s" : "*%s*",
			word);
	ctl_catch_interrupts(NULL, NULL);
	int r = kickmsg_broker_watch(ctl->client, on_happening, &watch);
	if (r < 0)
		return ctl_failed(ctl, NULL, NULL, r);
	watch_on(ctl, &watch);
	if (watch.is_unread)
		fputs("kickmsgctl: nobody reads the output any more\n", stderr);
	return watch.is_refused ? CTL_NOT_ALLOWED : watch.is_unread ? CTL_NO_OUTPUT : CTL_DONE;
}
