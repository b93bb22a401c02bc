// SPDX-License-Identifier: Apache-2.0
// Who publishes to whom: publishers, topics and subscribers in three columns. A line is a client at a topic, with its
// rate and what it loses.

const GRAPH_TOPICS = 30, GRAPH_CLIENTS = 40;
const GRAPH_WIDTH = 1120, NODE_WIDTH = 256, NODE_HEIGHT = 40, NODE_GAP = 14, GRAPH_TOP = 34;
const PORT = 16; // between the ends of two lines
const GRAPH_X = { publisher: 1, topic: (GRAPH_WIDTH - NODE_WIDTH) / 2, subscriber: GRAPH_WIDTH - NODE_WIDTH - 1 };

const graph = { svg: null, note: null };

function makeGraph() {
	graph.note = el('footer');
	graph.svg = svg('svg', { role: 'group', 'aria-label': 'publishers, topics, subscribers' });
	byId('graph').append(el('div', { class: 'card' }, el('div', { class: 'scroll' }, graph.svg)), graph.note);
}

// The topics that are drawn: the busiest ones of those that the filter leaves.
function graphTopics() {
	return filtered(byId('filter').value).sort(busiestFirst).slice(0, GRAPH_TOPICS);
}

async function lookAtGraph() {
	const ids = graphTopics().map((topic) => topic.row.id);

	if (ids.length === 0)
		return [];
	const page = await ask(`/topics.json?ids=${ids.join()}`);
	for (const row of page.topics)
		takeEndpoints(row.endpoints, page.monotonic_ns);
	forgetEndpoints();
	return page.topics;
}

function add(sum, value) {
	return value === null ? sum : (sum ?? 0) + value;
}

// Clients by role, and one edge for each client at a topic, however many endpoints it has there.
function graphParts(rows) {
	const clients = { publisher: new Map(), subscriber: new Map() };
	const edges = new Map();

	for (const row of rows)
		for (const endpoint of row.endpoints) {
			const { role } = endpoint;
			const key = `${role} ${endpoint.client_id} ${row.id}`;
			const client = clients[role].get(endpoint.client_id) ?? { role, endpoint, rate: null };
			const edge = edges.get(key) ?? { role, row, client, rate: null, lost: null };
			const rate = role === 'publisher' ? endpoint.rates.sent : endpoint.rates.received;

			edge.rate = add(edge.rate, rate);
			client.rate = add(client.rate, rate);
			if (role === 'subscriber')
				edge.lost = add(edge.lost, endpoint.rates.lost);
			clients[role].set(endpoint.client_id, client);
			edges.set(key, edge);
		}
	return { clients, edges: [...edges.values()] };
}

// Each client beside the topics that it is at, so that few lines cross.
function placeClients(clients, edges, places) {
	const order = [...clients.values()].map((client) => {
		const mine = edges.filter((edge) => edge.client === client);

		return { client, at: mean(mine.map((edge) => places.get(edge.row.id))) };
	});

	order.sort((a, b) => a.at - b.at || a.client.endpoint.client_id - b.client.endpoint.client_id);
	return order.map(({ client }) => client);
}

function cut(text, length) {
	return text.length > length ? `${text.slice(0, length - 1)}\u2026` : text;
}

function drawNode(kind, place, name, sub, href) {
	const middle = place.height / 2;
	const box = [svg('title', {}, name), svg('rect', { width: NODE_WIDTH, height: place.height, rx: 7 }),
		svg('text', { class: 'name', x: 12, y: middle - 3 }, cut(name, 29)),
		svg('text', { class: 'sub', x: 12, y: middle + 12 }, cut(sub, 36))];
	const node = svg('g', { class: `node ${kind}`, transform: `translate(${GRAPH_X[kind]} ${place.top.toFixed(1)})` });

	node.append(...(href ? [svg('a', { href }, ...box)] : box));
	return node;
}

// Returns a line's width, which grows with the rate's power of ten.
function edgeWidth(rate) {
	return rate > 0 ? 1.2 + Math.min(Math.log10(1 + rate), 6) * 0.9 : 1.2;
}

