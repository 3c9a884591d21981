"""A study: what one number of one search is."""

from nni_wiring.studies.frame import Findings, Study, StudyRun, Table, Verdict


def measure(run: StudyRun) -> Findings:
    losses = [record["loss"]["train"] for record in run.search("only").epochs()]
    return Findings(
        [Table("losses", ["loss"], [[loss] for loss in losses])],
        [Verdict("the loss is finite", "holds", f"{losses}")],
    )


STUDY = Study(
    name="tiny-study",
    title="a test: the losses of one search",
    source="a test",
    own={"seeds": 1},
    small={"strategy": "tiny_sharp", "space": "tiny_triangle", "data": "tiny_stripes"},
    paper={},
    measure=measure,
    plot=lambda numbers: {},
)
