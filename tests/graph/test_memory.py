"""The memory budget, held by the operating system: more address space is not given."""

import os
import subprocess
import sys

import pytest

WITHIN_BUDGET = """
import resource
import numpy as np
from scipy import sparse
from hugraph.graph import CoInteractionGraphBuilder

def builder(**options):
    return CoInteractionGraphBuilder(weight="jaccard", self_loops="all", **options)

{data}
builder(min_common_users=1, max_neighbors=1).build(users[:9] * 0, items[:9], num_items)
# whatever is loaded on first use is there now
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
limit = now + {budget_mb} * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
graph = builder({options}, memory_budget_mb={budget_mb}).build(users, items, num_items)
print(graph.num_edges())
{afterwards}
"""

MANY_PAIRS = """
num_items = 10_000
users = np.repeat(np.arange(60), 4000)
items = np.concatenate([np.random.default_rng(u).permutation(10_000)[:4000] for u in range(60)])
"""
MANY_USERS = """
num_items = 20_000
users, items = np.random.default_rng(0).integers([[2**40], [20_000]], size=(2, 700_000))
users[:60_000] //= 2**32
items[:60_000] = np.arange(60_000) % 300
"""

WHOLE_PRODUCT = """
incidence = sparse.csr_array((np.ones(len(users), np.int32), (users, items)))
try:
    incidence.T @ incidence
except MemoryError:
    print("MemoryError")
"""

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads /proc, sets RLIMIT_AS"
)


def output_of(**parts):
    program = WITHIN_BUDGET.format_map({"afterwards": "", **parts})
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    return done.stdout.split()


def test_a_graph_is_built_within_its_budget_where_the_whole_product_is_not():
    num_edges, product = output_of(
        data=MANY_PAIRS,
        options="min_common_users=16, max_neighbors=100",
        budget_mb=100,
        afterwards=WHOLE_PRODUCT,
    )
    assert int(num_edges) > 500_000
    assert product == "MemoryError"


def test_ids_of_many_users_that_are_names_fit_into_the_budget():
    (num_edges,) = output_of(data=MANY_USERS, options="min_common_users=9", budget_mb=55)
    assert int(num_edges) == 300 * 299 + 20_000  # a loop at each item
