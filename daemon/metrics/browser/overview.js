// SPDX-License-Identifier: Apache-2.0
// The broker's tiles and the table of topics.

const MOST_ROWS = 100;

const tiles = {};

function makeTile(key, title, spark) {
	const big = el('div', { class: 'big' }, '\u2013');
	const small = el('div', { class: 'small' });
	const line = spark ? makeSpark(title) : null;

	tiles[key] = { big, small, line };
	byId('tiles').append(el('div', { class: 'tile', id: `tile-${key}` }, el('h2', {}, title), big, small, line));
}

function makeTiles() {
	makeTile('sent', 'Messages a second', true);
	makeTile('lost', 'Lost a second', true);
	makeTile('topics', 'Topics', false);
	makeTile('clients', 'Clients', false);
	makeTile('memory', 'Memory', false);
	makeTile('events', 'Refused requests', false);
}

function showTiles() {
	const status = data.status;

	setText(tiles.sent.big, rateText(data.rates.sent));
	setText(tiles.sent.small, `${byteRateText(data.rates.sent_bytes)}/s; ${countText(status.sent)} in all`);
	drawSpark(tiles.sent.line, data.totals.sent, false);
	setText(tiles.lost.big, rateText(data.rates.lost));
	tiles.lost.big.classList.toggle('bad-text', data.rates.lost > 0);
	setText(tiles.lost.small, `${countText(status.lost)} in all`);
	drawSpark(tiles.lost.line, data.totals.lost, true);
	setText(tiles.topics.big, countText(status.topics));
	setText(tiles.topics.small, `of at most ${countText(status.max_topics)}`);
	setText(tiles.clients.big, countText(status.clients));
	setText(tiles.clients.small, `${countText(status.endpoints)} endpoints`);
	setText(tiles.memory.big, bytesText(status.bytes));
	setText(tiles.memory.small, `of at most ${bytesText(status.max_bytes)}`);
	setText(tiles.events.big, countText(status.refused));
	setText(tiles.events.small, `${short(status.repaired)} repairs, ${short(status.quarantined)} given up`);
}

// Each column: title, what it sorts by (null: it doesn't), whether narrow screens show it.
const columns = [
	{ key: 'name', title: 'Topic', value: (topic) => topic.row.name },
	{ key: 'sent_rate', title: 'Sent/s', value: (topic) => topic.rates.sent },
	{ key: 'spark', title: 'Lately', value: null, wide: true },
	{ key: 'bytes_rate', title: 'Bytes/s', value: (topic) => topic.rates.sent_bytes, wide: true },
	{ key: 'received_rate', title: 'Received/s', value: (topic) => topic.rates.received, wide: true },
	{ key: 'lost_rate', title: 'Lost/s', value: (topic) => topic.rates.lost },
	{ key: 'lost', title: 'Lost', value: (topic) => topic.row.lost, wide: true },
	{ key: 'publishers', title: 'Publishers', value: (topic) => topic.row.publishers, wide: true },
	{ key: 'subscribers', title: 'Subscribers', value: (topic) => topic.row.subscribers, wide: true },
	{ key: 'pool', title: 'Pool in use', value: (topic) => poolShare(topic.row), wide: true },
	{ key: 'memory', title: 'Memory', value: (topic) => topic.row.total_bytes, wide: true },
];

const table = { sort: 'sent_rate', down: true, heads: {}, rows: new Map(), body: null, empty: null };

function poolShare(row) {
	return row.free_slots === null || row.pool_size === 0 ? null : 1 - row.free_slots / row.pool_size;
}

function sortBy(key) {
	const text = key === 'name';

	table.down = table.sort === key ? !table.down : !text;
	table.sort = key;
	showTopics();
}

function makeTable() {
	const heads = columns.map((column) => {
		const button = column.value ? el('button', { type: 'button', id: `sort-${column.key}` }, column.title) : column.title;
		const head = el('th', { scope: 'col', class: column.wide ? 'wide' : null }, button);

		if (column.value)
			button.addEventListener('click', () => sortBy(column.key));
		table.heads[column.key] = head;
		return head;
	});

	table.body = el('tbody');
	table.empty = el('div', { class: 'empty' }, 'no topics yet');
	byId('topics').append(el('div', { class: 'card' },
		el('div', { class: 'scroll' }, el('table', {}, el('thead', {}, el('tr', {}, ...heads)), table.body)), table.empty));
}

function topicLink(name) {
	return `#/topic/${encodeURIComponent(name)}`;
}

