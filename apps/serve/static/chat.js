// The page: what is said and answered, stopped, tried again, edited, compared and judged.
import { listenToKeys } from "./keys.js";
import * as kept from "./kept.js";
import { listenToComposer, sends } from "./presets.js";
import { answer, models, Refused, tell } from "./stream.js";
import { edit, grow, show, toEnd } from "./turns.js";

const AGAIN_MS = 2000; // a server that loads its model is asked again so soon
const $ = (selector) => document.querySelector(selector);
const talk = { conversation: crypto.randomUUID(), turns: [], ...kept.talk() };
let stopping = null; // aborts what is being answered; null where nothing is

const isBusy = () => stopping !== null;
const isBeside = () => $("#beside").getAttribute("aria-pressed") === "true";
const lastTurn = () => talk.turns.at(-1);

function status(line) {
  if ($("#status").textContent !== line) $("#status").textContent = line;
}

function draw() {
  const focused = focusedIn(document.activeElement);
  show(talk.turns, { isBusy: isBusy() });
  if (focused) $(focused)?.focus({ preventScroll: true });
  $("#send").hidden = isBusy();
  $("#stop").hidden = !isBusy();
  kept.keepTalk(talk);
}

// A selector of the button that has the focus, if it is one of the conversation's: what is drawn anew keeps it.
function focusedIn(element) {
  const button = element?.closest("[data-do]");
  const at = element?.closest(".exchange")?.dataset.at;
  return button && at ? `.exchange[data-at="${at}"] [data-do="${button.dataset.do}"]` : null;
}

// --- asking

// The conversation as the model is given it: the replies chosen, or the first of two where nobody chose.
function messages(turn) {
  const { system } = kept.settings();
  const before = turn.alone ? [] : talk.turns.slice(0, talk.turns.indexOf(turn)).flatMap(said);
  return [...(system?.trim() ? [{ role: "system", content: system }] : []), ...before, { role: "user", content: turn.asked }];
}

function said(turn) {
  const reply = turn.replies[turn.chosen === 1 ? 1 : 0];
  return reply.text ? [{ role: "user", content: turn.asked }, { role: "assistant", content: reply.text }] : [];
}

function body(turn, reply) {
  const { labels, tries } = turn;
  const asked = kept.asked();
  if (tries && asked.seed !== undefined) asked.seed += tries; // the same seed would give the same text
  const how = labels ? { labels } : { stream: true, stream_options: { include_usage: true }, ...asked };
  return { model: reply.model, messages: messages(turn), ...how };
}

function fresh(model) {
  return { model, text: "", state: "going", id: null, version: null, share: null, finish: null, tokens: null, seconds: null };
}

function asksOf() {
  const asks = [$("#model").value];
  if (isBeside()) asks.push($("#second").value);
  return asks.length > 1 && Math.random() < 0.5 ? asks.reverse() : asks; // nobody knows which is A
}

function send({ text, alone = false, labels = null }) {
  if (isBusy() || !text || !$("#model").value) return false;
  const turn = { asked: text, alone, labels, chosen: null, tries: 0, replies: asksOf().map(fresh) };
  talk.turns.push(turn);
  run(turn);
  return true;
}

async function run(turn) {
  const own = new AbortController();
  stopping = own;
  status("");
  draw();
  toEnd();
  await Promise.all(turn.replies.map((reply) => fill(turn, reply, own.signal)));
  if (stopping !== own) return; // a new conversation, in which something is asked already
  stopping = null;
  draw();
  grow(turn.replies[0]);
}

async function fill(turn, reply, signal) {
  const began = performance.now();
  try {
    for await (const { text = "", ...told } of answer(body(turn, reply), { key: kept.key(), conversation: talk.conversation, signal })) {
      for (const [name, value] of Object.entries(told)) reply[name] = value ?? reply[name];
      reply.text += text;
      grow(reply);
    }
    reply.state = "done";
  } catch (error) {
    if (error.name === "AbortError") reply.state = "stopped";
    else if (error instanceof Refused) failed(reply, error);
    else throw error;
  }
  reply.seconds = (performance.now() - began) / 1000;
}

function failed(reply, error) {
  reply.state = "failed";
  const isTooLong = error.code === "context_length_exceeded" && talk.turns.length > 1;
  reply.error = error.message + (isTooLong ? " · begin a new conversation (N)" : "");
  if (error.status === 401) $("#settings").click();
}

