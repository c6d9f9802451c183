"""Tokens a second of Python's `tokenizers`; prints {tokens, seconds, cpuSeconds}. Started by bench/tokenize.mjs."""

import argparse
import json
import os
import resource
import time

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
parser.add_argument("--tokenizer", required=True)
parser.add_argument("--threads", default="2")
options = parser.parse_args()
os.environ["RAYON_NUM_THREADS"] = options.threads

import numpy  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

# As much text at a time as ours has in the making.
BATCH_LENGTH = 2 * 512 * 1024 * int(options.threads)


def batches():
    batch, length = [], 0
    with open(options.data, encoding="utf-8") as lines:
        for line in lines:
            text = json.loads(line)["text"]
            batch.append(text)
            length += len(text)
            if length >= BATCH_LENGTH:
                yield batch
                batch, length = [], 0
    yield batch


start = time.perf_counter()
tokenizer = Tokenizer.from_file(options.tokenizer)
tokens = 0
for batch in batches():
    for encoding in tokenizer.encode_batch(batch):
        tokens += len(numpy.asarray(encoding.ids, dtype=numpy.int32))
seconds = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"tokens": tokens, "seconds": seconds, "cpuSeconds": used.ru_utime + used.ru_stime}))
