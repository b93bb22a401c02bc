/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings: see table.h.
 *
 * The file is long because a table is printed in four ways: at a terminal, into a file or pipe, upright, and as
 * JSON.
 */
#include <ctype.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <string.h>

#include "ctl/table.h"
#include "ctl/terminal.h"

struct cell {
	char *text; /* of a text; else null */
	uint64_t count;
	double real;
	bool is_set, is_bad, is_dim;
};

struct row {
	struct cell *cells;
	struct json_object *object;
	size_t number; /* as they came */
};

struct ctl_table {
	struct ctl *ctl;
	const struct ctl_columns *columns;
	struct row *rows;
	size_t count, room, last; /* `last`: the column that was put last */
};

/* Ends the program without memory: there is nothing that could be told. */
static void *need(void *memory)
{
	if (!memory) {
		fputs("kickmsgctl: no memory\n", stderr);
		exit(CTL_FOUND);
	}
	return memory;
}

struct ctl_table *ctl_table_new(struct ctl *ctl, const struct ctl_columns *columns)
{
	struct ctl_table *table = need(calloc(1, sizeof *table));

	table->ctl = ctl;
	table->columns = columns;
	return table;
}

void ctl_table_free(struct ctl_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->count; i++) {
		for (size_t j = 0; j < table->columns->count; j++)
			free(table->rows[i].cells[j].text);
		free(table->rows[i].cells);
		json_object_put(table->rows[i].object);
	}
	free(table->rows);
	free(table);
}

void ctl_table_row(struct ctl_table *table, struct json_object *object)
{
	if (table->count == table->room) {
		table->room = 2 * table->room + 16;
		table->rows = need(reallocarray(table->rows, table->room, sizeof *table->rows));
	}
	table->rows[table->count] = (struct row){
		.cells = need(calloc(table->columns->count, sizeof(struct cell))),
		.object = object,
		.number = table->count,
	};
	table->count++;
}

size_t ctl_table_rows(const struct ctl_table *table)
{
	return table->count;
}

static struct cell *put(struct ctl_table *table, size_t column)
{
	struct cell *cell = &table->rows[table->count - 1].cells[column];

	table->last = column;
	cell->is_set = true;
	return cell;
}

/* The JSON object that a cell belongs to. Null: nothing of it is for programs. */
static struct json_object *object_for(struct ctl_table *table, size_t column)
{
	return table->columns->columns[column].key ? table->rows[table->count - 1].object : NULL;
}

