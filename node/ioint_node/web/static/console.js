"use strict";
// The console of one node. Everything from outside becomes text nodes, never markup. The token stays in this tab.

const STATES = ["malicious", "suspicious", "watched", "disputed", "withdrawn", "benign", "unknown"];
const PAGE_ROWS = 100;
const MOVES_KEPT = 50;
const RETRY_MS = [500, 1000, 2000, 5000, 10000];
const REFRESH_MS = 15000;
const byId = (id) => document.getElementById(id);
const store = { token: sessionStorage.getItem("ioint-token"), rows: new Map(), next: null, open: null, moves: [], last: null, aborts: null, status: null };

// --- small things -----------------------------------------------------------------------------------------------
function el(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined).map(as_node));
  return made;
}
function as_node(child) { return child instanceof Node ? child : String(child); }
function put(id, ...children) { byId(id).replaceChildren(...children.filter((child) => child !== null)); }
function short(id) { return `${id.slice(0, 10)}…`; }
function lowered(value) { return `−${Number(value).toFixed(2)}`; }
function when(text) { return text ? new Date(text).toLocaleTimeString() : "never"; }
function bar(value) {
  const inside = el("i");
  inside.style.width = `${Math.max(0, Math.min(100, value))}%`;
  return el("span", { class: "bar", "aria-hidden": "true" }, inside);
}

// --- talking to the node ----------------------------------------------------------------------------------------
async function call(path, options = {}) {
  const answer = await fetch(path, {
    ...options,
    credentials: "omit",
    cache: "no-store",
    headers: { Authorization: `Bearer ${store.token}`, ...(options.body ? { "Content-Type": "application/json" } : {}) },
  });
  if (answer.status === 401) { leave("The token is unknown, expired or revoked."); throw new Error("signed out"); }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(body.detail || `HTTP ${answer.status}`), { status: answer.status });
  return body;
}
function tell(error) { if (error.name !== "AbortError" && error.message !== "signed out") byId("trouble").textContent = error.message; }

// --- filters live in the hash: a link shows what its sender saw ---------------------------------------------------
function wanted() {
  const given = new URLSearchParams(location.hash.slice(1));
  return { q: given.get("q") || "", states: (given.get("state") || "").split(",").filter((s) => STATES.includes(s)), here: given.get("here") === "1", muted: given.get("muted") === "1", open: given.get("open") };
}
function want(change) {
  const now = { ...wanted(), ...change };
  const hash = new URLSearchParams();
  if (now.q) hash.set("q", now.q);
  if (now.states.length) hash.set("state", now.states.join(","));
  if (now.here) hash.set("here", "1");
  if (now.muted) hash.set("muted", "1");
  if (now.open) hash.set("open", now.open);
  history.replaceState(null, "", `#${hash}`);
}

// --- what is going round ------------------------------------------------------------------------------------------
async function load({ more = false } = {}) {
  const { q, states } = wanted();
  const query = new URLSearchParams({ limit: PAGE_ROWS });
  if (q) query.set("q", q);
  if (states.length) query.set("state", states.join(","));
  if (more && store.next) query.set("cursor", store.next);
  const page = await call(`/api/v1/indicators?${query}`);
  if (!more) store.rows.clear();
  for (const row of page.items) store.rows.set(row.id, row);
  store.next = page.next;
  show();
}
function show(fresh = null) {
  const { here, muted, q, states, open } = wanted();
  const rows = [...store.rows.values()].filter((row) => (!here || row.local_hits > 0) && (muted || !row.muted)).sort((a, b) => b.seq - a.seq);
  put("rows", ...rows.map((row) => line(row, { open: row.id === open, fresh: row.id === fresh })));
  byId("shown").textContent = rows.length ? `${rows.length}${store.next ? " and more" : ""}, newest change first` : "";
  byId("table").hidden = !rows.length;
  byId("empty").hidden = Boolean(rows.length);
  byId("empty").textContent = rows.length ? "" : why_empty(q, states, here);
  byId("more").hidden = !store.next;
  show_hits();
}
function why_empty(q, states, here) {
  if (q || states.length || here) return "No indicator matches these filters. Clear them to see everything that is going round.";
  const status = store.status;
  if (status && !status.consortium) return "No indicators yet, because this node has not joined a consortium: `ioint consortium join`. It judges local agents all the same.";
  if (status && status.peers.known > 0 && status.peers.connected === 0) return "No indicators yet, because no member is connected. The node keeps trying; `ioint doctor` says what stands in the way.";
  return "No indicators yet, because no member has reported anything. The first report appears here within seconds of its arrival.";
}
function line(row, { open, fresh }) {
  return el("tr", { class: `row${open ? " open" : ""}${fresh ? " fresh" : ""}`, tabindex: "0", "data-id": row.id,
      onclick: () => choose(row.id), onkeydown: (event) => { if (event.key === "Enter") choose(row.id); } },
    el("td", {}, el("span", { class: `state ${row.state}` }, row.state)),
    el("td", {}, el("div", { class: "name" }, row.label), el("div", { class: "why" }, row.why || "")),
    el("td", { class: "num" }, row.score, bar(row.score)),
    el("td", { class: "num" }, row.confidence, bar(row.confidence)),
    el("td", { class: "num" }, row.reporters),
    el("td", {}, row.first_reporter || "—"),
    el("td", { class: "mono day" }, row.last_seen || "—"),
    el("td", { class: `num${row.local_hits ? " hit" : ""}` }, row.local_hits || "—"),
    el("td", { class: "num", title: row.tier }, row.effect > 0 ? lowered(row.effect) : "—"));
}

