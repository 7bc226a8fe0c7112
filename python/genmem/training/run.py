"""A trained model with its history: in memory, or read back from a run directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from genmem.datasets import validation
from genmem.device import device_of, torch_device
from genmem.ledger import read_identity, read_unit
from genmem.models import VAE, ConditionalVAE, build, scoring
from genmem.models.scoring import in_fixed_batches
from genmem.objectives import LogMarginal
from genmem.training.checkpoints import Checkpoint, sidecar_path
from genmem.training.evaluation import Progress, log_prob
from genmem.training.inputs import Inputs, labels_of
from genmem.training.recipe import Recipe
from genmem.training.resumption import history_path, models_folder
from genmem.training.seeds import generation_labels, generation_noise

if TYPE_CHECKING:
    from genmem.datasets import Dataset

_GENERATED_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Run:
    """The outcome of one training.

    shape         of one sample
    rows          (n,) training positions, ascending
    checkpoints   by epoch; the last is that of the last epoch
    history       columns (epochs,): epoch, step, train_loss in nats per sample
    directory     None if nothing was written
    class_counts  (K,) training rows of each class, for a conditional recipe; else None
    """

    recipe: Recipe
    data_name: str
    shape: tuple[int, ...]
    rows: npt.NDArray[np.int64]
    checkpoints: tuple[Checkpoint, ...]
    history: dict[str, npt.NDArray[Any]]
    directory: Path | None = None
    class_counts: npt.NDArray[np.int64] | None = None

    @classmethod
    def load(cls, directory: str | Path) -> Run:
        """The finished run in `directory`.

        Raises FileNotFoundError if there is none or it is unfinished, CheckpointError if a file of
        it is broken.
        """
        folder = Path(directory)
        identity = read_identity(folder)
        if not history_path(folder).is_file():
            raise FileNotFoundError(
                f"{folder} holds a training that is not finished; train with the same recipe and "
                "data resumes it"
            )
        history, _ = read_unit(history_path(folder))
        rows = history.pop("rows")
        recipe = Recipe.from_dict(identity["recipe"])
        counts = identity["rows"].get("classes")
        checkpoints = (sidecar_path(models_folder(folder), epoch) for epoch in recipe.checkpoints)
        return cls(
            recipe=recipe,
            data_name=identity["data"]["name"],
            shape=tuple(identity["data"]["shape"]),
            rows=rows,
            checkpoints=tuple(map(Checkpoint.read, checkpoints)),
            history=history,
            directory=folder,
            class_counts=None if counts is None else np.array(counts, np.int64),
        )

    def model(self, checkpoint: int = -1, *, device: str = "cpu") -> VAE:
        """The model at a checkpoint (position in `checkpoints`; -1 is the last), in eval mode.

        device  where its weights are put: "cpu", whatever it was trained on; "cuda", "cuda:1"; or
                "auto", the card if torch sees one

        Raises CheckpointError if its file is broken or another model's, BackendError for a device
        that torch cannot use.
        """
        where = torch_device(device, "Run.model")
        classes = None if self.class_counts is None else len(self.class_counts)
        model = build(self.recipe, self.shape, classes)
        self.checkpoints[checkpoint].load_into(model)
        return model.to(where).eval()

    def log_prob(
        self,
        data: Dataset,
        positions: npt.ArrayLike | None = None,
        draws: int | None = None,
        *,
        checkpoint: int = -1,
        progress: Progress | None = None,
        device: str = "auto",
    ) -> LogMarginal:
        """log p(x) in nats of rows of `data` (default: all); see `genmem.training.log_prob`.

        device  where to compute, as in `model`; noise and answer are of the CPU

        Of a conditional recipe log p(x | y); ValueError for a class without a training row.
        """
        inputs = Inputs(self.recipe, data)
        if inputs.shape != self.shape:
            raise ValueError(
                f"log_prob: the samples of {data.name} have shape {inputs.shape}, the model was "
                f"trained on {self.shape}"
            )
        if self.class_counts is not None:
            rows = np.arange(len(data)) if positions is None else positions
            wanted = validation.positions("log_prob", rows, len(data))
            self._require_trained(labels_of(data)[wanted])
        model = self.model(checkpoint, device=device)
        return log_prob(model, inputs, positions, draws, progress=progress)

    def sample(
        self,
        n: int,
        seed: int = 0,
        *,
        labels: npt.ArrayLike | None = None,
        checkpoint: int = -1,
        device: str = "cpu",
    ) -> npt.NDArray[np.float32]:
        """n generated pictures (n, *shape) in [0, 1]: decoder means of codes from the prior.

        labels  (n,) classes of the pictures, for a conditional recipe; default: `sample_labels`
        device  where to decode, as in `model`: on the CPU a seed gives the same pictures whether
                there is a card or not

        Sample i is the same for every n.
        """
        if n < 1:
            raise ValueError(f"sample: n is {n}; 1 or more is wanted")
        model = self.model(checkpoint, device=device)
        where = device_of(model)
        codes = torch.from_numpy(generation_noise(seed, n, self.recipe.latent)).to(where)
        if isinstance(model, ConditionalVAE):
            chosen = self.sample_labels(n, seed) if labels is None else self._labels(labels, n)
            codes = model.labelled(codes, torch.from_numpy(chosen).to(where))
        elif labels is not None:
            raise ValueError("sample: labels are given, and the recipe is not conditional")
        with scoring(model, "sample"):
            pictures = in_fixed_batches(model.mean, codes, _GENERATED_AT_ONCE)
        return pictures.cpu().numpy()

    def sample_labels(self, n: int, seed: int = 0) -> npt.NDArray[np.int64]:
        """Labels (n,) of `sample`, each class as often as among the training rows.

        Label i is the same for every n. Raises ValueError if the recipe is not conditional.
        """
        if self.class_counts is None:
            raise ValueError("sample_labels: the recipe is not conditional")
        return generation_labels(seed, n, self.class_counts)

    def _labels(self, given: npt.ArrayLike, n: int) -> npt.NDArray[np.int64]:
        labels = np.asarray(given)
        if labels.shape != (n,) or labels.dtype.kind not in "iu":
            raise ValueError(
                f"sample: labels have shape {labels.shape} and type {labels.dtype}; ({n},) "
                "integers are wanted"
            )
        self._require_trained(labels)
        return labels.astype(np.int64)

    def _require_trained(self, labels: npt.NDArray[np.int64]) -> None:
        assert self.class_counts is not None
        trained = np.flatnonzero(self.class_counts)
        odd = labels[~np.isin(labels, trained)]
        if len(odd):
            raise ValueError(
                f"a label is {odd[0]}; one of the classes that were trained is wanted: "
                f"{', '.join(map(str, trained))}"
            )
