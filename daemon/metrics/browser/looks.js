// SPDX-License-Identifier: Apache-2.0
// Elements, numbers as people read them, and sparklines. Texts get into the page as text nodes alone, since names
// and texts are others'.

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
	for (const [key, value] of Object.entries(attributes))
		if (value !== null && value !== undefined && value !== false)
			node.setAttribute(key, value === true ? '' : value);
	node.append(...children.filter((child) => child !== null && child !== undefined));
	return node;
}

function el(tag, attributes = {}, ...children) {
	return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
	return fill(document.createElementNS(SVG, tag), attributes, children);
}

function byId(id) {
	return document.getElementById(id);
}

// Sets a text where it differs, so that a selection and a reader's place stay.
function setText(node, text) {
	if (node.textContent !== text)
		node.textContent = text;
}

function setAttribute(node, key, value) {
	if (value === null)
		node.removeAttribute(key);
	else if (node.getAttribute(key) !== String(value))
		node.setAttribute(key, value);
}

// Three digits at least, and a unit of 1000.
function short(value) {
	const units = ['', ' k', ' M', ' G', ' T'];
	let unit = 0;

	while (value >= 999.5 && unit < units.length - 1) {
		value /= 1000;
		unit++;
	}
	const digits = unit === 0 ? 0 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
	return value.toFixed(digits) + units[unit];
}

// Messages in a second. Null: two looks are needed.
function rateText(value) {
	if (value === null)
		return '\u2013';
	return value > 0 && value < 9.95 ? value.toFixed(1) : short(value);
}

function countText(value) {
	return value < 1e7 ? value.toLocaleString('en') : short(value);
}

function bytesText(value) {
	const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
	let unit = 0;

	while (value >= 1024 && unit < units.length - 1) {
		value /= 1024;
		unit++;
	}
	return value.toFixed(unit === 0 || value >= 99.95 ? 0 : 1) + ' ' + units[unit];
}

// Bytes in a second. Null: two looks are needed.
function byteRateText(value) {
	return value === null ? '\u2013' : bytesText(value);
}

function spanText(ns) {
	const seconds = Math.floor(ns / 1e9);
	const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
	const first = parts.findIndex(([size]) => seconds >= size);

	if (first < 0)
		return ns > 0 && ns < 1e9 ? (ns / 1e6).toFixed(0) + ' ms' : '0 s';
	const [size, unit] = parts[first];
	const rest = parts[first + 1];
	const text = Math.floor(seconds / size) + ' ' + unit;
	const more = rest ? Math.floor((seconds % size) / rest[0]) : 0;
	return more > 0 ? text + ' ' + more + ' ' + rest[1] : text;
}

function timeText(ns) {
	return new Date(ns / 1e6).toLocaleString('sv');
}

// The newest values of a number, null where it wasn't known.
class Series {
	constructor(size) {
		this.values = new Float32Array(size).fill(NaN);
	}

	push(value) {
		this.values.copyWithin(0, 1);
		this.values[this.values.length - 1] = value === null ? NaN : value;
	}
}

const SPARK_WIDTH = 120, SPARK_HEIGHT = 30, SPARK_LEAST = 30;

function makeSpark(label) {
	const box = `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`;

	return svg('svg', { viewBox: box, preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
		svg('path', { class: 'area' }), svg('path', { class: 'line' }));
}

// Draws the series from its first known value on, to the right end. A short one has the room of SPARK_LEAST values.
function drawSpark(spark, series, bad) {
	const known = series.values.findIndex((value) => !Number.isNaN(value));
	const values = known < 0 ? series.values : series.values.subarray(Math.min(known, series.values.length - SPARK_LEAST));
	const first = values.findIndex((value) => !Number.isNaN(value));
	const [area, line] = spark.children;
	let top = 0;

	for (const value of values)
		top = value > top ? value : top;
	setAttribute(spark, 'class', bad && top > 0 ? 'bad' : 'good');
	if (first < 0 || first === values.length - 1) {
		line.setAttribute('d', '');
		area.setAttribute('d', '');
		return;
	}
	let path = '', last = 0;
	for (let i = first; i < values.length; i++) {
		const x = i / (values.length - 1) * SPARK_WIDTH;

		last = Number.isNaN(values[i]) ? last : values[i];
		const y = SPARK_HEIGHT - 1.5 - (top > 0 ? last / top : 0) * (SPARK_HEIGHT - 3);
		path += `${path ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
	}
	line.setAttribute('d', path);
	area.setAttribute('d', `${path}V${SPARK_HEIGHT}H${(first / (values.length - 1) * SPARK_WIDTH).toFixed(1)}Z`);
}

function makeBar() {
	const level = el('b');
	const text = el('span');
	const bar = el('span', { class: 'bar' }, el('i', {}, level), text);

	return { bar, level, text };
}

// A share from 0 to 1 with its text; `bad` where it is that high.
function setBar({ bar, level, text }, share, shown, bad) {
	level.style.width = `${(Math.min(share, 1) * 100).toFixed(1)}%`;
	setAttribute(bar, 'class', share >= bad ? 'bar bad' : 'bar');
	setText(text, shown);
}
