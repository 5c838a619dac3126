// The page: what is looked at, what the server tells, and what is asked of it.

import * as tree from "./tree.js";
import * as draw from "./draw.js";
import * as chart from "./chart.js";

const { at, put } = draw;
const LINES_MAX = 500;
const SOON_MS = 60;
// Where an instance is on its way is no event of the tree: it is looked at while one goes.
const LOOK_MS = 250;
const FIGURES_MS = 2000;
const NAME = /^#([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)$/;

const seen = { rows: [], events: [], one: null, current: "", unfollow: null };

// What goes wrong everywhere: the token, or the server.
function failed(error) {
	if (error.status === 401) askToken();
	else linked(false, error.message);
}

function linked(on, text) {
	const place = at("link");
	const class_ = `link ${on ? "on" : "off"}`;
	if (place.textContent !== text) place.textContent = text;
	place.className = class_;
}

// Runs one at a time, and once more when it was asked for meanwhile.
function steadily(work) {
	let running = false;
	let again = false;
	return async () => {
		if (running) {
			again = true;
			return;
		}
		running = true;
		do {
			again = false;
			await work().catch(failed);
		} while (again);
		running = false;
	};
}

const lookAtAll = steadily(async () => {
	const { services } = await tree.get("/v1/services");
	seen.rows = services;
	put(at("list"), draw.services(services, seen.current));
	at("empty").hidden = services.length > 0;
	if (seen.current) await lookAtOne();
	else put(at("nodes"), draw.nodes((await tree.get("/v1/nodes")).nodes));
	// What was in its way has passed.
	linked(true, "connected");
});

async function lookAtOne() {
	const name = seen.current;
	const one = await tree.get(`/v1/services/${name}`).catch((error) => {
		if (error.status !== 404) throw error;
		location.hash = "";
		return null;
	});
	if (one === null) return;
	const { history } = await tree.get(`/v1/services/${name}/history`);
	if (name !== seen.current) return;
	seen.one = one;
	const row = seen.rows.find(({ service }) => service === name);
	at("one-title").textContent = name;
	put(at("one-health"), [draw.badge(one.health)]);
	put(at("facts"), draw.summary(one, row));
	put(at("update"), draw.update(one));
	put(at("lanes"), draw.lanes(one));
	at("text").textContent = one.manifest;
	redrawHistory(history, one);
	enable(one);
}

// Its buttons are not taken from under whoever is about to press one.
let drawn = "";
function redrawHistory(history, one) {
	const now = JSON.stringify([seen.current, history, one.state.current, one.state.target]);
	if (now === drawn) return;
	drawn = now;
	const back = (past) => verb("rollback", past);
	at("history").tBodies[0].replaceChildren(...draw.history(history, one.state, back));
}

const VERBS = [
	["pause", "Pause"], ["resume", "Resume"], ["cancel", "Cancel"], ["rollback", "Roll back"],
	["restart", "Restart"], ["scale", "Scale"], ["stop", "Stop"], ["remove", "Remove"],
];

function buttons() {
	at("verbs").replaceChildren(...VERBS.map(([name, label]) => draw.make("button", {
		type: "button", "data-verb": name, onclick: () => verb(name),
		class: name === "stop" || name === "remove" ? "grave" : "",
	}, label)));
}

// What would be refused now is not offered; the server decides all the same.
function enable({ state }) {
	const moving = state.status === "rolling" || state.status === "paused";
	const can = {
		pause: state.status === "rolling", resume: state.status === "paused", cancel: moving,
		rollback: moving || state.previous !== "", restart: !moving && state.current !== "",
		scale: !moving && state.current !== "", stop: state.current !== "" || moving, remove: true,
	};
	for (const button of at("verbs").children) button.disabled = !can[button.dataset.verb];
}

async function verb(name, past) {
	const service = seen.current;
	const label = VERBS.find(([verb]) => verb === name)[1];
	const to = past ? ` to ${past.number}` : "";
	const number = name === "scale" ? seen.one?.replicas.wanted ?? 1 : null;
	if (!["pause", "resume"].includes(name)) {
		const answer = await ask(`${label} ${service}${to}?`, number, label);
		if (answer === null) return;
		if (name === "scale") past = { replicas: answer };
	}
	const words = past?.version ? `?version=${past.version}`
		: past?.replicas !== undefined ? `?replicas=${past.replicas}` : "";
	try {
		await tree.post(`/v1/services/${service}/${name}${words}`);
		say(`${label}${to} was accepted`);
	} catch (error) {
		say(error.hint ? `${error.message}; ${error.hint}` : error.message, true);
		if (error.status === 401) askToken();
	}
	lookAtAll();
}

function say(text, bad = false) {
	at("said").textContent = text;
	at("said").className = bad ? "said bad" : "said";
}

const TEXTS = {
	"Roll back": "Instances are replaced one after the other, as in any update.",
	Restart: "Every instance is replaced by a fresh one of the same version.",
	Cancel: "The update is given up, and what was changed goes back.",
	Stop: "All instances end; the service is kept.",
	Remove: "All instances end, and the service is forgotten with its history.",
	Scale: "How many instances are to run?",
};

