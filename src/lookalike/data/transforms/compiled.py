"""Kernels on pixels compiled by numba: what a chain does to every pixel, in one pass each.

They are compiled for uint8 images ``[H, W, 3]`` in one piece; :func:`kernels.kernels_for` asks.
Multiplications are not fused with additions and nothing is reordered, so the results are those of
numpy, OpenCV's fixed-point steps, or Pillow, to the bit.
"""

# Shape letters: H, W = source height and width, h, w = those of the result

from __future__ import annotations

from typing import Any

import numpy as np

from lookalike.compiling import kernel

_PIXELS = "u1[:,:,::1]"
_ONE, _TWO = np.uint64(1), np.uint64(2)
_OUTSIDE = np.int32(-2)
_PIECE = 4096  # of a mixture, small enough for the nearest cache


@kernel()
def _mix_across(row: Any, at: Any, weights: Any, mixed: Any) -> None:
    # unsigned places are not asked whether they count from the end
    for x in range(at.shape[1]):
        left, right = at[0, x], at[1, x]
        here, there = weights[0, x], weights[1, x]
        mixed[3 * x] = np.int32(row[left] * here + row[right] * there) >> 4
        mixed[3 * x + 1] = np.int32(row[left + _ONE] * here + row[right + _ONE] * there) >> 4
        mixed[3 * x + 2] = np.int32(row[left + _TWO] * here + row[right + _TWO] * there) >> 4


@kernel(f"void({_PIXELS}, u8[:,::1], i4[:,::1], i8[:,::1], i4[:,::1], {_PIXELS})")
def resize_bilinear(
    pixels: Any, across_at: Any, across: Any, down_at: Any, down: Any, resized: Any
) -> None:
    """Mix two pixels of two rows for each pixel; see ``cv2_resize``.

    Args:
        pixels: ``[H, W, 3]``.
        across_at: ``[2, w]``: where the left and the right pixel begin in a row of bytes.
        across: ``[2, w]``: their weights.
        down_at: ``[2, h]``: the upper and the lower row.
        down: ``[2, h]``: their weights.
        resized: ``[h, w, 3]``, written.
    """
    height, width = resized.shape[:2]
    rows = pixels.reshape(pixels.shape[0], -1)
    lines = resized.reshape(height, 3 * width)
    upper = np.empty(3 * width, dtype=np.int32)
    lower = np.empty(3 * width, dtype=np.int32)
    for y in range(height):
        _mix_across(rows[down_at[0, y]], across_at, across, upper)
        _mix_across(rows[down_at[1, y]], across_at, across, lower)
        above, below, line = down[0, y], down[1, y], lines[y]
        for place in range(3 * width):
            first = np.int32((upper[place] * above) >> 16)
            line[place] = np.uint8((first + np.int32((lower[place] * below) >> 16) + 2) >> 2)


@kernel(f"void({_PIXELS}, {_PIXELS})")
def mirror(pixels: Any, mirrored: Any) -> None:
    """Write the columns in reverse."""
    height, width = pixels.shape[:2]
    for y in range(height):
        for x in range(width):
            for channel in range(3):
                mirrored[y, x, channel] = pixels[y, width - 1 - x, channel]


@kernel(f"void({_PIXELS}, f4[:,::1], f4[:,:,::1])")
def to_planes(pixels: Any, table: Any, planes: Any) -> None:
    """Write the table's number ``[3, 256]`` of each value, the channel first."""
    height, width = pixels.shape[:2]
    for y in range(height):
        for channel in range(3):
            for x in range(width):
                planes[channel, y, x] = table[channel, pixels[y, x, channel]]


@kernel(f"void({_PIXELS}, u1[:,::1], {_PIXELS})")
def look_up(pixels: Any, table: Any, changed: Any) -> None:
    """Write the table's value ``[3, 256]`` of each value."""
    height, width = pixels.shape[:2]
    for y in range(height):
        for x in range(width):
            for channel in range(3):
                changed[y, x, channel] = table[channel, pixels[y, x, channel]]


@kernel(f"void({_PIXELS}, i8[:,::1])")
def count_values(pixels: Any, counts: Any) -> None:
    """Add to the counts ``[3, 256]`` of each value in each channel."""
    height, width = pixels.shape[:2]
    for y in range(height):
        for x in range(width):
            for channel in range(3):
                counts[channel, pixels[y, x, channel]] += 1


@kernel()
def _add(layer: Any, weight: Any, mixture: Any) -> None:
    for place in range(len(layer)):
        mixture[place] += weight * np.float32(layer[place])


