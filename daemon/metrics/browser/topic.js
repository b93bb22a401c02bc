// SPDX-License-Identifier: Apache-2.0
// One topic: its numbers, how it is made, who is there, and the rings.

const topicPage = { name: null, topic: null };

async function lookAtTopic(name) {
	const topic = await ask(`/topic.json?name=${encodeURIComponent(name)}`);

	takeEndpoints(topic.endpoints, topic.monotonic_ns);
	forgetEndpoints();
	return topic;
}

function fact(title, text) {
	return el('div', {}, el('dt', {}, title), el('dd', {}, text));
}

function lifetime(topic) {
	if (topic.persistent)
		return 'until it is unlinked';
	return topic.linger_ns > 0 ? `${spanText(topic.linger_ns)} without participants` : 'while anybody is attached';
}

function facts(topic) {
	const list = [
		['Transport', topic.transport === 'shared' ? 'one ring for all subscribers' : 'a ring for each subscriber'],
		['Cells of a ring', countText(topic.ring_capacity)],
		['Slots of the pool', countText(topic.pool_size)],
		['Longest message', bytesText(topic.max_payload_size)],
		['Publishers', `${countText(topic.publishers)} of at most ${countText(topic.max_publishers)}`],
		['Subscribers', `${countText(topic.subscribers)} of at most ${countText(topic.max_subscribers)}`],
		['Loans of a publisher', countText(topic.max_loans)],
		['Borrowed by a subscriber', `at most ${countText(topic.max_borrows)}`],
		['Reliable subscribers', topic.max_reliable > 0
			? `at most ${topic.max_reliable}, ${topic.demoted} made ordinary` : 'none'],
		...(topic.max_reliable > 0 ? [['Sends without room', countText(topic.no_room)]] : []),
		['History for newcomers', countText(topic.history)],
		['Publish times', topic.timestamps ? 'in each message' : 'none'],
		['Memory', bytesText(topic.total_bytes)],
		['Made', timeText(topic.created_realtime_ns)],
		['Made by', topic.creator ? `${topic.creator}, pid ${topic.creator_pid}` : '\u2013'],
		['Owner', `uid ${topic.owner_uid}`],
		['Lives', lifetime(topic)],
		['Schema', topic.schema ? `${topic.schema.name || 'without a name'}, version ${topic.schema.version}` : 'none'],
		['Region', topic.region],
	];

	if (topic.reason)
		list.push(['Why', topic.reason]);
	return el('dl', { class: 'facts' }, ...list.map(([title, text]) => fact(title, text)));
}

function numberCell(value, text, bad) {
	const cell = el('td');

	setNumber(cell, value, text, bad);
	return cell;
}

function heads(titles) {
	return el('thead', {}, el('tr', {}, ...titles.map((title) => el('th', { scope: 'col' }, title))));
}

function who(endpoint) {
	const cell = el('td', { class: 'name', title: endpoint.client }, endpoint.client);

	if (endpoint.state !== 'live')
		cell.append(el('span', { class: 'badge warn' }, endpoint.state));
	if (endpoint.reliable)
		cell.append(el('span', { class: 'badge' }, 'reliable'));
	return cell;
}

function age(endpoint, topic) {
	return el('td', {}, spanText(topic.realtime_ns - endpoint.since_realtime_ns));
}

function publishers(topic) {
	const rows = topic.endpoints.filter((endpoint) => endpoint.role === 'publisher').map((endpoint) => el('tr', {},
		who(endpoint), el('td', {}, String(endpoint.pid)), el('td', {}, String(endpoint.uid)),
		numberCell(endpoint.rates.sent, rateText(endpoint.rates.sent)),
		numberCell(endpoint.rates.sent_bytes, byteRateText(endpoint.rates.sent_bytes)),
		numberCell(endpoint.sent, countText(endpoint.sent)),
		numberCell(endpoint.failed, countText(endpoint.failed), true), age(endpoint, topic)));

	return el('table', { id: 'publishers' },
		heads(['Client', 'Pid', 'Uid', 'Sent/s', 'Bytes/s', 'Sent', 'Pool was empty', 'Since']), el('tbody', {}, ...rows));
}