// --- has it hit us -------------------------------------------------------------------------------------------------
function show_hits() {
  const hit = [...store.rows.values()].filter((row) => row.local_hits > 0).sort((a, b) => b.local_hits - a.local_hits);
  if (!hit.length) { put("hits", el("p", { class: "empty" }, "None of the indicators shown has occurred in this organisation's sessions of the last 30 days.")); return; }
  put("hits", el("table", { class: "small" }, el("tbody", {}, ...hit.slice(0, 4).map((row) =>
    el("tr", { class: "row", onclick: () => choose(row.id) },
      el("td", {}, row.label), el("td", { class: "num" }, el("span", { class: "hit" }, row.local_hits), row.local_hits === 1 ? " session" : " sessions"),
      el("td", { class: "num dim" }, counted(row.blast_radius, "agent")))))));
}
function show_moves() {
  byId("moved").textContent = store.moves.length ? `${counted(new Set(store.moves.map((move) => move.actor)).size, "agent")} since you opened this page` : "";
  byId("still").textContent = store.moves.length ? "" : "Nothing has moved since you opened this page. Changes appear here as they happen.";
  put("moves", ...store.moves.map((move) => el("li", {},
    el("strong", {}, move.actor || "?"),
    el("span", { class: `from ${move.after < move.before ? "down" : "up"}` }, `${Number(move.before).toFixed(2)} → ${Number(move.after).toFixed(2)}`),
    el("span", { class: "dim" }, `${move.cause === "network" ? "warned by the network" : "own conduct"}${move.reason ? `: ${move.reason}` : ""}`),
    el("span", { class: "dim" }, when(move.at)))));
}