function drawEdge(edge) {
	const left = edge.role === 'publisher';
	const from = (left ? GRAPH_X.publisher : GRAPH_X.topic) + NODE_WIDTH;
	const to = left ? GRAPH_X.topic : GRAPH_X.subscriber;
	const [y1, y2] = left ? [edge.clientY, edge.topicY] : [edge.topicY, edge.clientY];
	const middle = (from + to) / 2;
	const kind = edge.lost > 0 ? 'edge lossy' : edge.rate > 0 ? 'edge' : 'edge idle';
	// beside the client, where the lines of several topics are apart
	const anchor = left ? 'start' : 'end';
	const text = svg('text', { x: left ? from + 10 : to - 10, y: edge.clientY + 4, 'text-anchor': anchor });

	if (edge.lost > 0)
		text.append(svg('tspan', { class: 'loss' }, `\u2212${rateText(edge.lost)}/s`), '  ');
	text.append(`${rateText(edge.rate)}/s`);
	return svg('g', { class: kind, 'data-client': edge.client.endpoint.client_id, 'data-topic': edge.row.id },
		svg('path', {
			d: `M${from} ${y1}C${middle} ${y1} ${middle} ${y2} ${to} ${y2}`,
			'stroke-width': edgeWidth(edge.rate).toFixed(2),
		}), text);
}

// Dims what has nothing to do with this node.
function light(node, near) {
	node.addEventListener('mouseenter', () => {
		for (const other of graph.svg.querySelectorAll('.node, .edge'))
			other.classList.toggle('dim', other !== node && !near.has(other));
	});
	node.addEventListener('mouseleave', () => {
		for (const other of graph.svg.querySelectorAll('.dim'))
			other.classList.remove('dim');
	});
}

function column(role, title, count, all) {
	const text = `${title}: ${count}${all > count ? ` of ${all}` : ''}`;

	return svg('text', { class: 'column', x: GRAPH_X[role], y: 16 }, text);
}

// A place for each thing of a column, as high as its lines need.
function stack(things, ends) {
	let top = GRAPH_TOP;

	return new Map(things.map((thing) => {
		const height = Math.max(NODE_HEIGHT, ends(thing) * PORT + 6);
		const place = { top, height, bottom: top + height };

		top += height + NODE_GAP;
		return [thing, place];
	}));
}

function bottom(places) {
	return Math.max(GRAPH_TOP, ...[...places.values()].map((place) => place.bottom));
}

function shift(places, by) {
	for (const place of places.values())
		place.top += by;
}

// Moves each place to where it is wanted, as near as its neighbours and the end of the column allow.
function settle(places, wanted, height) {
	let free = GRAPH_TOP, end = height;

	for (const [thing, place] of places) {
		place.top = Math.max(wanted(thing) - place.height / 2, free);
		free = place.top + place.height + NODE_GAP;
	}
	for (const place of [...places.values()].reverse()) {
		place.top = Math.min(place.top, end - place.height);
		end = place.top - NODE_GAP;
	}
}

function mean(numbers) {
	return numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
}

// Spreads the ends of a node's lines over its side, in the order of where they go to.
function spread(edges, place, otherPlaces, other, end) {
	edges.sort((a, b) => otherPlaces.get(a[other]).top - otherPlaces.get(b[other]).top);
	const step = Math.min(PORT, (place.height - 6) / edges.length);

	edges.forEach((edge, i) => {
		edge[end] = place.top + place.height / 2 + (i - (edges.length - 1) / 2) * step;
	});
}

function connect(edges, nodes, drawn) {
	for (const [thing, node] of nodes) {
		const near = new Set();

		for (const edge of edges)
			if (edge.client === thing || edge.row === thing) {
				near.add(drawn.get(edge));
				near.add(nodes.get(edge.client));
				near.add(nodes.get(edge.row));
			}
		light(node, near);
	}
}

