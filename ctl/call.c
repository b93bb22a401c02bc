/* SPDX-License-Identifier: Apache-2.0 */
/* call: sends one request to a service, and prints all replies to it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <kickmsg-service.h>

#include "ctl/payload.h"
#include "ctl/terminal.h"

enum { READ_SIZE = 65536 };

/* How long a server may take to come, where no option says more. */
#define SERVER_WAIT_NS INT64_C(5000000000)

static struct kickmsg_caller *caller;

static void interrupt(void *unused)
{
	(void)unused;
	kickmsg_caller_interrupt(caller);
}

int ctl_check_call(struct ctl *ctl)
{
	if (ctl->word_count > 1 && ctl_given(ctl, CTL_OPT_STDIN))
		return ctl_wrong(ctl, "only one of DATA and --stdin");
	return 0;
}

/* Reads all of standard input. Returns 0 or a negative errno; *ret is the caller's to free. */
static int read_all(char **ret, size_t *ret_len)
{
	_cleanup_free_ char *data = NULL;
	size_t len = 0, n;

	do {
		char *more = realloc(data, len + READ_SIZE);

		if (!more)
			return -ENOMEM;
		data = more;
		n = fread(data + len, 1, READ_SIZE, stdin);
		len += n;
	} while (n > 0);
	if (ferror(stdin))
		return -errno;
	*ret = ctl_steal(data);
	*ret_len = len;
	return 0;
}

/* The time until the time-out, counted from the beginning; without a time-out `otherwise_ns`. */
static int64_t time_left(const struct ctl *ctl, int64_t begin_ns, int64_t otherwise_ns)
{
	const struct ctl_value *timeout = &ctl->values[CTL_OPT_TIMEOUT];
	int64_t left = begin_ns + (int64_t)(timeout->seconds * 1e9) - ctl_now_ns();

	return !timeout->given ? otherwise_ns : left > 0 ? left : 0;
}

static void print_reply(const struct ctl *ctl, const struct kickmsg_reply *reply)
{
	if (!ctl->json) {
		ctl_print_payload(ctl, reply->data, reply->len);
		return;
	}
	printf("{\"more\":%s,", reply->more ? "true" : "false");
	ctl_print_payload_json(ctl, reply->data, reply->len);
	puts("}");
}

/* Says why there is no (further) reply. Returns an exit status. */
static int ended(struct ctl *ctl, int error)
{
	const struct ctl_value *timeout = &ctl->values[CTL_OPT_TIMEOUT];
	char text[CTL_TEXT_SIZE];

	if (error == -ECONNRESET)
		snprintf(text, sizeof text,
			"its server died or left before it had answered; it may have done what was "
			"asked");
	else if (error == -ETIMEDOUT)
		snprintf(text, sizeof text, "no server has answered in %g s",
			timeout->given ? timeout->seconds : (double)SERVER_WAIT_NS / 1e9);
	else
		snprintf(text, sizeof text, "its server says: %s", strerror(-error));
	print_error(ctl, ctl_topic(ctl), error, text);
	return CTL_FOUND;
}

static int print_replies(struct ctl *ctl)
{
	struct kickmsg_reply reply;
	bool more = true;

	while (more) {
		fflush(stdout);
		if (ctl_is_interrupted())
			return CTL_DONE;
		int r = kickmsg_take_reply(caller, -1, &reply);

		if (r == -EINTR)
			continue;
		if (r < 0)
			return ctl_failed(ctl, ctl_topic(ctl), NULL, r);
		if (reply.error)
			return ended(ctl, reply.error);
		print_reply(ctl, &reply);
		more = reply.more && !ferror(stdout);
		kickmsg_reply_release(&reply);
	}
	return CTL_DONE;
}

/* Begins the call; waits for a server, too. Returns 0 or a negative errno. */
static int begin(struct ctl *ctl, const char *data, size_t len, int64_t begin_ns)
{
	const int64_t wait_ns = ctl_given(ctl, CTL_OPT_WAIT) ? -1 : SERVER_WAIT_NS;
	uint64_t id;
	int r = -EINTR;

	while (r == -EINTR && !ctl_is_interrupted())
		r = kickmsg_caller_wait_server(caller, time_left(ctl, begin_ns, wait_ns));
	return r < 0 ? r : kickmsg_call_begin(caller, data, len, time_left(ctl, begin_ns, -1), &id);
}

static int failed(struct ctl *ctl, size_t len, int r)
{
	char text[CTL_TEXT_SIZE];

	if (r == -EINTR)
		return CTL_DONE;
	if (r == -ETIMEDOUT || r == -EAGAIN)
		return ended(ctl, -ETIMEDOUT);
	if (r == -ECONNREFUSED) { /* it was there a moment ago */
		print_error(ctl, ctl_topic(ctl), r, "no server answers");
		return CTL_FOUND;
	}
	if (r != -EMSGSIZE)
		return ctl_failed(ctl, ctl_topic(ctl), NULL, r);
	snprintf(text, sizeof text, "a request of %zu bytes is too long for it", len);
	print_error(ctl, ctl_topic(ctl), r, text);
	return CTL_FOUND;
}

int ctl_call(struct ctl *ctl)
{
	struct kickmsg_caller_options options = { 0 };
	_cleanup_free_ char *input = NULL;
	const char *data = ctl->word_count > 1 ? ctl->arguments[1] : "";
	size_t len = strlen(data);
	int r = ctl_given(ctl, CTL_OPT_STDIN) ? read_all(&input, &len) : 0;

	if (r < 0) {
		print_error(ctl, NULL, r, "standard input can't be read");
		return CTL_FOUND;
	}
	const int64_t begin_ns = ctl_now_ns();
	if (ctl_given(ctl, CTL_OPT_WAIT)) /* -1: for ever */
		options.wait_ns = (uint64_t)time_left(ctl, begin_ns, -1);
	r = kickmsg_open_service(ctl->client, ctl_topic(ctl)->name, &options, &caller);
	if (r == -ETIMEDOUT && options.wait_ns)
		return ended(ctl, r);
	if (r < 0)
		return ctl_failed(ctl, ctl_topic(ctl), NULL, r);
	ctl_catch_interrupts(interrupt, NULL);
	r = begin(ctl, input ? input : data, len, begin_ns);
	int status = r < 0 ? failed(ctl, len, r) : print_replies(ctl);
	ctl_catch_interrupts(NULL, NULL);
	kickmsg_caller_free(caller);
	return status;
}
