"""COCO files as labelling tools write them: the truth scores 1, or one line says why it cannot."""

from __future__ import annotations

import json
import logging
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evaluators.data.coco import CocoData, CocoSet, read_coco
from evaluators.data.coco_boxes import boxes_to_train
from evaluators.data.coco_file import CocoAnnotation, CocoImage
from evaluators.data.tally import Tally
from evaluators.metrics.coco import coco_metrics
from evaluators.tasks.keypoints.mirror import log_partners, mirror_partners
from evaluators.tasks.keypoints.oks import log_strangers
from evaluators.tasks.keypoints.people import annotated_people, detected_people, person_category
from evaluators.tasks.keypoints.poses import Pose, coco_results
from foundation.errors import InputError
from tests.evaluators.dense import KEYPOINTS, store_people, write_people


def write(root: Path, annotations: list[dict[str, Any]], **changes: Any) -> CocoSet:
    images = [{"id": 0, "file_name": "0.png", "width": 64, "height": 48}]
    content = {
        "images": [*images, {"id": 1, "file_name": "1.png", "width": 64, "height": 48}],
        "annotations": [
            {"id": number, "image_id": 0, "category_id": 0, "bbox": [2 + 9 * (number % 6), 5, 8, 20]} | one
            for number, one in enumerate(annotations)
        ],
        "categories": [{"id": 0, "name": "cat"}, {"id": 5, "name": "dog"}],
    }
    (root / "annotations").mkdir(parents=True)
    (root / "p").mkdir()
    for name in ("0.png", "1.png"):
        Image.new("L", (64, 48)).save(root / "p" / name)
    (root / "annotations" / "instances_p.json").write_text(json.dumps(content | changes))
    return read_coco(CocoData(root=str(root), train="p", test="p"), "instances", "p")


def given_back(truth: dict[str, Any]) -> list[dict[str, Any]]:
    keys = ("image_id", "category_id", "bbox")
    return [{key: one[key] for key in keys} | {"score": 0.9} for one in truth["annotations"]]


@pytest.mark.parametrize("ids", [(0, 1, 2), (2, 1, 0), (-3, 0, 10**12)])
def test_the_truth_given_back_scores_one_whatever_its_ids(ids: tuple[int, ...], tmp_path: Path) -> None:
    truth = write(tmp_path, [{"id": id, "category_id": 5 * (id == 0)} for id in ids]).truth()
    assert coco_metrics(truth, given_back(truth), "bbox")["AP"] == 1


def test_a_byte_order_mark_and_other_line_ends_are_no_matter(tmp_path: Path) -> None:
    clean = write(tmp_path, [{}, {}])
    text = json.dumps(json.loads(clean.file.read_text()), indent=1).replace("\n", "\r\n")
    clean.file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = read_coco(CocoData(root=str(tmp_path)), "instances", "p")
    assert (found.images, found.annotations) == (clean.images, clean.annotations)


def found_poses(coco: CocoSet) -> list[dict[str, Any]]:
    people = annotated_people(coco)
    poses = [
        Pose(number, one.points.astype(float), np.ones(17), one.box[2] * one.box[3])
        for number, one in enumerate(people)
    ]
    return coco_results(poses, people, coco, person_category(coco).id)


def read_people(root: Path) -> CocoSet:
    return read_coco(CocoData(root=str(root)), "person_keypoints", "few")


@pytest.mark.parametrize(
    "change",
    [
        {"num_keypoints": 0},
        {"num_keypoints": None},
        {"keypoints": None, "num_keypoints": 3},
        {"keypoints": [], "num_keypoints": 0},
        {"id": 0},
    ],
)
def test_poses_given_back_score_one(change: dict[str, Any], tmp_path: Path) -> None:
    content = write_people(tmp_path)
    for record in content["annotations"] if "num_keypoints" in change else content["annotations"][:1]:
        if "keypoints" not in change or record is content["annotations"][0]:
            record |= change
    if change.get("keypoints", 0) is None:
        del content["annotations"][0]["keypoints"]
    store_people(tmp_path, content)
    coco = read_people(tmp_path)
    assert len(annotated_people(coco)) == 8 - ("keypoints" in change)
    assert coco_metrics(coco.truth(), found_poses(coco), "keypoints")["AP"] == 1


