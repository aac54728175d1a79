"""YAML files and lists that nobody should have to read, by name: what they hold, what is said.

Each is ``(reader, content, exit code, line)``: ``line`` is the one the message must name, 0 where
there is none to name. The content is bytes, or a function that makes the file at a path.
"""

import os

CONFIG, DATA = 2, 3

FRAME = """\
Global: {device: cpu, image_shape: [3, 32, 32]}
Arch:
  Backbone: {name: test_resnet}
"""


def sparse(size):
    """Make a file of zeros that takes no room on the disk."""

    def make(path):
        with open(path, "wb") as file:
            file.truncate(size)

    return make


def lines(text, count):
    return lambda path: path.write_bytes(text * count)


def circle(path):
    """Make a symbolic link that leads to itself."""
    path.symlink_to(path.name)


def laughs(levels, width):
    rows = ["a0: &a0 [lol]"]
    for level in range(1, levels):
        rows.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]")
    return "\n".join(rows).encode()


def merges(levels):
    rows = ["m0: &m0 {k: v}"]
    for level in range(1, levels):
        rows.append(f"m{level}: &m{level} {{<<: [*m{level - 1}, *m{level - 1}], k{level}: v}}")
    return "\n".join(rows).encode()


def steps(depth):
    return "\n".join(" " * level + f"k{level}:" for level in range(depth)).encode()


def yaml(content, line=0):
    content = content.encode() if isinstance(content, str) else content
    return ("run", content, CONFIG, line)


YAML = {
    "python_object": yaml("Global: 1\nx: !!python/object/apply:os.system ['touch RAN']\n", 2),
    "python_name": yaml("Global:\n  device: !!python/name:os.system\n", 2),
    "python_module": yaml("- !!python/module:os\n", 1),
    "own_tag": yaml("Global: !include /etc/passwd\n", 1),
    "tag_directive": yaml("%TAG ! tag:yaml.org,2002:python/\n---\nx: !name:os.system\n", 3),
    "binary_tag": yaml("Global: {device: !!binary aGVsbG8=}\n", 1),
    "alias_bomb": yaml(laughs(10, 10), 5),
    "alias_bomb_deep": yaml(laughs(60, 2), 12),
    "merge_bomb": yaml(merges(60), 11),
    "anchor_to_itself": yaml("Global: &a [*a]\n", 1),
    "anchor_missing": yaml("Global:\n  device: *nowhere\n", 2),
    "hundred_megabytes": ("run", sparse(100_000_000), CONFIG, 0),
    "hundred_megabytes_of_keys": ("run", lines(b"key: value\n", 9_100_000), CONFIG, 0),
    "a_device": ("run", lambda path: path.symlink_to("/dev/zero"), CONFIG, 0),
    "a_folder": ("run", lambda path: path.mkdir(), CONFIG, 0),
    "a_circle": ("run", circle, CONFIG, 0),
    "nested_brackets": yaml("Global:\n  x: " + "[" * 5000, 2),
    "nested_braces": yaml("x: " + "{a: " * 3000, 1),
    "nested_blocks": yaml(steps(400), 42),
    "nested_dashes": yaml("Global:\n" + "- " * 20_000, 2),
    "many_values": yaml("x: [" + "1," * 90_000 + "1]", 1),
    "many_keys": yaml("\n".join(f"k{n}: {n}" for n in range(12_000)), 10_000),
    "one_long_word": yaml("Global: " + "a" * 190_000, 1),
    "long_quoted": yaml('Global: "' + "\\u4e2d" * 30_000, 1),
    "same_key_twice": yaml("Global:\n  device: cpu\n  device: gpu\n", 3),
    "same_key_in_braces": yaml("Global: {device: cpu, device: gpu}\n", 1),
    "same_section_twice": yaml(FRAME + "Global: {}\n", 4),
    "tab_as_indent": yaml("Global:\n\tdevice: cpu\n", 2),
    "bom_then_mistake": yaml("\ufeffGlobal: {device: cpu}\nArk: {}\n", 2),
    "crlf_then_mistake": yaml("Global:\r\n  device: cpu\r\n  devise: cpu\r\n", 3),
    "gbk": yaml(b"Global: {}\n# " + "训练配置".encode("gbk") + b"\n", 2),
    "utf_16": yaml("Global: {}\n".encode("utf-16"), 1),
    "latin_1": yaml("Global: {}\nx: caf\xe9\n".encode("latin-1"), 2),
    "zero_byte": yaml(b"Global: {}\nx: a\0b\n", 2),
    "escape_sequence": yaml(b"Global: {}\nx: \x1b[2J\n", 2),
    "surrogate": yaml(b"Global: {}\nx: \xed\xa0\x80\n", 2),
    "unclosed_quote": yaml("Global:\n  device: 'cpu\n", 2),
    "unclosed_bracket": yaml("Global:\n  x: [1, 2\n", 2),
    "two_documents": yaml("Global: {}\n---\nGlobal: {}\n", 2),
    "a_list": yaml("- Global\n- Arch\n"),
    "a_number": yaml("5\n"),
    "empty": yaml(""),
    "only_comments": yaml("# nothing\n"),
    "key_of_keys": yaml("Global: {}\n? {a: b}\n: 1\n", 2),
    "wrong_types": yaml("Global: [1, 2]\nArch: 7\nLoss: no\nDataLoader: 'x'\nOptimizer: 1.5\n", 1),
    "wrong_types_within": yaml(
        FRAME.replace("cpu", "{a: 1}") + "Metric: {Eval: {Recallk: 3}}\nOptimizer: [[1], null]\n", 1
    ),
    "numbers_beyond": yaml(FRAME.replace("cpu", f"cpu, epochs: 1{'0' * 400}, seed: -1"), 1),
    "not_a_number": yaml(FRAME + "Optimizer: {name: Adam, lr: {learning_rate: .nan}}\n", 4),
    "name_of_code": yaml(FRAME.replace("test_resnet", "'os:system'"), 3),
    "name_of_a_module": yaml(FRAME.replace("test_resnet", "torch.load"), 3),
    "target_of_hydra": yaml(FRAME.replace("name: test_resnet", "_target_: os.system"), 3),
    "image_of_a_terabyte": yaml(FRAME.replace("32, 32", "1000000, 1000000"), 1),
}


