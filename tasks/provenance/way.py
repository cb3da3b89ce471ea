"""The way of a model version, of a batch of reviews and of a served reply, as `fledgling trace --json` prints them.

Times are ISO 8601 in UTC. What could not be found where it was asked is None, and named in `not_found`.
"""

from typing import Any, Literal

from tasks.stage import Params

SCHEMA_VERSION: Literal[1] = 1


class Model(Params):
    """A version of the registry. model: base, finetuned or aligned; model_md5: of its folder, as DVC counts."""

    name: str
    version: int
    model: str
    aliases: tuple[str, ...]
    registered: str
    reason: str  # how it stands to the n-gram baseline
    content_key: str
    model_md5: str
    demonstration: bool


class Event(Params):
    """What was done with a version. note: over which one, and why."""

    at: str  # empty where it was not written down
    what: Literal["registered", "promoted", "rolled back", "declined"]
    by: str
    note: str


class Gate(Params):
    """The gate's decision, against which champion. figures: metrics/gate.json."""

    decision: str
    reasons: tuple[str, ...]
    champion: str
    figures: dict[str, Any]


class Code(Params):
    """What the chain ran from. experiment: what `dvc exp apply` takes, and its commit."""

    commit: str | None
    subject: str | None  # None: the commit is not in this repository
    dirty: bool
    experiment: str | None
    experiment_commit: str | None


class Run(Params):
    """An MLflow run. is_of_chain: of the chain that was registered; else an earlier one that made the same bytes."""

    id: str
    name: str
    stage: str
    status: str
    started: str
    seconds: float | None
    is_of_chain: bool


class Runs(Params):
    """The chain's run and those of its stages. pipeline_run: Prefect's; also: later chains that gave the same bytes."""

    chain: Run | None
    stages: tuple[Run, ...]
    pipeline_run: str | None
    also: tuple[str, ...]


class Locked(Params):
    """dvc.lock: its SHA-256, where it was found, and the hash of every out by stage and path."""

    sha256: str
    found: str
    stages: dict[str, dict[str, str]]


class Preferences(Params):
    """What the alignment learnt from: pairs by judge, by batch and by reviewer (a pseudonym)."""

    pairs: int
    judges: dict[str, int]
    batches: dict[str, int]
    reviewers: dict[str, int]
    decisions_read: int
    rejected: dict[str, int]


class BatchFile(Params):
    """A file of a batch, as its manifest tells of it."""

    file: str
    sha256: str
    decisions: int
    published: str
    collected: str
    source: str
    kinds: dict[str, int]
    reviewers: dict[str, int]
    judges: tuple[str, ...]
    left_out: dict[str, int]  # decisions by reason


class Learnt(Params):
    """What a version learnt from a batch: preferences of `pair`, examples of `mix`. files: empty where not here."""

    batch: str
    preferences: int
    examples: int
    files: tuple[BatchFile, ...]


class Source(Params):
    """A source of texts or of instructions. task: of instructions only; rows by split."""

    name: str
    task: str
    licence: str
    what: str
    rows: dict[str, int]


class VersionWay(Params):
    """Where a model version comes from. from_registration: parts that are told as they were when it was registered."""

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["version"] = "version"
    model: Model
    history: tuple[Event, ...]
    gate: Gate | None
    code: Code
    runs: Runs
    lock: Locked | None
    preferences: Preferences | None
    batches: tuple[Learnt, ...]
    instructions: tuple[Source, ...] | None
    corpus: tuple[Source, ...] | None
    not_found: tuple[str, ...]
    from_registration: tuple[str, ...]


class Learner(Params):
    """A version that learnt from a batch, and how much."""

    version: int
    aliases: tuple[str, ...]
    preferences: int
    examples: int


class BatchWay(Params):
    """Where a batch of reviews comes from, and where it went. not_found: versions of which it can't be told."""

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["batch"] = "batch"
    batch: str
    files: tuple[BatchFile, ...]
    learners: tuple[Learner, ...]
    not_found: tuple[str, ...]


class ReplyVote(Params):
    """What somebody in the chat said of a reply. other: the reply that it was compared with."""

    at: str
    value: str
    other: str | None


class ReplyItem(Params):
    """A review item that shows a reply. said: what the chat said before; decided: how often people decided."""

    item: str
    kind: str
    batch: str
    said: dict[str, Any]
    decided: int
    file: str | None  # of data/feedback: where the decisions went


class Reply(Params):
    """A reply that was served, as it was recorded. share: of the traffic, champion's or candidate's."""

    id: str
    at: str
    kind: str
    version: str
    model_md5: str
    share: str
    conversation: str | None
    messages: tuple[dict[str, str], ...]
    settings: dict[str, Any]
    seed: int
    text: str
    finish_reason: str
    guard: str | None
    prompt_tokens: int
    completion_tokens: int
    latency_ms: float
    first_token_ms: float | None


class ReplyWay(Params):
    """Where a served reply comes from: the version that gave it, and what became of it."""

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["reply"] = "reply"
    reply: Reply
    votes: tuple[ReplyVote, ...]
    items: tuple[ReplyItem, ...]
    version: VersionWay | None
    not_found: tuple[str, ...]


class Check(Params):
    """A hash that was computed anew."""

    what: str
    state: Literal["ok", "missing", "differs"]
    detail: str


Way = VersionWay | BatchWay | ReplyWay
