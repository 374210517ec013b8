"""A study's story is told from its numbers, and carefully."""

from frontend.components.story import is_finished, tell
from tests.frontend.results import study

PAPER = {("crop", 64, 0): 0.20, ("color", 64, 0): 0.33, ("crop + color", 64, 0): 0.48}


def test_the_best_augmentation_stands_first_with_its_lead_over_the_others():
    told = tell(study(PAPER))
    assert told[0] == "**crop + color** reached **48.0%** linear accuracy on shapes, in one run."
    assert told[1] == "That is 15.0 points above color (33.0%) and 28.0 points above crop (20.0%)."


def test_it_stands_beside_the_untrained_net():
    told = tell(study(PAPER))
    assert "The same net untrained reaches 28.0%." in told
    assert "Training with crop alone left the net below that." in told


def test_the_papers_point_is_made_only_where_the_numbers_make_it():
    assert "paper's point" in " ".join(tell(study(PAPER)))
    assert "paper's point" not in " ".join(tell(study(PAPER | {("color", 64, 0): 0.60})))
    assert "paper's point" not in " ".join(tell(study({("crop", 64, 0): 0.2, ("crop + color", 64, 0): 0.5})))


def test_one_seed_is_called_one_seed():
    assert any("one seed" in sentence for sentence in tell(study(PAPER)))


def test_with_several_seeds_the_spread_is_told():
    told = tell(study(PAPER | {("crop", 64, 1): 0.23}))
    assert "Over the seeds of one setting, accuracy differed by at most 3.0 points." in told


def test_batch_sizes_are_compared_within_the_best_augmentation():
    told = tell(study(PAPER | {("crop + color", 256, 0): 0.52, ("crop", 256, 0): 0.1, ("color", 256, 0): 0.1}))
    assert "With crop + color, linear accuracy by batch size: 48.0% at 64 and 52.0% at 256." in told


def test_runs_without_a_result_are_counted():
    assert tell(study(PAPER | {("crop", 256, 0): None}))[-1] == "1 run of 4 ended without a result and is left out."
    assert tell(study({("crop", 64, 0): None})) == ["No run of this study has a result."]


def test_a_study_is_finished_when_no_run_will_change():
    assert is_finished(study(PAPER))
    assert not is_finished(study(PAPER, state="queued"))
