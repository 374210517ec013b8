"""Accuracies and confusions, counted by hand."""

import pytest
import torch

from worker.simclr.evaluation.scores import confusion_matrix, per_class_accuracy, top_k


def test_top_k_is_the_share_of_images_whose_label_is_among_the_k_best_scores():
    generator = torch.Generator().manual_seed(0)
    scores, labels = torch.rand(41, 7, generator=generator), torch.randint(7, (41,), generator=generator)
    for k in (1, 3, 7, 9):
        ranked = [sorted(range(7), key=lambda c, row=row: -row[c])[:k] for row in scores.tolist()]
        assert (
            top_k(scores, labels, k)
            == sum(label in best for label, best in zip(labels.tolist(), ranked, strict=True)) / 41
        )


def test_the_confusion_matrix_counts_every_image_in_the_row_of_its_class():
    labels, predicted = torch.tensor([0, 0, 0, 2, 2]), torch.tensor([0, 2, 0, 2, 0])
    confusion = confusion_matrix(predicted, labels, 3)
    assert confusion.tolist() == [[2, 0, 1], [0, 0, 0], [1, 0, 1]]
    assert per_class_accuracy(confusion) == [pytest.approx(2 / 3), None, 0.5]
