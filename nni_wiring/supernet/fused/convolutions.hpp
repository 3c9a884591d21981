// 3x3 convolutions of many small images, channels innermost.
#pragma once
#include "vectors.hpp"

#include <cstring>
#include <utility>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

constexpr int MANY = WIDE ? 2 : 1;
constexpr Int NEAR = 64;                     // pixels whose values stay in the nearest cache
constexpr Int FEW = 2304;                    // weights that do

// Where VL outputs do not fill a register, P inputs stand side by side in it for each of them, and
// their products are added up at the end.
#if defined(__AVX__) && defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLES
#endif
#endif
#ifdef SHUFFLES
constexpr int P = sizeof(T) == 4 ? (WIDE ? 16 : 8) / VL : 1;
#else
constexpr int P = 1;
#endif
typedef T W __attribute__((vector_size(P * VL * sizeof(T))));
typedef T X __attribute__((vector_size(P * VL * sizeof(T)), aligned(sizeof(T)), may_alias));

static inline W load_wide(const T* p) { return *reinterpret_cast<const X*>(p); }

#ifdef SHUFFLES
template <int... I>
static inline V added_up(W w, std::integer_sequence<int, I...>) {
    V sum = __builtin_shufflevector(w, w, (P * I)...);
    if constexpr (P > 1) sum += __builtin_shufflevector(w, w, (P * I + 1)...);
    if constexpr (P > 2)
        sum += __builtin_shufflevector(w, w, (P * I + 2)...)
               + __builtin_shufflevector(w, w, (P * I + 3)...);
    return sum;
}
static inline V added_up(W w) { return added_up(w, std::make_integer_sequence<int, VL>()); }

// P numbers, again and again
static inline W spread(const T* p) {
#ifdef __AVX512F__
    if (P == 4) {
        __m512 again = _mm512_broadcast_f32x4(_mm_loadu_ps((const float*)p));
        W found;
        std::memcpy(&found, &again, sizeof found);
        return found;
    }
#endif
    if (P == 1) return *p - W{};
    typedef int64_t Pairs __attribute__((vector_size(sizeof(W))));
    int64_t pair;
    std::memcpy(&pair, p, sizeof pair);
    return (W)(pair + Pairs{});
}
#else
static inline V added_up(W w) { return w; }
static inline T spread(const T* p) { return *p; }
#endif

// One image (h, w, width) inside a frame of zeros, (h + 2, w + 2, width).
static void frame(const T* image, Int h, Int w, Int width, T* out) {
    for (Int y = 0; y < h; ++y)
        for (Int k = 0; k < w * width; ++k)
            out[((y + 1) * (w + 2) + 1) * width + k] = image[y * w * width + k];
}

// f(vectors of a block, its first) for all blocks of so many vectors: three keep enough sums in
// registers to hide a multiplication's latency, one does not.
template <typename F>
static void for_blocks(Int vectors, F f) {
    for (Int first = 0; first < vectors;) {
        Int left = vectors - first;
        if (left == 1) f(std::integral_constant<int, 1>(), first), first += 1;
        else if (left == 2 || left == 4) f(std::integral_constant<int, 2>(), first), first += 2;
        else f(std::integral_constant<int, 3>(), first), first += 3;
    }
}

// weight(k, i, tap) -> (3, 3, ins, columns) of every block, one after the other, as they are read
template <typename F>
static std::vector<T> packed(Int ins, Int outs, F weight) {
    std::vector<T> found(9 * ins * outs);
    T* place = found.data();
    for_blocks(outs / VL, [&](auto vectors, Int first) {
        for (Int tap = 0; tap < 9; ++tap)
            for (Int i = 0; i < ins; i += P)
                for (Int k = first * VL; k < (first + vectors) * VL; ++k)
                    for (Int side = 0; side < P; ++side) *place++ = weight(k, i + side, tap);
    });
    return found;
}

