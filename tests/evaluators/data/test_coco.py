"""COCO's layout: what is read, and one clear line for every way in which it can be broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from evaluators.data.coco import CocoAnnotation, CocoData, CocoImage, boxes_to_train, read_coco
from evaluators.data.picture import open_rgb
from foundation.errors import InputError


def annotation(id: int, image: int = 1, category: int = 7, **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "image_id": image,
        "category_id": category,
        "bbox": [1, 2, 3, 4],
        "area": 9.5,
        "iscrowd": 0,
        "segmentation": [[1, 2, 3, 4, 5, 6]],
    } | more


def content() -> dict[str, Any]:
    names = {4: "b.png", 1: "a.png", 9: "empty.png"}
    return {
        "info": {"year": 2017},
        "images": [{"id": id, "file_name": name, "width": 8, "height": 6} for id, name in names.items()],
        "annotations": [annotation(1), annotation(2, 4, 70), annotation(3, iscrowd=1)],
        "categories": [{"id": 70, "name": "horse", "supercategory": "animal"}, {"id": 7, "name": "cat"}],
    }


def write(root: Path, value: Any) -> CocoData:
    (root / "annotations").mkdir()
    (root / "p").mkdir()
    text = value if isinstance(value, str) else json.dumps(value)
    (root / "annotations" / "instances_p.json").write_text(text)
    for name in ("a.png", "b.png", "empty.png", "not_listed.png"):
        Image.new("L", (8, 6)).save(root / "p" / name)
    return CocoData(root=str(root), train="p", test="p")


def test_images_are_those_of_the_file_in_its_order(tmp_path: Path) -> None:
    found = read_coco(write(tmp_path, content()), "instances", "p")
    assert [image.id for image in found.images] == [4, 1, 9]
    assert [[a.id for a in of_image] for of_image in found.annotations] == [[2], [1, 3], []]
    assert found.labels == {7: 0, 70: 1}
    assert found.path(1) == tmp_path / "p" / "a.png"
    assert [image.id for image in found.select([2, 0]).images] == [9, 4]


def test_a_limit_takes_the_first(tmp_path: Path) -> None:
    data = write(tmp_path, content())
    limited = CocoData(root=data.root, limit=2)
    assert [image.id for image in read_coco(limited, "instances", "p").images] == [4, 1]
    with pytest.raises(InputError, match="limit=0 is not positive"):
        CocoData(limit=0)


def test_truth_is_what_the_file_says(tmp_path: Path) -> None:
    value = content()
    del value["annotations"][0]["area"]
    truth = read_coco(write(tmp_path, value), "instances", "p").truth()
    records = {record["id"]: record for record in truth["annotations"]}
    assert {key: records[3][key] for key in ("image_id", "category_id", "bbox", "area", "iscrowd")} == {
        "image_id": 1,
        "category_id": 7,
        "bbox": [1, 2, 3, 4],
        "area": 9.5,
        "iscrowd": 1,
    }
    assert records[1]["area"] == 12


def test_annotations_of_images_not_listed_are_left_out(tmp_path: Path) -> None:
    value = content()
    value["annotations"].append(annotation(5, image=12345))
    assert sum(map(len, read_coco(write(tmp_path, value), "instances", "p").annotations)) == 3


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in content().items() if name != key}


def changed(key: str, index: int, **values: Any) -> dict[str, Any]:
    whole = content()
    whole[key][index] |= values
    return whole


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{'images'", "instances_p.json: cut short or not JSON"),
        ("[1, 2]", "Input should be an object"),
        (without("images"), "images: this key is missing; expected COCO's instances"),
        (without("annotations"), "annotations: this key is missing"),
        (without("categories"), "categories: this key is missing"),
        ({**content(), "images": []}, "lists no images"),
        ({**content(), "categories": []}, "lists no categories"),
        (changed("annotations", 0, bbox=[1, 2, 3]), r"annotations.0.bbox.3: this key is missing"),
        (
            changed("annotations", 0, bbox=[1, 2, 3, "x"]),
            r"annotations.0.bbox.3: Input should be a valid number",
        ),
        (
            changed("annotations", 1, category_id=3),
            "annotation 2 is of category 3, .* not among the 2 listed",
        ),
        (changed("annotations", 1, id=1), "id 1 is there twice among the annotations"),
        (changed("images", 1, id=4), "id 4 is there twice among the images"),
        (changed("images", 0, width=0), "image 4 is 0x6 pixels"),
    ],
)
def test_broken_files_are_refused(value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_coco(write(tmp_path, value), "instances", "p")
    assert "\n" not in str(error.value)


def test_a_missing_file_names_those_beside_it(tmp_path: Path) -> None:
    data = write(tmp_path, content())
    with pytest.raises(InputError, match=r"no annotation file at .*q.json; there are: instances_p.json"):
        read_coco(data, "instances", "q")
    with pytest.raises(InputError, match="no annotation file beside it"):
        read_coco(CocoData(root=str(tmp_path / "nowhere")), "instances", "p")
    with pytest.raises(InputError, match=r"give data\.root"):
        read_coco(CocoData(), "instances", "p")


def test_absent_images_are_named_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = write(tmp_path, content())
    (tmp_path / "p" / "b.png").unlink()
    with pytest.raises(
        InputError, match=r"1 of the 3 images .*: b.png; add them, or leave them out by skip_mi"
    ):
        read_coco(data, "instances", "p")
    lenient = CocoData(root=data.root, skip_missing=True)
    assert [image.id for image in read_coco(lenient, "instances", "p").images] == [1, 9]
    assert "1 of the 3 images" in caplog.text
    for name in ("a.png", "empty.png"):
        (tmp_path / "p" / name).unlink()
    with pytest.raises(InputError, match=r"3 of the 3 images .*; add them$"):
        read_coco(lenient, "instances", "p")


def test_images_may_lie_in_folders_of_their_own(tmp_path: Path) -> None:
    data = write(tmp_path, changed("images", 0, file_name="deep/b.png"))
    (tmp_path / "p" / "deep").mkdir()
    (tmp_path / "p" / "b.png").rename(tmp_path / "p" / "deep" / "b.png")
    assert len(read_coco(data, "instances", "p")) == 3


@pytest.mark.parametrize(
    ("bbox", "crowd", "kept"),
    [
        ((1.0, 2.0, 3.0, 4.0), 0, (1.0, 2.0, 3.0, 4.0)),
        ((-1.0, 5.0, 3.0, 4.0), 0, (0.0, 5.0, 2.0, 1.0)),
        ((1.0, 2.0, 3.0, 4.0), 1, None),
        ((1.0, 2.0, 0.0, 4.0), 0, None),
        ((1.0, 2.0, 3.0, -4.0), 0, None),
        ((8.0, 2.0, 3.0, 4.0), 0, None),
    ],
)
def test_crowds_and_boxes_of_no_area_teach_nothing(bbox: Any, crowd: Any, kept: Any) -> None:
    image = CocoImage(1, "a.png", 8, 6)
    found = boxes_to_train(image, [CocoAnnotation(1, 1, 1, bbox, None, crowd)])
    assert [annotation.bbox for annotation in found] == ([] if kept is None else [kept])


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "1", "I;16"])
def test_pictures_become_rgb(mode: str, tmp_path: Path) -> None:
    ending = "tif" if mode in ("CMYK", "I;16") else "png"
    Image.new(mode, (5, 7)).save(tmp_path / f"x.{ending}")
    picture = open_rgb(tmp_path / f"x.{ending}", (5, 7))
    assert (picture.mode, picture.size) == ("RGB", (5, 7))


def test_bad_pictures_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    with pytest.raises(InputError, match=r"no image at .*x.jpg"):
        open_rgb(path)
    path.write_bytes(b"text")
    with pytest.raises(InputError, match=r"cannot decode .*x.jpg \(it is no image\)"):
        open_rgb(path)
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"cannot decode .*x.jpg \(image file is truncated"):
        open_rgb(path)
    Image.new("RGB", (5, 7)).save(path)
    with pytest.raises(InputError, match=r"x.jpg is 5x7 pixels, its annotation file says 7x5"):
        open_rgb(path, (7, 5))