def test_objects_of_other_categories_lie_beside_persons(tmp_path: Path) -> None:
    content = write_people(tmp_path)
    content["categories"].append({"id": 7, "name": "hat"})
    content["annotations"].append({"id": 99, "image_id": 10, "category_id": 7, "bbox": [1, 1, 9, 9]})
    store_people(tmp_path, content)
    coco = read_people(tmp_path)
    assert coco_metrics(coco.truth(), found_poses(coco), "keypoints")["AP"] == 1


def test_two_categories_with_keypoints_are_refused(tmp_path: Path) -> None:
    content = write_people(tmp_path)
    content["categories"].append(content["categories"][0] | {"id": 2, "name": "player"})
    store_people(tmp_path, content)
    with pytest.raises(InputError, match=r"2 categories with keypoints: person \(1\) and player \(2\)"):
        person_category(read_people(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"categories": [{"id": 0, "name": "cat"}, {"id": 5, "name": "cat"}]}, "two categories .* 'cat'"),
        (
            {"images": [{"id": n, "file_name": "0.png", "width": 64, "height": 48} for n in (0, 1)]},
            r"image 0\.png is listed twice",
        ),
        ({"categories": [{"id": 0, "name": "a", "keypoints": ["x", "x"]}]}, "two keypoints of one name"),
    ],
)
def test_what_names_something_is_unique(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        write(tmp_path, [{}, {"category_id": changes.get("categories", [{}])[-1].get("id", 0)}], **changes)


def test_a_name_twice_is_no_matter_where_one_of_them_is_never_used(tmp_path: Path) -> None:
    assert len(write(tmp_path, [{}], categories=[{"id": n, "name": "cat"} for n in (0, 5)])) == 2


def test_accents_of_file_names_may_be_written_in_two_ways(tmp_path: Path) -> None:
    images = [{"id": 0, "file_name": unicodedata.normalize("NFC", "é.png"), "width": 64, "height": 48}]
    stored = unicodedata.normalize("NFD", "é.png")
    (tmp_path / "p").mkdir()
    with pytest.raises(InputError, match="are not in"):
        write(tmp_path / "a", [{}], images=images)
    root = tmp_path / "a"
    Image.new("L", (64, 48)).save(root / "p" / stored)
    found = read_coco(CocoData(root=str(root)), "instances", "p")
    assert found.path(0).name == stored


@given(
    st.floats(0, 640, width=64),
    st.floats(0, 1e-2, width=64),
    st.sampled_from((0.125, 0.3333, 1.7, 2.6)),
    st.sampled_from((640, 641, 4000)),
)
def test_kept_boxes_stay_boxes_once_mirrored_and_scaled(
    left: float, wide: float, ratio: float, size: int
) -> None:
    image = CocoImage(1, "a.png", size, size)
    for kept in boxes_to_train(image, [CocoAnnotation(1, 1, 1, (left, 3.0, wide, 5.0))]):
        x, _, w, _ = kept.bbox
        sides = torch.tensor([x, x + w], dtype=torch.float32)
        for edges in (sides, size - sides.flip(0)):
            scaled = edges * torch.tensor(ratio)
            assert scaled[1] > scaled[0]


def test_boxes_thinner_than_float32_tells_apart_are_left_out_and_counted() -> None:
    thin = [CocoAnnotation(n, 1, 1, (300.0, 5.0, w, 9.0)) for n, w in enumerate((1e-6, 1e-5, 1e-12, 0.5))]
    tally = Tally("file", "boxes")
    assert [one.id for one in boxes_to_train(CocoImage(1, "a.png", 640, 480), thin, tally)] == [3]
    assert "3 left out (3 of no area within the image)" in str(tally)


def test_what_is_left_out_is_counted_with_its_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    thin, crowd, unlisted = {"bbox": [1, 1, 0, 5]}, {"iscrowd": 1}, {"image_id": 77}
    tally = write(tmp_path, [{}, {}, thin, crowd, unlisted, unlisted]).boxes()
    tally.report()
    assert caplog.messages == [
        "instances_p.json: 2 boxes, 4 left out (2 of images that are not listed, 1 of no area within the "
        "image, 1 crowds); passed over: 1 a category without a box: dog"
    ]
    assert caplog.records[0].levelno == logging.WARNING


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    found = write(tmp_path, [{"image_id": 9}, {"image_id": 8}, {"iscrowd": 1}])
    with pytest.raises(InputError, match=r"0 boxes, 3 left out .* nothing is left to use"):
        found.boxes().report()


def test_a_few_left_out_are_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        boxes = [{"bbox": [2 * number, 5, 8, 20]} for number in range(19)]
        write(tmp_path, [*boxes, {"iscrowd": 1}]).boxes().report()
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "19 boxes, 1 left out (1 crowds)" in caplog.text


def test_persons_and_detections_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = write_people(tmp_path)
    content["annotations"][0]["keypoints"] = [0] * 51
    store_people(tmp_path, content)
    coco = read_people(tmp_path)
    tally = coco.tally("persons")
    annotated_people(coco, tally)
    assert "7 persons, 1 left out (1 without a labelled keypoint)" in str(tally)
    one = {"image_id": 10, "category_id": 1, "bbox": [1, 1, 5, 5], "score": 1}
    (tmp_path / "found.json").write_text(json.dumps([one, one | {"image_id": 99}, one | {"category_id": 3}]))
    detected_people(coco, tmp_path / "found.json")
    assert "found.json: 1 detections, 1 left out (1 of images that" in caplog.text


@pytest.mark.parametrize(("iou", "change"), [("bbox", {"iscrowd": 1}), ("keypoints", {"num_keypoints": 0})])
def test_nothing_to_score_is_said(iou: Any, change: dict[str, Any], tmp_path: Path) -> None:
    content = write_people(tmp_path)
    for record in content["annotations"]:
        record |= change if iou == "bbox" else {"keypoints": [0] * 51}
    store_people(tmp_path, content)
    with pytest.raises(InputError, match="nothing to score: no annotation of the 4 images"):
        coco_metrics(read_people(tmp_path).truth(), [], iou)


def test_a_part_without_objects_is_refused_before_training(tmp_path: Path) -> None:
    found = write(tmp_path, [{}])
    found.need_objects()
    with pytest.raises(
        InputError, match=r"1 images in use of .* have no object, so there is nothing to score"
    ):
        found.select([1]).need_objects()


@pytest.mark.parametrize(
    "form",
    [
        "{part}_{side}",
        "{side}-{part}",
        "{part} {Side}",
        "{Part}{Side}",
        "{s}_{part}",
        "{S}{Part}",
        "{part}.{s}",
    ],
)
def test_sides_are_found_wherever_they_stand(form: str) -> None:
    names = ["nose"] + [
        form.format(side=side, Side=side.title(), s=side[0], S=side[0].upper(), part=part, Part=part.title())
        for part in ("eye", "ear", "ankle", "hip")
        for side in ("left", "right")
    ]
    assert mirror_partners(names) == [0, 2, 1, 4, 3, 6, 5, 8, 7]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("lefteye", "righteye", "bright", "cleft"), [1, 0, 2, 3]),
        (("EYE_LEFT", "EYE_RIGHT"), [1, 0]),
        (("eyeleft", "eyeright", "upright"), [1, 0, 2]),
        (("ear", "leg", "rear", "lip"), [0, 1, 2, 3]),
        (KEYPOINTS[:3], [0, 2, 1]),
    ],
)
def test_letters_within_words_are_no_sides(names: tuple[str, ...], expected: list[int]) -> None:
    assert mirror_partners(names) == expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("eye_left", "nose"), "'eye_left' has no 'eye_right' beside it"),
        (("l_eye", "nose"), "'l_eye' has no 'r_eye' beside it"),
        (("earRight",), "'earRight' has no 'earLeft' beside it"),
        (("nose", "nose"), "'nose' is there twice"),
    ],
)
def test_sides_that_cannot_be_paired_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        mirror_partners(names)