def listed(reader, content, line=0):
    content = content.encode() if isinstance(content, str) else content
    return (reader, content, DATA, line)


GOOD = "a.jpg 0 1\n"
LISTS = {
    "one_column.txt": listed("list", GOOD + "a.jpg\n", 2),
    "columns_differ.txt": listed("list", GOOD * 3 + "a.jpg 0\n", 4),
    "label_a_word.txt": listed("list", GOOD + "a.jpg cat 1\n", 2),
    "label_a_fraction.txt": listed("list", GOOD + "a.jpg 1.0 1\n", 2),
    "label_negative.txt": listed("list", GOOD + "a.jpg -3 1\n", 2),
    "label_of_30_digits.txt": listed("list", GOOD + f"a.jpg {'9' * 30} 1\n", 2),
    "label_of_a_megabyte.txt": listed("list", GOOD + f"a.jpg {'9' * 900_000} 1\n", 2),
    "label_unicode_digit.txt": listed("list", GOOD + "a.jpg \u0663 1\n", 2),
    "label_beyond_the_head.txt": listed("list", GOOD + "a.jpg 999999999999999999 1\n", 2),
    "camera_a_fraction.txt": listed("list", GOOD + "a.jpg 0 0.5\n", 2),
    "labels_with_gaps.txt": listed("list", GOOD + "a.jpg 2 1\na.jpg 17 1\n", 3),
    "empty.txt": listed("list", ""),
    "only_blank.txt": listed("list", "\n \t\n\r\n"),
    "crlf.txt": listed("list", GOOD.replace("\n", "\r\n") * 2 + "a.jpg x 1\r\n", 3),
    "old_mac.txt": listed("list", GOOD.replace("\n", "\r") + "a.jpg x 1\r", 2),
    "bom.txt": listed("list", "\ufeff" + GOOD + "a.jpg x 1\n", 2),
    "gbk.txt": listed("list", GOOD.encode() + "车辆.jpg 0 1\n".encode("gbk"), 2),
    "gbk_far_below.txt": listed("list", GOOD.encode() * 200_000 + b"\xb3\xb5.jpg 0 1\n", 200_001),
    "utf_16.txt": listed("list", GOOD.encode("utf-16"), 1),
    "bytes.txt": listed("list", bytes(range(256)) * 8, 2),
    "zero_in_a_path.txt": listed("list", GOOD + "a\0.jpg 0 1\n", 2),
    "escape_in_a_path.txt": listed("list", GOOD + "a\x1b[2J.jpg 0 1\n", 2),
    "windows_path.txt": listed("list", GOOD + "C:\\photos\\a.jpg 0 1\n", 2),
    "windows_share.txt": listed("list", GOOD + "\\\\server\\share\\a.jpg 0 1\n", 2),
    "windows_parent.txt": listed("list", GOOD + "..\\a.jpg 0 1\n", 2),
    "absolute_path.txt": listed("list", GOOD + "/etc/passwd 0 1\n", 2),
    "parent_path.txt": listed("list", GOOD + "b/../../a.jpg 0 1\n", 2),
    "missing_image.txt": listed("list", GOOD + "b.jpg 0 1\n", 2),
    "folder_as_image.txt": listed("list", GOOD + "b/c/d.jpg 0 1\n", 2),
    "long_name.txt": listed("list", GOOD + "n" * 5000 + " 0 1\n", 2),
    "line_of_ten_megabytes.txt": listed("list", GOOD.encode() + b"a" * 10_000_000, 2),
    "zeros_of_100_megabytes.txt": ("list", sparse(100_000_000), DATA, 1),
    "three_megabytes_of_mistakes.txt": ("list", lines(b"a.jpg x 1\n", 300_000), DATA, 1),
    "folder.txt": ("list", lambda path: path.mkdir(), DATA, 0),
    "pipe.txt": ("list", lambda path: os.mkfifo(path), DATA, 0),
    "device.txt": ("list", lambda path: path.symlink_to("/dev/zero"), DATA, 0),
    "circle.txt": ("list", circle, DATA, 0),
    "delimited.txt": listed("delimited", "a.jpg,0\na.jpg;0\n", 2),
    "logo.txt": listed("logo", "image_id\tclass\tx\tpath\n1\t0\tx\ta.jpg\n", 2),
    "logo_outside.txt": listed("logo", "1\t1\tx\t../a.jpg\n", 1),
    "cartoon.txt": listed("cartoon", "a.jpg\t0\na.jpg 0\n", 2),
    "unlabelled_outside.txt": listed("unlabelled", "a.jpg\n/etc/passwd\n", 2),
    "no_column.csv": listed("table", "file,class\na.jpg,0\n"),
    "short_row.csv": listed("table", "label,path\n0,a.jpg\n0\n", 3),
    "no_label.csv": listed("table", "path,label\na.jpg,\n", 2),
    "outside.csv": listed("table", "path,label\n../a.jpg,0\n", 2),
    "zero_byte.csv": listed("table", "path,label\na\0.jpg,0\n", 2),
    "gbk.csv": listed("table", b"path,label\n" + "车.jpg,0\n".encode("gbk")),
    "quote_without_end.csv": listed("table", 'path,label\n"a.jpg,0\n' + "x" * 200_000 + "\n", 2),
    "header_alone.csv": listed("table", "path,label\n"),
    "noise.parquet": listed("table", b"PAR1" + bytes(range(256)) + b"PAR1"),
    "footer_of_2_gigabytes.parquet": listed(
        "table", b"PAR1" + b"\0" * 100 + b"\xff\xff\xff\x7fPAR1"
    ),
}
