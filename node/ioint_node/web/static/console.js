"use strict";
// The console of one node. Everything from outside becomes text nodes, never markup. The token stays in this tab.

const STATES = ["malicious", "suspicious", "watched", "disputed", "withdrawn", "benign", "unknown"];
const PAGE_ROWS = 100;
const MOVES_KEPT = 50;
const PAGES_AT_ONCE = 20; // of a filter that takes little
const OFFERS = 12;
const RETRY_MS = [500, 1000, 2000, 5000, 10000];
const REFRESH_MS = 15000;
const INCIDENT_ROWS = 10;
// Key → what an incident is closed as.
const CLOSINGS = { t: "true_positive", f: "false_positive", e: "expected_use", b: "benign", d: "duplicate" };
// Why the node let nobody in who came back from the identity provider.
const REFUSED = { no_role: "The identity provider knows you, and no rule of this node gives you a role: ask its operator.", provider_away: "The identity provider does not answer. A token opens the console all the same.", provider_refused: "The identity provider did not let you in. Try again, or use a token." };
const byId = (id) => document.getElementById(id);
const store = { token: sessionStorage.getItem("ioint-token"), person: false, rows: new Map(), next: null, open: null, moves: [], last: null, aborts: null, status: null, incidents: [], nextIncident: null, judges: true, closed: null, busy: false, asked: 0, keys: [], saved: [], offered: -1 };

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
function lowered(value) { return value > 0 ? `−${Number(value).toFixed(2)}` : "0.00"; }
function day_of(date) { return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`; }
function two(number) { return String(number).padStart(2, "0"); }
// A time of day where it is today's, else a whole date before it: as ISO writes them, by the reader's clock.
function when(text) {
  if (!text) return "never";
  const date = new Date(text), time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return day_of(date) === day_of(new Date()) ? time : `${day_of(date)} ${time}`;
}
function moment_of(text) { const date = new Date(text); return `${day_of(date)} ${two(date.getHours())}:${two(date.getMinutes())}`; }
function bar(value) {
  const inside = el("i");
  inside.style.width = `${Math.max(0, Math.min(100, value))}%`;
  return el("span", { class: "bar", "aria-hidden": "true" }, inside);
}

// --- talking to the node ----------------------------------------------------------------------------------------
// A token goes in a header and no cookie with it; who came by the identity provider has a cookie that no script sees.
function signed(headers = {}) { return store.token ? { headers: { ...headers, Authorization: `Bearer ${store.token}` }, credentials: "omit" } : { headers, credentials: "same-origin" }; }
async function call(path, options = {}) {
  const answer = await fetch(path, {
    ...options,
    ...signed(options.body ? { "Content-Type": "application/json" } : {}),
    cache: "no-store",
  });
  if (answer.status === 401) { leave(store.person ? "You have been signed out: sign in again." : "The token is unknown, expired or revoked."); throw new Error("signed out"); }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(body.detail || `HTTP ${answer.status}`), { status: answer.status, field: body.field, at: body.at });
  return body;
}
function tell(error) { if (error.name !== "AbortError" && error.message !== "signed out") byId("trouble").textContent = error.message; }

// --- filters live in the hash: a link shows what its sender saw ---------------------------------------------------
function wanted() {
  const given = new URLSearchParams(location.hash.slice(1));
  return { q: given.get("filter") || given.get("q") || "", saved: given.get("saved") || "", states: (given.get("state") || "").split(",").filter((s) => STATES.includes(s)), here: given.get("here") === "1", muted: given.get("muted") === "1", open: given.get("open"), incident: given.get("incident"), closed: given.get("closed") === "1" };
}
function want(change) {
  const now = { ...wanted(), ...change };
  const hash = new URLSearchParams();
  if (now.q) hash.set("filter", now.q);
  if (now.saved) hash.set("saved", now.saved);
  if (now.states.length) hash.set("state", now.states.join(","));
  if (now.here) hash.set("here", "1");
  if (now.muted) hash.set("muted", "1");
  if (now.open) hash.set("open", now.open);
  if (now.incident) hash.set("incident", now.incident);
  if (now.closed) hash.set("closed", "1");
  history.replaceState(null, "", `#${hash}`);
}

// --- what is going round ------------------------------------------------------------------------------------------
async function load({ more = false } = {}) {
  const { q, saved, states } = wanted();
  const query = new URLSearchParams({ limit: PAGE_ROWS });
  if (q) query.set("filter", filter_of(q));
  if (saved) query.set("saved", saved);
  if (states.length) query.set("state", states.join(","));
  if (more && store.next) query.set("cursor", store.next);
  const asked = ++store.asked;
  const found = [];
  let next = null;
  try {
    // A page may be empty and go on: little matched among what was looked at.
    for (let pages = 0; pages < PAGES_AT_ONCE && (pages === 0 || (next && !found.length)); pages += 1) {
      const page = await call(`/api/v1/indicators?${query}`);
      if (asked !== store.asked) return; // another filter was asked for meanwhile
      found.push(...page.items);
      next = page.next;
      if (next) query.set("cursor", next);
    }
  } catch (error) {
    if (error.field !== "filter") throw error;
    show_fault(error);
    return;
  }
  show_fault(null);
  if (!more) store.rows.clear();
  for (const row of found) store.rows.set(row.id, row);
  store.next = next;
  show();
}

