"""The named data sets: their rows, shape, licence, and the files that can be fetched and verified.

A digest is "computed" when it was taken from the file itself, or from the file rebuilt bit for bit
from its content. It is "published" when the compressed file was not at hand: it is then the digest
that several independent projects publish, and what was at hand of the content agrees with the
digests published for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class RemoteFile:
    """One file to fetch: name, SHA-256 of the file as served, size in bytes."""

    name: str
    sha256: str
    size: int
    digest: Literal["computed", "published"] = "computed"


@dataclass(frozen=True)
class Source:
    """One named data set.

    folder   sub-folder of GENMEM_DATA and of the cache
    rows     split -> number of rows
    shape    of one sample
    files    what `fetch` gets; empty when the set cannot be fetched
    mirrors  base addresses, tried in order
    by_hand  what to do when there is nothing to fetch
    """

    name: str
    folder: str
    rows: Mapping[str, int]
    shape: tuple[int, ...]
    licence: str
    files: tuple[RemoteFile, ...] = ()
    mirrors: tuple[str, ...] = ()
    by_hand: str = field(default="")


_DIGITS = Source(
    name="digits",
    folder="digits",
    rows={"train": 1797},
    shape=(1, 8, 8),
    licence="CC BY 4.0 (UCI); comes with scikit-learn",
    by_hand="it comes with scikit-learn",
)

_MNIST = Source(
    name="mnist",
    folder="mnist",
    rows={"train": 60_000, "test": 10_000},
    shape=(1, 28, 28),
    licence="LeCun & Cortes; commonly CC BY-SA 3.0",
    files=(
        RemoteFile(
            "train-images-idx3-ubyte.gz",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            9_912_422,
        ),
        RemoteFile(
            "train-labels-idx1-ubyte.gz",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            28_881,
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte.gz",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            1_648_877,
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte.gz",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            4_542,
        ),
    ),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)

_FASHION = Source(
    name="fashion_mnist",
    folder="fashion-mnist",
    rows={"train": 60_000, "test": 10_000},
    shape=(1, 28, 28),
    licence="MIT (Zalando)",
    files=(
        RemoteFile(
            "train-images-idx3-ubyte.gz",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            26_421_880,
        ),
        RemoteFile(
            "train-labels-idx1-ubyte.gz",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            29_515,
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte.gz",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            4_422_102,
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte.gz",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            5_148,
        ),
    ),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
        "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
    ),
)

_CIFAR10 = Source(
    name="cifar10",
    folder="cifar10",
    rows={"train": 50_000, "test": 10_000},
    shape=(3, 32, 32),
    licence="none stated (Krizhevsky 2009); research use",
    files=(
        RemoteFile(
            "cifar-10-binary.tar.gz",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            170_052_171,
            digest="published",
        ),
    ),
    mirrors=("https://www.cs.toronto.edu/~kriz/",),
)

SOURCES: Mapping[str, Source] = MappingProxyType(
    {source.name: source for source in (_DIGITS, _MNIST, _FASHION, _CIFAR10)}
)


def source(name: str) -> Source:
    """The data set of that name, whatever its hyphens and case; ValueError if there is none."""
    plain = canonical(name)
    if plain not in SOURCES:
        raise ValueError(f"no data set is called {name!r}; there are {', '.join(SOURCES)}")
    return SOURCES[plain]


def canonical(name: str) -> str:
    """The registry's spelling: "Fashion-MNIST" -> "fashion_mnist", "CIFAR-10" -> "cifar10"."""
    plain = name.lower().replace("-", "_")
    return {"cifar_10": "cifar10"}.get(plain, plain)
