"""The row of llama.cpp beside transformers."""

import pytest

from benchmarks import generation
from tests.conftest import MISSING


def test_llama_cpp_is_measured_in_every_kind_of_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llama_cpp", reason=f"{MISSING}llama-cpp-python (`make llama-cpp` builds it)")
    for name, value in {"ENGINE_ROUNDS": 1, "MAX_TOKENS": 4, "STORIES": 20, "THREADS": 1}.items():
        monkeypatch.setattr(generation, name, value)
    small = generation._model(d_model=64, n_layers=1, n_heads=1, n_kv_heads=1, d_ff=96)
    monkeypatch.setattr(generation, "six_million", lambda: small)
    row = generation.generate_llamacpp_vs_transformers()
    assert (row.bar, row.lower_is_better) == (7.0, False)
    rates = dict(part.split() for part in row.note.partition("; ")[2].partition(";")[0].split(", "))
    assert set(rates) == {"f32", "f16", "q8_0"}
    assert row.value == max(map(float, rates.values())) > 0
    assert row.note.startswith(f"in {max(rates, key=lambda numbers: float(rates[numbers]))};")
