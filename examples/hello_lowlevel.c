/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls below the copying ones. Several loans are out at once, and are published shorter than
 * they were lent and in any order. Several samples are borrowed at once and given back in any
 * order. Both sides are in this one process; between two processes nothing is different.
 */
#include <errno.h>
#include <kickmsg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

static int expect(int holds, const char *what)
{
	printf("%s: %s\n", what, holds ? "yes" : "NO");
	return holds ? 0 : -EPROTO;
}

/* Three loans: the third is published first, the first afterwards, the second never. */
static int publish(struct kickmsg_publisher *pub)
{
	char *lent[3];
	int r = 0;

	for (int i = 0; r == 0 && i < 3; i++) {
		void *payload;

		/* room for the worst case; what is published may be shorter */
		r = kickmsg_loan(pub, 1000, &payload);
		lent[i] = payload;
	}
	if (r < 0)
		return r;
	strcpy(lent[2], "third");
	strcpy(lent[0], "first");
	r = kickmsg_publish(pub, lent[2], strlen(lent[2]));
	if (r >= 0)
		r = kickmsg_publish(pub, lent[0], strlen(lent[0]));
	if (r >= 0)
		r = kickmsg_discard(pub, lent[1]);
	return r;
}

static int is(const struct kickmsg_sample *sample, const char *text)
{
	return sample->len == strlen(text) && memcmp(sample->data, text, sample->len) == 0;
}

static int receive(struct kickmsg_publisher *pub, struct kickmsg_subscriber *sub)
{
	struct kickmsg_sample a, b, c;
	int r;

	if ((r = kickmsg_try_receive(sub, &a)) < 0 || (r = kickmsg_try_receive(sub, &b)) < 0)
		return r;
	if ((r = expect(is(&a, "third") && is(&b, "first"), "two samples, in published order")) < 0)
		return r;
	r = expect(kickmsg_try_receive(sub, &c) == -EAGAIN, "the discarded loan never arrives");
	if (r < 0)
		return r;
	/* what is borrowed stays as it is, whatever is published meanwhile */
	for (int i = 0; i < 1000; i++)
		if ((r = (int)kickmsg_send(pub, "flood", 5)) < 0)
			return r;
	r = expect(is(&a, "third") && is(&b, "first"), "both unchanged after 1000 more messages");
	if (r < 0)
		return r;
	/* the newer one first: no order is asked for */
	if ((r = kickmsg_sample_release(&b)) < 0 || (r = kickmsg_sample_release(&a)) < 0)
		return r;
	/* the ring kept the last ones of the thousand; the rest is counted */
	if ((r = kickmsg_try_receive(sub, &c)) < 0)
		return r;
	return expect(
		is(&c, "flood") && kickmsg_subscriber_lost(sub) == c.ring_pos - b.ring_pos - 1,
		"every message missed is counted");
}

int main(void)
{
	const char *socket = getenv("KICKMSG_SOCKET");
	struct kickmsg_client *client;
	struct kickmsg_publisher *pub;
	struct kickmsg_subscriber *sub;

	output_begin();
	int r = kickmsg_client_new(NULL, &client);

	if (r == 0) {
		r = kickmsg_advertise(client, "lowlevel", NULL, &pub);
		if (r == 0)
			r = kickmsg_subscribe(client, "lowlevel", NULL, &sub);
		if (r == 0)
			r = publish(pub);
		if (r == 0)
			r = receive(pub, sub);
		if (r < 0)
			fprintf(stderr, "%s\n", kickmsg_client_last_error(client));
		kickmsg_client_free(client); /* and what it still has */
	}
	if (r < 0)
		fprintf(stderr, "hello_lowlevel: %s (broker at %s)\n", kickmsg_strerror(r),
			socket ? socket : "its default socket");
	return output_end("hello_lowlevel", r < 0);
}
