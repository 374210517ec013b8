"""What the page says of a dataset, of one imported by an earlier version too."""

import pytest

from backend.contracts.datasets import DatasetStats
from frontend.components.dataset_parts import channel_facts, class_table, facts


def stats(**changes: object) -> DatasetStats:
    base = {
        "train_images": 5000, "test_images": 800, "classes": ["cat", "dog"], "image_size": 96, "channels": 3,
        "size_bytes": 2_300_000_000, "broken": [], "broken_total": 0,
    }  # fmt: skip
    return DatasetStats.model_validate(base | changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "5,000 training and 800 test images · 2 classes · 96 by 96 colour · 2.3 GB"),
        (
            {"unlabelled_images": 100_000, "channels": 1},
            "5,000 training and 800 test images · 2 classes · 100,000 without labels · 96 by 96 grey · 2.3 GB",
        ),
        (
            {"train_images": 0, "test_images": 0, "classes": [], "unlabelled_images": 900, "channels": 5},
            "900 images without labels · 96 by 96 with 5 channels · 2.3 GB",
        ),
    ],
)
def test_the_facts_in_a_line(changes: dict[str, object], text: str):
    assert facts(stats(**changes)) == text


def test_the_table_counts_the_images_of_each_class():
    table = class_table(stats(train_counts=[3000, 2000], test_counts=[500, 300]))
    assert table.to_dict("records") == [
        {"class": "cat", "training images": 3000, "test images": 500},
        {"class": "dog", "training images": 2000, "test images": 300},
    ]
    assert class_table(stats()).to_dict("records") == [{"class": "cat"}, {"class": "dog"}]


def test_channels_are_told_where_they_were_measured():
    assert channel_facts(stats()) == ""
    told = channel_facts(stats(mean=[0.4914, 0.4822, 0.4465], std=[0.247, 0.2435, 0.2616]))
    assert told.endswith("0.491 ± 0.247, 0.482 ± 0.243, 0.447 ± 0.262")