// Asks whether it is meant; gives the number, or true, or null for no.
function ask(title, number, label) {
	const dialog = at("ask");
	at("ask-title").textContent = title;
	at("ask-text").textContent = TEXTS[label] ?? "";
	at("ask-number").hidden = number === null;
	at("number").value = number ?? "";
	at("ask-yes").textContent = label;
	dialog.returnValue = "";
	dialog.showModal();
	return new Promise((answered) => {
		dialog.addEventListener("close", () => {
			if (dialog.returnValue !== "yes") answered(null);
			// An empty field is no number: not nought.
			else if (number !== null && at("number").value === "") answered(null);
			else answered(number === null ? true : Number(at("number").value));
		}, { once: true });
	});
}

function askToken() {
	const dialog = at("key");
	if (dialog.open) return;
	linked(false, "a token is needed");
	dialog.showModal();
	dialog.addEventListener("close", () => {
		tree.keepToken(at("token").value);
		at("token").value = "";
		location.reload();
	}, { once: true });
}

function add(list, element) {
	const frame = list.parentElement;
	const end = frame.scrollHeight - frame.scrollTop - frame.clientHeight < 40;
	list.append(element);
	while (list.childElementCount > LINES_MAX) list.firstElementChild.remove();
	if (end) frame.scrollTop = frame.scrollHeight;
}

let soon = null;
function lookSoon() {
	soon ??= setTimeout(() => {
		soon = null;
		lookAtAll();
	}, SOON_MS);
}

function told({ event, data, error }) {
	if (event === "open") linked(true, "connected");
	else if (event === "lost" && error) linked(false, "the server is away; it is asked again");
	else if (event === "refused") failed(error);
	if (data?.text === undefined) return lookSoon();
	seen.events.push(data);
	seen.events.splice(0, Math.max(0, seen.events.length - LINES_MAX));
	add(at("news"), draw.event(data, true));
	if (data.service === seen.current) add(at("events"), draw.event(data, false));
	if (/ started /.test(data.text)) chart.changed(data.service, Date.parse(data.time));
	lookSoon();
}

// Another service is looked at, or all of them.
function turn() {
	// A link may say anything; only what can be a service's name goes into a path.
	const name = NAME.exec(location.hash)?.[1] ?? "";
	if (name === "main") return;
	seen.current = name;
	seen.one = null;
	at("one").hidden = name === "";
	at("all").hidden = name !== "";
	at("one-title").textContent = name;
	document.title = name ? `${name} - deploy` : "deploy";
	for (const id of ["lanes", "events", "log", "charts", "update"]) at(id).replaceChildren();
	say("");
	for (const data of seen.events.filter(({ service }) => service === name)) {
		add(at("events"), draw.event(data, false));
	}
	for (const list of document.querySelectorAll(".lines")) list.scrollTop = list.scrollHeight;
	if (name) at("one-title").focus({ preventScroll: innerWidth > 832 });
	followLog();
	drawCharts();
	lookAtAll();
}

// The log is followed while it is shown.
function followLog() {
	seen.unfollow?.();
	seen.unfollow = null;
	at("log").replaceChildren();
	if (!seen.current || !at("log-part").open) return;
	const path = `/v1/services/${seen.current}/log?follow&lines=200`;
	seen.unfollow = tree.follow(path, ({ event, data, error }) => {
		if (event === "refused") add(at("log"), draw.make("li", { class: "bad" }, error.message));
		else if (data?.time) add(at("log"), draw.line(data));
	});
}

function drawCharts() {
	if (seen.current) at("charts").replaceChildren(...chart.charts(seen.current));
}

async function figures() {
	if (!document.hidden) {
		await tree.get("/v1/metrics").then(chart.look).then(drawCharts).catch(failed);
	}
	setTimeout(figures, FIGURES_MS);
}

const WORDS = {
	started: () => "started", pulling: () => "pulling images...",
	scheduled: ({ service, node }) => `${service}: scheduled on ${node}`,
	starting: ({ service }) => `${service}: starting...`,
	healthy: ({ service, seconds }) => `${service}: healthy (${seconds}s)`,
	stopped: ({ service }) => `${service}: old instance stopped`,
	failed: ({ service, reason }) => `${service}: failed: ${reason}`,
};

function deploy(submitted) {
	submitted.preventDefault();
	const tale = at("tale");
	tale.replaceChildren();
	const tell = (text, kind = "") => tale.append(draw.make("li", { class: kind }, text));
	const words = new URLSearchParams();
	if (at("name").value) words.set("name", at("name").value);
	if (at("why").value) words.set("message", at("why").value);
	const options = {
		method: "POST", body: at("manifest").value, headers: { "Content-Type": "text/plain" },
	};
	tree.follow(`/v1/deploy?${words}`, ({ event, data, error }) => {
		if (event === "progress") tell((WORDS[data.phase] ?? (() => data.phase))(data));
		if (event === "done") tell(`deployed (${data.seconds}s)`, "good");
		if (event === "failed") tell(`${data.service}: failed: ${data.reason}`, "bad");
		if (event === "refused") {
			tell(error.message, "bad");
			for (const { line, column, message } of error.errors) {
				tell(`line ${line}, column ${column}: ${message}`, "bad");
			}
			if (error.status === 401) askToken();
		}
		return event !== "done" && event !== "failed";
	}, options);
}

buttons();
at("deploy").addEventListener("submit", deploy);
at("log-part").addEventListener("toggle", followLog);
addEventListener("hashchange", turn);
setInterval(() => {
	const moving = ({ status, phase }) => status === "rolling" && phase !== "pause";
	if (!document.hidden && seen.rows.some(moving)) lookAtAll();
}, LOOK_MS);
turn();
tree.follow("/v1/events?tail=200", told);
figures();
