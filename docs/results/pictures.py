"""Draw the pictures of the pages again from kept studies and kept searches, with nothing trained.

python docs/results/pictures.py            # docs/images/study_NAME.png, all of them
python docs/results/pictures.py NAME ...   # some
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from study_tables import HERE, KEPT, PAGES, measured

from nni_wiring.files.gzipped import SUFFIX
from nni_wiring.studies.kept_studies import judged_again, read_study

IMAGES = HERE.parent / "images"
#: NAME of docs/images/study_NAME.png -> the kept study and which of its pictures it is.
KEPT_PICTURES = {
    "bilevel_edges_clutter": ("bilevel-failure-clutter", "bilevel_edges"),
    "bilevel_gap_clutter": ("bilevel-failure-clutter", "bilevel_gap"),
    "block_norms_cifar": ("block-norms-cifar", "block_norms"),
    "block_norms_cifar60k": ("block-norms-cifar60k", "block_norms"),
    "block_norms_clutter": ("block-norms-clutter", "block_norms"),
    "controller_conditioning": ("controller-conditioning", "controller_conditioning"),
    "controller_memory": ("controller-memory", "controller_memory"),
    "controller_states": ("controller-states", "controller_states"),
    "convergence_cifar60k_full": ("convergence-cifar60k", "convergence_full"),
    "convergence_cifar_full": ("convergence-cifar", "convergence_full"),
    "convergence_clutter_full": ("convergence-clutter", "convergence_full"),
    "cost_decomposition_clutter": ("cost-decomposition-clutter", "cost_decomposition"),
    "cost_vs_truth_clutter": ("cost-vs-truth-clutter", "cost_vs_truth"),
    "costs_initialisation": ("cost-at-initialisation-cifar", "costs_initialisation"),
    "costs_training_clutter": ("cost-after-training-clutter", "costs_training"),
    "enas_vs_random": ("enas-vs-random-clutter", "enas_vs_random"),
    "enas_vs_random_cifar60k": ("enas-vs-random-cifar60k", "enas_vs_random"),
    "failure_spaces_clutter": ("failure-spaces-clutter", "failure_spaces"),
    "landscape_cifar60k_contour": ("landscape-cifar60k", "contour"),
    "landscape_cifar_contour": ("landscape-cifar", "contour"),
    "landscape_cifar_surface": ("landscape-cifar", "surface"),
    "landscape_clutter_contour": ("landscape-clutter", "contour"),
    "landscape_clutter_surface": ("landscape-clutter", "surface"),
    "none_mechanism_clutter": ("none-mechanism-clutter", "none_mechanism"),
    "random_wiring_clutter": ("random-wiring-clutter", "random_wiring"),
    "sensitivity_clutter": ("sensitivity-clutter", "sensitivity"),
    "shuffling_clutter": ("shuffling-clutter", "shuffling"),
    "skip_alphas_clutter": ("skip-dominance-clutter", "skip_alphas"),
    "skip_variances_clutter": ("skip-dominance-clutter", "skip_variances"),
    "strength_clutter": ("strength-clutter", "strength"),
    "unified_view": ("unified-view-cifar", "unified_view"),
    "width_cost_clutter": ("width-cost-clutter", "width_cost"),
}
#: The same of a study of the kept searches of a page, by the folder of their rows.
SEARCHED_PICTURES = {
    "pattern_atlas": ("reference", "pattern-atlas", "pattern_atlas"),
    "pattern_atlas_clutter": ("clutter", "pattern-atlas", "pattern_atlas"),
}
#: Of runs that are not kept; the page has their command.
NOT_KEPT = ("landscape_runs_contour", "landscape_runs_surface")


def draw(names: Sequence[str], images: Path = IMAGES) -> Iterator[Path]:
    """Write pictures into a folder; a study that several come from is judged once."""
    sources = {name: KEPT_PICTURES.get(name) or SEARCHED_PICTURES[name] for name in names}
    for source in dict.fromkeys(of[:-1] for of in sources.values()):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "study"
            judge(source, folder)
            for name, (*own, stem) in sources.items():
                if tuple(own) == source:
                    target = images / f"study_{name}.png"
                    shutil.copyfile(folder / f"{stem}.png", target)
                    yield target


def judge(source: tuple[str, ...], folder: Path) -> None:
    """A kept study by its label, or a study of the kept searches in a folder of rows."""
    if len(source) == 1:
        judged_again(read_study(HERE / KEPT / f"{source[0]}{SUFFIX}"), folder)
        return
    rows, study = source
    page = next(page for page in PAGES if page.rows == rows)
    measured(page, study, page.table or "bundled", folder)


def main() -> None:
    """All that are named, or all."""
    names = [*KEPT_PICTURES, *SEARCHED_PICTURES]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    for target in draw(parser.parse_args().names or names):
        print(target.name, flush=True)


if __name__ == "__main__":
    main()
