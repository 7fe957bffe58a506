import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hugraph.graph import intent_hierarchy, write_graphml

ITEMS_TO_FINE = torch.tensor([[0.75, 0.25], [0.0, 1.0], [0.5, 0.5]])
FINE_TO_COARSE = np.array([[1.0], [1.0]])


def test_three_items_under_two_intents_under_one_give_the_graph_worked_by_hand():
    graph = intent_hierarchy(
        [ITEMS_TO_FINE, FINE_TO_COARSE],
        item_labels=["Alien", "Heat", "Up"],
        intent_labels=[["space", "city"], ["film"]],
        min_weight=0.3,
    )
    assert dict(graph.nodes(data=True)) == {
        "0/0": {"level": 0, "index": 0, "title": "Alien"},
        "0/1": {"level": 0, "index": 1, "title": "Heat"},
        "0/2": {"level": 0, "index": 2, "title": "Up"},
        "1/0": {"level": 1, "index": 0, "title": "space"},
        "1/1": {"level": 1, "index": 1, "title": "city"},
        "2/0": {"level": 2, "index": 0, "title": "film"},
    }
    assert set(graph.edges(data="weight")) == {
        ("0/0", "1/0", 0.75),
        ("0/1", "1/1", 1.0),
        ("0/2", "1/0", 0.5),
        ("0/2", "1/1", 0.5),
        ("1/0", "2/0", 1.0),
        ("1/1", "2/0", 1.0),
    }


@given(st.integers(1, 6), st.integers(1, 6), st.floats(0, 1), st.integers(0, 99))
def test_an_edge_is_there_if_it_is_strong_enough_or_the_strongest(rows, columns, least, seed):
    assignment = np.random.default_rng(seed).dirichlet(np.ones(columns), size=rows)
    graph = intent_hierarchy([assignment], min_weight=least)
    assert graph.number_of_nodes() == rows + columns
    for i in range(rows):
        for k in range(columns):
            kept = assignment[i, k] >= least or assignment[i, k] == max(assignment[i])
            assert graph.has_edge(f"0/{i}", f"1/{k}") == kept
            if kept:
                assert graph.edges[f"0/{i}", f"1/{k}"]["weight"] == assignment[i, k]


@given(st.lists(st.text(st.characters(exclude_categories=())), min_size=3, max_size=3))
def test_graphml_reads_back_as_written_save_for_characters_that_xml_forbids(
    tmp_path_factory, titles
):
    path = tmp_path_factory.mktemp("graphml") / "intents.graphml"
    graph = intent_hierarchy([ITEMS_TO_FINE, FINE_TO_COARSE], item_labels=titles)
    write_graphml(graph, path)
    again = nx.read_graphml(path)
    assert graph.nodes["0/0"]["title"] == titles[0]  # the caller's graph is left alone
    for index, title in enumerate(titles):
        graph.nodes[f"0/{index}"]["title"] = "".join(filter(allowed_in_xml, title))
    assert dict(again.nodes(data=True)) == dict(graph.nodes(data=True))
    assert dict(again.edges) == dict(graph.edges)


def allowed_in_xml(character):
    code = ord(character)
    return (
        character in "\t\n" or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
    )


def test_names_that_differ_only_in_forbidden_characters_are_refused(tmp_path):
    with pytest.raises(ValueError, match="same name"):
        write_graphml(nx.Graph([("a", "a\0")]), tmp_path / "graph.graphml")


@pytest.mark.parametrize(
    ("assignments", "labels", "message"),
    [
        ([], {}, "at least 1 array, got 0"),
        ([[0.5, 0.5]], {}, "assignment 0 must have two dimensions"),
        ([ITEMS_TO_FINE, [[1.0]]], {}, "assignment 1 must have 2 rows, got 1"),
        ([[[float("nan"), 1.0]]], {}, r"assignment 0 must lie in \[0, 1\], got nan"),
        ([[[1.5, 0.0]]], {}, "got 1.5"),
        ([ITEMS_TO_FINE], {"item_labels": ["a"]}, "level 0 has 3 nodes, got 1 labels"),
        ([ITEMS_TO_FINE], {"intent_labels": []}, "intent_labels must have 1 levels, got 0"),
    ],
)
def test_assignments_that_make_no_hierarchy_are_refused(assignments, labels, message):
    with pytest.raises(ValueError, match=message):
        intent_hierarchy(assignments, **labels)