@kernel(f"void({_PIXELS}, u1[:,:,:,::1], {_PIXELS}, {_PIXELS}, {_PIXELS}, f4[::1], f8, {_PIXELS})")
def blend(
    pixels: Any,
    earlier: Any,
    first: Any,
    second: Any,
    third: Any,
    weights: Any,
    share: Any,
    blended: Any,
) -> None:
    """Write ``(1 - share) * pixels + share * sum(weights * images)``, cut to whole numbers.

    The last three images are added where the sum is used. The sum is a float32 of float32
    products, in order; the rest is float64.

    Args:
        pixels: ``[h, w, 3]``.
        earlier: ``[N, h, w, 3]``.
        first: ``[h, w, 3]``.
        second: ``[h, w, 3]``.
        third: ``[h, w, 3]``.
        weights: ``[N + 3]``; images with weight 0 change nothing.
        share: Of the images.
        blended: ``[h, w, 3]``, written.
    """
    size, number = pixels.size, len(earlier)
    layers = earlier.reshape(number, size)
    flat, target = pixels.reshape(size), blended.reshape(size)
    flats = first.reshape(size), second.reshape(size), third.reshape(size)
    one, two, three = weights[number], weights[number + 1], weights[number + 2]
    kept, given = 1.0 - share, np.float32(share)
    mixture = np.zeros(_PIECE, dtype=np.float32)
    for start in range(0, size, _PIECE):
        piece = slice(start, min(start + _PIECE, size))
        mixture[:] = 0
        for layer in range(number):
            _add(layers[layer, piece], weights[layer], mixture)
        a, b, c = flats[0][piece], flats[1][piece], flats[2][piece]
        source, to = flat[piece], target[piece]
        for place in range(len(to)):
            total = mixture[place] + one * np.float32(a[place])
            total = total + two * np.float32(b[place]) + three * np.float32(c[place])
            value = kept * source[place] + np.float64(given * total)
            to[place] = np.uint8(np.int32(value))


@kernel()
def _places(
    a: Any, b: Any, c: Any, middle: Any, y: Any, length: Any, whole: Any, rest: Any
) -> None:
    """Write the whole part of each place along one axis, and what is left of it."""
    for x in range(len(whole)):
        place = a * middle[x] + b * y + c
        low = place - 0.5
        floor = np.floor(low)
        rest[x] = low - floor
        inside = (place >= 0.0) & (place < length)
        whole[x] = np.int32(floor) if inside else _OUTSIDE


@kernel()
def _for_each_channel(values: Any, wide: Any) -> None:
    for x in range(len(values)):
        value = values[x]
        wide[3 * x] = value
        wide[3 * x + 1] = value
        wide[3 * x + 2] = value


@kernel()
def _end_of_run(columns: Any, sources: Any, start: Any, last: Any) -> Any:
    """Return up to where columns rise by one and stay left of the last, in the same row."""
    source, apart = sources[start], columns[start] - start
    end = min(len(columns), last - apart)
    stop = start + 1
    while stop < end and columns[stop] - stop == apart and sources[stop] == source:
        stop += 1
    return stop


@kernel()
def _between(one: Any, other: Any, rest: Any, line: Any) -> None:
    for place in range(len(line)):
        value = one[place] + (np.float64(other[place]) - one[place]) * rest[place]
        line[place] = np.uint8(np.int32(value))


@kernel()
def _amid(
    upper: Any, upper2: Any, lower: Any, lower2: Any, right: Any, below: Any, line: Any
) -> None:
    for place in range(len(line)):
        above = upper[place] + (np.float64(upper2[place]) - upper[place]) * right[place]
        under = lower[place] + (np.float64(lower2[place]) - lower[place]) * right[place]
        line[place] = np.uint8(np.int32(above + (under - above) * below[place]))


@kernel(f"void({_PIXELS}, f8[::1], {_PIXELS})")
def warp_bilinear(pixels: Any, matrix: Any, warped: Any) -> None:
    """Write each pixel from where ``matrix`` ``[6]`` says, black where that is outside.

    As Pillow does, place by place in float64. Neighbours that come from neighbours in one row are
    written in one run.
    """
    height, width = pixels.shape[:2]
    a, b, c, d, e, f = matrix
    level, upright = d == 0 and e == 1 and f == 0, a == 1 and b == 0 and c == 0
    rows, lines = pixels.reshape(height, 3 * width), warped.reshape(height, 3 * width)
    middle = np.arange(width) + 0.5
    right, below = np.zeros(3 * width), np.zeros(3 * width)
    columns, sources = np.arange(width).astype(np.int32), np.empty(width, np.int32)
    rest = np.empty(width)
    for y in range(height):
        if not upright:
            _places(a, b, c, middle, y + 0.5, width, columns, rest)
            _for_each_channel(rest, right)
        if level:
            sources[:] = y
        else:
            _places(d, e, f, middle, y + 0.5, height, sources, rest)
            _for_each_channel(rest, below)
        x = 0
        while x < width:
            column, source = columns[x], sources[x]
            if column == _OUTSIDE or source == _OUTSIDE:
                warped[y, x] = 0
                x += 1
                continue
            first, second = max(column, 0), min(column + 1, width - 1)
            stop = x + 1
            if second == first + 1:
                stop = _end_of_run(columns, sources, x, width - 1)
            here, bytes_ = slice(3 * x, 3 * stop), 3 * (stop - x)
            upper = rows[max(source, 0)]
            lower = rows[source + 1] if source + 1 < height else upper
            left = slice(3 * first, 3 * first + bytes_)
            beside = slice(3 * second, 3 * second + bytes_)
            if level:
                _between(upper[left], upper[beside], right[here], lines[y, here])
            elif upright:
                _between(upper[left], lower[left], below[here], lines[y, here])
            else:
                _amid(
                    upper[left],
                    upper[beside],
                    lower[left],
                    lower[beside],
                    right[here],
                    below[here],
                    lines[y, here],
                )
            x = stop