def test_what_was_paired_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_partners(("nose", "eye_left", "eye_right"), [0, 2, 1])
    assert "exchanged in mirror images: eye_left with eye_right; stay: nose" in caplog.text
    with pytest.raises(InputError, match="no keypoint has left or right in its name"):
        log_partners(("kp_1", "kp_2"), [0, 1])


def test_boxes_that_are_odd_are_used_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wide, twice, vast = {"bbox": [30, 5, 40, 20]}, {"bbox": [2, 5, 8, 20]}, {"area": 9000}
    write(tmp_path, [{}, wide, twice, vast]).boxes().report()
    assert (
        "instances_p.json: 4 boxes; among them 1 beyond their images and cut there (boxes are left, top, "
        "width and height), 1 there twice, 1 of an area that their boxes cannot hold, whose box's is taken"
    ) in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize("area", [0, -1, 161 * 1.5, None])
def test_an_area_that_cannot_be_is_the_boxs(area: float | None, tmp_path: Path) -> None:
    truth = write(tmp_path, [{"area": area}, {"area": 100}]).truth()
    assert [one["area"] for one in truth["annotations"]] == [160, 100]
    assert coco_metrics(truth, given_back(truth), "bbox")["AP"] == 1


def test_boxes_in_shares_of_the_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"all boxes lie within 0 to 1, .* multiply them by width and height"
    ):
        write(tmp_path, [{"bbox": [0.1, 0.2, 0.5, 0.5]}, {"bbox": [0, 0, 1, 1]}])
    assert len(write(tmp_path / "a", [{"bbox": [0, 0, 1, 1]}, {"bbox": [0.1, 0.2, 2, 2]}])) == 2


