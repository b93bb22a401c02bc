/* SPDX-License-Identifier: Apache-2.0 */
/* Rows, the table for people and the JSON for programs. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tests/bench/bench.h"

struct bench_row *bench_row_new(
	struct bench_report *report, const char *load, const char *system, const char *unit)
{
	struct bench_row *row;

	if (report->count == BENCH_MAX_ROWS)
		bench_die("more than %d rows", BENCH_MAX_ROWS);
	row = &report->rows[report->count++];
	snprintf(row->load, sizeof(row->load), "%s", load);
	snprintf(row->system, sizeof(row->system), "%s", system);
	snprintf(row->unit, sizeof(row->unit), "%s", unit);
	return row;
}

void bench_row_values(struct bench_row *row, const double *values, unsigned count)
{
	double *copy = malloc((count + 1) * sizeof(*copy));

	if (!copy)
		bench_die("no memory");
	memcpy(copy, values, count * sizeof(*copy));
	row->known = true;
	row->median = bench_median(copy, count);
	row->min = count ? copy[0] : 0;
	row->max = count ? copy[count - 1] : 0;
	free(copy);
}

void bench_row_times(struct bench_row *row, double *values, unsigned count, double goal)
{
	bench_row_values(row, values, count);
	bench_median(values, count); /* sorts them */
	row->p99 = values[count * 99 / 100];
	row->goal = goal;
	row->goal_is_absolute = true;
}

__attribute__((format(printf, 3, 0))) static void add(
	char *text, size_t size, const char *format, va_list args)
{
	size_t used = strlen(text);

	if (used > 0)
		used += (size_t)snprintf(text + used, size - used, ", ");
	if (used < size)
		vsnprintf(text + used, size - used, format, args);
}

void bench_row_note(struct bench_row *row, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(row->note, sizeof(row->note), format, args);
	va_end(args);
}

__attribute__((format(printf, 2, 3))) static void add_verdict(
	struct bench_row *row, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(row->more, sizeof(row->more), format, args);
	va_end(args);
}

static const char *met(bool met)
{
	return met ? "met" : "MISSED";
}

void bench_row_judge(struct bench_row *row, const char *what, double value, double goal)
{
	add_verdict(row, "%s <=%g %s", what, goal, met(value <= goal));
}

void bench_row_judge_not(struct bench_row *row, const char *what, double goal)
{
	add_verdict(row, "%s <=%g few", what, goal);
}

static void report_machine(char *text, size_t size)
{
	char line[256], *model = NULL;
	FILE *info = fopen("/proc/cpuinfo", "re");
	struct utsname name = { 0 };

	while (info && !model && fgets(line, sizeof(line), info))
		if (strncmp(line, "model name", 10) == 0 && (model = strchr(line, ':')))
			model[strcspn(model, "\n")] = 0;
	if (info)
		fclose(info);
	uname(&name);
	snprintf(text, size, "%s, %ld CPUs, %s %s %s, compiler %s", model ? model + 2 : "?",
		sysconf(_SC_NPROCESSORS_ONLN), name.sysname, name.release, name.machine,
		__VERSION__);
}

/* "-" for what a row doesn't have; three digits that mean something for the rest. */
static const char *number(char *buffer, size_t size, double value)
{
	if (value == 0)
		snprintf(buffer, size, "-");
	else
		snprintf(buffer, size, "%.*f",
			value < 1      ? 3
			: value < 10   ? 2
			: value < 1000 ? 1
				       : 0,
			value);
	return buffer;
}

static const char *verdicts(const struct bench_row *row, char *buffer, size_t size)
{
	double judged = row->goal_is_absolute ? row->median : row->ratio;
	bool reached = row->goal_is_least ? judged >= row->goal : judged <= row->goal;

	if (row->goal == 0)
		snprintf(buffer, size, "%s", row->more[0] ? row->more : "-");
	else
		snprintf(buffer, size, "%s%g %s%s%s", row->goal_is_least ? ">=" : "<=", row->goal,
			met(reached), row->more[0] ? ", " : "", row->more);
	return buffer;
}

