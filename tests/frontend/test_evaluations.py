"""What evaluations found, as the page reads and draws it."""

import json
from typing import Any

import pytest
from PIL import Image

from backend.contracts.comparisons import ClassifierComparison
from frontend.charts.classes import class_accuracies, confusion, confusion_points, per_class
from frontend.charts.image_map import image_map, map_links, map_points
from frontend.components.comparison import compared
from frontend.components.evaluation_files import chance, named, read_classes, read_classifiers, read_map
from frontend.components.evaluation_results import evaluation_rows, geometry
from frontend.components.run_evaluations import thumbnails_html

MATRIX = [[8, 2, 0], [1, 4, 0], [0, 0, 0]]
CLASSES = ["cat", "dog", "bird"]
IMAGES = [
    {"index": 7, "label": 0, "x": 0.0, "y": 1.0, "neighbors": [9, 8]},
    {"index": 8, "label": 1, "x": 2.0, "y": 3.0, "neighbors": [7, 500]},
    {"index": 9, "label": 0, "x": 4.0, "y": 5.0, "neighbors": []},
]


def data_of(spec: dict[str, Any], layer: int) -> list[dict[str, Any]]:
    return spec["datasets"][spec["layer"][layer]["data"]["name"]]


def test_accuracies_stand_in_a_row_for_each_evaluation_and_a_column_for_each_net():
    summary = {
        "transformation_rotation_h": 0.9,
        "knn_top1": 0.5,
        "z_knn_top1": 0.4,
        "untrained_knn_top1": 0.2,
        "linear_top5": 0.9,
        "linear_sgd_top1": 0.6,
        "semi_supervised_1pct_top1": 0.3,
        "supervised_1pct_top1": 0.1,
        "supervised_top1": 0.8,
        "transfer_my_pets_linear_top1": 0.7,
        "untrained_transfer_my_pets_linear_top1": 0.6,
        "transformation_rotation_z": 0.5,
        "transformation_rotation_chance": 0.25,
        "loss": 3.0,
        "linear_l2": 0.01,
        "collapsed": 0,
    }
    rows = evaluation_rows(summary, chance=0.15).set_index("name")
    assert list(rows.index)[:1] + list(rows.index)[-1:] == ["kNN", "Transformation: rotation"]
    told = {name: {key: value for key, value in row.items() if value == value} for name, row in rows.iterrows()}
    assert told == {
        "kNN": {"h": 0.5, "z": 0.4, "untrained": 0.2, "chance": 0.15},
        "Linear (L-BFGS), top 5": {"h": 0.9},
        "Linear (SGD)": {"h": 0.6, "chance": 0.15},
        "Fine-tuned on 1% of the labels": {"h": 0.3, "untrained": 0.1, "chance": 0.15},
        "Supervised, all labels": {"untrained": 0.8, "chance": 0.15},
        "Transfer to my_pets, linear": {"h": 0.7, "untrained": 0.6},
        "Transformation: rotation": {"h": 0.9, "z": 0.5, "chance": 0.25},
    }


def test_a_summary_without_accuracies_has_no_row():
    assert len(evaluation_rows({"loss": 3.0, "device": "CPU"})) == 0


def test_the_geometry_of_h_is_said_as_far_as_it_was_measured():
    assert geometry({"alignment": 0.5, "uniformity": -2.5, "effective_rank": 41.26, "feature_dim": 512}) == (
        "Of h: alignment 0.5, uniformity -2.5, effective rank 41.3 of 512"
    )
    assert geometry({"loss": 1.0, "feature_dim": 512}) == ""


def test_the_details_of_classifiers_are_read_and_chance_is_the_most_frequent_class():
    details = {"knn": {"confusion_matrix": MATRIX, "per_class_accuracy": [0.8, 0.8, None]}, "other": {}}
    (name,) = found = read_classifiers(json.dumps({"classes": CLASSES, "classifiers": details}).encode())
    assert name == "knn"
    assert (found["knn"].confusion, found["knn"].per_class) == (MATRIX, [0.8, 0.8, None])
    assert chance(found) == pytest.approx(10 / 15)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"classifiers": {}}'])
def test_a_file_that_holds_nothing_is_no_error(content: bytes):
    assert read_classifiers(content) == {}
    assert read_map(content) is None
    assert read_classes(content, None) == []


