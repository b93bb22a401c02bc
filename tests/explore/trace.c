/* SPDX-License-Identifier: Apache-2.0 */
/* Prints a run, one line for each step: number, thread, label, operation, order, location,
 * values. */
#include <stdarg.h>
#include <stdio.h>

#include "tests/explore/engine.h"

const char *ex_order_name(int order)
{
	static const char *const names[] = { "relaxed", "acquire", "release", "acq_rel",
		"seq_cst" };

	return names[order];
}

const char *ex_kind_name(int kind)
{
	static const char *const names[] = { "load", "store", "cas", "and", "add", "fence",
		"cas-fail" };

	return names[kind];
}

static void begin_line(void)
{
	const char *who = ex.current < 0 ? "end" : ex.threads[ex.current].name;

	printf("  %4u  %-6s ", (unsigned)ex.steps, who);
}

void ex_trace(const struct km_site *site, const volatile void *memory, const char *form,
	uint64_t value, uint64_t second)
{
	char text[64];

	begin_line();
	ex.program->name_of(memory, text, sizeof text);
	printf("%-3s %-5s %-8s %-16s ", site->label, ex_kind_name(site->kind),
		ex_order_name(site->used_order), text);
	for (; *form; form++) {
		if (*form != 'V') {
			putchar(*form);
			continue;
		}
		ex.program->value_of(memory, value, text, sizeof text);
		fputs(text, stdout);
		value = second;
	}
	putchar('\n');
}

void ex_note(const char *format, ...)
{
	va_list arguments;

	begin_line();
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}