void bench_report_table(const struct bench_report *report)
{
	char b[8][24], goals[BENCH_MORE_SIZE + 32], machine[512];

	report_machine(machine, sizeof(machine));
	printf("\n%s\n\n%-22s %-23s %5s %8s %8s %8s %8s %8s %8s %7s %5s  %-33s %s\n", machine,
		"load", "system", "unit", "median", "min", "max", "p99", "p99.9", "p99.99",
		"x floor", "tail", "goal", "");
	for (unsigned i = 0; i < report->count; i++) {
		const struct bench_row *row = &report->rows[i];

		if (i > 0 && strcmp(row->load, report->rows[i - 1].load) != 0)
			printf("\n");
		printf("%-22s %-23s %5s %8s %8s %8s %8s %8s %8s %7s %5s  %-33s %s%s\n", row->load,
			row->system, row->unit,
			!row->known ? "n/a" : number(b[0], sizeof(b[0]), row->median),
			number(b[1], sizeof(b[1]), row->min), number(b[2], sizeof(b[2]), row->max),
			number(b[3], sizeof(b[3]), row->p99), number(b[4], sizeof(b[4]), row->p999),
			number(b[5], sizeof(b[5]), row->p9999),
			number(b[6], sizeof(b[6]), row->ratio),
			number(b[7], sizeof(b[7]), row->tail), verdicts(row, goals, sizeof(goals)),
			row->note, row->noisy ? " STAYED NOISY" : "");
	}
	printf("\nx floor (JSON: ratio_to_floor): rates ours / floor, times ours / floor, of the "
	       "load's row \"floor\";\n"
	       "of flood rows: to one publisher of the same system alone, for -read to what one "
	       "reader can read.\n"
	       "lost: of all messages to all subscribers.\n"
	       "tail: p99.9 / median, to the floor's own; few: under 1000 samples, not judged.\n"
	       "x LOAD: to the same system's row LOAD. x SYSTEM: to that system's row of the "
	       "load.\n"
	       "line: the bare line, median before and after the row's turns; a turn is taken "
	       "again "
	       "if they differ.\n"
	       "ns/ring: for the first, or each further.\n"
	       "%llu payloads verified\n",
		(unsigned long long)report->verified);
}

static void json_string(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(file, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			fprintf(file, "\\u%04x", (unsigned char)*text);
		else
			fputc(*text, file);
	}
	fputc('"', file);
}

static void json_number(FILE *file, const char *name, double value, bool known)
{
	if (known && isfinite(value))
		fprintf(file, ", \"%s\": %.6g", name, value);
	else
		fprintf(file, ", \"%s\": null", name);
}

static void json_count(FILE *file, const char *name, uint64_t value, bool known)
{
	if (known)
		fprintf(file, ", \"%s\": %llu", name, (unsigned long long)value);
	else
		fprintf(file, ", \"%s\": null", name);
}

int bench_report_json(const struct bench_report *report, const char *path)
{
	FILE *file = fopen(path, "we");
	char machine[512];
	int r = 0;

	if (!file)
		return -errno;
	report_machine(machine, sizeof(machine));
	fprintf(file, "{\"machine\": ");
	json_string(file, machine);
	fprintf(file, ", \"rows\": [");
	for (unsigned i = 0; i < report->count; i++) {
		const struct bench_row *row = &report->rows[i];
		fprintf(file, "%s\n  {\"load\": ", i ? "," : "");
		json_string(file, row->load);
		fprintf(file, ", \"system\": ");
		json_string(file, row->system);
		fprintf(file, ", \"unit\": ");
		json_string(file, row->unit);
		json_number(file, "median", row->median, row->known);
		json_number(file, "min", row->min, row->known);
		json_number(file, "max", row->max, row->known);
		json_number(file, "ratio_to_floor", row->ratio, row->ratio > 0);
		json_count(file, "sent", row->sent, row->is_flood);
		json_count(file, "received", row->received, row->is_flood);
		json_number(file, "lost", row->lost, row->is_flood);
		fprintf(file, "}");
	}
	fprintf(file, "\n]}\n");
	if (ferror(file))
		r = -EIO;
	if (fclose(file) != 0 && r == 0)
		r = -errno;
	return r;
}
