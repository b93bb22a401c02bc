/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top on a terminal: see top.h. ncurses compares what is to be shown with what is, and writes the
 * difference, so nothing flickers.
 *
 *   keys of the list   arrows, page up, page down; enter opens a topic; / filters; r b l p s m n sort
 *   keys of a topic    escape, q or the left arrow goes back
 *   everywhere         q ends, ctrl-l draws all anew
 */
#include <errno.h>
#include <ncurses.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/table.h"
#include "ctl/terminal.h"
#include "ctl/top.h"

enum {
	ESCAPE = 27,
	ENTER = '\n',
	BAD = 1,
	HEAD = 4,
	NUMBERS_WIDTH = 65,
	BYTES_WIDTH = 10,
	RINGS = 256
};

struct screen {
	struct ctl *ctl;
	struct top *top;
	uint64_t selected; /* the topic's id */
	size_t first;      /* row that is shown at the top */
	bool is_open;      /* the selected topic alone */
	bool is_typing;    /* the filter */
	bool is_over;
	char said[CTL_TEXT_SIZE]; /* what is wrong, or "" */
};

__attribute__((format(printf, 3, 4))) static void put(
	int y, attr_t attributes, const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (y < 0 || y >= LINES)
		return;
	attrset(attributes);
	mvaddnstr(y, 0, line, COLS);
	if (attributes & A_REVERSE)
		for (int x = (int)strlen(line); x < COLS; x++)
			addch(' ');
	attrset(A_NORMAL);
}

static size_t index_of(const struct screen *screen)
{
	for (size_t i = 0; i < screen->top->row_count; i++)
		if (screen->top->rows[i].info->id == screen->selected)
			return i;
	return 0;
}

static const char *rate(double per_s, char ret[CTL_HUMAN_SIZE])
{
	return ctl_human_rate(per_s, ret);
}

static const char *byte_rate(double per_s, char ret[CTL_HUMAN_SIZE])
{
	return ctl_human_value(CTL_TYPE_BYTE_RATE, 0, per_s, ret);
}

/* The width of the bytes' column, which narrow terminals don't have. */
static int bytes_width(void)
{
	return COLS >= NUMBERS_WIDTH + BYTES_WIDTH + 20 ? BYTES_WIDTH : 0;
}

static int name_width(void)
{
	const int width = COLS - NUMBERS_WIDTH - bytes_width();

	return width > 8 ? width : 8;
}

static void draw_row(const struct top *top, const struct top_row *row, int y, bool is_selected)
{
	const struct top_detail *detail = row->detail;
	const bool is_known = top_knows(top, row);
	const struct kickmsg_topic_ref topic = ctl_ref(row->info);
	char name[KICKMSG_WHOLE_NAME_SIZE], sent[CTL_HUMAN_SIZE], bytes[CTL_HUMAN_SIZE],
		received[CTL_HUMAN_SIZE], lost[CTL_HUMAN_SIZE], memory[CTL_HUMAN_SIZE],
		pool[16] = "-", behind[32] = "-";
	const int width = name_width(), bytes_at = bytes_width();

	if (is_known && detail->slots)
		snprintf(pool, sizeof pool, "%.0f%%",
			100.0 * (double)detail->used / (double)detail->slots);
	if (is_known && detail->pid)
		snprintf(behind, sizeof behind, "%u:%llu", detail->pid,
			(unsigned long long)detail->waiting);
	put(y, (is_selected ? A_REVERSE : A_NORMAL) | (row->lost > 0 ? COLOR_PAIR(BAD) : 0),
		"%-*.*s %4u %4u %8s%*.*s %8s %8s %5s %14s %6s", width, width,
		ctl_write_name(&topic, name), row->info->publishers, row->info->subscribers,
		row->has_numbers ? rate(row->sent, sent) : "-", bytes_at, bytes_at,
		row->has_numbers ? byte_rate(row->bytes, bytes) : "-",
		row->has_numbers ? rate(row->received, received) : "-",
		row->has_numbers ? rate(row->lost, lost) : "-", pool, behind,
		ctl_human_bytes(row->info->total_bytes, memory));
}

static void draw_head(const struct screen *screen)
{
	const struct top *top = screen->top;
	char sent[CTL_HUMAN_SIZE], bytes[CTL_HUMAN_SIZE], received[CTL_HUMAN_SIZE],
		lost[CTL_HUMAN_SIZE];
	double sums[4] = { 0 };

	for (size_t i = 0; i < top->row_count; i++) {
		sums[0] += top->rows[i].sent;
		sums[1] += top->rows[i].bytes;
		sums[2] += top->rows[i].received;
		sums[3] += top->rows[i].lost;
	}
	put(0, A_BOLD, "kickmsg: %zu of %zu topics, by %s", top->row_count, top->info_count,
		top_orders[top->order]);
	put(1, A_NORMAL, "sent %s, %s, received %s, lost %s", rate(sums[0], sent),
		byte_rate(sums[1], bytes), rate(sums[2], received), rate(sums[3], lost));
	if (*screen->said)
		put(2, A_BOLD | COLOR_PAIR(BAD), "%s", screen->said);
	else if (screen->is_typing || *top->filter)
		put(2, A_NORMAL, "filter: %s%s", top->filter, screen->is_typing ? "_" : "");
}

