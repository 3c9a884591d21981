"""In the place of ``nas_201_api.NASBench201API``."""

from __future__ import annotations

from nni_wiring.truth.api.base import TableAPI


class NASBench201API(TableAPI):
    """The class of ``nas-bench-201`` 2.1, answered from a truth table.

    Args:
        file_path_or_dict: None for the default table, a table's name, a TruthTable, or the path of
            an official file that was imported.
        verbose: accepted, and nothing is printed.
    """

    _between = ", "

    def __init__(self, file_path_or_dict: object = None, verbose: bool = True) -> None:
        super().__init__(file_path_or_dict, verbose)

    def simulate_train_eval(
        self, arch: object, dataset: str, hp: str | int = "12", account_time: bool = True
    ) -> tuple[float, float, float, float]:
        """Validation accuracy of one drawn seed, latency, seconds charged, seconds used so far."""
        return self._simulate(arch, dataset, None, hp, account_time)

    def find_best(
        self,
        dataset: str,
        metric_on_set: str,
        FLOP_max: float | None = None,  # noqa: N803 - the official name
        Param_max: float | None = None,  # noqa: N803 - the official name
        hp: str | int = "12",
    ) -> tuple[int, float | None]:
        """The cell of the highest mean accuracy with at most so many millions of each; (-1, None)
        if there is none.
        """
        return self._find_best(dataset, metric_on_set, FLOP_max, Param_max, hp)
