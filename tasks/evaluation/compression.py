"""General compressors as language models: what the test text costs once they have read the training text."""

import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

SEPARATOR = b"\0"  # closes each text, as the end token does for a model


def _gzip(data: bytes) -> int:
    return len(zlib.compress(data, 9))  # sees 32 KiB back: priming can hardly help it


def _xz(data: bytes) -> int:
    window = max(1 << 20, 1 << (len(data) - 1).bit_length())  # all of the training text, whatever its size
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": min(window, 1 << 30)}]
    return len(lzma.compress(data, lzma.FORMAT_RAW, filters=filters))


def _zstd(data: bytes) -> int:
    import zstandard

    window = min(max(20, (len(data) - 1).bit_length()), 27)
    parameters = zstandard.ZstdCompressionParameters.from_level(15, window_log=window, enable_ldm=True)
    return len(zstandard.ZstdCompressor(compression_params=parameters).compress(data))


COMPRESSORS: Mapping[str, Callable[[bytes], int]] = {"gzip": _gzip, "xz": _xz, "zstd": _zstd}


def joined(texts: Iterable[str]) -> bytes:
    """The texts as bytes, each closed by the separator."""
    return b"".join(text.encode() + SEPARATOR for text in texts)


Found = dict[str, dict[str, float]]


@contextmanager
def compressed(train: bytes, test: Mapping[str, bytes]) -> Iterator[Callable[[], Found]]:
    """Bits a byte of each test text, for each compressor primed with the training text and unprimed.


    Primed is (C(train + test) - C(train)) / bytes of the texts; the result is keyed by "xz" or "xz_unprimed",
    then by the test's name. The separators cost, and are not counted as bytes, as for a model's end tokens.
    The compressors work in a thread of their own, without Python's lock; call what is given to wait for them.
    """
    jobs: dict[tuple[str, str], tuple[Callable[[bytes], int], bytes]] = {}
    for name, compress in COMPRESSORS.items():
        jobs[name, ""] = (compress, train)
        for split, data in test.items():
            jobs[name, split] = (compress, train + data)
            jobs[f"{name}_unprimed", split] = (compress, data)
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        futures = {key: pool.submit(compress, data) for key, (compress, data) in jobs.items()}
        yield lambda: _figures({key: future.result() for key, future in futures.items()}, test)
    finally:
        pool.shutdown(cancel_futures=True)


def _figures(sizes: Mapping[tuple[str, str], int], test: Mapping[str, bytes]) -> Found:
    result: Found = {}
    for (name, split), size in sizes.items():
        if split:
            extra = size if name.endswith("_unprimed") else size - sizes[name, ""]
            result.setdefault(name, {})[split] = 8 * extra / max(1, len(test[split]) - test[split].count(SEPARATOR))
    return result