// --- what is done with an answer

const doings = {
  copy: async (turn, reply, element) => {
    await navigator.clipboard.writeText(element.closest(".asked") ? turn.asked : reply.text);
    status("Copied.");
  },
  retry: (turn) => {
    if (isBusy() || turn !== lastTurn()) return;
    Object.assign(turn, { chosen: null, tries: turn.tries + 1, replies: asksOf().map(fresh) });
    run(turn);
  },
  edit: (turn) => {
    const at = talk.turns.indexOf(turn);
    const done = (text) => {
      const { alone, labels } = turn;
      if (isBusy() || !text) return;
      talk.turns.length = at;
      send({ text, alone, labels });
    };
    if (!isBusy()) edit(at, turn.asked, { done, sends });
  },
  up: (turn, reply, element) => thumb(reply, "up", element),
  down: (turn, reply, element) => thumb(reply, "down", element),
  review: (turn, reply, element) => {
    judge(element, "/feedback/review", { reply_id: reply.id }, () => (reply.isSent = true));
  },
};

function thumb(reply, value, element) {
  judge(element, "/feedback/vote", { reply_id: reply.id, value }, () => (reply.vote = value));
}

function vote(turn, element) {
  const isTie = element.dataset.vote === "tie";
  const better = isTie ? 0 : Number(element.dataset.vote);
  const [reply, other] = [turn.replies[better], turn.replies[1 - better]];
  const said = { reply_id: reply.id, value: isTie ? "tie" : "better", other: other.id };
  judge(element, "/feedback/vote", said, () => (turn.chosen = isTie ? "tie" : better));
}

// What was said counts as said when the server has it.
async function judge(element, path, said, done) {
  if (element.ariaBusy === "true") return;
  element.ariaBusy = "true";
  try {
    await tell(path, said, kept.key());
    done();
    status("");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    status(`Not taken: ${error.message}`);
  }
  element.ariaBusy = "false";
  if (!isBusy()) draw();
}

$("#talk").addEventListener("click", (event) => {
  const button = event.target.closest("[data-do], [data-vote]");
  const turn = talk.turns[event.target.closest(".exchange")?.dataset.at];
  if (!button || !turn) return;
  if (button.dataset.vote) vote(turn, button);
  else doings[button.dataset.do]?.(turn, turn.replies[0], button);
});

// --- the tools

$("#stop").addEventListener("click", () => stopping?.abort());

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && isBusy() && !document.querySelector("dialog[open]")) stopping.abort();
});

$("#new").addEventListener("click", () => {
  stopping?.abort();
  stopping = null;
  Object.assign(talk, { conversation: crypto.randomUUID(), turns: [] });
  status("");
  draw();
  $("#text").focus();
});

$("#beside").addEventListener("click", () => beside(!isBeside()));

function beside(isOn) {
  $("#beside").setAttribute("aria-pressed", String(isOn));
  $("#against").hidden = !isOn;
  document.body.classList.toggle("two-sided", isOn);
  localStorage.setItem("chat-beside", String(isOn));
}

$("#help").addEventListener("click", () => {
  $("#keys").showModal();
  $("#keys h2").focus();
});

async function fillModels() {
  try {
    offer(await models(kept.key()));
    status("");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    status(error.message);
    if (error.status === 401) $("#settings").click();
    else setTimeout(fillModels, AGAIN_MS);
  }
}

function offer(names) {
  for (const [select, first] of [[$("#model"), names[0]], [$("#second"), names.at(-1)]]) {
    const before = localStorage.getItem(`chat-${select.id}`);
    select.replaceChildren(...names.map((name) => new Option(name)));
    select.value = names.includes(before) ? before : first;
    select.onchange = () => localStorage.setItem(`chat-${select.id}`, select.value);
  }
}

$("#settings-dialog").addEventListener("close", () => $("#model").value || fillModels());

for (const reply of talk.turns.flatMap((turn) => turn.replies)) if (reply.state === "going") reply.state = "stopped";
beside(localStorage.getItem("chat-beside") === "true");
kept.listenToSettings($("#settings-dialog"));
listenToComposer({ send, last: () => lastTurn() && doings.edit(lastTurn()) });
listenToKeys();
draw();
toEnd();
fillModels();