void ctl_put_text(struct ctl_table *table, size_t column, const char *text)
{
	struct cell *cell = put(table, column);

	cell->text = need(strdup(text));
	for (char *c = cell->text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	if (object_for(table, column))
		json_add_text(object_for(table, column), table->columns->columns[column].key, text);
}

void ctl_put_part(struct ctl_table *table, size_t column, const char *part)
{
	char written[KICKMSG_NAME_SIZE];

	ctl_put_text(table, column, ctl_write_part(part, written));
}

void ctl_put_count(struct ctl_table *table, size_t column, uint64_t value)
{
	put(table, column)->count = value;
	if (object_for(table, column))
		json_add_int(object_for(table, column), table->columns->columns[column].key, value);
}

void ctl_put_real(struct ctl_table *table, size_t column, double value)
{
	put(table, column)->real = value;
	if (object_for(table, column))
		json_add_double(
			object_for(table, column), table->columns->columns[column].key, value);
}

void ctl_put_bool(struct ctl_table *table, size_t column, bool value)
{
	put(table, column)->count = value;
	if (object_for(table, column))
		json_add_bool(
			object_for(table, column), table->columns->columns[column].key, value);
}

void ctl_mark_bad(struct ctl_table *table)
{
	table->rows[table->count - 1].cells[table->last].is_bad = true;
}

void ctl_mark_dim(struct ctl_table *table)
{
	table->rows[table->count - 1].cells[table->last].is_dim = true;
}

/* The column of this name, in any case, `len` bytes long; or SIZE_MAX. */
static size_t find_column(const struct ctl_columns *columns, const char *name, size_t len)
{
	for (size_t i = 0; i < columns->count; i++)
		if (strlen(columns->columns[i].name) == len &&
			strncasecmp(columns->columns[i].name, name, len) == 0)
			return i;
	return SIZE_MAX;
}

static int no_column(
	const struct ctl *ctl, const struct ctl_columns *columns, const char *name, size_t len)
{
	char known[CTL_TEXT_SIZE] = "";
	size_t used = 0;

	for (size_t i = 0; i < columns->count && used < sizeof known; i++)
		used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "",
			columns->columns[i].name);
	for (char *at = known; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	return ctl_wrong(ctl, "no column: %.*s; there are %s", (int)len, name, known);
}

int ctl_table_check(const struct ctl *ctl, const struct ctl_columns *columns)
{
	const char *rest = ctl->values[CTL_OPT_COLUMNS].text;
	const char *sort = ctl->values[CTL_OPT_SORT].text;

	while (rest) {
		const char *end = strchrnul(rest, ',');
		const char *name = rest + (*rest == '+');

		if (find_column(columns, name, (size_t)(end - name)) == SIZE_MAX)
			return no_column(ctl, columns, name, (size_t)(end - name));
		rest = *end ? end + 1 : NULL;
	}
	if (sort) {
		const char *name = sort + (*sort == '-');

		if (find_column(columns, name, strlen(name)) == SIZE_MAX)
			return no_column(ctl, columns, name, strlen(name));
	}
	return CTL_DONE;
}

struct order {
	size_t column;
	bool is_text, is_falling;
};

static int compare(const void *a, const void *b, void *userdata)
{
	const struct order *order = userdata;
	const struct row *first = a, *second = b;
	const struct cell *x = &first->cells[order->column], *y = &second->cells[order->column];
	int r;

	if (order->is_text)
		r = strcmp(x->text ? x->text : "", y->text ? y->text : "");
	else if (x->count != y->count)
		r = x->count < y->count ? -1 : 1;
	else
		r = (x->real > y->real) - (x->real < y->real);
	if (r == 0) /* they keep their order */
		return first->number < second->number ? -1 : 1;
	return order->is_falling ? -r : r;
}

static void sort_rows(struct ctl_table *table)
{
	const char *sort = table->ctl->values[CTL_OPT_SORT].text;
	struct order order = { .is_falling = sort && *sort == '-' };

	if (!sort || !table->columns->is_listing || table->count == 0)
		return;
	sort += order.is_falling;
	order.column = find_column(table->columns, sort, strlen(sort));
	order.is_text = table->columns->columns[order.column].type == CTL_TYPE_TEXT;
	/* an age is the opposite of its moment */
	if (table->columns->columns[order.column].type == CTL_TYPE_MOMENT)
		order.is_falling = !order.is_falling;
	qsort_r(table->rows, table->count, sizeof *table->rows, compare, &order);
}

/* Chooses the columns that are shown, in their order; returns how many. */
static size_t choose_columns(const struct ctl_table *table, size_t *ret)
{
	const char *rest = table->columns->is_listing ? table->ctl->values[CTL_OPT_COLUMNS].text
						      : NULL;
	size_t count = 0;

	for (size_t i = 0; (!rest || *rest == '+') && i < table->columns->count; i++)
		if (table->columns->columns[i].is_shown)
			ret[count++] = i;
	while (rest && count < 2 * table->columns->count) {
		const char *end = strchrnul(rest, ',');
		const char *name = rest + (*rest == '+');

		ret[count++] = find_column(table->columns, name, (size_t)(end - name));
		rest = *end ? end + 1 : NULL;
	}
	return count;
}

static const char *cell_text(
	const struct ctl_table *table, const struct row *row, size_t column, char *buffer)
{
	const struct cell *cell = &row->cells[column];

	if (!cell->is_set)
		return "-";
	return cell->text ? cell->text
			  : ctl_human_value(table->columns->columns[column].type, cell->count,
				    cell->real, buffer);
}

static bool is_number(enum ctl_type type)
{
	return type != CTL_TYPE_TEXT && type != CTL_TYPE_BOOL;
}

static void fill_line(const struct ctl_table *table, const struct row *row, const size_t *chosen,
	size_t count, struct libscols_table *lines)
{
	struct libscols_line *line = scols_table_new_line(lines, NULL);
	char buffer[CTL_HUMAN_SIZE];

	for (size_t i = 0; line && i < count; i++) {
		const struct cell *cell = &row->cells[chosen[i]];

		scols_line_set_data(line, i, cell_text(table, row, chosen[i], buffer));
		if (cell->is_bad || cell->is_dim)
			scols_cell_set_color(scols_line_get_cell(line, i),
				cell->is_bad ? "\033[1;31m" : "\033[2m");
	}
}

/* All cells that are shown, one after the other, each with its 0. */
struct texts {
	char *text;
	size_t used, room;
};

static size_t add_text(struct texts *texts, const char *text)
{
	const size_t len = strlen(text);

	if (texts->used + len + 1 > texts->room) {
		texts->room = 2 * texts->room + len + 4096;
		texts->text = need(realloc(texts->text, texts->room));
	}
	memcpy(texts->text + texts->used, text, len + 1);
	texts->used += len + 1;
	return len;
}

/* Writes a cell and what comes behind it. Returns the next one's place. */
static char *write_cell(
	char *to, const char *text, size_t len, size_t width, bool is_right, bool is_last)
{
	memset(to, ' ', width);
	memcpy(to + (is_right ? width - len : 0), text, len);
	to += is_last && !is_right ? len : width;
	*to++ = is_last ? '\n' : ' ';
	return to;
}

/* Prints what print_lines() would, where there is no terminal to be asked for its width and colours. Of long
 * tables that are printed again and again (top -b) this takes a small part of libsmartcols' time. */
static void print_plain(const struct ctl_table *table, const size_t *chosen, size_t count)
{
	_cleanup_free_ size_t *widths = need(calloc(count, sizeof *widths));
	const bool has_header = !ctl_given(table->ctl, CTL_OPT_NO_LEGEND);
	const size_t rows = table->count + has_header;
	size_t line = 0;
	struct texts texts = { 0 };
	char buffer[CTL_HUMAN_SIZE];

	for (size_t row = 0; row < rows; row++)
		for (size_t i = 0; i < count; i++) {
			size_t len = add_text(
				&texts, has_header && row == 0
						? table->columns->columns[chosen[i]].name
						: cell_text(table, &table->rows[row - has_header],
							  chosen[i], buffer));

			widths[i] = len > widths[i] ? len : widths[i];
		}
	for (size_t i = 0; i < count; i++)
		line += widths[i] + 1;
	_cleanup_free_ char *lines = need(malloc(rows * line + 1));
	const char *text = texts.text;
	char *to = lines;
	for (size_t row = 0; row < rows; row++)
		for (size_t i = 0; i < count; i++) {
			size_t len = strlen(text);

			to = write_cell(to, text, len, widths[i],
				is_number(table->columns->columns[chosen[i]].type), i + 1 == count);
			text += len + 1;
		}
	fwrite(lines, 1, (size_t)(to - lines), stdout);
	free(texts.text);
}

static void print_lines(const struct ctl_table *table)
{
	_cleanup_free_ size_t *chosen = need(calloc(2 * table->columns->count, sizeof *chosen));
	size_t count = choose_columns(table, chosen);

	if (!ctl_is_terminal()) {
		print_plain(table, chosen, count);
		return;
	}
	struct libscols_table *lines = need(scols_new_table());

	for (size_t i = 0; i < count; i++) {
		const struct ctl_column *column = &table->columns->columns[chosen[i]];

		scols_table_new_column(
			lines, column->name, 0, is_number(column->type) ? SCOLS_FL_RIGHT : 0);
	}
	for (size_t i = 0; i < table->count; i++)
		fill_line(table, &table->rows[i], chosen, count, lines);
	scols_table_enable_noheadings(lines, ctl_given(table->ctl, CTL_OPT_NO_LEGEND));
	scols_table_enable_colors(lines, ctl_is_coloured());
	scols_table_set_stream(lines, stdout);
	scols_table_set_termforce(lines, SCOLS_TERMFORCE_ALWAYS);
	scols_table_set_termwidth(lines, ctl_terminal_columns());
	if (scols_print_table(lines) < 0)
		fputs("kickmsgctl: the table couldn't be printed\n", stderr);
	scols_unref_table(lines);
}

static void print_objects(struct ctl_table *table, struct json_object *array)
{
	for (size_t i = 0; array && i < table->count; i++)
		json_object_array_add(array, ctl_steal(table->rows[i].object));
}

void ctl_table_print(struct ctl_table *table, struct json_object *array, const char *empty)
{
	sort_rows(table);
	if (table->ctl->json)
		print_objects(table, array);
	else if (table->count)
		print_lines(table);
	else if (empty && !ctl_given(table->ctl, CTL_OPT_NO_LEGEND))
		puts(empty);
}

/* Prints a column's name as a label: "MAX-SUBS" is "Max subs". */
static void print_label(const char *name, int width)
{
	printf("%*s", width - (int)strlen(name), "");
	for (const char *c = name; *c; c++)
		putchar(c == name ? *c : *c == '-' ? ' ' : tolower((unsigned char)*c));
	fputs(": ", stdout);
}

void ctl_table_print_upright(struct ctl_table *table, struct json_object *array)
{
	char buffer[CTL_HUMAN_SIZE];
	int width = 0;

	if (table->ctl->json) {
		print_objects(table, array);
		return;
	}
	for (size_t i = 0; i < table->columns->count; i++)
		if ((int)strlen(table->columns->columns[i].name) > width)
			width = (int)strlen(table->columns->columns[i].name);
	for (size_t i = 0; i < table->count; i++) {
		for (size_t j = 0; j < table->columns->count; j++) {
			const struct cell *cell = &table->rows[i].cells[j];
			bool colours = ctl_is_coloured() && (cell->is_bad || cell->is_dim);

			if (!cell->is_set || !table->columns->columns[j].is_shown)
				continue;
			print_label(table->columns->columns[j].name, width);
			printf("%s%s%s\n",
				!colours       ? ""
				: cell->is_bad ? "\033[1;31m"
					       : "\033[2m",
				cell_text(table, &table->rows[i], j, buffer),
				colours ? "\033[0m" : "");
		}
		if (i + 1 < table->count)
			putchar('\n');
	}
}
