"""YAML text: hostile files are refused with their line, and scalars mean what YAML 1.2 says."""

import contextlib
import math
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lookalike.config import read_yaml, read_yaml_text
from lookalike.config.check import check_frame
from lookalike.config.read import plain_scalar, read_value
from lookalike.errors import ConfigError


def refusal(text):
    with pytest.raises(ConfigError) as caught:
        read_yaml_text(text, file="run.yaml")
    (problem,) = caught.value.problems
    assert len(str(problem)) < 1000
    return problem


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.0e-20", 1e-20),
        ("5E4", 50000.0),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("+7", 7),
        ("-0", 0),
        ("1.0", 1.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("", None),
        ("~", None),
        ("null", None),
        ("None", None),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        # words, not numbers or truth values
        ("yes", "yes"),
        ("no", "no"),
        ("off", "off"),
        ("1.0/255.0", "1.0/255.0"),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("1,000", "1,000"),
        ("0b11", "0b11"),
        ("1e", "1e"),
        ("0x", "0x"),
        ("inf", "inf"),
        ("nan", "nan"),
        ("NONE", "NONE"),
        ("2024-01-01", "2024-01-01"),
        ("１２", "１２"),
    ],
)
def test_plain_scalars(text, value):
    found = plain_scalar(text)
    assert found == value
    assert type(found) is type(value)
    if text:
        assert read_yaml_text(f"a: {text}\n").data == {"a": value}


def test_nan_is_a_number():
    assert math.isnan(plain_scalar(".nan"))


@pytest.mark.parametrize("text", ["'3'", '"3"', "'1e-3'", "'true'", "'null'", "'0x1F'", "''"])
def test_quoted_scalars_stay_text(text):
    assert read_yaml_text(f"a: {text}\n").data == {"a": text.strip("'\"")}


@pytest.mark.parametrize("digits", [39, 40, 400, 5000])
@pytest.mark.parametrize("prefix", ["", "-", "0x", "0o"])
def test_very_long_numbers_do_no_harm(prefix, digits):
    value = plain_scalar(prefix + "7" * digits)
    assert isinstance(value, int | float | str)
    document = read_yaml_text(f"Global: {{epochs: {prefix}{'7' * digits}, image_shape: 5}}\n")
    _, problems = check_frame(document)
    assert all(len(str(problem)) < 2000 for problem in problems)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_python_floats_are_read_back(value):
    assert plain_scalar(repr(value)) == value


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("a: !!python/object/apply:os.system ['id']\n", "run.yaml:1:4", "tags"),
        ("a:\n  - !!python/name:os.system\n", "run.yaml:2:5", "tags"),
        ("!!python/object:os.system {}\n", "run.yaml:1:1", "tags"),
        ("!!map {a: 1}\n", "run.yaml:1:1", "tags"),
        ("a: !!int 3\n", "run.yaml:1:4", "tags"),
        ("a: !include /etc/passwd\n", "run.yaml:1:4", "tags"),
        ("a: ! x\n", "run.yaml:1:4", "tags"),
        ("!!str a: 3\n", "run.yaml:1:1", "tags"),
        ("a: 1\nb: 2\na: 3\n", "run.yaml:3:1", "'a' stands here a second time"),
        ("a: {b: 1, b: 2}\n", "run.yaml:1:11", "'b' stands here a second time"),
        ("a: 1\n'a': 3\n", "run.yaml:2:1", "'a' stands here a second time"),
        ("a:\n\tb: 1\n", "run.yaml:2:1", r"\\t"),
        ("a: 1\n---\nb: 2\n", "run.yaml:2:1", "second document"),
        ("a: *x\n", "run.yaml:1:4", "no anchor '&x'"),
        ("a: &a [*a]\n", "run.yaml:1:8", "anchor"),
        ("a: &x 1\nb:\n  <<: *x\n", "run.yaml:3:3", "merges mappings only"),
        ("? [a, b]\n: 1\n", "run.yaml:1:3", "key must be a word"),
        ("a: &x 1\n*x : 2\n", "run.yaml:2:1", "key must be a word"),
        ("a: [1, 2\n", "run.yaml:1:4", "expected"),
        ("a: b: c\n", "run.yaml:1:5", "mapping values"),
        ("a: 1\n b: 2\n", "run.yaml:2:3", "mapping values"),
        ("a: @x\n", "run.yaml:1:4", "'@'"),
        ("a: 1\n" * 3 + "x" * 300 + ": [\n", "run.yaml:2:1", "second time"),
        ("a: " + "[" * 60 + "]" * 60, "run.yaml:1:44", "nested deeper than 40"),
        ("a: " + "[" * 500_000, "run.yaml:1:44", "nested deeper than 40"),
        ("{" * 200_000, "run.yaml:1:2", "key must be a word"),
        ("- " * 100_000, "run.yaml:1:83", "nested deeper than 40"),
        ("", "run.yaml", "empty"),
        ("# only a remark\n", "run.yaml", "empty"),
        ("- a\n", "run.yaml", "mapping of sections"),
        ("hello\n", "run.yaml", "mapping of sections"),
        ("null\n", "run.yaml", "mapping of sections"),
        ("%YAML 9.9\n---\na: 1\n", "run.yaml", "."),
    ],
)
def test_refused_with_the_place(text, where, message):
    problem = refusal(text)
    assert problem.where.startswith(where)
    pytest.raises(ConfigError, read_yaml_text, text).match(message)


