// 3x3 convolutions of many small images, channels innermost.
#pragma once
#include "vectors.hpp"

constexpr int MANY = WIDE ? 2 : 1;
constexpr Int NEAR = 64;                     // pixels whose values stay in the nearest cache
constexpr Int FEW = 2304;                    // weights that do

// One image (h, w, width) inside a frame of zeros, (h + 2, w + 2, width).
static void frame(const T* image, Int h, Int w, Int width, T* out) {
    for (Int y = 0; y < h; ++y)
        for (Int k = 0; k < w * width; ++k)
            out[((y + 1) * (w + 2) + 1) * width + k] = image[y * w * width + k];
}

// f(vectors of a block, its first column) for all blocks of columns: three vectors keep enough sums
// in registers to hide a multiplication's latency, one does not.
template <typename F>
static void for_blocks(Int columns, F f) {
    for (Int first = 0; first < columns;) {
        Int left = (columns - first) / VL;
        if (left == 1) f(std::integral_constant<int, 1>(), first), first += VL;
        else if (left == 2 || left == 4) f(std::integral_constant<int, 2>(), first), first += 2 * VL;
        else f(std::integral_constant<int, 3>(), first), first += 3 * VL;
    }
}

// weight(k, i, tap) -> (3, 3, ins, columns) of every block, one after the other, as they are read
template <typename F>
static std::vector<T> packed(Int ins, Int outs, F weight) {
    std::vector<T> found(9 * ins * outs);
    T* place = found.data();
    for_blocks(outs, [&](auto vectors, Int first) {
        for (Int tap = 0; tap < 9; ++tap)
            for (Int i = 0; i < ins; ++i)
                for (Int k = first; k < first + vectors * VL; ++k) *place++ = weight(k, i, tap);
    });
    return found;
}

// What rows of taps add to ROWS x COLUMNS pixels, OV vectors of outputs; first: they are the first.
template <int ROWS, int COLUMNS, int OV>
static inline void convolve_block(const T* in, Int across, Int ins, const T* w, Int taps, Int outs,
                                  T* out, Int down, bool first) {
    V acc[ROWS][COLUMNS][OV];
    for (int r = 0; r < ROWS; ++r)
        for (int c = 0; c < COLUMNS; ++c)
            for (int v = 0; v < OV; ++v)
                acc[r][c][v] = first ? V{} : load(out + r * down + c * outs + v * VL);
    for (Int ky = 0; ky < taps; ++ky, in += across, w += 3 * ins * OV * VL)
#pragma GCC unroll 2
        for (Int k = 0; k < 3 * ins; ++k) {  // three pixels of a row stand side by side
            V column[OV];
            for (int v = 0; v < OV; ++v) column[v] = load(w + (k * OV + v) * VL);
            for (int r = 0; r < ROWS; ++r)
                for (int c = 0; c < COLUMNS; ++c)
                    for (int v = 0; v < OV; ++v)
                        acc[r][c][v] += in[r * across + c * ins + k] * column[v];
        }
    for (int r = 0; r < ROWS; ++r)
        for (int c = 0; c < COLUMNS; ++c)
            for (int v = 0; v < OV; ++v) store(out + r * down + c * outs + v * VL, acc[r][c][v]);
}

// All rows of taps at once where their weights stay near, else one after the other.
template <int ROWS, int COLUMNS, int OV>
static void convolve_columns(const T* framed, Int h, Int w, Int ins, const T* weights, Int outs,
                             T* out) {
    Int across = (w + 2) * ins, of_row = 3 * ins * OV * VL, taps = 3 * of_row <= FEW ? 3 : 1;
    for (Int ky = 0; ky < 3; ky += taps) {
        auto line = [&]<int R>(Int y, std::integral_constant<int, R>) {
            const T *in = framed + (y + ky) * across, *own = weights + ky * of_row;
            T* place = out + y * w * outs;
            Int x = 0;
            for (; x + COLUMNS <= w; x += COLUMNS)
                convolve_block<R, COLUMNS, OV>(in + x * ins, across, ins, own, taps, outs,
                                               place + x * outs, w * outs, !ky);
            for (; x < w; ++x)
                convolve_block<R, 1, OV>(in + x * ins, across, ins, own, taps, outs,
                                         place + x * outs, w * outs, !ky);
        };
        Int y = 0;
        for (; y + ROWS <= h; y += ROWS) line(y, std::integral_constant<int, ROWS>());
        for (; y < h; ++y) line(y, std::integral_constant<int, 1>());
    }
}

