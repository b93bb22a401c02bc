/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings. A row is about one thing and has a cell for each column. A person gets a table of the columns
 * that are shown, with --json a program gets an object a row with all of them, and exact values.
 */
#pragma once

#include "ctl/ctl.h"

enum ctl_type {
	CTL_TYPE_TEXT,
	CTL_TYPE_COUNT,    /* a number of things */
	CTL_TYPE_BYTES,    /* a size */
	CTL_TYPE_MOMENT,   /* ns since 1970; for people how long ago */
	CTL_TYPE_DURATION, /* ns */
	CTL_TYPE_RATE,     /* a second */
	CTL_TYPE_BYTE_RATE,
	CTL_TYPE_BOOL,
};

struct ctl_column {
	const char *name; /* of the header, and in lower case for -o and --sort */
	const char *key;  /* in JSON; null: only for people */
	enum ctl_type type;
	bool is_shown; /* where -o says nothing */
};

struct ctl_columns {
	const struct ctl_column *columns;
	size_t count;
	bool is_listing; /* -o and --sort are about it */
};

/* `columns` are a static array. */
#define CTL_COLUMNS(columns)                                                                       \
	{                                                                                          \
		columns, sizeof(columns) / sizeof(columns)[0], false                               \
	}
#define CTL_LISTING(columns)                                                                       \
	{                                                                                          \
		columns, sizeof(columns) / sizeof(columns)[0], true                                \
	}

struct ctl_table;

/* Errors: none; the program ends without memory. The options -o and --sort are checked already. */
struct ctl_table *ctl_table_new(struct ctl *ctl, const struct ctl_columns *columns);
void ctl_table_free(struct ctl_table *table);
static inline void ctl_table_freep(struct ctl_table **table)
{
	ctl_table_free(*table);
}
#define _cleanup_table_ __attribute__((cleanup(ctl_table_freep)))

/* Begins a row. `object` is what its JSON is written into, and the table's from now on; null
 * without --json. Cells that aren't put are empty, and have no key in JSON. */
void ctl_table_row(struct ctl_table *table, struct json_object *object);
void ctl_put_text(struct ctl_table *table, size_t column, const char *text);
void ctl_put_part(struct ctl_table *table, size_t column, const char *part);
void ctl_put_count(struct ctl_table *table, size_t column, uint64_t value);
void ctl_put_real(struct ctl_table *table, size_t column, double value);
void ctl_put_bool(struct ctl_table *table, size_t column, bool value);
/* Marks the cell that was put last: it is bad, or to be looked at. */
void ctl_mark_bad(struct ctl_table *table);
void ctl_mark_dim(struct ctl_table *table);
size_t ctl_table_rows(const struct ctl_table *table);

/* Prints the table, or with --json an entry of `array` for each row; null: the objects are
 * elsewhere, too. `empty` is the text for a person where there is no row; may be null. */
void ctl_table_print(struct ctl_table *table, struct json_object *array, const char *empty);
/* Prints each row as lines "Column: value". */
void ctl_table_print_upright(struct ctl_table *table, struct json_object *array);

/* Returns CTL_DONE, or CTL_USAGE where -o or --sort name what isn't there, which it says. */
int ctl_table_check(const struct ctl *ctl, const struct ctl_columns *columns);

/* human.c. Each returns ret. */
enum { CTL_HUMAN_SIZE = 40 };
const char *ctl_human_bytes(uint64_t bytes, char ret[CTL_HUMAN_SIZE]);        /* 1.5M */
const char *ctl_human_duration(uint64_t ns, char ret[CTL_HUMAN_SIZE]);        /* 1h 5min */
const char *ctl_human_moment(uint64_t realtime_ns, char ret[CTL_HUMAN_SIZE]); /* 5min ago */
const char *ctl_human_time(uint64_t realtime_ns, char ret[CTL_HUMAN_SIZE]);   /* 2026-01-31 ... */
const char *ctl_human_rate(double per_s, char ret[CTL_HUMAN_SIZE]);           /* 12.3k/s */
const char *ctl_human_value(
	enum ctl_type type, uint64_t count, double real, char ret[CTL_HUMAN_SIZE]);