static void draw_list(struct screen *screen)
{
	struct top *top = screen->top;
	const int rows = LINES - HEAD - 1, width = name_width(), bytes_at = bytes_width();
	size_t shown = rows > 0 ? (size_t)rows : 0, selected = index_of(screen);

	if (selected < screen->first)
		screen->first = selected;
	if (shown && selected >= screen->first + shown)
		screen->first = selected - shown + 1;
	put(HEAD - 1, A_REVERSE, "%-*.*s %4s %4s %8s%*.*s %8s %8s %5s %14s %6s", width, width,
		"NAME", "PUBS", "SUBS", "RATE", bytes_at, bytes_at, "BYTES/S", "RECEIVED", "LOST/S",
		"POOL", "SLOWEST:BEHIND", "MEMORY");
	for (size_t i = 0; i < shown && screen->first + i < top->row_count; i++) {
		struct top_row *row = &top->rows[screen->first + i];

		if (top->client)
			top_ask(top, row);
		draw_row(top, row, HEAD + (int)i, screen->first + i == selected);
	}
	put(LINES - 1, A_DIM,
		"q quit  enter open  / filter  sort: r)ate b)ytes l)ost p)ool s)ubs m)emory n)ame");
}

static int draw_rings(const struct screen *screen, const struct kickmsg_topic_ref *topic, int y)
{
	struct kickmsg_ring_stats rings[RINGS];
	uint64_t cursor = 0;
	ssize_t n = kickmsg_topic_ring_stats(screen->top->client, topic, &cursor, rings, RINGS);

	put(y++, A_REVERSE, "%10s %14s %14s %12s %8s", "SUBSCRIBER", "WRITTEN", "RECEIVED", "LOST",
		"WAITING");
	for (ssize_t i = 0; i < n; i++)
		put(y++, rings[i].lost ? COLOR_PAIR(BAD) : A_NORMAL,
			"%10u %14llu %14llu %12llu %8llu", rings[i].pid,
			(unsigned long long)rings[i].written, (unsigned long long)rings[i].received,
			(unsigned long long)rings[i].lost, (unsigned long long)rings[i].waiting);
	return y;
}

static void draw_participants(
	const struct screen *screen, const struct kickmsg_topic_ref *topic, int y)
{
	struct kickmsg_participant all[64];
	char name[KICKMSG_NAME_SIZE], age[CTL_HUMAN_SIZE];
	uint64_t cursor = 0;
	ssize_t n = kickmsg_topic_participants(
		screen->top->client, topic, &cursor, all, COUNT_OF(all));

	put(y++, A_REVERSE, "%10s %6s %5s %5s %10s  %s", "CLIENT", "UID", "PUBS", "SUBS", "FOR",
		"NAME");
	for (ssize_t i = 0; i < n; i++)
		put(y++, all[i].alive ? A_NORMAL : A_DIM, "%10d %6u %5u %5u %10s  %s", all[i].pid,
			all[i].uid, all[i].publishers, all[i].subscribers,
			ctl_human_moment(all[i].since_realtime_ns, age),
			ctl_write_part(all[i].client_name, name));
}

static void draw_topic(struct screen *screen)
{
	struct top_row *row = &screen->top->rows[index_of(screen)];
	const struct kickmsg_topic_ref topic = ctl_ref(row->info);
	const struct kickmsg_topic_config *config = &row->info->config;
	char name[KICKMSG_WHOLE_NAME_SIZE], sent[CTL_HUMAN_SIZE], bytes[CTL_HUMAN_SIZE],
		lost[CTL_HUMAN_SIZE];

	top_ask(screen->top, row);
	put(0, A_BOLD, "%s", ctl_write_name(&topic, name));
	put(1, A_NORMAL, "sent %s, %s, lost %s, %llu lost in all; %llu of %llu slots in use",
		rate(row->sent, sent), byte_rate(row->bytes, bytes), rate(row->lost, lost),
		(unsigned long long)row->lost_in_all, (unsigned long long)row->detail->used,
		(unsigned long long)row->detail->slots);
	put(2, A_NORMAL, "%s, messages of up to %llu bytes, rings of %llu",
		config->transport == KICKMSG_TRANSPORT_SHARED ? "shared ring" : "private rings",
		(unsigned long long)config->max_payload_size,
		(unsigned long long)config->ring_capacity);
	int y = draw_rings(screen, &topic, HEAD);
	draw_participants(screen, &topic, y + 1);
	put(LINES - 1, A_DIM, "escape back  q quit");
}

