// Drawing: values of the server as elements. Everything that came from outside is text.

const SVG = "http://www.w3.org/2000/svg";

// The way of an instance to its users, and away from them.
const COMING = ["scheduled", "starting", "checking", "healthy", "serving"];
const GOING = ["draining", "stopping", "exited"];

const MARKS = { good: "\u2713 ", warn: "\u25B2 ", bad: "\u2715 ", "": "" };

function filled(element, attributes, children) {
	for (const [name, value] of Object.entries(attributes)) {
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else if (value === true) element.setAttribute(name, "");
		else if (value !== false && value !== null) element.setAttribute(name, value);
	}
	element.append(...children.filter((child) => child !== null));
	return element;
}

export function make(tag, attributes, ...children) {
	return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
	return filled(document.createElementNS(SVG, tag), attributes, children);
}

export const at = (id) => document.getElementById(id);

// A word that is a colour and a mark as well.
export function badge(word) {
	const kind = {
		healthy: "good", serving: "good", up: "good", done: "good",
		degraded: "warn", rolling: "warn", paused: "warn", draining: "warn",
		unhealthy: "bad", failed: "bad", down: "bad",
	}[word] ?? "";
	return make("span", { class: `badge ${kind}` }, MARKS[kind] + word);
}

function facts(pairs) {
	return pairs.filter(([, value]) => value !== null && value !== "").map(([name, value]) =>
		make("div", {}, make("dt", {}, name), make("dd", {}, value)));
}

const version = (number, name) => [number, name].filter(Boolean).join(" ");

// When, in the reader's own time.
export function when(text) {
	const date = new Date(text);
	const same = date.toDateString() === new Date().toDateString();
	const shown = same ? date.toLocaleTimeString() : date.toLocaleString();
	return make("time", { datetime: text }, isNaN(date) ? text : shown);
}

// The services, with the one that is looked at marked.
export function services(rows, current) {
	return rows.map((row) => {
		const moving = row.status === "rolling" || row.status === "paused";
		const { healthy, wanted } = row.replicas;
		const state = moving ? row.status : row.health ?? "not deployed";
		const label = `update of ${row.service}`;
		return make("li", {}, make("a", {
			href: `#${row.service}`, "aria-current": row.service === current ? "true" : null,
		},
		make("span", { class: "name" }, row.service), badge(state),
		make("span", { class: "sub" }, version(row.number, row.version) || "no version"),
		make("span", { class: "sub" }, `${healthy} of ${wanted}`),
		moving ? make("progress", {
			max: Math.max(1, row.progress.wanted), value: row.progress.serving, "aria-label": label,
		}) : null,
		row.why ? make("span", { class: "why" }, row.why) : null));
	});
}

export function summary(one, row) {
	const { state, replicas } = one;
	return facts([
		["Version", version(row?.number, state.current) || "none"],
		["Healthy", `${replicas.healthy} of ${replicas.wanted}`],
		["Update", state.status === "none" ? "none" : state.status],
		["Phase", state.phase],
		["Going to", state.target],
		["By", state.by],
		["Why", state.reason],
		["Last refusal", one.error],
	]);
}

export function update(one) {
	const { state, progress } = one;
	if (state.status !== "rolling" && state.status !== "paused") return [];
	const said = `${progress.serving} of ${progress.wanted} serve the new version`;
	return [
		make("p", {}, `${state.status}, ${state.phase}: ${said}`),
		make("progress", {
			max: Math.max(1, progress.wanted), value: progress.serving, "aria-label": said,
		}),
	];
}

// Instances, each on its way.
export function lanes(one) {
	const fresh = one.state.target || one.state.current;
	return one.instances.map((instance) => {
		const old = instance.version !== fresh;
		return make("li", { class: old ? "old" : "new", "data-id": instance.id,
			"data-state": instance.state },
		make("span", { class: "who" }, `${instance.instance}: ${instance.id}`,
			make("small", {}, (one.state.target ? `${old ? "old" : "new"}, ` : "") + instance.version)),
		make("div", {}, steps(instance)),
		instance.reason || instance.exit
			? make("span", { class: "why" }, [instance.reason, instance.exit && `exit ${instance.exit}`]
				.filter(Boolean).join(", ")) : null);
	});
}

function steps({ state }) {
	const leaves = GOING.includes(state);
	const way = leaves ? ["serving", ...GOING] : COMING;
	const here = way.includes(state) ? way : [...COMING.slice(0, 1), state];
	const now = here.indexOf(state);
	return make("ol", { class: "steps", "aria-label": state }, ...here.map((step, number) => {
		const kind = number < now ? "past" : number > now ? "" : `now ${tone(state)}`;
		return make("li", { class: kind, "aria-current": number === now ? "step" : null }, step);
	}));
}

function tone(state) {
	if (state === "serving") return "serves";
	if (state === "failed" || state === "exited") return "ended";
	return GOING.includes(state) ? "leaves" : "";
}

export function event({ time, service, text }, named) {
	const kind = /(^|: )(failed|gave up)/.test(text) ? "bad" : /^done /.test(text) ? "good" : "";
	return make("li", { class: kind }, time ? when(time) : "",
		named && service && service !== "-" ? make("span", { class: "of" }, service) : "", text);
}

export function line({ time, instance, stream, text }) {
	return make("li", { class: stream === "stderr" ? "bad" : "" }, when(time),
		instance ? make("span", { class: "of" }, instance) : "", text);
}

// The versions that are kept; `back` goes to one of them.
export function history(versions, { current, target }, back) {
	return versions.map((past) => {
		const name = `Roll back to ${past.number}`;
		return make("tr", {},
			make("td", {}, past.number, make("small", {}, past.version)),
			make("td", {}, when(past.at)),
			make("td", {}, past.by),
			make("td", {}, past.ended,
				past.failure ? make("small", {}, past.failure.reason) : null),
			make("td", {}, past.message ?? ""),
			make("td", {}, past.version === current ? badge("deployed")
				: past.version === target || !completed(past) ? null
					: make("button", {
						type: "button", "aria-label": name, onclick: () => back(past),
					}, "Roll back")));
	});
}

// Only a version that once was there in full can be gone back to.
const completed = ({ ended, ends }) => [ended, ...ends].some((end) => /(^|Z |: )done /.test(end));

export function nodes(all) {
	const part = (used, whole, unit, shown) =>
		whole ? `${(used / unit).toFixed(shown)} of ${(whole / unit).toFixed(shown)}` : "unknown";
	return all.flatMap(({ node, state, allocated, capacity }) => facts([
		["Node", node], ["State", badge(state ?? "unknown")],
		["Cores reserved", part(allocated.cpu_milli, capacity.cpu_milli, 1000, 2)],
		["Memory reserved, GB", part(allocated.memory_bytes, capacity.memory_bytes, 1e9, 2)],
	]));
}

// Puts children in the place of those that are there, where they are others.
export function put(element, children) {
	const old = [...element.children];
	const same = old.length === children.length
		&& children.every((child, number) => child.isEqualNode?.(old[number]));
	if (same) return;
	// Whoever is at a link by the keyboard stays at it.
	const here = element.contains(document.activeElement)
		? document.activeElement.getAttribute("href") : null;
	element.replaceChildren(...children);
	if (here) element.querySelector(`[href="${CSS.escape(here)}"]`)?.focus();
}