// Places columns, and the lines' ends; returns the height of all.
function arrange(rows, clients, edges) {
	const of = (key, thing, role) => edges.filter((edge) => edge[key] === thing && (!role || edge.role === role));
	const places = {
		topic: stack(rows, (row) => Math.max(of('row', row, 'publisher').length, of('row', row, 'subscriber').length)),
		publisher: stack(clients.publisher, (client) => of('client', client).length),
		subscriber: stack(clients.subscriber, (client) => of('client', client).length),
	};
	const height = Math.max(...Object.values(places).map(bottom));

	const middle = (row) => places.topic.get(row).top + places.topic.get(row).height / 2;
	const beside = (client) => mean(of('client', client).map((edge) => middle(edge.row)));

	shift(places.topic, (height - bottom(places.topic)) / 2);
	for (const role of ['publisher', 'subscriber']) {
		settle(places[role], beside, height);
		for (const client of clients[role])
			spread(of('client', client), places[role].get(client), places.topic, 'row', 'clientY');
		for (const row of rows)
			spread(of('row', row, role), places.topic.get(row), places[role], 'client', 'topicY');
	}
	return { places, height };
}

function drawNodes(places, clients, rows) {
	const nodes = new Map();

	for (const role of ['publisher', 'subscriber'])
		for (const client of clients[role]) {
			const { endpoint } = client;
			const sub = `pid ${endpoint.pid}, uid ${endpoint.uid}: ${rateText(client.rate)}/s`;

			nodes.set(client, drawNode(role, places[role].get(client), endpoint.client, sub));
		}
	for (const row of rows) {
		const { rates } = data.topics.get(row.id);
		const lost = rates.lost > 0 ? `, ${rateText(rates.lost)}/s lost` : '';
		const sub = `${rateText(rates.sent)}/s sent${lost}`;

		nodes.set(row, drawNode('topic', places.topic.get(row), row.name, sub, topicLink(row.name)));
	}
	return nodes;
}

function showGraph(answer) {
	const order = new Map(graphTopics().map((topic, i) => [topic.row.id, i]));
	const rows = answer.filter((row) => order.has(row.id)).sort((a, b) => order.get(a.id) - order.get(b.id));
	const parts = graphParts(rows);
	const clients = {}, columns = [];

	for (const role of ['publisher', 'subscriber']) {
		const placed = placeClients(parts.clients[role], parts.edges, order);

		clients[role] = placed.slice(0, GRAPH_CLIENTS);
		columns.push(column(role, role === 'publisher' ? 'Publishers' : 'Subscribers', clients[role].length, placed.length));
	}
	const edges = parts.edges.filter((edge) => clients[edge.role].includes(edge.client));
	const { places, height } = arrange(rows, clients, edges);
	const nodes = drawNodes(places, clients, rows);
	const drawn = new Map(edges.map((edge) => [edge, drawEdge(edge)]));
	const found = filtered(byId('filter').value).length;

	connect(edges, nodes, drawn);
	columns.push(column('topic', 'Topics', rows.length, rows.length));
	putGraph([...columns, ...drawn.values(), ...nodes.values()], height + 4);
	showCount(rows.length, found);
	setText(graph.note, 'A line is a client at a topic, thicker where more messages go: ' +
		'messages a second, and in red those lost. ' + busiest(rows.length < found) + leftOut(rows));
}

function busiest(some) {
	return some ? `The ${GRAPH_TOPICS} busiest topics are drawn. ` : '';
}

function leftOut(rows) {
	const more = rows.some((row) => row.publishers + row.subscribers + row.unsettled > row.endpoints.length);

	return more ? 'Of each topic 32 publishers and 32 subscribers are drawn at most.' : '';
}

// Puts the picture in place, and the keyboard back to the topic where it was.
function putGraph(parts, height) {
	const focused = document.activeElement;
	const href = graph.svg.contains(focused) ? focused.getAttribute('href') : null;

	graph.svg.setAttribute('viewBox', `0 0 ${GRAPH_WIDTH} ${height}`);
	graph.svg.replaceChildren(...parts);
	const same = href && [...graph.svg.querySelectorAll('a')].find((link) => link.getAttribute('href') === href);
	if (same)
		same.focus({ preventScroll: true });
}