// --- the filter language ------------------------------------------------------------------------------------------
// Words alone are looked for in labels; with an operator it is the filter language.
function is_filter(text) { return /[:<>]/.test(text); }
function filter_of(text) { return is_filter(text) ? text : `q:"${text.replaceAll('"', " ")}"`; }
function show_fault(error) {
  const box = byId("q"), text = box.value;
  box.setAttribute("aria-invalid", String(Boolean(error)));
  byId("fault").hidden = !error;
  if (!error) { put("fault"); return; }
  const at = is_filter(text.trim()) && Number.isInteger(error.at) ? error.at + text.length - text.trimStart().length : null;
  const said = error.message.replace(/^filter: (at character \d+: )?/, "");
  if (at === null) { put("fault", said); return; }
  put("fault", text.slice(0, at), el("mark", {}, text.slice(at).match(/^\S*/)[0] || "▲"), ` — ${said}`);
}
async function load_language() {
  const [language, saved] = await Promise.all([call("/api/v1/filters/language"), call("/api/v1/filters?limit=500")]);
  store.keys = language.keys;
  store.saved = saved.items;
  show_saved();
}
// What may stand where the caret is: the part that it takes the place of, and the texts that may.
function offers_at(text, caret) {
  const before = text.slice(0, caret);
  const value = before.match(/(?:^|\s)-?([a-z_]+):(?:[^\s",]*,)*([^\s",]*)$/);
  const key = value && store.keys.find((one) => one.key === value[1]);
  if (key) {
    const found = (key.values || []).filter((one) => one.startsWith(value[2]) && one !== value[2]);
    return { from: caret - value[2].length, offers: found.slice(0, OFFERS).map((one) => ({ text: one, about: "" })), about: key.about, example: key.example };
  }
  const begun = before.match(/(?:^|\s)-?([a-z_]*)$/);
  if (!begun || (!begun[1] && text.trim())) return { from: caret, offers: [] };
  return { from: caret - begun[1].length, offers: store.keys.filter((one) => one.key.startsWith(begun[1])).slice(0, OFFERS).map((one) => ({ text: one.type === "number" ? `${one.key}>=` : `${one.key}:`, about: `${one.about} — ${one.example}` })) };
}
function show_offers() {
  const box = byId("q");
  const { offers } = document.activeElement === box ? offers_at(box.value, box.selectionStart) : { offers: [] };
  store.offered = -1;
  byId("offers").hidden = !offers.length;
  box.setAttribute("aria-expanded", String(Boolean(offers.length)));
  put("offers", ...offers.map((one, place) => el("li", { role: "option", id: `offer-${place}`, "aria-selected": "false", onmousedown: (event) => { event.preventDefault(); take_offer(one.text); } }, one.text, one.about ? el("span", { class: "dim" }, one.about) : null)));
}
function move_offer(by) {
  const items = [...byId("offers").children];
  store.offered = (store.offered + by + items.length) % items.length;
  items.forEach((item, place) => item.setAttribute("aria-selected", String(place === store.offered)));
  byId("q").setAttribute("aria-activedescendant", `offer-${store.offered}`);
  items[store.offered].scrollIntoView({ block: "nearest" });
}
function take_offer(text) {
  const box = byId("q"), caret = box.selectionStart, { from } = offers_at(box.value, caret);
  box.setRangeText(text, from, caret, "end");
  box.dispatchEvent(new Event("input"));
}
function typed(event) {
  const open = !byId("offers").hidden;
  if (event.key === "Escape" && open) { event.preventDefault(); byId("offers").hidden = true; }
  else if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) { event.preventDefault(); move_offer(event.key === "ArrowDown" ? 1 : store.offered < 0 ? 0 : -1); }
  else if (open && event.key === "Enter" && store.offered >= 0) { event.preventDefault(); take_offer(byId("offers").children[store.offered].firstChild.textContent); }
}
function show_saved() {
  const { saved } = wanted(), one = store.saved.find((each) => each.id === saved);
  put("saved", el("option", { value: "" }, store.saved.length ? "Saved filters…" : "No saved filter"), ...store.saved.map((each) => el("option", { value: each.id, selected: each.id === saved, title: each.text }, each.name)));
  byId("saved").value = one ? saved : "";
  byId("drop").hidden = byId("doors").hidden = !one;
  put("doors", ...(one ? [el("code", {}, one.text), door("TAXII collection", `/taxii2/ioint/collections/${one.id}/`), door("CSV", `/feeds/indicators.csv?saved=${one.id}`), door("JSON Lines", `/feeds/indicators.jsonl?saved=${one.id}`)] : []));
}
// An address for another tool, which signs in by itself: no token is in it.
function door(name, path) {
  const address = `${location.origin}${path}`;
  return el("span", {}, el("span", { class: "dim", title: address }, name), " ", el("button", { class: "quiet copy", type: "button", "data-address": address, onclick: async (event) => { const button = event.currentTarget; await navigator.clipboard.writeText(address); button.textContent = "copied"; } }, "copy"));
}
async function keep(event) {
  event.preventDefault();
  want({ q: byId("q").value.trim() }); // it may have been typed a moment ago
  const { q, states } = wanted();
  const text = [q && filter_of(q), states.length && `state:${states.join(",")}`].filter(Boolean).join(" ");
  let made;
  try {
    made = await call("/api/v1/filters", { method: "POST", body: JSON.stringify({ name: byId("name").value.trim(), filter: text }) });
  } catch (error) { show_fault(error); return; }
  byId("naming").hidden = true;
  byId("name").value = "";
  want({ q: "", states: [], saved: made.id });
  await load_language();
  read_filters();
  await load();
}
async function drop() {
  await call(`/api/v1/filters/${wanted().saved}`, { method: "DELETE" });
  want({ saved: "" });
  await load_language();
  await load();
}
function show(fresh = null) {
  const { here, muted, q, saved, states, open } = wanted();
  const rows = [...store.rows.values()].filter((row) => (!here || row.local_hits > 0) && (muted || !row.muted)).sort((a, b) => b.seq - a.seq);
  put("rows", ...rows.map((row) => line(row, { open: row.id === open, fresh: row.id === fresh })));
  byId("shown").textContent = rows.length ? `${rows.length}${store.next ? " and more" : ""}, newest change first` : "";
  byId("table").hidden = !rows.length;
  byId("empty").hidden = Boolean(rows.length);
  byId("empty").textContent = rows.length ? "" : why_empty(q || saved, states, here);
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
      onclick: () => choose(row.id, { look: true }), onkeydown: (event) => { if (event.key === "Enter") choose(row.id, { look: true }); } },
    el("td", {}, state_of(row)),
    el("td", {}, el("div", { class: "name" }, row.label, " ", ...marks(row)), el("div", { class: "why" }, row.why || "")),
    el("td", { class: "num" }, row.score, bar(row.score)),
    el("td", { class: "num" }, row.confidence, bar(row.confidence)),
    el("td", { class: "num" }, row.reporters),
    el("td", {}, row.first_reporter || "—"),
    el("td", { class: "mono day" }, row.last_seen || "—"),
    el("td", { class: `num${row.local_hits ? " hit" : ""}` }, row.local_hits || "—"),
    el("td", { class: "num", title: `${row.tier}: ${told(row.reason)}` }, row.effect > 0 ? lowered(row.effect_now) : "—"));
}
// Filled where it lowers trust here, an outline where it does not.
function state_of(row) {
  const acts = row.effect_now > 0;
  return el("span", { class: `state ${row.state}${acts ? "" : " idle"}`, title: acts ? `lowers trust here by ${row.effect_now.toFixed(2)}` : `no effect here: ${told(row.reason)}` }, row.state);
}
function told(code) { return (code || "").replaceAll("_", " "); }
function marks(row) {
  const found = [
    [row.under_review, "under review", "The stewards look at it"],
    [row.disputed && row.state !== "disputed", "disputed", "Somebody says that it accuses ordinary work"],
    [row.quarantined, "quarantined", "No effect until a person releases it"],
    [row.allowed, "allowed here", "No effect: a person of this organisation allowed it"],
    [row.muted, "muted", "Out of sight; its effect stays"],
  ];
  return found.filter(([holds]) => holds).map(([, name, title]) => el("span", { class: "mark", title }, name));
}

