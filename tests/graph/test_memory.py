"""The memory budget, held by the operating system: more address space is not given."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from scipy import sparse
from hugraph.graph import CoInteractionGraphBuilder

users = np.repeat(np.arange(60), 4000)
items = np.concatenate([np.random.default_rng(u).permutation(10_000)[:4000] for u in range(60)])
CoInteractionGraphBuilder(min_common_users=1, weight="jaccard", max_neighbors=1).build(
    users[:9], items[:9], 10_000
)  # whatever is loaded on first use

with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
limit = now + 150 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
builder = CoInteractionGraphBuilder(
    min_common_users=16, weight="jaccard", max_neighbors=100, memory_budget_mb=150
)
print(builder.build(users, items, 10_000).num_edges())
incidence = sparse.csr_array((np.ones(len(users), np.int32), (users, items)))
try:
    incidence.T @ incidence
except MemoryError:
    print("MemoryError")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, sets RLIMIT_AS")
def test_a_graph_is_built_within_its_budget_where_the_whole_product_is_not():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    num_edges, product = done.stdout.split()
    assert int(num_edges) > 500_000
    assert product == "MemoryError"
