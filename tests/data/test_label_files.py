"""Lists: every malformed line is told with its number, and no list reaches outside its root."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lookalike.data.datasets import ImageDataset, label_file, veri_wild
from lookalike.data.label_files import ImageList, read_image_list
from lookalike.errors import DataError

GOOD = "a/1.jpg 0 5\na/2.jpg 1 6\n"


def write(tmp_path, content):
    path = tmp_path / "list.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def listed(tmp_path, content):
    return read_image_list(write(tmp_path, content))


def refusal(tmp_path, content, **options):
    with pytest.raises(DataError) as caught:
        read_image_list(write(tmp_path, content), **options)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.rstrip("\n"),
        GOOD.replace(" ", "\t"),
        GOOD.replace(" ", "   "),
        "\n\n" + GOOD + "\n   \n\n",
        GOOD.replace("a/1", "  a/1"),
    ],
    ids=["plain", "crlf", "bom", "no last newline", "tabs", "blanks", "empty lines", "indented"],
)
def test_harmless_spellings_read_alike(tmp_path, content):
    images = read_image_list(write(tmp_path, content))
    assert images.paths == ["a/1.jpg", "a/2.jpg"]
    assert images.labels == [0, 1]
    assert images.cameras == [5, 6]


def test_line_numbers_count_empty_lines(tmp_path):
    images = read_image_list(write(tmp_path, "\n\na.jpg 0\n\nb.jpg 1\n"))
    assert images.lines == [3, 5]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a.jpg", "expected a path and a label"),
        ("my photo.jpg 3", "label must be a whole number.*photo.jpg"),
        ("a.jpg cat", "label must be a whole number.*cat"),
        ("a.jpg 1.0", "label must be a whole number.*1.0"),
        ("a.jpg 1e3", "label must be a whole number"),
        ("a.jpg nan", "label must be a whole number"),
        ("a.jpg -2", r"labels start at 0 \(-1 marks junk\), got -2"),
        ("a.jpg 1_0", "label must be a whole number"),
        ("a.jpg 99999999999999999999", "label"),
        ("a.jpg " + "9" * 5000, "label"),
        ("/etc/passwd 0", "absolute"),
        ("C:\\photos\\a.jpg 0", "absolute"),
        ("\\\\server\\share\\a.jpg 0", "absolute"),
        ("../a.jpg 0", "leaves the image root"),
        ("a/../../b.jpg 0", "leaves the image root"),
        ("a\\..\\..\\b.jpg 0", "leaves the image root"),
        ("./../a.jpg 0", "leaves the image root"),
    ],
)
def test_malformed_line_is_told_with_file_and_line(tmp_path, line, reason):
    message = refusal(tmp_path, f"ok.jpg 0\n\n{line}\nok.jpg 1\n")
    assert message.count("\n") == 0
    assert message.startswith(f"{tmp_path / 'list.txt'}:3: ")
    assert len(message) < 400
    with pytest.raises(DataError, match=reason):
        read_image_list(tmp_path / "list.txt")


@pytest.mark.parametrize("camera", ["1.0", "0.1", "nan", "1e3", "-.5"])
def test_a_camera_that_is_a_float_is_rejected(tmp_path, camera):
    message = refusal(tmp_path, f"a.jpg 0 1\nb.jpg 0 {camera}\n")
    assert message == (
        f"{tmp_path / 'list.txt'}:2: the camera must be a whole number or a name, got '{camera}'."
    )


def test_cameras_may_have_names(tmp_path):
    images = listed(tmp_path, "a.jpg 0 north\nb.jpg 0 7\nc.jpg 1 99999999999999999999\nd.jpg 1 7\n")
    assert [images.camera_names[camera] for camera in images.cameras] == [
        "north",
        "7",
        "99999999999999999999",
        "7",
    ]


def test_images_with_the_label_minus_one_are_left_out(tmp_path):
    images = listed(tmp_path, "a.jpg 0\njunk.jpg -1\nb.jpg 1\n")
    assert (images.paths, images.labels, images.lines) == (["a.jpg", "b.jpg"], [0, 1], [1, 3])
    assert images.notes == ("1 image with the label -1 (junk) left out.",)


def test_a_list_of_junk_alone_is_rejected(tmp_path):
    assert "every image has the label -1" in refusal(tmp_path, "a.jpg -1\n")


def test_every_malformed_line_is_told_at_once(tmp_path):
    message = refusal(tmp_path, "a.jpg\nok.jpg 0\nb.jpg x\n../c.jpg 0\n")
    assert [line.split(":")[1] for line in message.split("\n")] == ["1", "3", "4"]


def test_only_twenty_lines_are_shown_and_the_rest_is_counted(tmp_path):
    lines = refusal(tmp_path, "broken\n" * 5000).split("\n")
    assert len(lines) == 21
    assert lines[-1] == "... and 4980 more lines"


@pytest.mark.parametrize(("first", "second"), [("a.jpg 0", "b.jpg 1 2"), ("a.jpg 0 2", "b.jpg 1")])
def test_mixed_columns_name_both_lines(tmp_path, first, second):
    message = refusal(tmp_path, f"{first}\n{first}\n{second}\n")
    assert ":3: " in message
    assert "line 1" in message
    # without cameras a third column does not matter
    assert len(read_image_list(tmp_path / "list.txt", cameras=False).paths) == 3


@pytest.mark.parametrize("content", ["", "\n", "  \n\t\n\r\n", "\ufeff"])
def test_an_empty_list_is_told(tmp_path, content):
    assert "list.txt: the list is empty" in refusal(tmp_path, content)


@pytest.mark.parametrize(
    "content", ["中文/1.jpg 0\n".encode("gbk"), GOOD.encode("utf-16"), b"\x89PNG\r\n\x1a\n\xff"]
)
def test_another_encoding_is_told(tmp_path, content):
    message = refusal(tmp_path, content)
    assert "list.txt" in message
    assert "UTF-8" in message


def test_missing_list_and_folder_are_told(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(DataError) as caught:
            read_image_list(path)
        assert str(path) in str(caught.value)


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_text_gives_a_list_or_a_data_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        images = read_image_list(path)
    except DataError as error:
        message = str(error)
    else:
        message = str(path)
        assert len(images.paths) == len(images.labels) == len(images.lines) > 0
        assert not any(os.path.isabs(p) or ".." in p.split("/") for p in images.paths)
        assert min(images.labels) >= 0
    assert str(path) in message


@given(st.lists(st.integers(0, 50), min_size=1))
def test_relabel_is_dense_and_keeps_the_order(labels):
    new = ImageList([], labels, None, []).relabelled().labels
    pairs = set(zip(labels, new, strict=True))
    assert sorted(set(new)) == list(range(len(set(labels))))
    assert all((a < b) == (x < y) for a, x in pairs for b, y in pairs)


@pytest.fixture
def shelf(tmp_path):
    folder = tmp_path / "root" / "a"
    folder.mkdir(parents=True)
    for name in ("1.jpg", "2.jpg", "my photo.jpg"):
        Image.new("RGB", (8, 8), "red").save(folder / name)
    return tmp_path


def test_missing_images_are_told_with_their_lines(shelf):
    path = write(shelf, "a/1.jpg 0\na/3.jpg 0\nb/1.jpg 0\na/ 0\na 0\na/1.jpg/x 0\n")
    with pytest.raises(DataError) as caught:
        veri_wild(str(shelf / "root"), str(path))
    numbers = [line.split(":")[1] for line in str(caught.value).split("\n")]
    # line 5 names a folder: it is there, and refused when it is read at the latest
    assert [n for n in numbers if n != "5"] == ["2", "3", "4", "6"]
    assert str(shelf / "root" / "a" / "3.jpg") in str(caught.value)


def test_missing_images_beyond_twenty_are_counted(shelf):
    path = write(shelf, "a/none.jpg 0\n" * 300)
    with pytest.raises(DataError) as caught:
        veri_wild(str(shelf / "root"), str(path))
    lines = str(caught.value).split("\n")
    assert len(lines) == 21
    assert "280 more" in lines[-1]


@pytest.mark.parametrize("name", ["a/1\0.jpg", "a\0/1.jpg", "x" * 5000 + "/1.jpg"])
def test_impossible_names_are_data_errors(shelf, name):
    with pytest.raises(DataError, match=r"list\.txt:1: "):
        veri_wild(str(shelf / "root"), str(write(shelf, f"{name} 0\n")))


def test_missing_root_is_told(shelf):
    path = write(shelf, "a/1.jpg 0\n")
    for root in (shelf / "nowhere", path):
        with pytest.raises(DataError, match="image folder does not exist") as caught:
            veri_wild(str(root), str(path))
        assert str(root) in str(caught.value)


def test_label_file_takes_paths_with_blanks_by_a_tab(shelf):
    path = write(shelf, "a/my photo.jpg\t3\na/1.jpg\t 4 \n")
    dataset = label_file(str(shelf / "root"), str(path), delimiter="\t")
    assert dataset.paths == ["a/my photo.jpg", "a/1.jpg"]
    assert dataset.labels == [3, 4]
    assert dataset.cameras is None


def test_label_file_with_the_wrong_delimiter_tells_every_line(shelf):
    path = write(shelf, "a/1.jpg 0\na/2.jpg 1\n")
    with pytest.raises(DataError, match=r"list\.txt:1: expected a path and a label"):
        label_file(str(shelf / "root"), str(path), delimiter=",")


@pytest.mark.parametrize("num_classes", [1, 3])
def test_check_labels_names_the_line_and_both_ways_out(shelf, num_classes):
    path = write(shelf, "a/1.jpg 0\n\na/2.jpg 3\n")
    dataset = veri_wild(str(shelf / "root"), str(path))
    with pytest.raises(DataError) as caught:
        dataset.check_labels(num_classes)
    message = str(caught.value)
    assert message.startswith(f"{path}:3: label 3 is outside [0, {num_classes})")
    assert "class_num to 4" in message
    assert "relabel" in message
    dataset.check_labels(4)
    veri_wild(str(shelf / "root"), str(path), relabel=True).check_labels(2)


def test_a_broken_image_is_an_error_and_never_replaced(shelf):
    (shelf / "root" / "a" / "2.jpg").write_bytes(b"not a picture")
    dataset = veri_wild(str(shelf / "root"), str(write(shelf, "a/1.jpg 0\na/2.jpg 1\n")))
    assert dataset[0].image.shape == (3, 8, 8)
    for _ in range(2):
        with pytest.raises(DataError, match=r"a/2\.jpg: not an image"):
            dataset[1]


def test_a_failing_transform_is_told_with_the_image(shelf):
    def fail(image):
        raise KeyError("colour")

    images = read_image_list(write(shelf, "a/1.jpg 0\n"))
    dataset = ImageDataset(shelf / "root", images, transforms=fail)
    with pytest.raises(DataError, match=r"a/1\.jpg: a transform failed \(KeyError.*colour"):
        dataset[0]


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x1c", "\v", "\f"])
def test_lines_are_counted_as_editors_count_them(tmp_path, sign):
    message = refusal(
        tmp_path, f"a.jpg 0\nb{sign}.jpg\tx\nc.jpg y\n", split=lambda line: line.split("\t")
    )
    assert [line.split(":")[1] for line in message.split("\n")] == ["1", "2", "3"]


def test_lists_of_old_macs_and_mixed_line_ends(tmp_path):
    assert listed(tmp_path, "a.jpg 0\rb.jpg 1\r\nc.jpg 2\nd.jpg 3").lines == [1, 2, 3, 4]