def test_keypoints_in_shares_of_the_image_are_refused(tmp_path: Path) -> None:
    content = write_people(tmp_path)
    for one in content["annotations"]:
        one["keypoints"] = [value if n % 3 == 2 else value / 100 for n, value in enumerate(one["keypoints"])]
    store_people(tmp_path, content)
    with pytest.raises(InputError, match="all keypoints lie within 0 to 1"):
        read_people(tmp_path)


def test_keypoints_outside_of_their_pictures_are_told(tmp_path: Path) -> None:
    content = write_people(tmp_path)
    content["annotations"][0]["keypoints"][0] = 1000
    store_people(tmp_path, content)
    coco = read_people(tmp_path)
    tally = coco.tally("persons")
    assert len(annotated_people(coco, tally)) == 8
    assert "8 persons; among them 1 with keypoints outside of their images" in str(tally)


def test_an_image_of_another_size_is_named_before_training(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 48 + n} for n in (0, 1)]
    with pytest.raises(InputError, match=r"1\.png is 64x48 pixels, its annotation file says 64x49"):
        write(tmp_path, [{}], images=images)


@pytest.mark.parametrize(
    ("change", "told"),
    [({0: "pelvis"}, "pelvis as nose"), ({1: "right_eye", 2: "left_eye"}, "right_eye as left_eye")],
)
def test_keypoints_of_others_are_told(
    change: dict[int, str], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    log_strangers([change.get(place, name) for place, name in enumerate(KEYPOINTS)])
    assert told in caplog.text


@pytest.mark.parametrize("form", ["{1}_{0}", "{0}-{1}", "{2}{3}", "{1}.{2}", "{0}{1}"])
def test_cocos_keypoints_are_known_in_other_spellings(form: str, caplog: pytest.LogCaptureFixture) -> None:
    parts = [name.split("_") for name in KEYPOINTS]
    names = [
        form.format(*part, part[0][0].upper(), part[1].title()) if len(part) > 1 else part[0]
        for part in parts
    ]
    log_strangers(names)
    assert not caplog.records
