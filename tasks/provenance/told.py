"""The way as a tree for the terminal."""

from collections.abc import Iterable, Mapping

from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from tasks.provenance.way import (
    BatchFile,
    BatchWay,
    Code,
    Event,
    Learnt,
    Locked,
    Preferences,
    Reply,
    ReplyItem,
    ReplyVote,
    ReplyWay,
    Runs,
    Source,
    VersionWay,
    Way,
)

SPLITS = ("train", "validation", "test", "written")  # as they are told; those of the judges after them
MOST_TOLD = 400  # characters of what was asked and said
SHORT = 8  # digits of a hash that people compare


def tree(way: Way) -> Tree:
    """The whole way, what it is of at the root."""
    if isinstance(way, ReplyWay):
        return _reply(way)
    return _version(way) if isinstance(way, VersionWay) else _batch(way)


def short(value: str | None) -> str:
    """The first digits of a hash."""
    return value[:SHORT] if value else "none"


def counts(found: Mapping[str, int]) -> str:
    """Names with their counts, the most first."""
    if not found:
        return "none"
    return ", ".join(f"{name} {count:,}" for name, count in sorted(found.items(), key=lambda one: (-one[1], one[0])))


def moment(at: str) -> str:
    """A time for people: 2026-11-22 12:39 UTC."""
    return f"{at[:16].replace('T', ' ')} UTC" if at else "at an unknown time"


def _version(way: VersionWay) -> Tree:
    model = way.model
    named = f" ({', '.join(model.aliases)})" if model.aliases else ""
    root = Tree(f"[bold]{escape(f'{model.name} version {model.version}{named}: the {model.model} model')}[/]")
    root.add(escape(f"its bytes: model {short(model.model_md5)}, content {short(model.content_key)}"))
    _list(root, "history", (event_line(event) for event in way.history))
    if way.gate is not None:
        beside = f" beside {way.gate.champion}" if way.gate.champion else ""
        _list(root, f"gate: {way.gate.decision}{beside}", way.gate.reasons)
    _code(root, way.code)
    _runs(root, way.runs)
    if way.lock is not None:
        _locked(root, way.lock)
    if way.preferences is not None:
        _preferences(root, way.preferences, way.batches)
    elif way.batches:
        _list(root, "people's batches", map(learnt_line, way.batches))
    _sources(root, "instructions", way.instructions)
    _sources(root, "corpus", way.corpus)
    _list(root, "told as it was when it was registered", map(_part, way.from_registration))
    _list(root, "[red]not found here[/]", way.not_found)
    return root


def _batch(way: BatchWay) -> Tree:
    root = Tree(f"[bold]{escape(f'batch {way.batch}')}[/]")
    for file in way.files:
        branch = root.add(escape(file_line(file)))
        for line in file_lines(file):
            branch.add(escape(line))
    learners = root.add("learnt by")
    for one in way.learners:
        named = f" ({', '.join(one.aliases)})" if one.aliases else ""
        learners.add(escape(f"version {one.version}{named}: {learnt_told(one.preferences, one.examples)}"))
    if not way.learners:
        learners.add("no version")
    _list(root, "[red]not found here[/]", way.not_found)
    return root


def _reply(way: ReplyWay) -> Tree:
    reply = way.reply
    root = Tree(f"[bold]{escape(f'reply {reply.id} of version {reply.version}')}[/]")
    for message in reply.messages:
        root.add(escape(f"{message['role']}: {_cut(message['content'])}"))
    root.add(escape(f"reply: {_cut(reply.text)}"))
    _list(root, "how it was made", _made(reply))
    _list(root, "the chat said", map(_vote_line, way.votes))
    _list(root, "review items", map(_item_line, way.items))
    _list(root, "[red]not found here[/]", way.not_found)
    if way.version is not None:
        root.children.append(_version(way.version))
    return root


def _made(reply: Reply) -> Iterable[str]:
    first = "nothing was said" if reply.first_token_ms is None else f"the first after {reply.first_token_ms:.0f} ms"
    yield f"{moment(reply.at)}, {reply.kind}, the {reply.share}'s share, model {short(reply.model_md5)}"
    yield ", ".join(f"{key} {value}" for key, value in {**reply.settings, "seed": reply.seed}.items() if value)
    tokens = f"{many(reply.prompt_tokens, 'token')} asked, {reply.completion_tokens:,} said"
    yield f"{tokens} in {reply.latency_ms:.0f} ms, {first}; it ended by {reply.finish_reason}"
    if reply.guard:
        yield f"the guard: {reply.guard}"


def _vote_line(vote: ReplyVote) -> str:
    beside = f" than {vote.other}" if vote.value in ("better", "worse") else f" with {vote.other}" if vote.other else ""
    return f"{moment(vote.at)}: {vote.value}{beside}"


def _item_line(item: ReplyItem) -> str:
    went = f", in data/feedback/{item.file}" if item.file else ""
    return f"{item.item}, a {item.kind}: {many(item.decided, 'decision')} of people{went}"


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TOLD else f"{text[:MOST_TOLD]}…"


