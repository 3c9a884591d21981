"""The settings of a search that belong neither to its space nor to its strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nni_wiring.search.precision import Precision

if TYPE_CHECKING:
    from nni_wiring.data import ImageData

#: The loggers that may stand beside TensorBoard's; ``search/loggers.py`` makes them.
LoggerName = Literal["none", "csv", "wandb", "mlflow"]
#: Most CPU threads that a search may ask for.
MAX_THREADS = 1024


class Settings(BaseModel):
    """Settings under their option names: checked when they are made, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RunSettings(Settings):
    """The run: its strategy, space, data and seed.

    strategy: the search method (``strategies`` lists them). space: the cells (``spaces`` lists
    them). dataset: of the space's benchmark, whose truth is shown; None: the data's own. benchmark:
    the truth table's name; None: the default one. seed: of weights, splits, order and draws.
    device: where to train. precision: ``float32``, ``tf32`` (CUDA only) or ``bf16`` (autocast).
    threads: of one search on the CPU; None: torch's own choice (several seeds at once: their share
    of the cores). logger: writes every epoch's scalars beside TensorBoard: ``csv``, ``wandb`` or
    ``mlflow``.
    """

    strategy: str = "darts"
    space: str = "nasbench201"
    dataset: str | None = None
    benchmark: str | None = None
    seed: int = Field(default=1, ge=0, lt=2**31)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Precision = "float32"
    threads: int | None = Field(default=None, ge=1, le=MAX_THREADS)
    logger: LoggerName = "none"


class DataSettings(Settings):
    """The images of a search.

    data: the images; ``npz:PATH`` is a file of the user's own. data_dir: the folder of downloaded
    data sets. split: ``half``, ``full+xvalid`` or, in trainings of a fixed cell, ``full+valid``;
    None: the data's own. augment: random crop and flip. cutout: side in pixels, 0 for none.
    max_steps: cap on the steps of an epoch. resize: side in pixels that square blocks of the images
    are averaged to; None leaves them as they are.
    """

    data: str = "digits"
    data_dir: str = "data"
    split: Literal["half", "full+xvalid", "full+valid"] | None = None
    augment: bool = True
    cutout: int = Field(default=0, ge=0)
    max_steps: int | None = Field(default=None, ge=1)
    resize: int | None = Field(default=None, ge=8)

    def load(self) -> ImageData:
        """The images, read into memory; DataError where they are not there."""
        from nni_wiring.data import load_data

        return load_data(self.data, self.data_dir, resize=self.resize)


class ThetaSettings(Settings):
    """The training of the weights, by default as in the strategy's paper.

    epochs: passes over the training images. batch_size: images a step. lr: learning rate of the
    first epoch, where a cosine begins. lr_min: learning rate where the cosine ends, at most lr.
    momentum: of SGD on the weights. weight_decay: of SGD on the weights. nesterov: Nesterov's
    momentum instead of the plain one.
    """

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    lr: float = Field(gt=0)
    lr_min: float = Field(ge=0)
    momentum: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    nesterov: bool

    @model_validator(mode="after")
    def _check_schedule(self) -> ThetaSettings:
        if self.lr_min > self.lr:
            raise ValueError(f"lr_min {self.lr_min:g} must not be above lr {self.lr:g}")
        return self
