// What is half done: kept in this tab by assignment, so that neither a reload nor an undo loses it.

const MOST = 30;
const PREFIX = "draft:";

export function draftOf(assignment) {
  return JSON.parse(sessionStorage.getItem(PREFIX + assignment)) ?? {};
}

export function keepDraft(assignment, draft) {
  sessionStorage.removeItem(PREFIX + assignment);
  sessionStorage.setItem(PREFIX + assignment, JSON.stringify(draft));
  const kept = Object.keys(sessionStorage).filter((name) => name.startsWith(PREFIX));
  const byAge = kept.sort((a, b) => Number(a.slice(PREFIX.length)) - Number(b.slice(PREFIX.length)));
  byAge.slice(0, -MOST).forEach((name) => sessionStorage.removeItem(name));
}
