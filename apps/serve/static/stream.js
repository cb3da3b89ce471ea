// What the page asks the server: OpenAI's HTTP API, an answer as it is made, and what people say of answers.

export class Refused extends Error {
  constructor(line, { status = 0, code = null } = {}) {
    super(line);
    this.status = status;
    this.code = code;
  }
}

const NO_SERVER = "The server does not answer.";
const BROKEN_OFF = "The answer broke off: the connection was lost.";

export async function models(key) {
  const told = await (await send("/v1/models", { key })).json();
  return told.data.map((model) => model.id);
}

export async function tell(path, said, key) {
  await send(path, { key, body: said });
}

// Yields {version, share} first, then {id, text, finish, tokens}, each but the id where it is known.
export async function* answer(body, { key, conversation, signal }) {
  const response = await send("/v1/chat/completions", { key, body, signal, headers: { "X-Conversation-Id": conversation } });
  yield { version: response.headers.get("X-Fledgling-Version"), share: response.headers.get("X-Fledgling-Share") };
  if (!body.stream) return yield piece(await response.json());
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    yield piece(JSON.parse(data));
  }
  throw new Refused(BROKEN_OFF);
}

function piece({ id, choices = [], usage, error }) {
  if (error) throw new Refused(error.message, error);
  const [first] = choices;
  return {
    id,
    text: (first?.delta ?? first?.message)?.content ?? "",
    finish: first?.finish_reason ?? null,
    tokens: usage?.completion_tokens ?? null,
  };
}

async function send(path, { key, body, signal, headers = {} }) {
  const all = { ...headers, ...(body && { "Content-Type": "application/json" }), ...(key && { Authorization: `Bearer ${key}` }) };
  const how = { method: body ? "POST" : "GET", headers: all, body: body && JSON.stringify(body), signal };
  const response = await fetch(path, how).catch((error) => {
    throw error.name === "AbortError" ? error : new Refused(NO_SERVER);
  });
  if (response.ok) return response;
  const said = await response.text();
  throw new Refused(lineOf(said) ?? `The server answered ${response.status}.`, { status: response.status, code: codeOf(said) });
}

const parsed = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};
const codeOf = (text) => parsed(text)?.error?.code ?? null;
const lineOf = (text) => parsed(text)?.error?.message ?? null;

// The data of each event: what stands after "data:" of the lines up to an empty one.
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : new Refused(BROKEN_OFF);
    });
    if (done) return;
    const parts = (waiting + value.replaceAll("\r", "")).split("\n\n");
    waiting = parts.pop();
    for (const part of parts) {
      const lines = part.split("\n").filter((line) => line.startsWith("data:"));
      if (lines.length) yield lines.map((line) => line.slice(5).trimStart()).join("\n");
    }
  }
}
