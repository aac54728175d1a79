"""The pair losses as their formulas, left to autograd: every pair, every mask, nothing clever."""

import torch

from lookalike.geometry import unit
from lookalike.losses.pairs import distances, same_label, squared_distances


def relations(labels):
    """Return which pairs are positive and which negative, ``[B, B]``."""
    same = same_label(labels)
    return same & ~torch.eye(len(same), dtype=torch.bool), ~same


def log_sum_exp(values, mask):
    return values.masked_fill(~mask, -1e9).logsumexp(dim=1)


def log_one_plus_exp(values):
    return torch.logaddexp(values, torch.zeros_like(values))


def mean_of(values, counts):
    return values.masked_fill(~counts, 0.0).sum() / counts.sum().clamp_min(1)


def sup_con(x, labels, temperature=0.07, every=1):
    x = unit(x)
    logits = (x[::every] @ x.T / temperature).masked_fill(
        torch.eye(len(x), dtype=torch.bool)[::every], -torch.inf
    )
    positive = relations(labels)[0][::every]
    counts = positive.sum(dim=1)
    chosen = (logits - logits.logsumexp(dim=1, keepdim=True)).masked_fill(~positive, 0.0)
    return -mean_of(chosen.sum(dim=1) / counts.clamp_min(1), counts > 0) * temperature / 0.07


def circle(x, labels, m=0.4, gamma=80.0):
    similarity = unit(x) @ unit(x).T
    positive, negative = relations(labels)
    known = similarity.detach()
    push = gamma * (known + m).relu() * (similarity - m)
    pull = -gamma * (1.0 + m - known).relu() * (similarity - 1.0 + m)
    total = log_sum_exp(push, negative) + log_sum_exp(pull, positive)
    return mean_of(log_one_plus_exp(total), positive.any(dim=1) & negative.any(dim=1))


def multi_similarity(x, labels, alpha=2.0, beta=50.0, base=0.5, epsilon=0.1):
    similarity = unit(x) @ unit(x).T
    positive, negative = relations(labels)
    if epsilon is not None:
        most = similarity.masked_fill(~negative, -torch.inf).amax(dim=1, keepdim=True)
        least = similarity.masked_fill(~positive, torch.inf).amin(dim=1, keepdim=True)
        positive = positive & (similarity < most + epsilon)
        negative = negative & (similarity > least - epsilon)
    pull = log_one_plus_exp(log_sum_exp(-alpha * (similarity - base), positive)) / alpha
    push = log_one_plus_exp(log_sum_exp(beta * (similarity - base), negative)) / beta
    return (pull + push).mean()


def cosface(x, labels, margin=0.25, gamma=16.0):
    similarity = unit(x) @ unit(x).T
    positive, negative = relations(labels)
    pull = log_sum_exp(-gamma * similarity, positive)
    push = log_sum_exp(gamma * (similarity + margin), negative)
    return log_one_plus_exp(pull + push).mean()


def contrastive(x, labels, margin=0.3, epsilon=1e-5):
    similarity = unit(x) @ unit(x).T
    positive, negative = relations(labels)
    pull = (1.0 - similarity).masked_fill(~(positive & (similarity < 1.0 - epsilon)), 0.0)
    push = similarity.masked_fill(~(negative & (similarity > margin)), 0.0)
    return (pull.sum() + push.sum()) / len(x)


def triplet(x, labels, margin=0.3):
    distance, same = distances(x), same_label(labels)
    far = distance.masked_fill(~same, -torch.inf).amax(dim=1)
    near = distance.masked_fill(same, torch.inf).amin(dim=1)
    return mean_of((far - near + margin).relu(), ~same.all(dim=1))


def triplet_of_directions(x, labels):
    return triplet(unit(x), labels, 0.5)


def angular(x, labels, margin=0.5, normalize=True):
    x = unit(x) if normalize else x
    similarity, same = x @ x.T, same_label(labels)
    least = similarity.masked_fill(~same, torch.inf).amin(dim=1)
    most = similarity.masked_fill(same, -torch.inf).amax(dim=1)
    return mean_of((most - least + margin).relu(), ~same.all(dim=1))


def tri_hard(x, labels, margin=0.1):
    squared, (positive, negative) = squared_distances(unit(x)), relations(labels)
    far = squared.masked_fill(~positive, -torch.inf).amax(dim=1)
    near = squared.masked_fill(~negative, torch.inf).amin(dim=1)
    return mean_of((far + margin - near).relu(), positive.any(dim=1) & negative.any(dim=1))


def msm(x, labels, margin=0.1):
    squared, (positive, negative) = squared_distances(unit(x)), relations(labels)
    far = squared.masked_fill(~positive, -torch.inf).amax()
    return (far + margin - squared.masked_fill(~negative, torch.inf).amin()).relu()