def test_classes_have_a_name_each_and_no_two_the_same():
    assert named(["cat", "cat"], 3) == ["cat (0)", "cat (1)", "2"]
    assert read_classes(None, b"{}", b'{"classes": ["cat"]}') == ["cat"]


def test_a_cell_of_the_matrix_holds_images_and_their_share_of_the_true_class():
    points = confusion_points(MATRIX, CLASSES)
    assert len(points) == 9
    cell = points[(points["true"] == "cat") & (points["predicted"] == "dog")].iloc[0]
    assert (cell["images"], cell["share"]) == (2, 0.2)
    assert points[points["true"] == "bird"]["share"].tolist() == [0, 0, 0]


def test_the_matrix_keeps_the_order_of_the_classes_and_numbers_stand_in_few_cells():
    spec = confusion(confusion_points(MATRIX, CLASSES), CLASSES).to_dict()
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["rect", "text"]
    assert spec["layer"][0]["encoding"]["x"]["scale"]["domain"] == CLASSES
    assert spec["layer"][0]["encoding"]["y"]["title"] == "True class"
    many = [str(number) for number in range(40)]
    big = confusion(confusion_points([[1] * 40] * 40, many), many).to_dict()
    assert [layer["mark"]["type"] for layer in big["layer"]] == ["rect"]


def test_bars_are_the_classes_that_have_test_images_the_lowest_first():
    points = class_accuracies([0.8, 0.3, None], CLASSES)
    assert points.to_numpy().tolist() == [["dog", 0.3], ["cat", 0.8]]
    spec = per_class(points).to_dict()
    assert spec["encoding"]["x"]["scale"]["domain"] == [0, 1]
    assert spec["encoding"]["x"]["axis"]["format"] == ".0%"


def test_a_dot_of_the_map_names_its_class_and_those_of_its_neighbours_on_the_map():
    points = map_points(IMAGES, CLASSES)
    assert points[["index", "class", "nearest"]].to_numpy().tolist() == [
        [7, "cat", "cat, dog"],
        [8, "dog", "cat"],
        [9, "cat", ""],
    ]
    assert map_points([IMAGES[0]], [])["class"].tolist() == ["0"]


def test_lines_lead_from_an_image_to_its_neighbours():
    links = map_links(IMAGES)
    assert links.to_numpy().tolist() == [[7, 0.0, 1.0, 4.0, 5.0], [7, 0.0, 1.0, 2.0, 3.0], [8, 2.0, 3.0, 0.0, 1.0]]
    everybody = list(range(300))
    crowded = [{"index": one, "label": 0, "x": 0.0, "y": 0.0, "neighbors": everybody} for one in everybody]
    assert len(map_links(crowded)) == 0


def test_the_map_draws_every_image_with_the_method_in_words_and_its_lines_on_a_click():
    spec = image_map(map_points(IMAGES, CLASSES), map_links(IMAGES), CLASSES, "tsne").to_dict()
    dots, lines = spec["layer"]
    assert len(data_of(spec, 0)) == 3
    assert dots["encoding"]["x"]["title"] == "t-SNE, first dimension"
    assert dots["encoding"]["color"]["scale"]["domain"] == ["cat", "dog"]
    assert lines["transform"] == [{"filter": {"param": "picked", "empty": False}}]
    (parameter,) = spec["params"]
    assert (parameter["name"], parameter["select"]["fields"]) == ("picked", ["index"])


def test_thumbnails_are_cut_from_the_sheet_and_labels_cannot_carry_markup():
    sheet = Image.new("RGB", (8, 8), "red")
    content = {"classes": ["<b>", "dog"], "images": IMAGES, "sheet": {"file": "s.png", "columns": 2, "side": 4}}
    found = read_map(json.dumps(content).encode())
    assert found is not None
    html = thumbnails_html(found, sheet, 7)
    assert html.count("data:image/png;base64,") == 3
    assert "<b>" not in html
    assert "&lt;b&gt;, test image 7" in html


def test_a_comparison_is_a_sentence():
    one = ClassifierComparison(
        classifier="linear", images=10_000, both_right=5, only_first_right=212, only_second_right=148, p_value=0.00087
    )
    assert compared(one, "A", "B") == (
        "Linear (L-BFGS): **A** is better on 212 images, **B** on 148 of 10,000: p = 0.00087 (exact McNemar)"
    )
    assert "p < 0.0001" in compared(one.model_copy(update={"p_value": 1e-9}), "A", "B")
