// Numbers of one pixel as vectors, blocks of them in registers, and sums over pixels.
//
// All matrices are (pixels, channels), row by row. Sums over pixels are taken in NUMBER over a tile
// of rows and in double over the tiles.
#pragma once
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

using T = NUMBER;
using Int = int64_t;
constexpr int C = CHANNELS;
#ifdef __AVX512VL__
constexpr bool WIDE = true;                  // 32 registers of 64 bytes
#else
constexpr bool WIDE = false;
#endif
constexpr int VL = WIDE && C % 16 == 0 && sizeof(T) == 4 ? 16 : C % 8 == 0 ? 8 : 4;  // of a vector
constexpr int NV = C / VL;                   // vectors of a row
constexpr int NB = NV % 2 == 0 ? 2 : 1;      // vectors of a block, with BR rows in registers
constexpr int BR = 8 / NB;
constexpr Int TILE = 64 + 4096 / C;          // rows whose sums are taken in NUMBER

typedef T V __attribute__((vector_size(VL * sizeof(T))));
typedef T U __attribute__((vector_size(VL * sizeof(T)), aligned(sizeof(T)), may_alias));

static inline V load(const T* p) { return *reinterpret_cast<const U*>(p); }
static inline void store(T* p, V v) { *reinterpret_cast<U*>(p) = v; }
static inline Int least(Int a, Int b) { return a < b ? a : b; }

// --- blocks in registers: ROWS rows of NB vectors, at column o ---

template <int ROWS>
static inline void add_product(V (&acc)[ROWS][NB], const T* x, const T* w, int o) {
    for (int i = 0; i < C; ++i) {
        V column[NB];
        for (int b = 0; b < NB; ++b) column[b] = load(w + i * C + o + b * VL);
        for (int r = 0; r < ROWS; ++r)
            for (int b = 0; b < NB; ++b) acc[r][b] += x[r * C + i] * column[b];
    }
}

template <int ROWS>
static inline void add_scaled(V (&acc)[ROWS][NB], const T* x, Int ld, const T* scale) {
    for (int b = 0; b < NB; ++b) {
        V s = load(scale + b * VL);
        for (int r = 0; r < ROWS; ++r) acc[r][b] += s * load(x + r * ld + b * VL);
    }
}

template <int ROWS>
static inline void add_scaled(V (&acc)[ROWS][NB], const T* x, Int ld, T scale) {
    for (int r = 0; r < ROWS; ++r)
        for (int b = 0; b < NB; ++b) acc[r][b] += scale * load(x + r * ld + b * VL);
}

// --- sums over pixels ---

// sum[c'][c] += a[p][c'] b[p][c], over all pixels
static void add_gram(const T* a, const T* b, Int rows, double* sum) {
    constexpr int IW = NB == 1 && C % 8 == 0 ? 8 : 4;  // divides C
    for (Int start = 0; start < rows; start += TILE) {
        Int stop = least(rows, start + TILE);
        for (int i = 0; i < C; i += IW)
            for (int o = 0; o < C; o += NB * VL) {
                V acc[IW][NB] = {};
                for (Int p = start; p < stop; ++p)
                    for (int v = 0; v < NB; ++v) {
                        V right = load(b + p * C + o + v * VL);
                        for (int k = 0; k < IW; ++k) acc[k][v] += a[p * C + i + k] * right;
                    }
                for (int k = 0; k < IW; ++k)
                    for (int v = 0; v < NB; ++v)
                        for (int c = 0; c < VL; ++c)
                            sum[(i + k) * C + o + v * VL + c] += acc[k][v][c];
            }
    }
}

// sum[c] += a[p][c] b[p][c] (b null: a[p][c]), C columns of matrices of any row lengths
static void add_column_dots(const T* a, Int lda, const T* b, Int ldb, Int rows, double* sum) {
    for (Int start = 0; start < rows; start += TILE) {
        Int stop = least(rows, start + TILE);
        for (int o = 0; o < C; o += VL) {
            V acc[4] = {};
            Int p = start;
            for (; p + 4 <= stop; p += 4)
                for (int k = 0; k < 4; ++k) {
                    V left = load(a + (p + k) * lda + o);
                    acc[k] += b ? left * load(b + (p + k) * ldb + o) : left;
                }
            for (; p < stop; ++p) {
                V left = load(a + p * lda + o);
                acc[0] += b ? left * load(b + p * ldb + o) : left;
            }
            V total = (acc[0] + acc[1]) + (acc[2] + acc[3]);
            for (int c = 0; c < VL; ++c) sum[o + c] += total[c];
        }
    }
}

static double dot_of(const T* a, const T* b, Int rows) {
    double sums[C] = {}, total = 0;
    add_column_dots(a, C, b, C, rows, sums);
    for (int c = 0; c < C; ++c) total += sums[c];
    return total;
}

// --- the 3x3 box of every pixel of one image ---

static void box(const T* image, Int h, Int w, T* rowsums, T* out, bool add) {
    for (Int y = 0; y < h; ++y)
        for (Int x = 0; x < w; ++x)
            for (int o = 0; o < C; o += VL) {
                const T* here = image + (y * w + x) * C + o;
                V sum = load(here);
                if (x > 0) sum += load(here - C);
                if (x + 1 < w) sum += load(here + C);
                store(rowsums + (y * w + x) * C + o, sum);
            }
    for (Int y = 0; y < h; ++y)
        for (Int k = 0; k < w * C; k += VL) {
            const T* here = rowsums + y * w * C + k;
            V sum = load(here);
            if (y > 0) sum += load(here - w * C);
            if (y + 1 < h) sum += load(here + w * C);
            T* place = out + y * w * C + k;
            store(place, add ? load(place) + sum : sum);
        }
}