// --- has it hit us -------------------------------------------------------------------------------------------------
function show_hits() {
  const hit = [...store.rows.values()].filter((row) => row.local_hits > 0).sort((a, b) => b.local_hits - a.local_hits);
  if (!hit.length) { put("hits", el("p", { class: "empty" }, "None of the indicators shown has occurred in this organisation's sessions of the last 30 days.")); return; }
  put("hits", el("table", { class: "small" }, el("tbody", {}, ...hit.slice(0, 4).map((row) =>
    el("tr", { class: "row", onclick: () => choose(row.id, { look: true }) },
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
// Where the panel lies below the lists, what was chosen is brought into view.
function look() { if (getComputedStyle(byId("panel")).position === "static") byId("panel").scrollIntoView({ block: "start" }); }
function back(selector) {
  return el("button", { type: "button", class: "quiet back", onclick: () => (document.querySelector(selector) || byId("found")).scrollIntoView({ block: "center" }) }, "↑ Back to the list");
}
async function choose(id, { look: looking = false } = {}) {
  want({ open: id, incident: null });
  mark_incident();
  for (const row of document.querySelectorAll("tr[data-id]")) row.classList.toggle("open", row.dataset.id === id);
  store.open = id;
  try {
    const [row, receipt] = await Promise.all([call(`/api/v1/patterns/${id}`), call(`/api/v1/patterns/${id}/why`)]);
    if (store.open === id) { show_panel(row, receipt); if (looking) look(); }
  } catch (error) { put("panel", el("h2", {}, "Why"), el("p", { class: "bad" }, error.message)); }
}
function show_nothing_open() {
  put("panel", el("h2", {}, "Why"), el("p", { class: "empty" }, "Choose an indicator to see its receipt: who said what, how the number came about, and what this node makes of it."));
}
function show_panel(row, receipt) {
  const network = receipt.network || {};
  const voices = network.voices || [];
  put("panel",
    back("tr.open[data-id]"),
    el("div", { class: "head" }, el("h2", {}, row.label), state_of(row)),
    marks(row).length ? el("div", {}, ...marks(row)) : null,
    el("div", { class: "mono dim", title: row.id }, short(row.id), "  ", el("span", { class: "badge" }, `TLP:${String(row.tlp).toUpperCase().replace("_", "+")}`)),
    el("p", { class: "panel-why" }, row.why || ""),
    facts([
      ["Score", `${row.score} of 100, confidence ${row.confidence}`],
      ["Tier here", `${row.tier}${row.effect > 0 ? `, lowers trust by ${row.effect.toFixed(2)}` : ", no effect"}${row.effect_now < row.effect ? `, now by ${row.effect_now.toFixed(2)}` : ""}`],
      ["Seen", `${row.first_seen || "—"} to ${row.last_seen || "—"}, valid until ${row.valid_until || "—"}`],
      ["Trend", row.trend || "—"],
      ["Seen here", row.local_hits ? `${counted(row.local_hits, "session")}, ${counted(row.blast_radius, "agent")}` : "not in the last 30 days"],
      ["Intents", (row.intents || []).join(", ") || "—"],
      ["Declared as", (row.declared || []).join(", ") || "any"],
    ]),
    el("h3", {}, `Voices of the network (${voices.length})`),
    voices.length ? voice_table(voices) : el("p", { class: "dim" }, "No live voice."),
    el("h3", {}, "How the number came about"),
    facts((network.steps || []).map((one) => [one.step, one.text])),
    ...dispute_facts(row.disputes || []),
    el("h3", {}, "What this node makes of it"),
    facts(local_facts(receipt.local)),
    opinions(row),
    el("details", {}, el("summary", {}, "All grounds of the judgement"), facts(grounds_facts(receipt.local.grounds))),
    el("details", {}, el("summary", {}, "The whole receipt"), el("pre", { class: "mono" }, JSON.stringify(receipt, null, 2))),
    el("div", { class: "acts" }, el("button", { type: "button", title: "A file with all that the number is made of, for ioint why --replay", onclick: () => save_receipt(row.id) }, "Save the receipt")));
}
function local_facts(local) {
  const thousand = (rate) => `${(1000 * rate).toFixed(2)} in 1,000 sessions`;
  const effect = (value) => value > 0 ? `trust ${lowered(value)}` : "no effect";
  const { budget } = local; // told per action, as the setting is
  const own = local.own_record;
  return [
    ["Conclusion", `${local.tier}, ${effect(local.effect)}: ${told(local.reason)}`],
    ["Now", `${effect(local.effect_now)}${local.silence_s > 3600 ? `: the network was last heard ${age(local.silence_s)} ago` : ""}`],
    ["Own rate", local.gate.bound >= 1 ? "not known yet: no own sessions to measure it by" : `at most ${thousand(local.gate.bound)}; acting is cheap up to ${thousand(local.gate.limit)}`],
    ["Own record", own.sessions ? `${counted(own.sessions, "session")}: ${own.benign} benign, ${own.flagged} flagged` : "never met here"],
    ["Tolerance", `${(budget.limit > 0 ? budget.tolerance * budget.spent / budget.limit : 0).toFixed(2)} of ${budget.tolerance.toFixed(2)} extra checks in 1,000 actions are taken`],
    ["Allowed here", local.allowed_here ? "yes, by a person" : "no"],
  ];
}
function facts(pairs) { return el("dl", { class: "facts" }, ...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])); }
const micro = (value) => (Number(value || 0) / 1e6).toFixed(2);
function voice_table(voices) {
  return el("table", { class: "small voices" },
    el("thead", {}, el("tr", {}, el("th", {}, "Group"), el("th", { class: "num" }, "Accuses"), el("th", { class: "num" }, "Benign"), el("th", { class: "num", title: "How long a member" }, "Tenure"), el("th", { class: "num", title: "Halved when the stewards found a statement false" }, "Standing"))),
    ...voices.map((voice) => el("tbody", { class: voice.removed_for.includes("corroboration") ? "removed" : "" },
      el("tr", {}, el("td", {}, voice.group), ...["accusing", "benign", "tenure", "standing"].map((name) => el("td", { class: "num" }, micro(voice[name])))),
      el("tr", {}, el("td", { class: "dim", colspan: 5 },
        ...voice.members.map((one) => el("div", {}, statement(one))),
        voice.via ? el("div", {}, `heard by what it said of ${short(voice.via)}`) : null,
        voice.benign_via ? el("div", {}, `speaks for it by what it said of ${short(voice.benign_via)}`) : null,
        voice.halvings ? el("div", {}, `accuses very many: halved ${voice.halvings}×`) : null,
        voice.removed_for.length ? el("div", {}, `among the largest, so not counted for ${voice.removed_for.join(" and ")}`) : null)))));
}
function statement(one) {
  const counts = one.kind === "report" ? `, sessions: ${buckets(one.bad)} bad of ${buckets(one.seen)}` : one.kind === "sighting" ? `, sessions: ${buckets(one.seen)}` : "";
  const faded = one.decayed === one.raw ? "" : `, ${micro(one.decayed)} after ${one.age_days} days`;
  return `${one.member}: ${one.kind} of ${one.day}${counts}: says ${micro(one.raw)}${faded}`;
}
function buckets(exponent) { return exponent ? `${2 ** exponent}–${2 ** (exponent + 1) - 1}` : "1"; }
function grounds_facts(grounds) {
  const shown = (value) => value === null ? "—" : typeof value === "object" ? Object.entries(value).map(([name, item]) => `${name} ${item}`).join(", ") : value === true ? "yes" : value === false ? "no" : String(value);
  return Object.entries(grounds).map(([name, value]) => [told(name), shown(value)]);
}
async function save_receipt(id) {
  try {
    const answer = await fetch(`/api/v1/patterns/${id}/why/export`, { ...signed(), cache: "no-store" });
    if (!answer.ok) throw new Error(`the node answered ${answer.status}`);
    const url = URL.createObjectURL(await answer.blob());
    el("a", { href: url, download: `receipt-${id.slice(0, 12)}.jsonl` }).click();
    URL.revokeObjectURL(url);
  } catch (error) { tell(error); }
}
function dispute_facts(disputes) {
  if (!disputes.length) return [];
  const named = (member) => member.name || short(member.id);
  const ending = (one) => one.state === "open" ? `open until ${one.deadline}` : one.ruled ? `${one.state} on ${one.ruled}` : one.state;
  const line = (one) => `report ${short(one.report)} by ${one.reporters.map(named).join(", ") || "?"}, ${told(one.reason)}, since ${one.opened}: ${ending(one)}`;
  return [el("h3", {}, `Disputes (${disputes.length})`), facts(disputes.map((one) => [named(one.disputer), line(one)]))];
}
function opinions(row) {
  if (!store.judges) return null;
  const give = (kind, reason) => async (event) => {
    event.target.disabled = true;
    try {
      await call(`/api/v1/patterns/${row.id}/opinion`, { method: "POST", body: JSON.stringify({ kind, reason }) });
      await refresh(row.id);
    } catch (error) { tell(error); event.target.disabled = false; }
  };
  const end = (kind) => async (event) => {
    event.target.disabled = true;
    try {
      await call(`/api/v1/overrides/${kind}?${new URLSearchParams({ subject: row.kind === "subject" ? row.label : row.id })}`, { method: "DELETE" });
      await refresh(row.id);
    } catch (error) { tell(error); event.target.disabled = false; }
  };
  return el("div", { class: "acts" },
    el("button", { type: "button", title: "We saw it and it is bad", onclick: give("confirm") }, "Confirm"),
    el("button", { type: "button", title: "It accuses ordinary work", onclick: give("dispute", "false_positive") }, "False positive"),
    row.muted ? el("button", { type: "button", title: "Show it again", onclick: end("mute") }, "Unmute")
      : el("button", { type: "button", title: "Out of sight for 30 days", onclick: give("mute", "console") }, "Mute 30 d"),
    row.allowed ? el("button", { type: "button", title: "Let it have its effect again", onclick: end("allow") }, "Allow no more")
      : el("button", { type: "button", title: "No effect here for 30 days", onclick: give("allow", "console") }, "Allow 30 d"),
    row.quarantined ? el("button", { type: "button", title: `It touches ${counted(row.blast_radius, "agent")} here: let it act for 30 days`, onclick: give("release", "console") }, "Release 30 d") : null);
}

// --- incidents -----------------------------------------------------------------------------------------------------------
async function load_incidents({ more = false } = {}) {
  const query = new URLSearchParams({ limit: more ? PAGE_ROWS : Math.max(INCIDENT_ROWS, store.incidents.length) });
  if (!wanted().closed) query.set("state", "unsettled");
  if (more && store.nextIncident) query.set("cursor", store.nextIncident);
  let page;
  try {
    page = await call(`/api/v1/incidents?${query}`);
  } catch (error) {
    if (error.status !== 403) throw error;
    // An engine's token reads what goes round; whose session it hit is not its business, nor is judging it.
    store.judges = false;
    byId("incident-card").hidden = true;
    return;
  }
  store.incidents = more ? [...store.incidents, ...page.items] : page.items;
  store.nextIncident = page.next;
  show_incidents(page.unsettled);
}
function show_incidents(unsettled) {
  const { incident, closed } = wanted();
  byId("unsettled").textContent = unsettled ? `${unsettled} not closed` : "";
  byId("incident-table").hidden = !store.incidents.length;
  byId("no-incident").hidden = Boolean(store.incidents.length);
  byId("no-incident").textContent = closed ? "No incident: no session of this organisation contains what others warn of." : "No incident is open. A session of the last 30 days that contains what others warn of appears here.";
  byId("more-incidents").hidden = !store.nextIncident;
  put("incidents", ...store.incidents.map((one) => el("tr", { class: `row${one.id === incident ? " open" : ""}`, tabindex: "0", "data-incident": one.id,
      onclick: () => choose_incident(one.id, { look: true }), onkeydown: (event) => { if (event.key === "Enter") choose_incident(one.id, { look: true }); } },
    el("td", {}, incident_state(one)),
    el("td", {}, el("span", { class: "name" }, one.label), one.warning === "live" ? null : el("div", { class: "dim" }, `warning ${one.warning}`)),
    el("td", { class: "mono cut" }, one.session_id || counted(one.sessions, "further session")),
    el("td", { class: "cut" }, one.actor || "several"),
    el("td", { class: "day" }, one.found === "live" ? "as it happened" : "looking back"),
    el("td", { class: "dim day" }, moment_of(one.opened_at)))));
}
function incident_state(one) {
  const kind = one.closed_as === "true_positive" ? "malicious" : one.state === "closed" ? "benign" : one.state === "assigned" ? "watched" : "suspicious";
  return el("span", { class: `state ${kind}`, title: one.assignee || "" }, one.closed_as ? told(one.closed_as) : one.state);
}
function mark_incident() {
  const { incident } = wanted();
  for (const row of document.querySelectorAll("tr[data-incident]")) row.classList.toggle("open", row.dataset.incident === incident);
}
async function choose_incident(id, { look: looking = false } = {}) {
  store.open = null;
  want({ incident: id, open: null });
  mark_incident();
  for (const row of document.querySelectorAll("tr[data-id]")) row.classList.remove("open");
  try {
    const one = await call(`/api/v1/incidents/${id}`);
    if (wanted().incident === id) { show_incident(one); if (looking) look(); }
  } catch (error) { put("panel", el("h2", {}, "Incident"), el("p", { class: "bad" }, error.message)); }
}
function show_incident(one) {
  put("panel",
    back("tr.open[data-incident]"),
    just_closed(one),
    el("div", { class: "head" }, el("h2", {}, "Incident"), incident_state(one)),
    el("p", { class: "panel-why" }, one.label, one.warning === "live" ? null : el("strong", {}, ` (warning ${one.warning})`)),
    facts([
      ["Session", one.session_id ? el("span", { class: "mono" }, one.session_id) : `${counted(one.sessions, "session")} beyond those with an incident each`],
      ["Agent", one.actor || "several"],
      ["Found", `${one.found === "live" ? "as it happened" : "looking back"}, ${moment_of(one.opened_at)}`],
      ["Tier then", one.tier],
      ["Assigned to", one.assignee || "nobody"],
    ]),
    el("div", { class: "acts" }, ...incident_acts(one)),
    el("form", { id: "ask", class: "ask", hidden: true }),
    one.session_id ? session_of(one) : null,
    el("h3", {}, "What was done"),
    el("ol", { class: "notes" }, ...one.notes.map((note) => el("li", {},
      el("span", {}, el("strong", {}, note.what), note.text ? ` ${told(note.text)}` : ""),
      el("span", { class: "dim" }, `${note.by}, ${moment_of(note.at)}`)))),
    el("button", { type: "button", class: "quiet", onclick: () => choose(one.pattern) }, "Why: the receipt of the pattern"));
}
function incident_acts(one) {
  const button = (key, name, onclick) => el("button", { type: "button", "data-key": key, onclick }, `${name} `, el("kbd", {}, key));
  const note = button("n", "Note", () => ask(one, { do: "note" }, "note", "What is there to say?"));
  if (one.state === "closed") return [button("r", "Reopen", () => act(one.id, { do: "reopen" })), note];
  return [
    ...Object.entries(CLOSINGS).map(([key, kind]) => button(key, told(kind), () => act(one.id, { do: "close", closed_as: kind }))),
    button("a", "Assign", () => ask(one, { do: "assign" }, "assignee", "Who looks at it? Empty for nobody.")),
    note,
  ];
}
// One line to fill in, in the page: Enter sends it, Escape leaves it.
function ask(one, body, field, question) {
  const form = byId("ask"), done = () => { form.hidden = true; form.replaceChildren(); };
  const line = el("input", { type: "text", "aria-label": question, placeholder: question, maxlength: 64, autocomplete: "off", value: field === "assignee" ? one.assignee || "" : "",
    onkeydown: (event) => { if (event.key === "Escape") done(); } });
  form.replaceChildren(line, el("button", { type: "submit" }, "Save"), el("button", { type: "button", class: "quiet", onclick: done }, "Cancel"));
  form.onsubmit = (event) => {
    event.preventDefault();
    const text = line.value.trim();
    done();
    if (text || field === "assignee") act(one.id, { ...body, [field]: text });
  };
  form.hidden = false;
  line.focus();
}
// What the session did, asked for when somebody looks.
function session_of(one) {
  const inside = el("div", {});
  return el("details", { ontoggle: async (event) => {
    if (!event.target.open || inside.childElementCount) return;
    try {
      const session = await call(`/api/v1/sessions/${encodeURIComponent(one.session_id)}`);
      inside.append(...(session.decisions || []).map(decision), el("p", { class: "dim" }, "The whole of it: ", el("code", {}, `ioint explain ${one.session_id}`)));
    } catch (error) { inside.append(el("p", { class: "bad" }, error.message)); }
  } }, el("summary", {}, "What the session did"), inside);
}
function decision(one) {
  const step = one.step || {};
  return el("div", { class: "decision" },
    el("div", {}, el("strong", {}, one.server ? `${one.server}/${one.tool}` : one.tool), ` ${told(one.verdict)}, ${one.allowed ? "allowed" : "not allowed"}${one.response === "none" ? "" : ` (${told(one.response)})`}`),
    el("div", { class: "dim" }, [step.verb, step.resource, step.sensitivity, step.boundary].filter(Boolean).map(told).join(" · ")),
    ...(one.reasons || []).slice(0, 3).map((reason) => el("div", { class: "dim" }, `– ${reason.text}`)));
}
function offered(offer) {
  return el("button", { type: "button", onclick: async (event) => {
    event.target.disabled = true;
    try { await call(offer.path, { method: offer.method, body: JSON.stringify(offer.body) }); event.target.append(" ✓"); }
    catch (error) { tell(error); event.target.disabled = false; }
  } }, `${offer.body.kind}: ${offer.does}`);
}
// After a closing the next incident is on view; what was closed can be taken back, or told to others, above it.
function just_closed(shown) {
  const made = store.closed;
  if (!made || (shown.id === made.id && shown.state !== "closed")) return null;
  return el("div", { class: "closed" },
    el("div", {}, el("strong", {}, `Closed as ${told(made.closed_as)}`), `: ${made.label}${made.actor ? `, ${made.actor}` : ""}`),
    el("div", { class: "acts" },
      el("button", { type: "button", "data-key": "u", onclick: () => act(made.id, { do: "reopen" }) }, "Undo ", el("kbd", {}, "u")),
      ...(made.then || []).map(offered)));
}
function after(id) {
  const at = store.incidents.findIndex((one) => one.id === id);
  const others = [...store.incidents.slice(at + 1), ...store.incidents.slice(0, Math.max(at, 0)).reverse()];
  return others.find((one) => one.state !== "closed" && one.id !== id);
}
async function act(id, body) {
  if (store.busy) return; // a key held down settles one
  store.busy = true;
  try {
    const made = await call(`/api/v1/incidents/${id}`, { method: "POST", body: JSON.stringify(body) });
    const next = body.do === "close" ? after(id) : null;
    if (body.do === "close") store.closed = made;
    else if (body.do === "reopen") store.closed = null;
    await load_incidents();
    if (next) await choose_incident(next.id);
    else if (body.do === "reopen") await choose_incident(id);
    else if (wanted().incident === id) show_incident(made);
  } catch (error) { tell(error); } finally { store.busy = false; }
}
function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
  const { incident } = wanted();
  const at = store.incidents.findIndex((one) => one.id === incident);
  if (event.key === "j" || event.key === "k") {
    const next = store.incidents[event.key === "j" ? at + 1 : at - 1];
    if (next) choose_incident(next.id, { look: true });
    return;
  }
  const button = incident && document.querySelector(`#panel button[data-key="${CSS.escape(event.key)}"]`);
  if (button) { event.preventDefault(); button.click(); }
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
    ? `network effects off${effects.expires_at ? ` until ${when(moment(effects.expires_at))}` : ""}: ${effects.reason ?? "not written down"}`
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
    member.standing < 1 ? el("span", { class: "hit", title: "Statements of its group were ruled false" }, `standing ${member.standing} until ${member.standing_until}`) : null,
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
function reasons(counts) { return Object.entries(counts).sort((a, b) => b[1] - a[1]).slice(0, 3).map(([name, count]) => `${told(name)} ${count}`).join(", "); }

// --- changes as they happen ------------------------------------------------------------------------------------------
async function follow() {
  let failures = 0;
  while (store.token || store.person) {
    store.aborts = new AbortController();
    try {
      const headers = { Accept: "text/event-stream" };
      if (store.last !== null) headers["Last-Event-ID"] = store.last;
      const answer = await fetch("/api/v1/stream", { ...signed(headers), cache: "no-store", signal: store.aborts.signal });
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
  const { q, saved, states } = wanted();
  if (q || saved || states.length) { await load(); return; }
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
  byId("incident-card").hidden = false;
  show_nothing_open();
  show_moves();
  read_filters();
  try {
    await load_status();
    const snapshot = await call("/api/v1/snapshot?limit=1");
    store.last = String(snapshot.seq);
    await load_language();
    await load();
    await load_incidents();
    const { open, incident } = wanted();
    if (incident && store.judges) await choose_incident(incident);
    else if (open) await choose(open);
    document.documentElement.dataset.ready = "1";
    follow();
  } catch (error) {
    if (error.status === 403) leave("This does not open the console: it needs the role soc, engine or admin, and the right to query.");
    else tell(error);
  }
}
function leave(why = "") {
  store.token = null;
  store.person = false;
  sessionStorage.removeItem("ioint-token");
  if (store.aborts) store.aborts.abort();
  // Nothing that the token showed stays in the page.
  Object.assign(store, { rows: new Map(), next: null, open: null, moves: [], status: null, incidents: [], nextIncident: null, judges: true, closed: null, saved: [] });
  for (const id of ["numbers", "hits", "moves", "incidents", "rows", "panel", "peers"]) put(id);
  for (const id of ["room", "leave", "live", "mode", "effects"]) byId(id).hidden = true;
  byId("door").hidden = false;
  byId("refused").textContent = why;
}
function read_filters() {
  const { q, states, here, muted, closed } = wanted();
  show_saved();
  if (document.activeElement !== byId("q")) byId("q").value = q;
  byId("here").checked = here;
  byId("muted").checked = muted;
  byId("closed").checked = closed;
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
  byId("leave").addEventListener("click", () => sign_out().catch(tell));
  byId("more-incidents").addEventListener("click", () => load_incidents({ more: true }).catch(tell));
  byId("closed").addEventListener("change", () => { want({ closed: byId("closed").checked }); load_incidents().catch(tell); });
  addEventListener("keydown", pressed);
  byId("more").addEventListener("click", () => load({ more: true }).catch(tell));
  byId("here").addEventListener("change", () => { want({ here: byId("here").checked }); show(); });
  byId("muted").addEventListener("change", () => { want({ muted: byId("muted").checked }); show(); });
  let typing = 0;
  byId("q").addEventListener("input", () => { show_offers(); clearTimeout(typing); typing = setTimeout(() => { want({ q: byId("q").value.trim() }); load().catch(tell); }, 250); });
  for (const name of ["focus", "click", "blur"]) byId("q").addEventListener(name, show_offers);
  byId("q").addEventListener("keydown", typed);
  byId("saved").addEventListener("change", () => { want({ saved: byId("saved").value }); show_saved(); load().catch(tell); });
  byId("keep").addEventListener("click", () => { byId("naming").hidden = !byId("naming").hidden; if (!byId("naming").hidden) byId("name").focus(); });
  byId("naming").addEventListener("submit", (event) => keep(event).catch(tell));
  byId("drop").addEventListener("click", () => drop().catch(tell));
  addEventListener("hashchange", () => { read_filters(); load().catch(tell); });
  setInterval(() => { if ((store.token || store.person) && !byId("room").hidden) Promise.all([load_status(), store.judges ? load_incidents() : null]).catch(tell); }, REFRESH_MS);
  begin().catch(tell);
}
async function begin() {
  const refused = new URLSearchParams(location.hash.slice(1)).get("refused");
  if (refused) { history.replaceState(null, "", "/"); byId("refused").textContent = REFUSED[refused] || REFUSED.provider_refused; }
  if (store.token) { await enter(); return; }
  const { login, provider } = await (await fetch("/login/options", { credentials: "omit", cache: "no-store" })).json();
  if (!login) return;
  byId("provider").textContent = `Sign in with ${provider}`;
  byId("provider").href = login;
  byId("provider").hidden = false;
  const me = await fetch("/api/v1/me", { credentials: "same-origin", cache: "no-store" });
  if (me.ok) { store.person = true; await enter(); }
}
async function sign_out() {
  if (!store.person) { leave(); return; }
  const { provider } = await call("/logout", { method: "POST" });
  leave();
  if (provider) location.assign(provider);
}
start();