// The subscriber that is furthest behind, or null: none is behind at all.
function slowest(rings) {
	const first = [...rings].sort((a, b) => b.waiting - a.waiting || (b.rates.lost ?? 0) - (a.rates.lost ?? 0))[0];

	return first && (first.waiting > 0 || first.rates.lost > 0) ? first : null;
}

function ringRow(endpoint, topic, slow) {
	const level = makeBar();
	const name = who(endpoint);

	if (endpoint === slow)
		name.append(el('span', { class: 'badge warn' }, 'slowest'));
	if (endpoint.sleeping)
		name.append(el('span', { class: 'badge' }, 'asleep'));
	const waiting = endpoint.waiting ?? 0;
	setBar(level, waiting / topic.ring_capacity, `${countText(waiting)} of ${countText(topic.ring_capacity)}`, 1);
	return el('tr', {}, name, el('td', {}, String(endpoint.pid)), el('td', {}, String(endpoint.uid)),
		el('td', {}, endpoint.ring ?? 'shared'), el('td', {}, level.bar),
		numberCell(endpoint.rates.received, rateText(endpoint.rates.received)),
		numberCell(endpoint.rates.lost, rateText(endpoint.rates.lost), true),
		numberCell(endpoint.received, countText(endpoint.received)),
		numberCell(endpoint.lost, countText(endpoint.lost), true), age(endpoint, topic));
}

function rings(topic) {
	const subscribers = topic.endpoints.filter((endpoint) => endpoint.role === 'subscriber');
	const slow = slowest(subscribers.filter((endpoint) => endpoint.state === 'live'));

	return el('table', { id: 'rings' },
		heads(['Client', 'Pid', 'Uid', 'Ring', 'Waiting', 'Received/s', 'Lost/s', 'Received', 'Lost', 'Since']),
		el('tbody', {}, ...subscribers.map((endpoint) => ringRow(endpoint, topic, slow))));
}

function topicTiles(topic) {
	const known = topicByName(topic.name);
	const rates = known ? known.rates : { sent: null, sent_bytes: null, received: null, lost: null };
	const tile = (title, big, small, series, bad) => {
		const line = series ? makeSpark(title) : null;

		if (line)
			drawSpark(line, series, bad);
		return el('div', { class: 'tile' }, el('h2', {}, title),
			el('div', { class: bad && rates.lost > 0 ? 'big bad-text' : 'big' }, big),
			el('div', { class: 'small' }, small), line);
	};
	const used = topic.free_slots === null ? '\u2013' : countText(topic.pool_size - topic.free_slots);

	return el('div', { class: 'tiles' },
		tile('Sent a second', rateText(rates.sent), `${byteRateText(rates.sent_bytes)}/s; ${countText(topic.sent)} in all`,
			known && known.history.sent, false),
		tile('Lost a second', rateText(rates.lost), `${countText(topic.lost)} in all`, known && known.history.lost, true),
		tile('Received a second', rateText(rates.received), `${countText(topic.received)} in all`),
		tile('Slots in use', used, `of ${countText(topic.pool_size)}`));
}

function card(title, ...content) {
	return el('div', { class: 'card' }, el('h2', {}, title), ...content);
}

function showTopic(topic) {
	const head = el('div', { class: 'head' }, el('h1', {}, topic.name), ...badges(topic));
	const parts = [head, topicTiles(topic), card('Publishers', el('div', { class: 'scroll' }, publishers(topic))),
		card('Subscribers and their rings', el('div', { class: 'scroll' }, rings(topic))),
		card('How it is made', facts(topic))];

	if (topic.endpoints_left_out > 0)
		parts.push(el('footer', {}, `${countText(topic.endpoints_left_out)} more publishers and subscribers aren't shown.`));
	byId('topic').replaceChildren(...parts);
}

function showNoTopic(name) {
	byId('topic').replaceChildren(el('div', { class: 'head' }, el('h1', {}, name)),
		el('div', { class: 'card empty' }, 'There is no such topic now.'));
}