// What rows of taps add to ROWS x COLUMNS pixels, OV vectors of outputs; first: they are the first.
template <int ROWS, int COLUMNS, int OV>
static inline void convolve_block(const T* in, Int across, Int ins, const T* w, Int taps, Int outs,
                                  T* out, Int down, bool first) {
    W acc[ROWS][COLUMNS][OV] = {};
    for (Int ky = 0; ky < taps; ++ky, in += across, w += 3 * ins * OV * VL)
#pragma GCC unroll 2
        for (Int k = 0; k < 3 * ins; k += P) {  // three pixels of a row stand side by side
            W column[OV];
            for (int v = 0; v < OV; ++v) column[v] = load_wide(w + (k * OV + v * P) * VL);
            for (int r = 0; r < ROWS; ++r)
                for (int c = 0; c < COLUMNS; ++c) {
                    auto pixel = spread(in + r * across + c * ins + k);
                    for (int v = 0; v < OV; ++v) acc[r][c][v] += pixel * column[v];
                }
        }
    for (int r = 0; r < ROWS; ++r)
        for (int c = 0; c < COLUMNS; ++c)
            for (int v = 0; v < OV; ++v) {
                T* place = out + r * down + c * outs + v * VL;
                store(place, first ? added_up(acc[r][c][v]) : load(place) + added_up(acc[r][c][v]));
            }
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
        for_blocks(outs / VL, [&](auto vectors, Int first) {
            constexpr int OV = vectors, ROWS = OV == 1 ? 4 : MANY, COLUMNS = OV == 1 ? 2 * MANY : 4;
            convolve_columns<ROWS, COLUMNS, OV>(framed.data(), h, w, ins,
                                                weights + first * VL * 9 * ins, outs,
                                                out + image * h * w * outs + first * VL);
        });
    }
}

// The inputs under a row of taps stand side by side: ROW vectors, the last one's rest unused.
constexpr int L = P * VL, ROW = (3 * C + L - 1) / L, KB = WIDE && C % 8 == 0 ? 8 : 4;

// sum[ky][k][row] += in[p + ky][row] dy[p][k], RV vectors of a row, over h rows of some images
template <int RV>
static void add_correlation(const T* framed, Int next, const T* dy, Int next_dy, Int images, Int h,
                            Int w, Int outs, T* sum) {
    for (Int ky = 0; ky < 3; ++ky)
        for (Int k = 0; k < outs; k += KB) {
            W acc[KB][RV] = {};
            for (Int image = 0; image < images; ++image)
                for (Int y = 0; y < h; ++y) {
                    const T* place = framed + image * next + (y + ky) * (w + 2) * C;
                    const T* own = dy + image * next_dy + y * w * outs + k;
#pragma GCC unroll 2
                    for (Int x = 0; x < w; ++x) {
                        W row[RV];
                        for (int v = 0; v < RV; ++v) row[v] = load_wide(place + x * C + v * L);
                        for (int b = 0; b < KB; ++b)
                            for (int v = 0; v < RV; ++v) acc[b][v] += own[x * outs + b] * row[v];
                    }
                }
            for (int b = 0; b < KB; ++b)
                for (int v = 0; v < RV; ++v) {
                    X* place = reinterpret_cast<X*>(sum + ((ky * outs + k + b) * ROW + v) * L);
                    *place += acc[b][v];
                }
        }
}

// sum (3, outs, ROW L) of in (n h w, C) and dy (n h w, outs), about NEAR pixels at a time
static void correlate(const T* in, const T* dy, Int n, Int h, Int w, Int outs, T* sum) {
    Int many = least(n, NEAR / (h * w) > 1 ? NEAR / (h * w) : 1);
    Int lines = least(h, NEAR / w > 1 ? NEAR / w : 1);
    Int next = (h + 2) * (w + 2) * C, next_dy = h * w * outs;
    std::vector<T> framed(many * next + L);
    for (Int image = 0; image < n; image += many) {
        Int images = least(many, n - image);
        for (Int k = 0; k < images; ++k)
            frame(in + (image + k) * h * w * C, h, w, C, framed.data() + k * next);
        for (Int y = 0; y < h; y += lines)
            for_blocks(ROW, [&](auto vectors, Int first) {
                add_correlation<vectors>(framed.data() + y * (w + 2) * C + first * L, next,
                                         dy + image * next_dy + y * w * outs, next_dy, images,
                                         least(lines, h - y), w, outs, sum + first * L);
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
    std::vector<T> sum(3 * outs * ROW * L);
    correlate(r, dy, n, h, w, outs, sum.data());
    for (Int k = 0; k < outs; ++k)
        for (Int i = 0; i < C; ++i)
            for (Int tap = 0; tap < 9; ++tap)
                of_weights[(k * C + i) * 9 + tap] =
                    sum[(tap / 3 * outs + k) * ROW * L + tap % 3 * C + i];
}