static void draw(struct screen *screen)
{
	erase();
	if (screen->is_open && screen->top->row_count > 0 && screen->top->client) {
		draw_topic(screen);
	} else {
		draw_head(screen);
		draw_list(screen);
	}
	refresh();
}

static void look(struct screen *screen)
{
	struct top *top = screen->top;
	struct ctl *ctl = screen->ctl;
	const struct kickmsg_client_config config = { .name = "kickmsgctl",
		.socket_path = ctl->values[CTL_OPT_SOCKET].text };
	int r = top->client ? 0 : kickmsg_client_new(&config, &top->client);

	if (r == 0)
		r = top_look(top);
	if (r == 0) {
		screen->said[0] = '\0';
		top_arrange(top);
		return;
	}
	char filter[sizeof top->filter];
	snprintf(screen->said, sizeof screen->said, "there is no broker now (%s); looking again",
		kickmsg_strerror(r));
	memcpy(filter, top->filter, sizeof filter);
	top_forget(top);
	memcpy(top->filter, filter, sizeof filter);
}

static void move_by(struct screen *screen, int rows)
{
	const struct top *top = screen->top;
	long to = (long)index_of(screen) + rows;

	if (to >= (long)top->row_count)
		to = (long)top->row_count - 1;
	if (to < 0)
		to = 0;
	if (top->row_count > 0)
		screen->selected = top->rows[to].info->id;
}

static void type(struct screen *screen, int key)
{
	char *filter = screen->top->filter;
	size_t len = strlen(filter);

	if (key == ESCAPE)
		filter[0] = '\0';
	else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && len > 0)
		filter[len - 1] = '\0';
	else if (key > ' ' && key <= '~' && len + 1 < sizeof screen->top->filter)
		filter[len] = (char)key;
	screen->is_typing = key != ESCAPE && key != ENTER && key != KEY_ENTER;
}

static void sort_by(struct screen *screen, int key)
{
	static const char keys[] = "rblpsmn";
	const char *found = strchr(keys, key);

	if (key > 0 && key <= '~' && found)
		screen->top->order = (enum top_order)(found - keys);
}

static void press(struct screen *screen, int key)
{
	const int page = LINES - HEAD - 1 > 1 ? LINES - HEAD - 1 : 1;

	if (key == 'L' - '@') {
		clearok(curscr, TRUE);
	} else if (screen->is_typing) {
		type(screen, key);
	} else if (key == 'q') {
		screen->is_over = true;
	} else if (key == ESCAPE || key == KEY_LEFT) {
		screen->is_open = false;
	} else if (key == ENTER || key == KEY_ENTER || key == KEY_RIGHT) {
		move_by(screen, 0);
		screen->is_open = true;
	} else if (key == '/') {
		screen->is_typing = true;
	} else if (key == KEY_DOWN || key == KEY_UP) {
		move_by(screen, key == KEY_DOWN ? 1 : -1);
	} else if (key == KEY_NPAGE || key == KEY_PPAGE) {
		move_by(screen, key == KEY_NPAGE ? page : -page);
	} else {
		sort_by(screen, key);
	}
}

/* Hears keys until it is time for the next look. */
static void hear(struct screen *screen, int64_t when)
{
	while (!screen->is_over && !ctl_is_interrupted()) {
		int64_t left = when - ctl_now_ns();

		if (left <= 0)
			return;
		timeout((int)(left / 1000000) + 1);
		int key = getch();
		if (key == ERR)
			continue;
		if (key != KEY_RESIZE)
			press(screen, key);
		if (screen->top->client)
			top_arrange(screen->top);
		draw(screen);
	}
}

int top_show(struct ctl *ctl, struct top *top, int64_t interval_ns, uint64_t rounds)
{
	struct screen screen = { .ctl = ctl, .top = top };
	const char *kind = getenv("TERM");
	SCREEN *terminal = NULL;

	/* keys come from there, too */
	if (kind && *kind && strcmp(kind, "dumb") != 0 && isatty(STDIN_FILENO))
		terminal = newterm(NULL, stdout, stdin);
	if (!terminal)
		return -1;
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	set_escdelay(50);
	curs_set(0);
	if (ctl_is_coloured() && has_colors()) {
		start_color();
		use_default_colors();
		init_pair(BAD, COLOR_RED, -1);
	}
	int64_t when = ctl_now_ns();
	for (uint64_t round = 0; (!rounds || round < rounds) && !screen.is_over; round++) {
		look(&screen);
		draw(&screen);
		/* rates need a second look, soon */
		when = round == 0 ? ctl_now_ns() + 200000000 : ctl_next_look(when, interval_ns);
		hear(&screen, when);
		if (ctl_is_interrupted())
			break;
	}
	endwin();
	delscreen(terminal);
	return CTL_DONE;
}