function badges(row) {
	const kinds = [];

	if (row.kind !== 'topic')
		kinds.push(el('span', { class: 'badge' }, row.kind));
	if (row.quarantined)
		kinds.push(el('span', { class: 'badge bad' }, 'given up'));
	if (row.unlinked)
		kinds.push(el('span', { class: 'badge warn' }, 'unlinked'));
	if (row.unsettled > 0)
		kinds.push(el('span', { class: 'badge warn' }, `${row.unsettled} unsettled`));
	return kinds;
}

function makeRow(topic) {
	const link = el('a', { href: topicLink(topic.row.name) }, topic.row.name);
	const row = { link, cells: {}, badges: '', spark: makeSpark('messages a second'), pool: makeBar() };

	for (const { key, wide } of columns)
		row.cells[key] = el('td', { class: wide ? 'wide' : null });
	row.cells.name.className = 'name';
	row.cells.name.title = topic.row.name;
	row.cells.name.append(link);
	row.cells.spark.append(row.spark);
	row.cells.pool.append(row.pool.bar);
	row.tr = el('tr', {}, ...columns.map((column) => row.cells[column.key]));
	return row;
}

function setNumber(cell, value, text, bad) {
	setText(cell, text);
	cell.classList.toggle('zero', !value);
	cell.classList.toggle('bad-text', Boolean(bad && value > 0));
}

function showRow(row, topic) {
	const share = poolShare(topic.row);
	const shown = badges(topic.row);
	const texts = shown.map((badge) => badge.textContent).join();

	if (row.badges !== texts) {
		row.cells.name.replaceChildren(row.link, ...shown);
		row.badges = texts;
	}
	setNumber(row.cells.sent_rate, topic.rates.sent, rateText(topic.rates.sent));
	setNumber(row.cells.bytes_rate, topic.rates.sent_bytes, byteRateText(topic.rates.sent_bytes));
	setNumber(row.cells.received_rate, topic.rates.received, rateText(topic.rates.received));
	setNumber(row.cells.lost_rate, topic.rates.lost, rateText(topic.rates.lost), true);
	setNumber(row.cells.lost, topic.row.lost, countText(topic.row.lost));
	setNumber(row.cells.publishers, topic.row.publishers, countText(topic.row.publishers));
	setNumber(row.cells.subscribers, topic.row.subscribers, countText(topic.row.subscribers));
	setText(row.cells.memory, bytesText(topic.row.total_bytes));
	drawSpark(row.spark, topic.history.sent, false);
	setBar(row.pool, share ?? 0, share === null ? '\u2013' : `${Math.round(share * 100)} %`, 0.9);
}

function sorted(topics) {
	const { value } = columns.find((column) => column.key === table.sort);
	const sign = table.down ? -1 : 1;

	return topics.sort((a, b) => {
		const x = value(a), y = value(b);

		if (typeof x === 'string')
			return sign * (x < y ? -1 : x > y ? 1 : 0);
		return sign * ((x ?? -1) - (y ?? -1)) || busiestFirst(a, b);
	});
}

// Puts the rows into this order and touches none that is in its place, so that the keyboard's place stays.
function placeRows(rows) {
	let at = table.body.firstChild;

	for (const row of rows) {
		if (row.tr === at)
			at = at.nextSibling;
		else
			table.body.insertBefore(row.tr, at);
	}
	while (at) {
		const next = at.nextSibling;

		at.remove();
		at = next;
	}
}

function showTopics() {
	const found = filtered(byId('filter').value);
	const shown = sorted(found).slice(0, MOST_ROWS);
	const focused = document.activeElement;
	const rows = new Map();

	for (const [key, head] of Object.entries(table.heads))
		setAttribute(head, 'aria-sort', key === table.sort ? (table.down ? 'descending' : 'ascending') : null);
	for (const topic of shown) {
		const row = table.rows.get(topic) ?? makeRow(topic);

		showRow(row, topic);
		rows.set(topic, row);
	}
	placeRows([...rows.values()]);
	table.rows = rows;
	if (focused && focused !== document.activeElement && focused.isConnected)
		focused.focus({ preventScroll: true });
	table.empty.hidden = shown.length > 0;
	setText(table.empty, data.topics.size > 0 ? 'no topic has that in its name' : 'no topics yet');
	showCount(shown.length, found.length);
}

function showCount(shown, found) {
	const of = data.more ? `more than ${countText(data.topics.size)}` : countText(data.topics.size);
	let text = found === data.topics.size ? `${of} topics` : `${countText(found)} of ${of} topics`;

	if (shown < found)
		text += `; ${countText(shown)} are shown: filter to see others`;
	setText(byId('shown'), text);
}
