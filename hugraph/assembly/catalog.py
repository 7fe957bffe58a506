"""Every name that a spec may use for a component, and the constructor that it stands for."""

from functools import partial

from hugraph.assembly.registry import Registry
from hugraph.data.files import load_directory
from hugraph.data.schemes import given, leave_one_out, random, random_per_user, temporal
from hugraph.data.synthetic import planted
from hugraph.graph import CoInteractionGraphBuilder
from hugraph.models.bm3 import BM3
from hugraph.models.bpr_mf import BPRMF
from hugraph.models.cb2cf import CB2CF
from hugraph.models.disen_gcn import DisenGCN
from hugraph.models.duif import DUIF
from hugraph.models.freedom import FREEDOM
from hugraph.models.grcn import GRCN
from hugraph.models.huign import HUIGN
from hugraph.models.item_knn import ItemKNN
from hugraph.models.lattice import LATTICE
from hugraph.models.lgmrec import LGMRec
from hugraph.models.lightgcn import LightGCN
from hugraph.models.macrid_vae import MacridVAE
from hugraph.models.mgcn import MGCN
from hugraph.models.mmgcn import MMGCN
from hugraph.models.ngcf import NGCF
from hugraph.models.popularity import Popularity
from hugraph.models.vbpr import VBPR
from hugraph.nn import (
    BPRLoss,
    IntentPooling,
    IntraLevelConv,
    LightPropagation,
    MultiModalFusion,
    SAGEConv,
    SampledSoftmaxLoss,
)

SOURCES = Registry("source", {"planted": planted, "directory": load_directory}, key="source")

SPLITS = Registry(
    "split",
    {
        "random": random,
        "random_per_user": random_per_user,
        "leave_one_out": leave_one_out,
        "temporal": temporal,
        "given": given,
    },
    key="scheme",
)

GRAPHS = Registry("graph", {"co_interaction": CoInteractionGraphBuilder})

MODELS = Registry(
    "model",
    {
        "huign": HUIGN,
        "popularity": Popularity,
        "bpr_mf": BPRMF,
        "vbpr": VBPR,
        "duif": DUIF,
        "cb2cf": CB2CF,
        "macrid_vae": MacridVAE,
        "lightgcn": LightGCN,
        "item_knn": ItemKNN,
        "lattice": LATTICE,
        "freedom": FREEDOM,
        "grcn": GRCN,
        "disen_gcn": DisenGCN,
        "bm3": BM3,
        "mgcn": MGCN,
        "lgmrec": LGMRec,
        "ngcf": NGCF,
        "mmgcn": MMGCN,
    },
)

CONVS = Registry(
    "conv",
    {
        "intra_level": IntraLevelConv,
        "gcn": partial(
            IntraLevelConv,
            normalization="symmetric",
            self_loops="add",
            weight=True,
            activation="relu",
        ),
        "sage": SAGEConv,
    },
)

POOLINGS = Registry("pooling", {"intent_pooling": IntentPooling})

FUSIONS = Registry(
    "fusion",
    {
        "concat": partial(MultiModalFusion, method="concat"),
        "sum": partial(MultiModalFusion, method="sum"),
        "mean": partial(MultiModalFusion, method="mean"),
        "attention": partial(MultiModalFusion, method="attention"),
    },
)

PROPAGATIONS = Registry("propagation", {"light": LightPropagation})

RANKINGS = Registry("ranking", {"bpr": BPRLoss, "sampled_softmax": SampledSoftmaxLoss})

REGISTRIES = {
    registry.kind: registry
    for registry in (
        SOURCES,
        SPLITS,
        GRAPHS,
        MODELS,
        CONVS,
        POOLINGS,
        FUSIONS,
        PROPAGATIONS,
        RANKINGS,
    )
}
