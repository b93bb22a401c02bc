/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a message: see payload.h. */
#include "ctl/payload.h"

#include <stdio.h>

#include "ctl/terminal.h"

enum { ON_A_TERMINAL = 256 }; /* bytes of a message that are printed there */

/* Prints lines of an offset, sixteen bytes, and the same bytes as text. */
static void print_hex(const unsigned char *data, size_t len)
{
	for (size_t at = 0; at < len; at += 16) {
		size_t count = len - at < 16 ? len - at : 16;

		printf("  %08zx ", at);
		for (size_t i = 0; i < 16; i++)
			if (i < count)
				printf("%s%02x", i == 8 ? "  " : " ", data[at + i]);
			else
				printf("%s", i == 8 ? "    " : "   ");
		fputs("  |", stdout);
		for (size_t i = 0; i < count; i++)
			putchar(data[at + i] >= ' ' && data[at + i] <= '~' ? data[at + i] : '.');
		puts("|");
	}
}

static void print_base64(const unsigned char *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t at = 0; at < len; at += 3) {
		size_t count = len - at < 3 ? len - at : 3;
		uint32_t bits = (uint32_t)data[at] << 16 |
				(count > 1 ? (uint32_t)data[at + 1] << 8 : 0) |
				(count > 2 ? data[at + 2] : 0);

		for (size_t i = 0; i < 4; i++)
			putchar(i <= count ? digits[bits >> (18 - 6 * i) & 63] : '=');
	}
}

static void print_line(const unsigned char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		putchar(data[i] >= ' ' && data[i] <= '~' ? data[i] : '.');
}

static void print_frame(const void *data, size_t len)
{
	const unsigned char length[4] = { (unsigned char)len, (unsigned char)(len >> 8),
		(unsigned char)(len >> 16), (unsigned char)(len >> 24) };

	fwrite(length, 1, sizeof length, stdout);
	fwrite(data, 1, len, stdout);
}

/* How many of the bytes are printed. */
static size_t shown_of(const struct ctl *ctl, size_t len)
{
	const struct ctl_value *truncate = &ctl->values[CTL_OPT_TRUNCATE];
	size_t most = truncate->given                   ? (size_t)truncate->count
		      : ctl_is_terminal() && !ctl->json ? ON_A_TERMINAL
							: SIZE_MAX;

	return len < most ? len : most;
}

void ctl_print_payload_json(const struct ctl *ctl, const void *data, size_t len)
{
	const unsigned char *bytes = data;
	size_t shown = shown_of(ctl, len);

	printf("\"len\":%zu,", len);
	if (ctl_given(ctl, CTL_OPT_BASE64)) {
		fputs("\"base64\":\"", stdout);
		print_base64(bytes, shown);
	} else {
		fputs("\"hex\":\"", stdout);
		for (size_t i = 0; i < shown; i++)
			printf("%02x", bytes[i]);
	}
	putchar('"');
}

void ctl_print_payload(const struct ctl *ctl, const void *data, size_t len)
{
	size_t shown = shown_of(ctl, len);
	bool hex = ctl_given(ctl, CTL_OPT_HEX);

	if (ctl_given(ctl, CTL_OPT_RAW)) {
		fwrite(data, 1, len, stdout);
		return;
	}
	if (ctl_given(ctl, CTL_OPT_RAW_FRAMES)) {
		print_frame(data, len);
		return;
	}
	if (hex) {
		putchar('\n');
		print_hex(data, shown);
	} else if (ctl_given(ctl, CTL_OPT_BASE64)) {
		print_base64(data, shown);
	} else {
		print_line(data, shown);
	}
	if (shown < len)
		printf("%s... %zu bytes more (--truncate)", hex ? "  " : "", len - shown);
	if (shown < len || !hex)
		putchar('\n');
}
