"""What a training step gains by what the command line asks of the system.

    python benchmarks/process_settings.py [--repeats 5]

`hugraph.process.prepare` asks torch for large pages, and glibc to keep what a step frees. Generated
interactions of the sizes of the paper's Movielens and TikTok, one thread. For each model there are
three processes, without any of it, with large pages alone, and with all; they take turns, a group
of steps each, after one that does not count. Writes `benchmarks/results/process_settings.md`.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import sys
from pathlib import Path

import torch
from paper_size import BATCH
from threads import STEPS, build, in_turn, train_steps

from hugraph import __version__, process

SETTINGS = ("neither", "large pages", "large pages, kept memory")
CASES = (("huign", "movielens"), ("huign", "tiktok"), ("lightgcn", "tiktok"))


def work(model, size, setting):
    """Answers each line of the input with the CPU seconds of a step, and the peak memory in MB."""
    if setting == SETTINGS[1]:
        os.environ["THP_MEM_ALLOC_ENABLE"] = "1"
    elif setting == SETTINGS[2]:
        process.prepare()
    torch.set_num_threads(1)
    built, train = build(model, size)
    for number, _ in enumerate(sys.stdin):
        _, seconds = train_steps(built, train, STEPS, number)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps([seconds, peak]), flush=True)


def measure(model, size, repeats):
    """The lines of a table."""
    plain = {k: v for k, v in os.environ.items() if k != "THP_MEM_ALLOC_ENABLE"}
    command = [sys.executable, __file__, "--worker", model, size]
    answers = in_turn([([*command, setting], plain) for setting in SETTINGS], repeats)
    steps = [[seconds for seconds, _ in mine] for mine in answers]
    base = statistics.median(steps[0])
    for setting, seconds, mine in zip(SETTINGS, steps, answers, strict=True):
        low, middle, high = (1000 * f(seconds) for f in (min, statistics.median, max))
        yield (
            f"| {model} | {size} | {setting} | {middle:.1f} ({low:.1f}-{high:.1f}) "
            f"| {middle / 1000 / base:.2f} | {mine[-1][1]:,.0f} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(*arguments.worker)
        return
    lines = [
        "| model | size of | asked for | step, CPU ms (range) | against neither | peak RSS, MB |",
        "|---|---|---|---|---|---|",
    ]
    for model, size in CASES:
        for line in measure(model, size, arguments.repeats):
            lines.append(line)
            print(line, flush=True)
    header = (
        f"Generated data, batch {BATCH:,}, one thread; medians of {arguments.repeats} groups of "
        f"{STEPS} steps, in turn. hugraph {__version__}, torch {torch.__version__}, "
        f"{platform.machine()}.\n\n"
    )
    out = Path(__file__).parent / "results" / "process_settings.md"
    out.write_text(header + "\n".join(lines) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