def event_line(event: Event) -> str:
    """When, what, by whom, and why."""
    by = f" by {event.by}" if event.by else ""
    return f"{moment(event.at)}: {event.what}{by}{f', {event.note}' if event.note else ''}"


def file_line(file: BatchFile) -> str:
    """A file of a batch, and how many decided."""
    return f"{file.file}: {many(file.decisions, 'decision')} of {many(len(file.reviewers), 'reviewer')}"


def file_lines(file: BatchFile) -> list[str]:
    """What a manifest says of its file."""
    lines = [
        f"published {file.published} of what was {file.source}, collected {file.collected}",
        f"sha256 {file.sha256}",
        f"kinds: {counts(file.kinds)}",
        f"reviewers: {counts(file.reviewers)}",
        f"judges that had spoken before: {', '.join(file.judges) or 'none'}",
    ]
    return [*lines, *([f"left out: {counts(file.left_out)}"] if file.left_out else [])]


def rows_told(source: Source) -> str:
    """How many rows in which split, training first."""
    order = {split: at for at, split in enumerate(SPLITS)}
    rows = sorted(source.rows.items(), key=lambda row: (order.get(row[0], len(order)), row[0]))
    return ", ".join(f"{split} {count:,}" for split, count in rows)


def many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def learnt_told(preferences: int, examples: int) -> str:
    return f"{many(preferences, 'preference')} and {many(examples, 'example')}"


def learnt_line(one: Learnt) -> str:
    """What was learnt from a batch, of how many decisions by whom."""
    told = f"batch {one.batch}: {learnt_told(one.preferences, one.examples)}"
    if not one.files:
        return f"{told} (its manifest is not here)"
    reviewers: dict[str, int] = {}
    for file in one.files:
        for name, count in file.reviewers.items():
            reviewers[name] = reviewers.get(name, 0) + count
    decisions = many(sum(file.decisions for file in one.files), "decision")
    return f"{told} of {decisions} by {counts(reviewers)}"


def _part(name: str) -> str:
    return name.replace("lock", "dvc.lock")


def _list(root: Tree, title: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    if lines:
        branch = root.add(title)
        for line in lines:
            branch.add(escape(line))


def _code(root: Tree, code: Code) -> None:
    subject = code.subject or "not in this repository"
    branch = root.add(escape(f"git {short(code.commit)}: {subject}" if code.commit else "git: no commit"))
    if code.dirty:
        branch.add("with uncommitted changes")
    if code.experiment:
        commit = short(code.experiment_commit)
        branch.add(escape(f"dvc exp apply {code.experiment} brings params, code and data back (commit {commit})"))


def _runs(root: Tree, runs: Runs) -> None:
    if runs.chain is None:
        root.add("MLflow: the chain's run was deleted")
        return
    flow = f", Prefect's {short(runs.pipeline_run)}" if runs.pipeline_run else ""
    branch = root.add(escape(f"MLflow: {runs.chain.name}, run {runs.chain.id}{flow}"))
    table = Table(box=None, pad_edge=False, show_header=False)
    for run in runs.stages:
        seconds = "" if run.seconds is None else f"{run.seconds:,.0f} s"
        of = "" if run.is_of_chain else "an earlier chain's, the same bytes"
        table.add_row(escape(run.name), short(run.id), run.status.lower(), seconds, of)
    if runs.stages:
        branch.add(table)
    if runs.also:
        branch.add(f"the same bytes came of {', '.join(map(short, runs.also))} too")


def _locked(root: Tree, lock: Locked) -> None:
    branch = root.add(escape(f"dvc.lock {short(lock.sha256)}, from {lock.found}"))
    table = Table(box=None, pad_edge=False, show_header=False)
    for stage, outs in lock.stages.items():
        table.add_row(escape(stage), escape(", ".join(f"{path} {short(md5)}" for path, md5 in outs.items())))
    branch.add(table)


def _preferences(root: Tree, found: Preferences, batches: Iterable[Learnt]) -> None:
    branch = root.add(f"preferences: {found.pairs:,} pairs")
    for judge, count in found.judges.items():
        branch.add(escape(f"judge {judge}: {count:,}"))
    for one in batches:
        branch.add(escape(learnt_line(one)))
    if found.reviewers:
        branch.add(escape(f"reviewers whose word they are: {counts(found.reviewers)}"))
    if not found.batches:
        branch.add("of people: none")
    if left := {reason.replace("_", " "): count for reason, count in found.rejected.items() if count}:
        branch.add(escape(f"not learnt from: {counts(left)}"))


def _sources(root: Tree, title: str, sources: Iterable[Source] | None) -> None:
    if sources is None:
        return
    branch = root.add(title)
    table = Table(box=None, pad_edge=False, show_header=False)
    for one in sources:
        cells = (*([one.task] if one.task else []), one.name, one.licence, one.what, rows_told(one))
        table.add_row(*map(escape, cells))
    branch.add(table)
