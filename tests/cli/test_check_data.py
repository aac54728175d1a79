"""``lookalike check --data``: from a YAML to the report, the table, the lists and the exit code."""

import contextlib
import csv
import json
import sys
from pathlib import Path

import pytest
from conftest import TINY_YAML, make_images, write_list

from lookalike.cli.check_data import run_data_check
from lookalike.errors import ConfigError, DataError

sys.path.append(str(Path(__file__).parent.parent / "data"))
from planted_faults import picture, plant  # noqa: E402


def three_lists(root, class_num=12):
    """Return the tiny YAML with a list for each of training, queries and gallery."""
    text = TINY_YAML.format(root=root).replace("class_num: 6", f"class_num: {class_num}")
    head, tail = text.split("    Query: &eval\n")
    block, rest = tail.split("    Gallery: *eval\n")
    query, gallery = (block.replace("train.txt", name) for name in ("query.txt", "gallery.txt"))
    return f"{head}    Query:\n{query}    Gallery:\n{gallery}{rest}"


@pytest.fixture
def planted(tmp_path):
    expected = plant(tmp_path)
    (tmp_path / "run.yaml").write_text(three_lists(tmp_path))
    return tmp_path, expected


@pytest.fixture
def sound(tmp_path):
    """Three lists without a fault."""
    (tmp_path / "images").mkdir()
    rows = {"train": [], "query": [], "gallery": []}
    for number in range(24):
        picture(number).save(tmp_path / "images" / f"{number}.png")
        split = "train" if number < 16 else ("query", "gallery")[number % 2]
        rows[split].append((f"{number}.png", number // 4, number % 2))
    for split, own in rows.items():
        write_list(tmp_path / f"{split}.txt", own)
    (tmp_path / "run.yaml").write_text(three_lists(tmp_path, class_num=4))
    return tmp_path


def check(root, *overrides, **options):
    options = {
        "report": None,
        "clean_list": None,
        "workers": 1,
        "as_json": True,
        "allow_import": [],
        **options,
    }
    run_data_check(str(root / "run.yaml"), overrides, **options)


def findings(folder):
    with open(folder / "findings.csv", newline="") as file:
        return [(row["kind"], row["split"], row["path"]) for row in csv.DictReader(file)]


def test_the_command_reports_what_was_planted(planted, lookalike):
    root, expected = planted
    done = lookalike(
        "check", "--data", "-c", root / "run.yaml", "--report", root / "report",
        "--write-clean-list", root / "clean", "--workers", 2,
    )  # fmt: skip
    assert done.returncode == 3
    assert "15 errors in the data of" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(findings(root / "report")) == sorted(expected)
    for text in ("One image, two labels", "two_minds.jpg", "15 errors, 11 warnings, 12 notes"):
        assert text in done.stdout or text in (root / "report" / "report.html").read_text()
    assert "72 files read: 15 errors, 11 warnings, 12 notes." in done.stdout
    assert "45 of 58 images" in done.stdout
    assert sorted(path.name for path in (root / "clean").iterdir()) == [
        "gallery.txt", "query.txt", "train.txt"
    ]  # fmt: skip


def test_sound_data_exits_with_0(sound, lookalike):
    done = lookalike("check", "--data", "-c", sound / "run.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "24 files read: 0 errors, 0 warnings, 0 notes." in done.stdout
    assert findings(sound / "output" / "data_doctor") == []
    assert "Nothing serious was found" in (sound / "output/data_doctor/report.html").read_text()


def test_warnings_and_notes_are_no_failure(tiny, capsys):
    check(tiny)
    facts = json.loads(capsys.readouterr().out)
    assert facts["errors"] == 0 and facts["found"]["same_images"] == 1
    assert facts["splits"]["Train"] == {"images": 24, "labels": 6, "gini": 0.0}
    assert (tiny / "output" / "data_doctor" / "report.html").is_file()


def test_options_of_the_data_need_data(sound, lookalike):
    done = lookalike("check", "-c", sound / "run.yaml", "--report", "x")
    assert done.returncode == 2
    assert "belong to --data" in done.stderr


def test_an_unreadable_list_does_not_hide_the_others(sound):
    (sound / "query.txt").write_text("8.png zero\n9.png\n")
    (sound / "images" / "3.png").unlink()
    with pytest.raises(DataError, match="3 errors"):
        check(sound)
    assert findings(sound / "output" / "data_doctor") == [
        ("list", "Query", ""),
        ("list", "Query", ""),
        ("missing", "Train", "3.png"),
    ]


def test_a_missing_folder_is_a_finding_of_each_split(sound):
    (sound / "images").rename(sound / "elsewhere")
    with pytest.raises(DataError, match="3 errors"):
        check(sound)
    assert [kind for kind, _, _ in findings(sound / "output" / "data_doctor")] == ["list"] * 3


@pytest.mark.parametrize(
    ("override", "kind", "says"),
    [
        ("DataLoader.Train.sampler.batch_size=64", "sampler", "32 different labels"),
        ("DataLoader.Train.sampler.batch_size=7", "sampler", "multiple"),
        ("Arch.Head.class_num=3", "label_out_of_range", "outside [0, 3)"),
        ("Arch.Head.class_num=9", "label_gap", "5 of the labels 0 to 8"),
        ("Global.image_shape=[3,64,32]", "small", "the input is 32 x 64"),
    ],
)
def test_a_setting_that_does_not_fit_the_data_is_found(sound, capsys, override, kind, says):
    with contextlib.suppress(DataError):
        check(sound, override)
    with open(sound / "output" / "data_doctor" / "findings.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == kind]
    assert rows and says in rows[0]["detail"]


def test_a_sampler_that_deals_few_partners_is_a_warning(sound):
    write_list(sound / "train.txt", [(f"{n}.png", min(n, 13), 0) for n in range(16)])
    text = (sound / "run.yaml").read_text()
    text = text.replace("DistributedRandomIdentitySampler", "DistributedBatchSampler", 1)
    text = text.replace("      batch_size: 8\n      num_instances: 2\n", "      batch_size: 16\n")
    text = text.replace("class_num: 4", "class_num: 14").replace("        views: 2\n", "")
    (sound / "run.yaml").write_text(text)
    check(sound)
    kinds = [kind for kind, _, _ in findings(sound / "output" / "data_doctor")]
    assert sorted(kinds) == ["sampler_weak"] + ["single_image"] * 13


def test_labels_of_a_classified_split_are_those_of_training(sound):
    text = TINY_YAML.format(root=sound).replace("eval_mode: retrieval", "eval_mode: classification")
    text = text.replace("class_num: 6", "class_num: 4").replace(
        "    - Recallk: {topk: [1, 5]}\n    - mAP: {}\n", "    - TopkAcc: {topk: [1]}\n"
    )
    head, tail = text.split("    Query: &eval\n")
    block = tail.split("    Gallery: *eval\n")[0].replace("train.txt", "query.txt")
    lines = [line[2:] for line in block.splitlines()]
    rest = tail.split("    Gallery: *eval\n")[1]
    (sound / "run.yaml").write_text(head + "\n".join(lines) + "\n" + rest)
    with pytest.raises(DataError):
        check(sound)
    kinds = findings(sound / "output" / "data_doctor")
    assert {(kind, split) for kind, split, _ in kinds} == {("label_out_of_range", "Eval")}


def test_a_run_without_data_is_a_configuration_error(sound):
    text = (sound / "run.yaml").read_text()
    head, rest = text.split("DataLoader:\n")
    (sound / "run.yaml").write_text(head + "Metric:" + rest.split("Metric:")[1])
    with pytest.raises(ConfigError, match="names no data"):
        check(sound)


def test_no_answer_at_all_is_an_error(sound):
    rows = [(f"{n}.png", 100 + n, 0) for n in range(17, 24, 2)]
    write_list(sound / "gallery.txt", rows)
    with pytest.raises(DataError):
        check(sound)
    kinds = [kind for kind, _, _ in findings(sound / "output" / "data_doctor")]
    assert kinds.count("no_answer") == 1 and kinds.count("unreachable_query") == 4


def test_a_data_set_of_folders_has_no_list_to_clean(tmp_path, capsys):
    make_images(tmp_path)
    text = TINY_YAML.format(root=tmp_path)
    start, end = text.index("    dataset:\n"), text.index("      transform_ops:\n")
    folder = f"    dataset:\n      name: ImageFolder\n      image_root: {tmp_path}/images\n"
    text = text[:start] + folder + text[end:]
    (tmp_path / "run.yaml").write_text(
        text.split("  Eval:\n    Query:")[0] + "Metric:\n  Eval: []\n"
    )
    with pytest.raises(DataError, match="no split has a list"):
        check(tmp_path, clean_list=str(tmp_path / "clean.txt"))


def test_file_names_cannot_talk_to_the_terminal(sound, capsys):
    (sound / "train.txt").write_text("\x1b[2J\u202e.png 0 0\n")
    with pytest.raises(DataError):
        check(sound, as_json=False)
    assert "\x1b[2J" not in capsys.readouterr().out
