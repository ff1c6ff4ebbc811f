import pytest

from foundation.words import counted, one, points, typed


def test_one_thing_is_not_several():
    assert [counted(number, "item") for number in (0, 1, 2, 1000)] == [
        "0 items",
        "1 item",
        "2 items",
        "1,000 items",
    ]
    assert counted(1, "class", "classes") == "1 class"
    assert counted(3, "class", "classes") == "3 classes"


def test_paths_are_typed_as_one_word():
    assert [typed("a/b.py"), typed("sp ace.py")] == ["a/b.py", "'sp ace.py'"]


@pytest.mark.parametrize(
    ("share", "text"), [(0.01, "1 point"), (0.005, "0.5 points"), (0.07, "7 points"), (0.0, "0 points")]
)
def test_a_share_in_points(share, text):
    assert points(share) == text


@pytest.mark.parametrize("told", ["an image", "a tar", "an ONNX program"])
def test_articles(told):
    assert one(told.partition(" ")[2]) == told
