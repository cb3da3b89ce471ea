// The conversation on the screen. Whatever a person or a model wrote is set as text, never read as HTML.

const $ = (selector) => document.querySelector(selector);
const talk = $("#talk");
const NEAR_PX = 120; // from the end: who reads there is kept there
const ENDS = { length: "broken off: most tokens reached", content_filter: "not safe for a child", stopped: "stopped" };
const SIDES = ["A", "B"];
const elements = new WeakMap();

const made = (name) => document.importNode($(`#${name}`).content, true).firstElementChild;

// turns: {asked, alone, labels?, replies: [{model, text, state, id, version, ...}], chosen}. isBusy: an answer is made.
export function show(turns, { isBusy }) {
  talk.replaceChildren(...(turns.length ? turns.map((turn, at) => exchange(turn, at, at === turns.length - 1, isBusy)) : [made("start")]));
  talk.setAttribute("aria-busy", String(isBusy));
  document.body.classList.toggle("busy", isBusy);
}

// A reply as it is now, while it is made.
export function grow(reply) {
  const isNear = document.documentElement.scrollHeight - scrollY - innerHeight < NEAR_PX;
  const text = elements.get(reply)?.querySelector(".text");
  if (text && text.textContent !== reply.text) text.textContent = reply.text;
  if (isNear) toEnd();
}

export function toEnd() {
  scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
}

// Puts a form in place of a message; done(text) is called where it is sent.
export function edit(at, asked, { done, sends }) {
  const article = talk.children[at].querySelector(".asked");
  const form = made("editing");
  const field = form.elements.text;
  const leave = () => form.replaceWith(article);
  field.value = asked;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    done(field.value.trim());
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave();
    if (!sends(event)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.querySelector("[data-do=cancel]").addEventListener("click", leave);
  article.replaceWith(form);
  field.focus();
}

function exchange(turn, at, isLast, isBusy) {
  const box = document.createElement("div");
  box.className = "exchange";
  box.dataset.at = at;
  if (isLast) box.dataset.current = "";
  const article = made("asked");
  article.querySelector(".text").textContent = turn.asked;
  article.querySelector(".note").textContent = turn.alone && at > 0 ? "asked on its own, without what was said before" : "";
  box.append(article, turn.replies.length > 1 ? pair(turn) : single(turn.replies[0]));
  for (const button of box.querySelectorAll("[data-keys]")) if (!isLast) delete button.dataset.keys;
  for (const button of box.querySelectorAll("[data-do=edit], [data-do=retry]")) button.disabled = isBusy;
  if (!isLast) box.querySelector("[data-do=retry]").hidden = true;
  return box;
}

function single(reply) {
  const article = filled(reply, reply.version ?? reply.model, true);
  for (const value of ["up", "down"]) {
    article.querySelector(`[data-do=${value}]`).setAttribute("aria-pressed", String(reply.vote === value));
  }
  const review = article.querySelector("[data-do=review]");
  review.setAttribute("aria-pressed", String(Boolean(reply.isSent)));
  review.disabled = Boolean(reply.isSent);
  article.querySelector(".judged").hidden = !canBeJudged(reply);
  return article;
}

function pair(turn) {
  const section = made("pair");
  const isVoted = turn.chosen !== null;
  const heading = (reply, side) => SIDES[side] + (isVoted ? ` · ${reply.version ?? reply.model}` : "");
  const articles = turn.replies.map((reply, side) => filled(reply, heading(reply, side), isVoted));
  articles.forEach((article) => article.querySelector(".doings").remove());
  section.querySelector(".votes .note").textContent = turn.chosen === "tie" ? "a tie; thank you" : isVoted ? "thank you" : "";
  if (turn.chosen === 0 || turn.chosen === 1) articles[turn.chosen].dataset.chosen = "";
  section.querySelector(".answers").append(...articles);
  for (const button of section.querySelectorAll("[data-vote]")) {
    button.hidden = isVoted;
    button.disabled = !turn.replies.every(canBeJudged);
  }
  return section;
}

const canBeJudged = (reply) => Boolean(reply.id) && reply.state === "done";

function filled(reply, heading, isNamed) {
  const article = made("reply");
  elements.set(reply, article);
  article.querySelector("h2").textContent = heading;
  article.querySelector(".text").textContent = reply.text;
  article.dataset.state = reply.state;
  article.querySelector(".note").textContent = reply.error ?? notes(reply, isNamed).filter(Boolean).join(" · ");
  article.querySelector(".doings").hidden = reply.state === "going";
  return article;
}

// isNamed: it may be told which version it was, and what gives that away.
function notes(reply, isNamed) {
  if (reply.state === "going") return [];
  return [
    isNamed && reply.share === "candidate" ? "candidate" : null,
    isNamed && reply.tokens !== null ? `${reply.tokens} tokens` : null,
    isNamed && reply.seconds !== null ? `${reply.seconds.toFixed(1)} s` : null,
    ENDS[reply.state === "stopped" ? "stopped" : reply.finish],
    reply.vote ? "thank you" : null,
    reply.isSent ? "sent to review" : null,
  ];
}
