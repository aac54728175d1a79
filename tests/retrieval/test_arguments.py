"""What retrieval's public functions accept, and what they refuse before a compiled loop runs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike import build
from lookalike.errors import ConfigError, DataError
from lookalike.geometry import unit
from lookalike.retrieval import (
    CMC,
    BinaryCodes,
    Int8Codes,
    MeanAveragePrecision,
    PrecisionAtK,
    RecallAtK,
    ReRanking,
    augment_database,
    evaluate_retrieval,
    expand_queries,
    nearest_neighbours,
    rank_relevant,
    ranks_from_similarity,
    recall_per_byte,
)
from lookalike.retrieval.comparison import paired_difference
from lookalike.retrieval.intervals import clustered_interval
from lookalike.retrieval.metric_names import metric_by_name, threshold_metric
from lookalike.retrieval.nearest import nearest_rows
from lookalike.retrieval.open_set import best_matches
from lookalike.retrieval.pairs import count_pairs
from lookalike.retrieval.rules import Rules
from lookalike.retrieval.sparse import SparseRows, shared
from lookalike.retrieval.table_scores import score_tables
from lookalike.retrieval.verification import verification_accuracy
from lookalike.types import EmbeddingTable

METRICS = [RecallAtK([1]), MeanAveragePrecision()]


def noise(rows, columns=8, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def table(embeddings=None, **parts):
    embeddings = noise(20) if embeddings is None else embeddings
    number = len(embeddings)
    made = {"labels": torch.arange(number) % 5, "ids": [f"{row}.jpg" for row in range(number)]}
    return EmbeddingTable(embeddings, **{**made, **parts})


# --- how embeddings are compared -------------------------------------------------------------


def test_neighbours_are_compared_by_cosine():
    query = torch.tensor([[1.0, 0.0]])
    gallery = torch.tensor([[0.9, 0.1], [50.0, 60.0], [0.0, 0.0]])
    similarity, rows = nearest_neighbours(query, gallery, 3)
    assert rows.tolist() == [[0, 1, 2]]
    torch.testing.assert_close(similarity, torch.tensor([[0.9 / 0.82**0.5, 5 / 61**0.5, 0.0]]))
    similarity, rows = nearest_neighbours(query, gallery, 3, normalize=False)
    assert (similarity.tolist()[0][0], rows.tolist()) == (50.0, [[1, 0, 2]])


def test_neighbours_agree_with_the_evaluation():
    """Their accuracy is Recall@1, also where lengths carry nothing but noise."""
    lengths = torch.logspace(-3, 3, 60)[
        torch.randperm(60, generator=torch.Generator().manual_seed(1))
    ]
    labels = torch.arange(60) % 6
    centres = noise(6, seed=2)
    points = (centres[labels] + 0.8 * noise(60)) * lengths[:, None]
    _, rows = nearest_neighbours(points, points, 1, exclude=torch.arange(60))
    accuracy = (labels[rows[:, 0]] == labels).double().mean()
    found = evaluate_retrieval(*[table(points, labels=labels)] * 2, METRICS, same_images=True)
    assert found.values["recall1"] == pytest.approx(float(accuracy), abs=1e-12)


SCALES = [(torch.float32, 1e19), (torch.float32, 1e37), (torch.float32, 1e-30),
          (torch.float32, 1e-40), (torch.float64, 1e300), (torch.float64, 1e-300)]  # fmt: skip


def differently_scaled(dtype, scale):
    """All rows, and every fourth row."""
    some = torch.ones(40, 1, dtype=torch.float64)
    some[::4] = scale
    return [(noise(40).double() * factor).to(dtype) for factor in (scale, some)]


@pytest.mark.parametrize(("dtype", "scale"), SCALES)
def test_no_cosine_depends_on_the_scale(dtype, scale):
    plain = table(noise(40).to(dtype))
    plain_codes = recall_per_byte(plain, plain, METRICS, same_images=True)
    for scaled in differently_scaled(dtype, scale):
        other = replace(plain, embeddings=scaled)
        for rules in (
            Rules(own_images=True),
            Rules(own_images=True, binarize="sign"),
            Rules(own_images=True, re_rank=True),
            Rules(own_images=True, augment=3, expand=3),
        ):
            names = ["recall@1", "mAP"] + ([] if rules.re_rank else ["AUC", "TPIR@0.5"])
            expected = score_tables(plain, plain, names, rules).values
            # numbers below the smallest normal one have few digits, and re-ranking counts
            # neighbours, so that it may see a rounding
            rough = 0.05 if scale == 1e-40 else 0.01 if rules.re_rank else 1e-9
            for left, right in ((other, other), (other, plain)):
                found = score_tables(left, right, names, rules).values
                assert found == pytest.approx(expected, abs=rough)
        if scale != 1e-40:
            near = nearest_neighbours(scaled, plain.embeddings, 5)
            assert torch.equal(near[1], nearest_neighbours(*[plain.embeddings] * 2, 5)[1])
            codes = recall_per_byte(other, other, METRICS, same_images=True)
            assert [point.values for point in codes] == [point.values for point in plain_codes]


BY_PRODUCT = {
    "rank_relevant": lambda q, g, labels: rank_relevant(q, g, labels, labels),
    "count_pairs": lambda q, g, labels: count_pairs(q, g, labels, labels),
    "best_matches": lambda q, g, labels: best_matches(q, g, labels, labels),
    "nearest": lambda q, g, labels: nearest_neighbours(q, g, 2, normalize=False),
    "re-ranking": lambda q, g, labels: ReRanking(q, g),
    "evaluation": lambda q, g, labels: evaluate_retrieval(
        table(q), table(g), METRICS, normalize=False
    ),
    "codes": lambda q, g, labels: Int8Codes.of(g).asymmetric(q),
}


@pytest.mark.parametrize("name", BY_PRODUCT)
@pytest.mark.parametrize("scale", [1e19, 1e37, 1e-30])
def test_inner_products_that_overflow_or_vanish_are_refused(name, scale):
    call, labels = BY_PRODUCT[name], torch.arange(10) % 3
    call(noise(10), noise(10, seed=1), labels)
    if (name, scale) == ("codes", 1e-30):
        return  # steps of any size are fine; ranking by them is not
    with pytest.raises(DataError, match=r"overflow or vanish\. Compare by cosine"):
        call(noise(10) * scale, noise(10, seed=1) * scale, labels)


def test_codes_whose_products_vanish_are_refused():
    codes, labels = Int8Codes.of(noise(10) * 1e-30), torch.arange(10) % 3
    with pytest.raises(DataError, match="query row 0 has a largest number of .*vanish"):
        rank_relevant(codes, codes, labels, labels)


def test_two_types_are_compared_in_the_wider_one():
    narrow, wide = noise(20), noise(20, seed=3).double()
    labels = torch.arange(20) % 4
    expected = rank_relevant(narrow.double(), wide, labels, labels)
    for found in (
        rank_relevant(narrow, wide, labels, labels),
        rank_relevant(wide, narrow, labels, labels).of(torch.arange(20)),
    ):
        assert len(found.above) == len(expected.above)
    assert torch.equal(rank_relevant(narrow, wide, labels, labels).ranks, expected.ranks)
    assert nearest_neighbours(narrow, wide, 3)[0].dtype == torch.float64
    for rules in (Rules(), Rules(re_rank=True), Rules(augment=3, expand=3)):
        found = score_tables(table(narrow), table(wide), ["mAP"], rules).values["mAP"]
        both = score_tables(table(narrow.double()), table(wide), ["mAP"], rules).values["mAP"]
        assert found == pytest.approx(both, abs=1e-9)
    assert evaluate_retrieval(table(narrow), table(wide), METRICS, protocol="reference").values


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.int32, torch.int64, torch.bool])
def test_whole_numbers_are_compared_without_loss(kind):
    points = (noise(20).abs() * 40).to(kind)
    exact = points.double() if kind in (torch.int32, torch.int64) else points.float()
    found, expected = (
        score_tables(table(each), table(each), ["mAP"], Rules(own_images=True)).values
        for each in (points, exact)
    )
    assert found == expected
    assert torch.equal(nearest_neighbours(points, points, 2)[1],
                       nearest_neighbours(exact, exact, 2)[1])  # fmt: skip


def test_a_row_of_zeros_is_similar_to_nothing():
    points = noise(6)
    points[2] = 0.0
    similarity, _ = nearest_neighbours(points, points, 6)
    assert (similarity[2] == 0.0).all()
    found = evaluate_retrieval(*[table(points)] * 2, METRICS, same_images=True)
    assert found.num_queries == 6


# --- arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, -1, 1.0, True, None, "3"])
def test_a_k_that_is_no_positive_number_is_refused(k):
    for search in (nearest_neighbours, nearest_rows):
        with pytest.raises(ValueError, match="k must be a whole number of at least 1"):
            search(noise(4), noise(5), k)


def test_a_k_beyond_the_gallery_returns_the_gallery():
    for k in (5, 6, 10**30):
        assert [list(part.shape) for part in nearest_neighbours(noise(4), noise(5), k)] == [
            [4, 5]
        ] * 2


PAIRS = {
    "widths": (noise(4, 8), noise(5, 7), "got \\[4, 8\\] and \\[5, 7\\]|query embeddings have 8"),
    "no queries": (noise(0), noise(5), "needs a query|query is empty"),
    "no gallery": (noise(4), noise(0), "needs a query|gallery is empty"),
    "one dimension": (noise(4)[0], noise(5), r"query.*: \[N, D\]"),
    "no columns": (noise(4, 0), noise(5, 0), r"query.*: \[N, D\]"),
    "complex": (noise(4).to(torch.complex64), noise(5), "real numbers expected"),
    "nan": (noise(4).index_fill(1, torch.tensor([2]), torch.nan), noise(5), "row 0 is not finite"),
    "inf": (noise(4), noise(5).index_fill(0, torch.tensor([3]), -torch.inf), "gallery row 3"),
    "sparse": (noise(4).to_sparse(), noise(5), "a plain tensor"),
    "meta": (noise(4), torch.empty(5, 8, device="meta"), "a plain tensor"),
}
OF_PAIRS = {
    "nearest": lambda q, g: nearest_neighbours(q, g, 2),
    "products": lambda q, g: nearest_neighbours(q, g, 2, normalize=False),
    "rows": lambda q, g: nearest_rows(q, g, 2),
    "expansion": expand_queries,
    "re-ranking": ReRanking,
    "ranks": lambda q, g: rank_relevant(q, g, *labels_of(q, g)),
    "pairs": lambda q, g: count_pairs(q, g, *labels_of(q, g)),
    "best": lambda q, g: best_matches(q, g, *labels_of(q, g)),
}


def labels_of(query, gallery):
    return torch.arange(len(query)) % 2, torch.arange(len(gallery)) % 2


@pytest.mark.parametrize("function", OF_PAIRS)
@pytest.mark.parametrize("name", PAIRS)
def test_tables_that_cannot_be_compared_are_refused(name, function):
    query, gallery, message = PAIRS[name]
    with pytest.raises(DataError, match=message):
        OF_PAIRS[function](query, gallery)


@pytest.mark.parametrize("function", OF_PAIRS)
def test_gradients_views_and_strides_are_no_hindrance(function):
    query, gallery = noise(6, 16)[:, ::2], noise(14).T.contiguous().T[::2]
    OF_PAIRS[function](query.requires_grad_(), gallery)


@pytest.mark.parametrize("exclude", [[0, 1], [5, 0, 0, 0], [-2, 0, 0, 0], [0.0] * 4, [True] * 4])
def test_rows_to_leave_out_have_to_exist(exclude):
    with pytest.raises(ValueError, match="exclude: "):
        nearest_neighbours(noise(4), noise(5), 2, exclude=torch.tensor(exclude))


def test_everything_left_out_is_minus_infinity():
    similarity, rows = nearest_neighbours(noise(3), noise(1), 4, exclude=torch.tensor([0, -1, 0]))
    assert similarity[0].tolist() == [-torch.inf]
    assert similarity[1] > -1.0
    assert rows.tolist() == [[0], [0], [0]]


FACTS = {
    "few labels": ({"query_labels": torch.arange(3)}, "query labels: 4 expected"),
    "many labels": ({"gallery_labels": torch.arange(300)}, "gallery labels: 5 expected"),
    "float labels": ({"query_labels": torch.rand(4)}, "query labels: whole numbers"),
    "bool labels": ({"query_labels": torch.ones(4).bool()}, "query labels: whole numbers"),
    "one camera": ({"query_cameras": torch.arange(4)}, "cameras are given for one side only"),
    "one id": ({"gallery_ids": torch.arange(5)}, "ids are given for one side only"),
    "float cameras": (
        {"query_cameras": torch.rand(4), "gallery_cameras": torch.arange(5)},
        "query cameras: whole numbers",
    ),
    "few ids": (
        {"query_ids": torch.arange(4), "gallery_ids": torch.arange(2)}, "gallery ids: 5 expected",
    ),
}  # fmt: skip


@pytest.mark.parametrize("function", [rank_relevant, count_pairs, best_matches])
@pytest.mark.parametrize("name", FACTS)
def test_facts_that_do_not_fit_are_refused(name, function):
    parts, message = FACTS[name]
    sound = {"query_labels": torch.arange(4) % 2, "gallery_labels": torch.arange(5) % 2}
    with pytest.raises(DataError, match=message):
        function(noise(4), noise(5), **{**sound, **parts})


@pytest.mark.parametrize(
    ("similarity", "message"),
    [
        (lambda rows: torch.zeros(len(rows), 4), r"must return floating \[4, 5\]"),
        (lambda rows: torch.zeros(len(rows) + 1, 5), r"must return floating \[4, 5\]"),
        (lambda rows: torch.zeros(len(rows), 5).long(), "must return floating"),
        (lambda rows: torch.full((len(rows), 5), torch.nan), "query 0 are not finite"),
        (lambda rows: torch.full((len(rows), 5), -torch.inf), "query 0 are not finite"),
    ],
)
def test_similarities_of_a_function_are_checked(similarity, message):
    labels = torch.zeros(4), torch.zeros(5)
    labels = tuple(each.long() for each in labels)
    with pytest.raises(DataError, match=message):
        rank_relevant(noise(4), noise(5), *labels, similarity=similarity)


@pytest.mark.parametrize("share", [(1, 1), (-1, 2), (0, 0), (3, 2)])
def test_a_share_has_to_exist(share):
    labels = torch.arange(4)
    with pytest.raises(ValueError, match="share is"):
        rank_relevant(noise(4), noise(4), labels, labels, share=share)


SQUARE = torch.rand(3, 4)
WRONG_MATRICES = {
    "nan": ((SQUARE.log() * torch.nan, [0, 1, 2], [0, 1, 2, 0]), "query 0 are not finite"),
    "inf": ((SQUARE.masked_fill(SQUARE < 2, torch.inf), [0, 1, 2], [0, 1, 2, 0]), "not finite"),
    "queries": ((SQUARE, [0, 1], [0, 1, 2, 0]), "query labels: 3 expected"),
    "gallery": ((SQUARE, [0, 1, 2], [0, 1, 2]), "gallery labels: 4 expected"),
    "floats": ((SQUARE, [0.0, 1.0, 2.0], [0, 1, 2, 0]), "query labels: whole numbers"),
    "keep": ((SQUARE, [0, 1, 2], [0, 1, 2, 0], torch.ones(4, 3)), "keep: "),
    "empty": ((SQUARE[:0], [], [0, 1, 2, 0]), "query is empty"),
    "one row": ((SQUARE[0], [0, 1, 2], [0, 1, 2, 0]), "similarity: "),
    "complex": ((SQUARE + 1j, [0, 1, 2], [0, 1, 2, 0]), "similarity: real numbers"),
}


@pytest.mark.parametrize("name", WRONG_MATRICES)
def test_a_ready_matrix_is_checked(name):
    arguments, message = WRONG_MATRICES[name]
    for function in (ranks_from_similarity, RecallAtK([1]), RecallAtK([1], descending=False)):
        with pytest.raises(DataError, match=message):
            function(*arguments)


def test_whole_and_half_matrices_are_ranked():
    labels = [1], [1, 2, 1]
    for kind in (torch.int64, torch.uint8, torch.float16, torch.bool):
        scores = torch.tensor([[1, 0, 0]]).to(kind)
        assert ranks_from_similarity(scores, *labels).ranks.tolist() == [1, 3]
    distances = torch.tensor([[0, 3, 5]], dtype=torch.uint8)
    assert RecallAtK([1], descending=False)(distances, *labels) == {"recall1": 1.0}


@pytest.mark.parametrize("make", [RecallAtK, PrecisionAtK, MeanAveragePrecision, CMC])
@pytest.mark.parametrize("k", [0, -3, 2**63, 10**30, True, 1.5])
def test_ranks_that_cannot_be_counted_are_refused(make, k):
    with pytest.raises(ValueError, match="k must be one or more whole numbers from 1 to 2"):
        make(k)


def test_the_largest_k_and_names_of_metrics():
    similarity, labels = torch.tensor([[0.9, 0.8, 0.1]]), ([1], [2, 2, 1])
    for name in ("recall@9223372036854775807", "cmc@9223372036854775807", "mAP@9223372036854775807",
                 "precision@9223372036854775807"):  # fmt: skip
        (found,) = metric_by_name(name)(similarity, *labels).values()
        assert 0.0 <= found <= 1.0
    for name in ("recall@0", "recall@9223372036854775808", "cmc@" + "9" * 5000, "map@" + "9" * 30):
        with pytest.raises(ValueError, match="K is a whole number from 1 to 2"):
            metric_by_name(name)
    for name in ("FPIR@1e999", "TPR@FPR=1e999"):
        with pytest.raises(ValueError, match="a finite number is expected"):
            threshold_metric(name)
    with pytest.raises(ValueError, match="1 to 10,000 ranks"):
        CMC(10**6)
    with pytest.raises(ValueError, match="ties is 'pessimistic', 'optimistic', 'expected'"):
        RecallAtK([1], ties="pesimistic")


@pytest.mark.parametrize("name", ["Recallk", "Precisionk", "TopkAcc"])
@pytest.mark.parametrize("topk", [[10**20], [0], [-1], [], 10**20])
def test_a_yaml_with_such_a_rank_is_refused_when_it_is_read(name, topk):
    with pytest.raises(ConfigError, match="k must be one or more whole numbers"):
        build("metric", {name: {"topk": topk}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"binarize": "signs"}, "binarize is 'round', 'sign', None; got 'signs'"),
        ({"protocol": "exactly"}, "protocol is 'exact', 'reference'"),
        ({"block_size": 0}, "block_size must be a whole number of at least 1, got 0"),
        ({"metrics": []}, "at least one metric"),
    ],
)
def test_options_without_a_meaning_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_retrieval(table(), table(), **{"metrics": METRICS, **options})
    with pytest.raises(ValueError, match="ties is"):
        Rules(ties="none")
    with pytest.raises(ValueError, match="expand must be a whole number of at least 0"):
        Rules(expand=-1)


@pytest.mark.parametrize("empty", ["query", "gallery"])
def test_empty_tables_are_refused(empty):
    tables = {"query": table(), "gallery": table(), empty: table(noise(0))}
    for evaluate in (
        lambda: evaluate_retrieval(**tables, metrics=METRICS),
        lambda: score_tables(**tables, names=["mAP"], rules=Rules()),
        lambda: recall_per_byte(**tables),
    ):
        with pytest.raises(DataError, match=f"the {empty} is empty"):
            evaluate()
    junk = table(labels=[-1] * 20)
    with pytest.raises(DataError, match=f"the {empty} table holds junk alone"):
        score_tables(
            **{"query": table(), "gallery": table(), empty: junk},
            names=["mAP"],
            rules=Rules(junk=(-1,)),
        )


def test_ids_exclude_only_what_they_identify():
    """One image twice is removed twice; one name for two images is an error."""
    points, labels = noise(6), [0, 0, 1, 1, 0, 1]
    points[4] = points[0]
    twice = table(points, labels=labels, ids=["a", "b", "c", "d", "a", "e"])
    found = evaluate_retrieval(twice, twice, METRICS, same_images=True)
    alone = table(points[:4], labels=labels[:4], ids=list("abcd"))
    assert found.num_answerable == 6
    wrong = replace(twice, ids=["a", "b", "a", "d", "e", "f"])
    with pytest.raises(DataError, match="id 'a' in row 0 with label 0 and in row 2 with label 1"):
        evaluate_retrieval(wrong, alone, METRICS, same_images=True)
    with pytest.raises(DataError, match="query table has the id 'a'"):
        recall_per_byte(wrong, alone, same_images=True)
    spelled = replace(twice, ids=["x/a", "b", "x//./a", "d", "e", "f"])
    with pytest.raises(DataError, match="id 'x/a' in row 0 with label 0 and in row 2 with label 1"):
        evaluate_retrieval(alone, spelled, METRICS, same_images=True)
    known = replace(wrong, images=range(6))  # where the files are known, ids are only shown
    assert evaluate_retrieval(known, known, METRICS, same_images=True).num_answerable == 6
    assert evaluate_retrieval(wrong, wrong, METRICS).values  # where no id is looked at


def test_tests_of_values_need_one_label_for_each():
    values, labels = torch.rand(5).double(), torch.arange(5)
    with pytest.raises(DataError, match="labels: 5 expected"):
        clustered_interval(values, labels[:4])
    with pytest.raises(DataError, match="labels: 5 expected"):
        paired_difference(values, values, labels[:4])
    with pytest.raises(DataError, match=r"two values of each query, got \[5\] and \[4\]"):
        paired_difference(values, values[:4], labels)


def test_pairs_of_faces_are_unit_vectors():
    pairs = unit(noise(8))
    same = torch.tensor([True, False, True, False])
    assert 0.0 <= verification_accuracy(pairs, same, num_folds=2) <= 1.0
    for arguments, message in (
        ((pairs[:7], same), r"\[4\] answers for \[7, 8\] embeddings"),
        ((pairs * 2, same), "row 0 has length 2; the thresholds are those of unit vectors"),
        ((pairs * torch.nan, same), "row 0 is not finite"),
        ((pairs, same[:, None]), "two embeddings for each pair"),
    ):
        with pytest.raises(DataError, match=message):
            verification_accuracy(*arguments, num_folds=2)
    for folds in (1, 5):
        with pytest.raises(DataError, match=f"cannot make {folds} folds"):
            verification_accuracy(pairs, same, num_folds=folds)


def test_codes_of_other_widths_are_refused():
    narrow, wide = BinaryCodes.of(noise(3, 60)), BinaryCodes.of(noise(3, 64))
    with pytest.raises(DataError, match="query codes have 64 bits, the codes 60"):
        narrow.symmetric(wide, torch.arange(3))
    for codes in (narrow, Int8Codes.of(noise(3, 60))):
        with pytest.raises(DataError, match="queries have 64 numbers, the codes 60"):
            codes.asymmetric(noise(3, 64))
    with pytest.raises(ValueError, match="8 bytes cannot hold 70 bits"):
        BinaryCodes(wide.packed, 70)
    with pytest.raises(ValueError, match="int8"):
        Int8Codes(noise(3, 4), torch.ones(4))
    with pytest.raises(DataError, match="steps: 60 positive numbers"):
        Int8Codes.of(noise(3, 60), steps=torch.ones(64))


def test_expansion_and_re_ranking_refuse_what_they_cannot_use():
    for alpha in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="alpha must be a number of at least 0"):
            expand_queries(noise(3), noise(4), alpha=alpha)
    for k in (0, 2.5, None, True):
        with pytest.raises(ValueError, match="k1 must be a whole number of at least 1"):
            ReRanking(noise(3), noise(4), k1=k)
    with pytest.raises(ValueError, match="lambda from 0 to 1, got nan"):
        ReRanking(noise(3), noise(4), lamb=float("nan"))
    with pytest.raises(ValueError, match="n must be a whole number of at least 0, got -1"):
        expand_queries(noise(3), noise(4), n=-1)
    assert torch.equal(
        expand_queries(noise(3), noise(4), n=10**20), expand_queries(noise(3), noise(4), n=5)
    )
    assert augment_database([[1.0, 0.0], [0.0, 1.0]], n=1).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    re_ranking = ReRanking(noise(3), noise(4))
    for rows in ([3], [-1], [0.0], [[0]]):
        with pytest.raises(ValueError, match="rows: queries 0 to 2"):
            re_ranking.distances(torch.tensor(rows))


def test_re_ranking_does_not_depend_on_the_unit_of_length():
    query, gallery, rows = noise(5), noise(30, seed=1), torch.arange(5)
    expected = ReRanking(query, gallery).distances(rows)
    for factor in (2.0**-40, 2.0**40):
        found = ReRanking(query * factor, gallery * factor).distances(rows)
        assert torch.equal(found, expected)


# --- the compiled loops ----------------------------------------------------------------------

columns = st.lists(st.integers(-3, 12), max_size=8)


@settings(max_examples=200, deadline=None)
@given(
    starts=st.lists(st.integers(-2, 9), max_size=6),
    columns=columns,
    other=columns,
    num_items=st.integers(-1, 9),
    lengths=st.tuples(st.integers(0, 8), st.integers(0, 8)),
)
def test_sparse_rows_are_sound_or_refused(starts, columns, other, num_items, lengths):
    """Whatever is refused is refused by an error of ours; the rest equals a dense computation."""
    try:
        some = SparseRows(
            torch.tensor(starts, dtype=torch.int64),
            torch.tensor(columns, dtype=torch.int32),
            torch.ones(lengths[0]),
        )
        sizes = torch.zeros(9, dtype=torch.int64)
        sizes[0] = len(other)
        turned = SparseRows.of(
            sizes, torch.tensor(other, dtype=torch.int32), torch.ones(len(other))
        )
        found = shared(some, turned, num_items)
    except ValueError:
        return
    expected = np.zeros((len(some), num_items), np.float32)
    for row in range(len(some)):
        for column in columns[starts[row] : starts[row + 1]]:
            for item in other if column == 0 else ():
                expected[row, item] += 1.0
    np.testing.assert_array_equal(found.numpy(), expected)
