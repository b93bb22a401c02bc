// SPDX-License-Identifier: Apache-2.0
// Asks the broker for its numbers, and keeps them for the page. A rate is the difference of a counter between two
// looks, by the broker's clock.

const PAGE = 1000, MOST_TOPICS = 20000;
const KEPT = 120, KEPT_TOTALS = 300;
const WAIT_MS = 10000;

const data = {
	status: null,
	topics: new Map(), // by id
	more: false, // there are topics beyond MOST_TOPICS
	totals: { sent: new Series(KEPT_TOTALS), lost: new Series(KEPT_TOTALS) },
	rates: { sent: null, sent_bytes: null, received: null, lost: null },
	endpoints: new Map(), // by id: counters of the last look, and rates
};

// The broker isn't there, or went away while it answered.
class NoAnswer extends Error {}

// The broker answers with another status than 200.
class HttpError extends Error {
	constructor(status, text) {
		super(text);
		this.status = status;
	}
}

async function ask(path) {
	let status, text;

	try {
		const answer = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(WAIT_MS) });

		status = answer.status;
		text = await answer.text();
	} catch (error) {
		throw new NoAnswer(error.message);
	}
	if (status !== 200)
		throw new HttpError(status, text.trim());
	return JSON.parse(text);
}

const COUNTERS = ['sent', 'sent_bytes', 'received', 'lost', 'failed'];

// Returns the rates of a thing's counters since its last look. Null: it had none, or its counter began anew.
function ratesOf(now, before, seconds) {
	const rates = {};

	for (const counter of COUNTERS) {
		const more = before && counter in now ? now[counter] - before[counter] : NaN;

		rates[counter] = more >= 0 && seconds > 0 ? more / seconds : null;
	}
	return rates;
}

function takeStatus(status) {
	const before = data.status;

	// another broker counts from its own beginning
	if (before && before.pid !== status.pid)
		forget();
	const last = data.status;
	data.rates = ratesOf(status, last, last ? (status.monotonic_ns - last.monotonic_ns) / 1e9 : 0);
	data.totals.sent.push(data.rates.sent);
	data.totals.lost.push(data.rates.lost);
	data.status = status;
}

function forget() {
	data.status = null;
	data.topics.clear();
	data.endpoints.clear();
}

function takeTopic(row, at, look) {
	const known = data.topics.get(row.id);
	const topic = known && known.row.name === row.name ? known
		: { history: { sent: new Series(KEPT), lost: new Series(KEPT) } };

	topic.rates = ratesOf(row, topic.row, (at - topic.at) / 1e9);
	topic.row = row;
	topic.at = at;
	topic.look = look;
	topic.history.sent.push(topic.rates.sent);
	topic.history.lost.push(topic.rates.lost);
	data.topics.set(row.id, topic);
}

let looks = 0;

async function lookAtTopics() {
	const look = ++looks;
	let after = 0, told = 0;

	do {
		const page = await ask(`/topics.json?n=${PAGE}&after=${after}`);

		for (const row of page.topics)
			takeTopic(row, page.monotonic_ns, look);
		told += page.topics.length;
		after = page.next;
	} while (after !== 0 && told < MOST_TOPICS);
	data.more = after !== 0;
	for (const [id, topic] of data.topics)
		if (topic.look !== look)
			data.topics.delete(id);
}

// Gives each endpoint of a topic its rates.
function takeEndpoints(endpoints, at) {
	for (const endpoint of endpoints) {
		const before = data.endpoints.get(endpoint.endpoint_id);

		endpoint.rates = ratesOf(endpoint, before && before.endpoint, before ? (at - before.at) / 1e9 : 0);
		data.endpoints.set(endpoint.endpoint_id, { endpoint, at, look: looks });
	}
}

// Forgets endpoints that were in none of the last looks.
function forgetEndpoints() {
	for (const [id, { look }] of data.endpoints)
		if (look < looks - 5)
			data.endpoints.delete(id);
}

function topicByName(name) {
	for (const topic of data.topics.values())
		if (topic.row.name === name)
			return topic;
	return null;
}

// The topics whose names have the words of the filter.
function filtered(filter) {
	const words = filter.toLowerCase().split(/\s+/).filter((word) => word);

	return [...data.topics.values()].filter((topic) => {
		const name = topic.row.name.toLowerCase();

		return words.every((word) => name.includes(word));
	});
}

function busiestFirst(a, b) {
	return (b.rates.sent ?? -1) - (a.rates.sent ?? -1) || b.row.sent - a.row.sent || a.row.id - b.row.id;
}