@pytest.mark.parametrize("character", ["\0", "\x07", "\x1b", "\x7f", "\ufffe"])
def test_a_control_character_is_refused_with_its_line(character):
    problem = refusal(f"a: 1\nb: 2{character}\n")
    assert problem.where.startswith("run.yaml:2"), "the line is not told"


@pytest.mark.parametrize("escape", ["\\UFFFFFFFF", "\\U00110000", "\\xZZ", "\\q"])
def test_an_impossible_escape_is_refused_with_its_line(escape):
    assert refusal(f'a: 1\nb: "{escape}"\n').where.startswith("run.yaml:2")


def test_an_unclosed_quote_is_told_where_it_opens():
    problem = refusal("a: 1\nb: 'open\n" + "c: 3\n" * 30)
    assert "run.yaml:2" in str(problem) or "line 2" in str(problem)


def test_caret_points_at_the_mistake():
    problem = refusal("first: 1\nsecond: !tag 2\n")
    line, caret = problem.excerpt.split("\n")
    assert line.endswith("second: !tag 2")
    assert line[caret.index("^")] == "!"


def test_excerpt_of_a_long_line_still_shows_the_mistake():
    problem = refusal(f"a: {{{'k: 1, ' * 1}x: {'y' * 400}, z: !tag 1}}\n")
    line, caret = problem.excerpt.split("\n")
    assert line[caret.index("^")] == "!"


def test_alias_bomb_is_refused_fast():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 40)]
    start = time.process_time()
    assert "20,000" in refusal("\n".join(lines)).message
    assert time.process_time() - start < 1


def test_merge_bomb_is_refused_fast():
    lines = ["a0: &a0 {x: 1, y: 2}"]
    lines += [f"a{i}: &a{i} {{p{i}: *a{i - 1}, q{i}: *a{i - 1}}}" for i in range(1, 60)]
    refusal("\n".join(lines))


@pytest.mark.parametrize("length", [60, 300, 430])
def test_depth_made_of_aliases_is_refused_like_any_other(length):
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, length)]
    assert "nested deeper than 40" in refusal("\n".join(lines)).message


@pytest.mark.parametrize(
    "text",
    ["a: " + "!" * 400_000, "\n".join(f"k{i}: 1" for i in range(40_000))],
    ids=["tag", "keys"],
)
def test_large_hostile_files_are_read_or_refused_soon(text):
    start = time.process_time()
    with contextlib.suppress(ConfigError):
        read_yaml_text(text)
    assert time.process_time() - start < 5.0


def test_merge_keys():
    text = """\
base: &base {x: 1, y: {z: 2}}
other: &other {x: 7, w: 8}
one:
  <<: *base
  x: 3
two:
  x: 4
  <<: *base
three:
  <<: [*base, *other]
quoted:
  '<<': 5
"""
    data = read_yaml_text(text).data
    assert data["one"] == {"x": 3, "y": {"z": 2}}
    assert data["two"] == {"x": 4, "y": {"z": 2}}
    assert data["three"] == {"x": 1, "y": {"z": 2}, "w": 8}
    assert data["quoted"] == {"<<": 5}


def test_each_use_of_an_anchor_is_a_copy():
    data = read_yaml_text("a: &x {l: [1, {m: 2}]}\nb: *x\nc: {<<: *x}\n").data
    data["b"]["l"][1]["m"] = 9
    data["c"]["l"].append(5)
    assert data["a"] == {"l": [1, {"m": 2}]}
    assert data["b"]["l"] is not data["c"]["l"]


def test_marks_know_every_key():
    document = read_yaml_text("a:\n  - b: 1\n    c: {d: 2}\n")
    assert document.marks[("a",)] == (1, 1)
    assert document.marks[("a", 0)] == (2, 5)
    assert document.marks[("a", 0, "c", "d")] == (3, 9)