// --- why -------------------------------------------------------------------------------------------------------------
async function choose(id) {
  want({ open: id });
  for (const row of document.querySelectorAll("tr[data-id]")) row.classList.toggle("open", row.dataset.id === id);
  store.open = id;
  try {
    const [row, receipt] = await Promise.all([call(`/api/v1/patterns/${id}`), call(`/api/v1/patterns/${id}/why`)]);
    if (store.open === id) show_panel(row, receipt);
  } catch (error) { put("panel", el("h2", {}, "Why"), el("p", { class: "bad" }, error.message)); }
}
function show_nothing_open() {
  put("panel", el("h2", {}, "Why"), el("p", { class: "empty" }, "Choose an indicator to see its receipt: who said what, how the number came about, and what this node makes of it."));
}
function show_panel(row, receipt) {
  const network = receipt.network || {};
  const voices = network.voices || [];
  put("panel",
    el("div", { class: "head" }, el("h2", {}, row.label), el("span", { class: `state ${row.state}` }, row.state)),
    el("div", { class: "mono dim", title: row.id }, short(row.id), "  ", el("span", { class: "badge" }, `TLP:${String(row.tlp).toUpperCase().replace("_", "+")}`)),
    el("p", { class: "panel-why" }, row.why || ""),
    facts([
      ["Score", `${row.score} of 100, confidence ${row.confidence}`],
      ["Tier here", `${row.tier}${row.effect > 0 ? `, lowers trust by ${row.effect}` : ", no effect"}`],
      ["Seen", `${row.first_seen || "—"} to ${row.last_seen || "—"}, valid until ${row.valid_until || "—"}`],
      ["Trend", row.trend || "—"],
      ["Seen here", row.local_hits ? `${counted(row.local_hits, "session")}, ${counted(row.blast_radius, "agent")}` : "not in the last 30 days"],
      ["Intents", (row.intents || []).join(", ") || "—"],
      ["Declared as", (row.declared || []).join(", ") || "any"],
    ]),
    el("h3", {}, `Voices of the network (${voices.length})`),
    voices.length ? voice_table(voices) : el("p", { class: "dim" }, "No live voice."),
    el("h3", {}, "What this node makes of it"),
    facts(local_facts(receipt.local)),
    opinions(row),
    el("details", {}, el("summary", {}, "The whole receipt"), el("pre", { class: "mono" }, JSON.stringify(receipt, null, 2))));
}
function local_facts(local) {
  const thousand = (rate) => `${(1000 * rate).toFixed(2)} in 1,000 sessions`;
  const own = local.own_record;
  return [
    ["Conclusion", `${local.tier}, trust ${lowered(local.effect)}: ${local.reason.replaceAll("_", " ")}`],
    ["Now", local.silence_s > 3600 ? `trust ${lowered(local.effect_now)}: the network was last heard ${age(local.silence_s)} ago` : `trust ${lowered(local.effect_now)}`],
    ["Own rate", local.gate.bound >= 1 ? "not known yet: no own sessions to measure it by" : `at most ${thousand(local.gate.bound)}; acting is cheap up to ${thousand(local.gate.limit)}`],
    ["Own record", own.sessions ? `${counted(own.sessions, "session")}: ${own.benign} benign, ${own.flagged} flagged` : "never met here"],
    ["Tolerance", `${thousand(local.budget.spent)} spent of ${thousand(local.budget.limit)}`],
    ["Allowed here", local.allowed_here ? "yes, by a person" : "no"],
  ];
}
function facts(pairs) { return el("dl", { class: "facts" }, ...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])); }
function voice_table(voices) {
  const micro = (value) => (Number(value || 0) / 1e6).toFixed(2);
  return el("table", { class: "small" },
    el("thead", {}, el("tr", {}, el("th", {}, "Group"), el("th", { class: "num" }, "Accuses"), el("th", { class: "num" }, "Benign"), el("th", { class: "num" }, "Tenure"), el("th", {}, "Members"))),
    el("tbody", {}, ...voices.map((voice) => el("tr", {},
      el("td", {}, voice.group), el("td", { class: "num" }, micro(voice.accusing)), el("td", { class: "num" }, micro(voice.benign)),
      el("td", { class: "num" }, micro(voice.tenure)), el("td", { class: "dim" }, (voice.members || []).map((one) => `${one.member} (${one.kind})`).join(", "))))));
}
function opinions(row) {
  const give = (kind, reason) => async (event) => {
    event.target.disabled = true;
    try {
      await call(`/api/v1/patterns/${row.id}/opinion`, { method: "POST", body: JSON.stringify({ kind, reason }) });
      await refresh(row.id);
    } catch (error) { tell(error); event.target.disabled = false; }
  };
  return el("div", { class: "acts" },
    el("button", { type: "button", title: "We saw it and it is bad", onclick: give("confirm") }, "Confirm"),
    el("button", { type: "button", title: "It accuses ordinary work", onclick: give("dispute", "false_positive") }, "False positive"),
    el("button", { type: "button", title: "Out of sight for 30 days", onclick: give("mute", "console") }, "Mute 30 d"),
    el("button", { type: "button", title: "No effect here for 30 days", onclick: give("allow", "console") }, "Allow 30 d"));
}

