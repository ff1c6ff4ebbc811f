"""Who is cut out of COCO's pictures, and how: pixels, places and mirror images agree."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evaluators.data.coco import CocoData, read_coco
from evaluators.tasks.keypoints.mirror import mirror_partners
from evaluators.tasks.keypoints.people import (
    annotated_people,
    detected_people,
    person_category,
)
from evaluators.tasks.keypoints.person_crops import Jitter, PersonCrops, crop_matrix, cut_out, inverse, move
from foundation.errors import InputError
from tests.evaluators.dense import KEYPOINTS, person, store_people, write_people
from tests.real_data import real_data


def read(root):
    return read_coco(CocoData(root=str(root)), "person_keypoints", "few")


def test_crowds_and_people_without_keypoints_or_box_are_left_out(tmp_path):
    content = write_people(tmp_path, num_images=2)
    content["annotations"] += [
        person(20, 10, (1, 1, 20, 20), iscrowd=1),
        person(21, 10, (1, 1, 20, 20), keypoints=[0] * 51, num_keypoints=0),
        person(23, 10, (1, 1, 0, 20)),
        person(24, 11, (70, 50, 30, 30)),
    ]
    store_people(tmp_path, content)
    people = annotated_people(read(tmp_path))
    assert [one.image for one in people] == [0, 0, 1, 1, 1]
    assert people[-1].box == (70, 50, 10, 14), "cut at the borders"
    assert people[0].labelled.tolist() == [True] * 16 + [False]
    assert (people[0].points[-1] == 0).all()


def test_as_many_people_as_the_data_tell():
    for part, expected in (("train2017", 139), ("val2017", 180)):
        coco = read_coco(CocoData(root=str(real_data("coco"))), "person_keypoints", part)
        assert len(annotated_people(coco)) == expected


def test_left_and_right_are_partners():
    partners = mirror_partners(KEYPOINTS)
    assert partners == [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    with pytest.raises(InputError, match="keypoint 'left_eye' has no 'right_eye' beside it"):
        mirror_partners(["nose", "left_eye"])


def detection(image=10, **changes):
    return {"image_id": image, "category_id": 1, "bbox": [4, 5, 30, 50], "score": 0.5} | changes


def test_detections_of_persons_in_known_pictures_count(tmp_path):
    write_people(tmp_path)
    file = tmp_path / "found.json"
    file.write_text(
        json.dumps(
            [
                detection(score=0.25, extra="ignored"),
                detection(category_id=3),
                detection(image=99),
                detection(bbox=[1, 2, 0, 4]),
                detection(image=13),
            ]
        )
    )
    people = detected_people(read(tmp_path), file)
    assert [(one.image, one.score, one.box) for one in people] == [
        (0, 0.25, (4, 5, 30, 50)),
        (3, 0.5, (4, 5, 30, 50)),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no file of detections at"),
        ("[{", "not JSON.*expected COCO's result format"),
        ('{"images": []}', "expected COCO's result format: a list with image_id, category_id, bbox, score"),
        ('[{"image_id": 10, "category_id": 1, "score": 1}]', "0.bbox: this key is missing; expected COCO's"),
        ("[]", "none of the 0 detections in .*found.json is a person"),
        (json.dumps([detection(image=99)]), "none of the 1 detections"),
    ],
)
def test_broken_files_of_detections_are_one_line(tmp_path, text, message):
    write_people(tmp_path)
    file = tmp_path / "found.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=message) as raised:
        detected_people(read(tmp_path), file)
    assert "\n" not in str(raised.value)


def test_other_keypoints_than_cocos_are_refused(tmp_path):
    content = write_people(tmp_path)
    content["annotations"][1]["keypoints"].pop()
    store_people(tmp_path, content)
    with pytest.raises(InputError, match="annotation 2 has 50 numbers for keypoints, not 3 x 17"):
        annotated_people(read(tmp_path))
    content["categories"][0]["keypoints"] = ["nose"]
    store_people(tmp_path, content)
    with pytest.raises(InputError, match=r"no category with the 17 keypoints of COCO's persons \(person 1\)"):
        person_category(read(tmp_path))


BOX = st.tuples(st.floats(-20, 50), st.floats(-20, 50), st.floats(1, 90), st.floats(1, 90))


@given(BOX, st.floats(0.5, 2), st.floats(-90, 90), st.booleans())
def test_there_and_back(box, scale, degrees, mirrored):
    matrix = crop_matrix(box, (64, 48), margin=1.25, scale=scale, degrees=degrees, mirrored=mirrored)
    points = np.random.default_rng(0).uniform(-50, 100, (5, 2))
    np.testing.assert_allclose(move(move(points, inverse(matrix)), matrix), points, atol=1e-9)
    assert np.sign(np.linalg.det(matrix[:, :2])) == (-1 if mirrored else 1)


@given(BOX, st.sampled_from([(64, 48), (32, 96), (50, 50)]))
def test_a_crop_is_around_its_box_with_the_margin(box, size):
    x, y, w, h = box
    matrix = crop_matrix(box, size, margin=1.25)
    # The borders of the crop, half a pixel outside the centres of its outermost pixels.
    corners = move(np.array([[-0.5, -0.5], [size[1] - 0.5, size[0] - 0.5]]), matrix) + 0.5
    middle, sides = corners.mean(0), corners[1] - corners[0]
    np.testing.assert_allclose(middle, (x + w / 2, y + h / 2), atol=1e-9)
    assert sides[0] / sides[1] == pytest.approx(size[1] / size[0])
    assert max(w / sides[0], h / sides[1]) == pytest.approx(1 / 1.25)


def test_pixels_lie_where_the_matrix_says():
    # Colours that are linear in the place, so that interpolation between pixels is exact.
    rows, columns = np.mgrid[:90, :120]
    picture = Image.fromarray(np.stack((2 * columns, 2 * rows, 0 * rows), -1).astype(np.uint8))
    for degrees, mirrored in ((0, False), (30, False), (-75, True)):
        matrix = crop_matrix((40, 30, 25, 30), (32, 24), margin=1.2, degrees=degrees, mirrored=mirrored)
        crop = cut_out(picture, matrix, (32, 24)).double()
        y, x = np.mgrid[:32, :24]
        places = move(np.stack((x, y), -1).reshape(-1, 2), matrix).reshape(32, 24, 2)
        np.testing.assert_allclose(crop[0], 2 * places[..., 0], atol=1.01)
        np.testing.assert_allclose(crop[1], 2 * places[..., 1], atol=1.01)


def test_a_positive_angle_turns_clockwise():
    matrix = crop_matrix((0, 0, 10, 10), (64, 64), margin=1, degrees=90)
    above = move(np.array([[4.5, 0.5]]), inverse(matrix))[0]
    assert above[0] > 40
    assert above[1] == pytest.approx(31.5)


def crops(root, jitter=None, size=(64, 48)):
    coco = read(root)
    return PersonCrops(coco, annotated_people(coco), size, 1.25, mirror_partners(KEYPOINTS), jitter)


def test_a_mirrored_crop_is_the_crop_mirrored(tmp_path):
    write_people(tmp_path)
    plain = crops(tmp_path).sample(3, 0)
    jitter = Jitter(scale=0, degrees=0, turned=0, flip=True)
    seen = set()
    for seed in range(12):
        crop = crops(tmp_path, jitter).sample(3, seed)
        mirrored = bool(np.linalg.det(crop.matrix.numpy()[:, :2]) < 0)
        seen.add(mirrored)
        if not mirrored:
            assert torch.equal(crop.picture, plain.picture)
            assert torch.equal(crop.points, plain.points)
            continue
        assert (crop.picture.int() - plain.picture.flip(-1).int()).abs().max() <= 1
        expected = plain.points[mirror_partners(KEYPOINTS)].clone()
        labelled = plain.labelled[mirror_partners(KEYPOINTS)]
        expected[:, 0] = torch.where(labelled > 0, 47 - expected[:, 0], 0)
        torch.testing.assert_close(crop.points, expected, rtol=0, atol=1e-4)
        assert torch.equal(crop.labelled, labelled)
    assert seen == {True, False}


def test_keypoints_go_with_the_pixels_whatever_the_draws(tmp_path):
    content = write_people(tmp_path, num_images=1)
    # A white dot at each keypoint of one person, on black.
    points = np.array(content["annotations"][0]["keypoints"]).reshape(17, 3).astype(int)
    pixels = np.zeros((64, 80, 3), np.uint8)
    for x, y, _ in points[:16]:
        pixels[y - 1 : y + 2, x - 1 : x + 2] = 255
    Image.fromarray(pixels).save(tmp_path / "few" / "000.png")
    jitter = Jitter(scale=0.3, degrees=40, turned=0.6, flip=True)
    for seed in range(10):
        crop = crops(tmp_path, jitter, (128, 96)).sample(0, seed)
        for x, y in crop.points[crop.labelled > 0].round().int().tolist():
            if 0 <= x < 96 and 0 <= y < 128:
                assert crop.picture[0, y, x] > 200
    one, again, other = (crops(tmp_path, jitter).sample(0, seed) for seed in (1, 1, 2))
    assert torch.equal(one.picture, again.picture)
    assert not torch.equal(one.matrix, other.matrix)


def test_draws_stay_within_their_bounds(tmp_path):
    write_people(tmp_path, num_images=1)
    plain = crops(tmp_path).sample(0, 0).matrix.numpy()
    jitter = Jitter(scale=0.3, degrees=40, turned=0.6, flip=False)
    scales, angles = [], []
    for seed in range(60):
        turn = crops(tmp_path, jitter).sample(0, seed).matrix.numpy()[:, :2] @ np.linalg.inv(plain[:, :2])
        scales.append(np.linalg.det(turn) ** 0.5)
        angles.append(np.degrees(np.arctan2(turn[0, 1], turn[0, 0])))
    assert 0.7 - 1e-9 <= min(scales) < 0.8
    assert 1.2 < max(scales) <= 1.3 + 1e-9
    assert max(map(abs, angles)) <= 80 + 1e-9
    assert 0.2 < np.mean(np.abs(angles) < 1e-6) < 0.6, "four of ten are not turned"
