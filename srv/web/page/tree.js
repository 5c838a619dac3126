// Asking the server: answers as values, streams as events, with the token where one is needed.

const AGAIN_MS_MIN = 200;
const AGAIN_MS_MAX = 5000;

// What a refusal says, with its status.
export class Refused extends Error {
	constructor(status, said) {
		super(said.error ?? `the server answered ${status}`);
		this.status = status;
		this.hint = said.hint;
		this.errors = said.errors ?? [];
	}
}

const kept = () => sessionStorage.getItem("token");

export function keepToken(token) {
	sessionStorage.setItem("token", token);
}

function head(more) {
	const token = kept();
	return token ? { ...more, Authorization: `Bearer ${token}` } : { ...more };
}

async function answered(path, options) {
	const answer = await fetch(path, { ...options, headers: head(options.headers) });
	if (answer.ok) return answer;
	throw new Refused(answer.status, await answer.json().catch(() => ({})));
}

export async function get(path) {
	return (await answered(path, {})).json();
}

export async function post(path) {
	return (await answered(path, { method: "POST" })).json();
}

// Reads one stream to its end; gives each event, and says by which the next one goes on.
async function read(path, options, last, take) {
	const headers = { ...options.headers, ...(last ? { "Last-Event-ID": last } : {}) };
	const answer = await answered(path, { ...options, headers });
	if (answer.status === 204) return last;
	take({ event: "open" });
	const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = "";
	for (;;) {
		const { value, done } = await reader.read();
		if (done) return last;
		rest += value;
		const blocks = rest.split("\n\n");
		rest = blocks.pop();
		for (const block of blocks) {
			const fields = {};
			for (const line of block.split("\n")) {
				const at = line.indexOf(": ");
				if (at > 0) fields[line.slice(0, at)] = line.slice(at + 2);
			}
			if (fields.data === undefined) continue;
			last = fields.id ?? last;
			take({ event: fields.event ?? "message", data: JSON.parse(fields.data), id: last });
		}
	}
}

// Follows a stream over whatever ends it, until it is stopped or refused, or `take` says so.
export function follow(path, take, options = {}) {
	const stop = new AbortController();
	const run = async () => {
		let last = null;
		let over = false;
		let rest = AGAIN_MS_MIN;
		const each = (event) => {
			rest = AGAIN_MS_MIN;
			last = event.id ?? last;
			over = take(event) === false || over;
		};
		while (!over && !stop.signal.aborted) {
			try {
				await read(path, { ...options, signal: stop.signal }, last, each);
			} catch (error) {
				if (stop.signal.aborted) return;
				const final = error instanceof Refused && ![429, 503, 504].includes(error.status);
				take({ event: final ? "refused" : "lost", error });
				if (final) return;
			}
			if (over) return;
			await new Promise((wake) => setTimeout(wake, rest));
			rest = Math.min(rest * 2, AGAIN_MS_MAX);
		}
	};
	run();
	return () => stop.abort();
}