// --- the node and its members ------------------------------------------------------------------------------------------
async function load_status() {
  const [status, members, peers, agents] = await Promise.all([call("/api/v1/status"), call("/api/v1/members"), call("/api/v1/peers"), call("/api/v1/agents?limit=500")]);
  store.status = status;
  byId("org").textContent = status.org;
  const mode = byId("mode");
  mode.hidden = false;
  mode.textContent = status.mode === "enforce" ? "enforcing" : "observing";
  show_effects(status.effects, status.consortium);
  const bad = (status.indicators.malicious || 0) + (status.indicators.suspicious || 0);
  const all = Object.values(status.indicators).reduce((sum, count) => sum + count, 0);
  const strict = agents.items.filter((agent) => agent.trust.friction === "strict").length;
  put("numbers",
    number(all, "indicators"), number(bad, "suspicious or malicious"),
    number(`${status.peers.connected}/${status.peers.known}`, "members connected"),
    number(`${agents.items.length}${agents.next ? "+" : ""}`, `${agents.items.length === 1 ? "agent" : "agents"}, ${strict} of them strict`),
    number(status.publish, status.publish === "hold" ? "publishing: what no standing approval covers waits for you" : "publishing"),
    number(status.consortium ? age(status.network_age_s) : "alone", status.consortium ? "since the network was heard" : "not in a consortium"));
  const connected = new Map(peers.items.map((peer) => [peer.member, peer]));
  put("peers", ...(members.items.length ? members.items.map((member) => peer(member, connected.get(member.id))) : [el("p", { class: "empty" }, "No members yet, because this node has not joined a consortium.")]));
}
function show_effects(effects, consortium) {
  const badge = byId("effects"), fading = consortium && effects.share_left < 1;
  badge.hidden = !effects.off && !fading;
  badge.textContent = effects.off
    ? `network effects off${effects.expires_at ? ` until ${when(moment(effects.expires_at))}` : ""}: ${effects.reason}`
    : effects.age_s === null ? "no network effects: never heard from it"
    : `network effects fading: ${Math.round(effects.share_left * 100)} % left, last heard ${age(effects.age_s)} ago`;
}
function number(value, name) { return el("div", { class: "number" }, el("b", {}, value), el("span", {}, name)); }
function age(seconds) {
  if (seconds === null) return "never";
  return seconds < 120 ? `${seconds} s` : seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}
