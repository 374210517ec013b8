"""Which images keep their label in semi-supervised learning."""

import pytest
import torch

from worker.simclr.evaluation.labels import class_balanced

LABELS = torch.arange(600) % 3


def test_every_class_keeps_the_same_number_of_labels():
    for share, each in ((0.01, 2), (0.1, 20), (1.0, 200)):
        chosen = class_balanced(LABELS, share, classes=3, seed=0)
        assert LABELS[chosen].bincount().tolist() == [each] * 3
        assert len(chosen.unique()) == len(chosen)


def test_a_rare_class_keeps_all_of_its_labels_where_it_has_fewer():
    labels = torch.cat([torch.zeros(97), torch.ones(3)]).long()
    assert labels[class_balanced(labels, 0.2, classes=2, seed=0)].bincount().tolist() == [10, 3]


def test_the_labels_are_chosen_by_the_seed_and_smaller_shares_are_part_of_larger_ones():
    small, large = (set(class_balanced(LABELS, share, classes=3, seed=4).tolist()) for share in (0.02, 0.1))
    assert small < large
    assert set(class_balanced(LABELS, 0.02, classes=3, seed=4).tolist()) == small
    assert set(class_balanced(LABELS, 0.02, classes=3, seed=5).tolist()) != small


def test_a_share_that_leaves_a_class_without_a_label_is_refused():
    with pytest.raises(ValueError, match="leaves no label to each of 3 classes"):
        class_balanced(LABELS, 0.002, classes=3, seed=0)