// out (n h w, outs) of in (n h w, ins), weights as packed
static void convolve(const T* in, Int n, Int h, Int w, Int ins, const T* weights, Int outs, T* out) {
    std::vector<T> framed((h + 2) * (w + 2) * ins);
    for (Int image = 0; image < n; ++image) {
        frame(in + image * h * w * ins, h, w, ins, framed.data());
        for_blocks(outs, [&](auto vectors, Int first) {
            constexpr int OV = vectors, ROWS = OV == 1 ? 4 : MANY, COLUMNS = OV == 1 ? 2 * MANY : 4;
            convolve_columns<ROWS, COLUMNS, OV>(framed.data(), h, w, ins,
                                                weights + first * 9 * ins, outs,
                                                out + image * h * w * outs + first);
        });
    }
}

// sum[tap][i][k] += in[p + tap][i] dy[p][k], OV vectors of k, IB of i, over h rows of some images
template <int IB, int OV>
static void add_correlation(const T* framed, Int next, const T* dy, Int next_dy, Int images, Int h,
                            Int w, Int ins, Int outs, T* sum) {
    for (Int tap = 0; tap < 9; ++tap)
        for (Int i = 0; i < ins; i += IB) {
            V acc[IB][OV] = {};
            for (Int image = 0; image < images; ++image)
                for (Int y = 0; y < h; ++y) {
                    const T* place = framed + image * next + i
                                     + ((y + tap / 3) * (w + 2) + tap % 3) * ins;
                    const T* own = dy + image * next_dy + y * w * outs;
#pragma GCC unroll 2
                    for (Int x = 0; x < w; ++x) {
                        V right[OV];
                        for (int v = 0; v < OV; ++v) right[v] = load(own + x * outs + v * VL);
                        for (int k = 0; k < IB; ++k)
                            for (int v = 0; v < OV; ++v) acc[k][v] += place[x * ins + k] * right[v];
                    }
                }
            for (int k = 0; k < IB; ++k)
                for (int v = 0; v < OV; ++v) {
                    T* place = sum + (tap * ins + i + k) * outs + v * VL;
                    store(place, load(place) + acc[k][v]);
                }
        }
}

// sum (3, 3, ins, outs) of in (n h w, ins) and dy (n h w, outs), about NEAR pixels at a time
static void correlate(const T* in, const T* dy, Int n, Int h, Int w, Int ins, Int outs, T* sum) {
    Int many = least(n, NEAR / (h * w) > 1 ? NEAR / (h * w) : 1);
    Int lines = least(h, NEAR / w > 1 ? NEAR / w : 1);
    Int next = (h + 2) * (w + 2) * ins, next_dy = h * w * outs;
    std::vector<T> framed(many * next);
    for (Int image = 0; image < n; image += many) {
        Int images = least(many, n - image);
        for (Int k = 0; k < images; ++k)
            frame(in + (image + k) * h * w * ins, h, w, ins, framed.data() + k * next);
        for (Int y = 0; y < h; y += lines)
            for_blocks(outs, [&](auto vectors, Int first) {
                constexpr int OV = vectors, IB = C % 8 == 0 && (WIDE || OV == 1) ? 8 : 4;
                add_correlation<IB, OV>(framed.data() + y * (w + 2) * ins, next,
                                        dy + image * next_dy + y * w * outs + first, next_dy, images,
                                        least(lines, h - y), w, ins, outs, sum + first);
            });
    }
}

// y (n h w, outs) = r (n h w, C) convolved with weights (outs, C, 3, 3)
static void convolution(const T* r, Int n, Int h, Int w, const T* weights, Int outs, T* y) {
    auto own = packed(C, outs, [&](Int k, Int i, Int tap) { return weights[(k * C + i) * 9 + tap]; });
    convolve(r, n, h, w, C, own.data(), outs, y);
}

// of_r (n h w, C), of_weights (outs, C, 3, 3); null: not wanted
static void convolution_backward(const T* dy, const T* r, Int n, Int h, Int w, const T* weights,
                                 Int outs, T* of_r, T* of_weights) {
    if (of_r) {
        auto turned = packed(outs, C, [&](Int i, Int k, Int tap) {
            return weights[(k * C + i) * 9 + 8 - tap];
        });
        convolve(dy, n, h, w, outs, turned.data(), C, of_r);
    }
    if (!of_weights) return;
    std::vector<T> sum(9 * C * outs);
    correlate(r, dy, n, h, w, C, outs, sum.data());
    for (Int k = 0; k < outs; ++k)
        for (Int i = 0; i < C; ++i)
            for (Int tap = 0; tap < 9; ++tap)
                of_weights[(k * C + i) * 9 + tap] = sum[(tap * C + i) * outs + k];
}