function counted(count, word) { return `${count} ${word}${count === 1 ? "" : "s"}`; }
function peer(member, connection) {
  const up = member.own || Boolean(connection && connection.connected_since);
  const refusals = { ...(member.refused || {}) };
  for (const [name, count] of Object.entries((connection && connection.refused) || {})) refusals[name] = (refusals[name] || 0) + count;
  for (const name of Object.keys(member.passed_over || {})) delete refusals[name]; // nobody's fault
  const refused = Object.values(refusals).reduce((sum, count) => sum + count, 0);
  const kind = member.quarantined_at ? " quarantined" : up ? " up" : "";
  const said = member.own ? "this node" : member.quarantined_at ? `quarantined: ${member.quarantine_reason}` : up ? `connected since ${when(moment(connection.connected_since))}` : `last success ${when(member.last_success_at)}`;
  return el("div", { class: `peer${kind}`, title: member.id }, el("b", {}, member.name), el("span", { class: "dim" }, said),
    ...(member.own || !connection ? [] : link(connection)),
    member.weight < 1 ? el("span", { class: "hit", title: member.canaries ? "It accused what the settings know to be good" : "It said otherwise than what this node saw" }, `its word weighs ${member.weight} here${member.canaries ? `: accused ${member.canaries === 1 ? "a canary" : `${member.canaries} canaries`}` : ""}`) : null,
    refused ? el("span", { class: "hit", title: reasons(refusals) }, `${refused} refused: ${reasons(refusals)}`) : null);
}
function link(connection) {
  const lag = connection.behind === null ? "not compared yet" : connection.behind || connection.ahead ? `${connection.behind} segments behind it, ${connection.ahead} ahead` : "both have the same";
  const spoken = connection.version === null ? "nothing spoken yet" : `protocol ${connection.version}`;
  return [el("span", { class: "dim" }, lag), el("span", { class: "dim" }, `${size(connection.bytes_in)} in, ${size(connection.bytes_out)} out · ${spoken}`),
    connection.restarts ? el("span", { class: "dim" }, `restarts of the exchange: ${connection.restarts}`) : null];
}
function moment(ms) { return ms === null ? null : new Date(ms).toISOString(); }
function size(bytes) { return bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${Math.round(bytes / 1024)} kB` : `${(bytes / 1048576).toFixed(1)} MB`; }
function reasons(counts) { return Object.entries(counts).sort((a, b) => b[1] - a[1]).slice(0, 3).map(([name, count]) => `${name.replaceAll("_", " ")} ${count}`).join(", "); }

// --- changes as they happen ------------------------------------------------------------------------------------------
async function follow() {
  let failures = 0;
  while (store.token) {
    store.aborts = new AbortController();
    try {
      const headers = { Authorization: `Bearer ${store.token}`, Accept: "text/event-stream" };
      if (store.last !== null) headers["Last-Event-ID"] = store.last;
      const answer = await fetch("/api/v1/stream", { headers, credentials: "omit", cache: "no-store", signal: store.aborts.signal });
      if (!answer.ok) throw new Error(`the stream answered ${answer.status}`);
      failures = 0;
      live(true);
      await read_frames(answer.body.getReader());
    } catch (error) { if (error.name === "AbortError") return; }
    live(false);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]));
  }
}
async function read_frames(reader) {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const frames = text.split("\n\n");
    text = frames.pop();
    for (const frame of frames) heard(frame);
  }
}
function heard(frame) {
  const fields = Object.fromEntries(frame.split("\n").filter((part) => /^(id|event|data):/.test(part)).map((part) => [part.slice(0, part.indexOf(":")), part.slice(part.indexOf(":") + 1).trim()]));
  if (fields.id) store.last = fields.id;
  if (!fields.data) return;
  const data = JSON.parse(fields.data);
  if (data.event === "reset") { load().catch(tell); return; }
  if (data.event === "trust") { store.moves.unshift(data); store.moves.length = Math.min(store.moves.length, MOVES_KEPT); show_moves(); return; }
  const id = data.pattern || data.subject;
  if (id) refresh(id).catch(tell);
}
async function refresh(id) {
  const { q, states } = wanted();
  if (q || states.length) { await load(); return; }
  const row = await call(`/api/v1/patterns/${id}`);
  store.rows.set(id, row);
  show(id);
  if (store.open === id) await choose(id);
}
function live(on) {
  const badge = byId("live");
  badge.hidden = false;
  badge.className = `badge ${on ? "on" : "off"}`;
  badge.textContent = on ? "live" : "reconnecting";
}

// --- coming and going ----------------------------------------------------------------------------------------------------
async function enter() {
  byId("door").hidden = true;
  byId("room").hidden = false;
  byId("leave").hidden = false;
  show_nothing_open();
  show_moves();
  read_filters();
  try {
    await load_status();
    const snapshot = await call("/api/v1/snapshot?limit=1");
    store.last = String(snapshot.seq);
    await load();
    const { open } = wanted();
    if (open) await choose(open);
    document.documentElement.dataset.ready = "1";
    follow();
  } catch (error) {
    if (error.status === 403) leave("This token does not open the console: it needs the role soc, engine or admin.");
    else tell(error);
  }
}
function leave(why = "") {
  store.token = null;
  sessionStorage.removeItem("ioint-token");
  if (store.aborts) store.aborts.abort();
  for (const id of ["room", "leave", "live", "mode"]) byId(id).hidden = true;
  byId("door").hidden = false;
  byId("refused").textContent = why;
}
function read_filters() {
  const { q, states, here, muted } = wanted();
  byId("q").value = q;
  byId("here").checked = here;
  byId("muted").checked = muted;
  put("states", ...STATES.map((state) => el("button", { type: "button", class: "chip", "aria-pressed": String(states.includes(state)), onclick: () => {
    const now = wanted().states;
    want({ states: now.includes(state) ? now.filter((one) => one !== state) : [...now, state] });
    read_filters();
    load().catch(tell);
  } }, state)));
}
function start() {
  const dark = localStorage.getItem("ioint-theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.theme = dark;
  byId("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = now;
    localStorage.setItem("ioint-theme", now);
  });
  byId("sign").addEventListener("submit", (event) => {
    event.preventDefault();
    store.token = byId("token").value.trim();
    byId("token").value = "";
    sessionStorage.setItem("ioint-token", store.token);
    enter();
  });
  byId("leave").addEventListener("click", () => leave());
  byId("more").addEventListener("click", () => load({ more: true }).catch(tell));
  byId("here").addEventListener("change", () => { want({ here: byId("here").checked }); show(); });
  byId("muted").addEventListener("change", () => { want({ muted: byId("muted").checked }); show(); });
  let typing = 0;
  byId("q").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => { want({ q: byId("q").value.trim() }); load().catch(tell); }, 250); });
  addEventListener("hashchange", () => { read_filters(); load().catch(tell); });
  setInterval(() => { if (store.token && !byId("room").hidden) load_status().catch(tell); }, REFRESH_MS);
  if (store.token) enter();
}
start();
