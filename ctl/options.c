/* SPDX-License-Identifier: Apache-2.0 */
/* The names of all options, and how wrong use is told: see ctl.h. */
#include <stdarg.h>
#include <stdio.h>

#include "ctl/ctl.h"

const struct ctl_option_names ctl_options[CTL_OPTION_COUNT] = {
#define CTL_OPTION_ROW(id, name, letter, argument, reading) { name, letter, argument },
	CTL_OPTIONS(CTL_OPTION_ROW)
#undef CTL_OPTION_ROW
};

int ctl_wrong(const struct ctl *ctl, const char *format, ...)
{
	va_list arguments;

	fputs("kickmsgctl: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	if (ctl->verb)
		fprintf(stderr, "\nTry 'kickmsgctl %s --help'.\n", ctl->verb->name);
	else
		fputs("\nTry 'kickmsgctl --help'.\n", stderr);
	return CTL_USAGE;
}
