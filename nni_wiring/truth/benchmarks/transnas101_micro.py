"""TransNAS-Bench-101 micro (Duan et al., CVPR 2021): 4,096 cells, seven tasks on Taskonomy.

Metrics, epochs and optimisers are those of the authors' training code. There is no bundled table.
Numbers of training images are left out: the code does not tell them.
"""

from __future__ import annotations

from nni_wiring.truth.benchmark import Benchmark, Dataset, Measure, Protocol
from search_spaces import transnas101_micro

_ACCURACY = Measure("top-1 accuracy")
_IOU = Measure("mean IoU")
_SSIM = Measure("SSIM", unit="", low=-1.0, high=1.0, decimals=6)
_LOSS = Measure("L2 loss", unit="", higher_is_better=False, high=float("inf"), decimals=6)


def _sgd(epochs: int) -> Protocol:
    settings = {
        "batch_size": 128,
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "nesterov": True,
    }
    text = "SGD, Nesterov momentum .9, lr .1 cosine after a warm-up, weight decay 5e-4, batch 128"
    return Protocol({}, (epochs,), channels=64, cells=2, optimiser=text, settings=settings)


def _adam(lr: float) -> Protocol:
    settings = {"batch_size": 128, "lr": lr, "weight_decay": 1e-4}
    text = f"Adam (.5, .999), lr {lr:g}, weight decay 1e-4, batch 128, with a discriminator"
    return Protocol({}, (30,), channels=64, cells=2, optimiser=text, settings=settings)


TRANSNAS101_MICRO = Benchmark(
    title="TransNAS-Bench-101 micro",
    codec=transnas101_micro.TRANSNAS101_MICRO,
    datasets=(
        Dataset("class_scene", "scene classification", _sgd(25), _ACCURACY),
        Dataset("class_object", "object classification", _sgd(25), _ACCURACY),
        Dataset("room_layout", "room layout", _sgd(25), _LOSS),
        Dataset("jigsaw", "jigsaw", _sgd(10), _ACCURACY),
        Dataset("segmentsemantic", "semantic segmentation", _sgd(30), _IOU),
        Dataset("normal", "surface normals", _adam(1e-4), _SSIM),
        Dataset("autoencoder", "autoencoding", _adam(5e-4), _SSIM),
    ),
    obtain=(
        "import a .csv that starts with '# benchmark: transnas101_micro', or a .parquet with that "
        "metadata: `benchmark import PATH --columns MAP`"
    ),
)
