// Figures over time: what was counted between two looks, as lines.

import { make, svg } from "./draw.js";

const SPAN_MS_MIN = 60000;
const SPAN_MS_MAX = 300000;
const WIDTH = 300;
const HEIGHT = 80;

// Looks at each service, oldest first, and when something was changed.
const looks = new Map();
const changes = new Map();

// Takes a look; the first one only begins.
export function look({ at, services }) {
	for (const [service, now] of Object.entries(services)) {
		const past = looks.get(service) ?? { last: null, points: [] };
		if (past.last && at > past.last.at) past.points.push(between(past.last, { at, ...now }));
		past.last = { at, ...now };
		past.points = past.points.filter((point) => point.at > at - SPAN_MS_MAX);
		looks.set(service, past);
	}
}

export function changed(service, at) {
	const all = (changes.get(service) ?? []).filter((when) => when > at - SPAN_MS_MAX);
	changes.set(service, [...all, at]);
}

// An edge that was started anew counts from nothing again.
function between(then, now) {
	if (now.requests < then.requests) then = { at: then.at, requests: 0, errors: 0, took: [] };
	const seconds = (now.at - then.at) / 1000;
	const before = new Map(then.took.map(([end, count]) => [end, count]));
	const took = now.took.map(([end, count]) => [end, count - (before.get(end) ?? 0)]);
	return {
		at: now.at,
		requests: (now.requests - then.requests) / seconds,
		errors: (now.errors - then.errors) / seconds,
		middle: quantile(took, 0.5),
		most: quantile(took, 0.99),
	};
}

function quantile(took, part) {
	const all = took.length ? took[took.length - 1][1] : 0;
	if (all <= 0) return null;
	const wanted = Math.max(1, Math.ceil(all * part));
	const found = took.find(([, count]) => count >= wanted);
	// The last has no end: what the one before it counts to is all that is known.
	return (found[0] ?? took[took.length - 2]?.[0] ?? 0) * 1000;
}

const number = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(1));
const rate = (value) => (value === null ? "none" : `${number(value)}/s`);
const time = (value) => (value === null ? "none" : `${number(value)} ms`);

const FIGURES = [
	{ name: "Requests", of: "requests", show: rate },
	{ name: "Errors", of: "errors", show: rate, kind: "errors" },
	{ name: "Time, median", of: "middle", also: "most", show: time, note: "dashed: 99 of 100" },
];

// The figures of one service.
export function charts(service) {
	const { points = [], last = null } = looks.get(service) ?? {};
	if (!last) return [make("p", { class: "note" }, "No request comes here by a route.")];
	// Wide enough for what was seen, up to the most that is kept.
	const seen = last.at - (points[0]?.at ?? last.at);
	const time = { now: last.at, span: Math.min(SPAN_MS_MAX, Math.max(SPAN_MS_MIN, seen)) };
	return FIGURES.map((figure) => draw(figure, points, time, changes.get(service) ?? []));
}

function draw({ name, of, also, show, kind, note }, points, { now, span }, marks) {
	const values = points.flatMap((point) => [point[of], also ? point[also] : null]);
	const most = Math.max(0, ...values.filter((value) => value !== null));
	const top = Math.max(1, most);
	const latest = points.length ? points[points.length - 1][of] : null;
	const x = (at) => WIDTH * (1 - (now - at) / span);
	const y = (value) => HEIGHT - 3 - (HEIGHT - 8) * (value / top);
	// A gap stays a gap: where nothing was asked there is no time it took.
	const path = (key) => {
		let drawn = "";
		let pen = "M";
		for (const point of points) {
			if (point[key] === null) pen = "M";
			else {
				drawn += `${pen}${x(point.at).toFixed(1)} ${y(point[key]).toFixed(1)}`;
				pen = "L";
			}
		}
		return drawn;
	};
	const line = path(of);
	const minutes = `${Math.ceil(span / 60000)} min`;
	const whole = points.length > 1 && points.every((point) => point[of] !== null);
	const down = (at) => `L${x(at).toFixed(1)} ${HEIGHT}`;
	const area = whole ? `${line}${down(points.at(-1).at)}${down(points[0].at)}Z` : "";
	const lines = marks.filter((at) => at > now - span).map((at) =>
		svg("line", { class: "change", x1: x(at), x2: x(at), y1: 0, y2: HEIGHT }));
	const picture = svg("svg", {
		viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
		"aria-label": `${name}: now ${show(latest)}, at most ${show(most)} in ${minutes}`,
	}, svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT - 3, y2: HEIGHT - 3 }), ...lines,
	svg("path", { class: "area", d: area }),
	...(also ? [svg("path", { class: "second", d: path(also) })] : []),
	svg("path", { d: line }));
	return make("figure", { class: kind ?? "" },
		make("figcaption", {}, make("span", {}, name), make("b", {}, show(latest))),
		picture,
		make("small", {}, `at most ${show(most)} in ${minutes}`, note ? `, ${note}` : ""));
}