@pytest.mark.parametrize(
    "raw",
    [b"\xef\xbb\xbfa: 1\n", b"a: 1\r\n", b"a: 1\r", b"a: 1", b"--- \na: 1\n...\n", b"\n\n\na: 1\n"],
)
def test_harmless_bytes(tmp_path, raw):
    (tmp_path / "run.yaml").write_bytes(raw)
    assert read_yaml(tmp_path / "run.yaml").data == {"a": 1}


def test_crlf_does_not_shift_lines(tmp_path):
    (tmp_path / "run.yaml").write_bytes(b"a: 1\r\nb: 2\r\nc: !t 3\r\n")
    with pytest.raises(ConfigError, match=r"run\.yaml:3:4"):
        read_yaml(tmp_path / "run.yaml")


@pytest.mark.parametrize("encoding", ["gbk", "utf-16", "latin-1"])
def test_another_encoding_is_told_with_its_line(tmp_path, encoding):
    text = "a: 1\nb: 中文\n" if encoding != "latin-1" else "a: 1\nb: é\n"
    (tmp_path / "run.yaml").write_bytes(text.encode(encoding))
    line = 1 if encoding == "utf-16" else 2
    with pytest.raises(ConfigError, match=rf"run\.yaml:{line}: not UTF-8.*UTF-8"):
        read_yaml(tmp_path / "run.yaml")


def test_unreadable_files_are_told(tmp_path):
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "large.yaml").write_bytes(b"# " + b"x" * 1_000_001)
    for name in ("missing.yaml", ".", "loop.yaml", "large.yaml"):
        with pytest.raises(ConfigError) as caught:
            read_yaml(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


@given(st.text(alphabet=st.sampled_from("ab01: -[]{},&*!|>%@`'\"#?\n\t\\~<.e"), max_size=40))
@example("%TAG ! !\n--- a")
@example("- - ? : -")
@example("a: |9\n b")
@example('"\\xZZ"')
@example("&a\n*a")
@example("? ")
@example("a: >-2+\n")
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_document_or_a_config_error(text):
    for reader in (read_yaml_text, read_value):
        with contextlib.suppress(ConfigError):
            reader(text)


@given(st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_unicode_is_a_document_or_a_config_error(text):
    for reader in (read_yaml_text, read_value):
        with contextlib.suppress(ConfigError):
            reader(text)


plain_data = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text("abc xyz", max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["Global", "Arch", "Loss", "DataLoader", "Optimizer"]), plain_data
    )
)
@settings(max_examples=150, deadline=None)
def test_any_data_passes_the_frame_or_is_told(data):
    import json

    document = read_yaml_text(json.dumps(data))
    assert document.data == data
    config, problems = check_frame(document)
    assert (config is None) == bool(problems)
    for problem in problems:
        assert problem.message
        assert "<text>" in problem.where


@pytest.mark.parametrize("key", ["epochs", "seed", "print_batch_step", "save_interval"])
@pytest.mark.parametrize("value", ["True", "false", "2.5", "three", "[1]", "{a: 1}", "1e400"])
def test_a_whole_number_is_no_truth_value_nor_anything_else(key, value):
    document = read_yaml_text(f"Global: {{{key}: {value}}}\nArch: {{Backbone: {{name: x}}}}\n")
    config, problems = check_frame(document)
    assert config is None
    assert [problem.key for problem in problems] == [f"Global.{key}"]
    assert "<text>:1:10" in problems[0].where


@pytest.mark.parametrize(("value", "number"), [("'3'", 3), ("3.0", 3), ("03", 3), ("0x3", 3)])
def test_other_spellings_of_a_whole_number(value, number):
    document = read_yaml_text(f"Global: {{epochs: {value}}}\nArch: {{Backbone: {{name: x}}}}\n")
    config, problems = check_frame(document)
    assert problems == []
    assert config.Global.epochs == number


@pytest.mark.parametrize(
    ("value", "truth"), [("'false'", False), ("'True'", True), ("no", False), ("off", False)]
)
def test_other_spellings_of_a_truth_value(value, truth):
    document = read_yaml_text(
        f"Global: {{eval_during_train: {value}}}\nArch: {{Backbone: {{name: x}}}}\n"
    )
    config, problems = check_frame(document)
    assert problems == []
    assert config.Global.eval_during_train is truth


def test_a_long_value_is_cut_in_the_message():
    document = read_yaml_text(
        f"Global: {{epochs: {'x' * 50_000}}}\nArch: {{Backbone: {{name: x}}}}"
    )
    _, problems = check_frame(document)
    assert len(str(problems[0])) < 1000


@pytest.mark.parametrize("component", ["CELoss", "[]", "5", "{}"])
def test_hints_show_the_yaml_to_write(component):
    document = read_yaml_text(f"Global: {{}}\nArch: {{Backbone: {component}}}\n")
    _, (problem,) = check_frame(document)
    assert "{{" not in problem.message, "template braces in the message"
