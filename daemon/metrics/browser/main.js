// SPDX-License-Identifier: Apache-2.0
// The views, and when the broker is looked at: each second, or more seldom where a look takes long. A page that nobody
// sees asks for nothing.

const LOOK_MS = 1000, SELDOM_MS = 5000, SHARE = 4;
const RETRY_MS = 1000;

const views = ['topics', 'graph', 'topic'];
const loop = { timer: 0, running: false, again: false, lost: null, graph: [] };

function route() {
	const hash = location.hash.replace(/^#/, '');

	if (hash.startsWith('/topic/')) {
		try {
			return { view: 'topic', name: decodeURIComponent(hash.slice('/topic/'.length)) };
		} catch {
			return { view: 'topic', name: hash.slice('/topic/'.length) };
		}
	}
	return { view: hash === '/graph' ? 'graph' : 'topics' };
}

function showView() {
	const { view, name } = route();

	for (const other of views)
		byId(other).hidden = other !== view;
	byId('tiles').hidden = view === 'topic';
	byId('tools').hidden = view === 'topic';
	for (const other of ['topics', 'graph'])
		setAttribute(byId(`to-${other}`), 'aria-current', other === view ? 'page' : null);
	document.title = view === 'topic' ? `${name} \u2013 kickmsgd` : 'kickmsgd';
}

async function look() {
	const { view, name } = route();

	takeStatus(await ask('/status.json'));
	await lookAtTopics();
	if (view === 'graph')
		loop.graph = await lookAtGraph();
	if (view !== 'topic')
		return;
	try {
		const topic = await lookAtTopic(name);

		if (route().name === name)
			showTopic(topic);
	} catch (error) {
		if (error.status !== 404 && error.status !== 400)
			throw error;
		showNoTopic(name);
	}
}

function show() {
	const { view } = route();

	if (!data.status)
		return;
	showTiles();
	if (view === 'topics')
		showTopics();
	else if (view === 'graph')
		showGraph(loop.graph);
	const { version, uptime_ns: uptime, pid } = data.status;
	setText(byId('about'), `version ${version}, up ${spanText(uptime)}, pid ${pid}`);
}

// `error` is null while the broker answers.
function showState(error) {
	const trouble = byId('trouble');

	loop.lost = error ? loop.lost ?? new Date() : null;
	byId('state').classList.toggle('gone', Boolean(error));
	setText(byId('state'), error ? 'no answer' : 'live');
	document.querySelector('main').classList.toggle('stale', Boolean(error));
	if (error) {
		setText(trouble, `The broker at ${location.host} hasn't answered since ${loop.lost.toLocaleTimeString('sv')}. ` +
			'The numbers are the last ones; it is asked again each second.');
	} else if (data.status.config_error) {
		setText(trouble, `The broker's new config is refused, so it keeps the old one: ${data.status.config_error}`);
	}
	trouble.hidden = !error && !data.status.config_error;
}

async function run() {
	const begin = performance.now();
	let wait = RETRY_MS;

	if (loop.running) {
		loop.again = true;
		return;
	}
	clearTimeout(loop.timer);
	if (document.hidden)
		return;
	loop.running = true;
	try {
		await look();
		showState(null);
		show();
		wait = Math.min(Math.max(LOOK_MS, (performance.now() - begin) * SHARE), SELDOM_MS);
	} catch (error) {
		// anything else is this page's fault
		if (!(error instanceof NoAnswer || error instanceof HttpError))
			console.error(error);
		showState(error);
	}
	loop.running = false;
	loop.timer = setTimeout(run, loop.again ? 0 : wait);
	loop.again = false;
}

function begin() {
	makeTiles();
	makeTable();
	makeGraph();
	showView();
	addEventListener('hashchange', () => {
		showView();
		scrollTo(0, 0);
		byId('topic').replaceChildren();
		show();
		run();
	});
	byId('filter').addEventListener('input', show);
	document.addEventListener('visibilitychange', run);
	setText(byId('state'), 'asking');
	run();
}

begin();
