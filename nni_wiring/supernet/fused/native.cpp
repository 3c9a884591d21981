// The passes of a fused cell over its pixels, for one width of channels and one type of number.
// Compiled by native_library.py with -DCHANNELS=.. -DNUMBER=..; the formulas are those of kernels.py.
//
// All matrices are (pixels, channels), row by row. Sums over pixels are taken in NUMBER over a tile
// of rows and in double over the tiles.
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

// --- 3x3 convolutions ---

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

extern "C" {

// Up to this width these convolutions are no slower than torch's, where that was measured.
Int widest() { return WIDE ? 16 : 64; }

// y (n h w, outs) = r (n h w, C) convolved with weights (outs, C, 3, 3)
void convolution(const T* r, Int n, Int h, Int w, const T* weights, Int outs, T* y) {
    auto own = packed(C, outs, [&](Int k, Int i, Int tap) { return weights[(k * C + i) * 9 + tap]; });
    convolve(r, n, h, w, C, own.data(), outs, y);
}

// of_r (n h w, C), of_weights (outs, C, 3, 3); null: not wanted
void convolution_backward(const T* dy, const T* r, Int n, Int h, Int w, const T* weights, Int outs,
                          T* of_r, T* of_weights) {
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

// --- forward ---

// r = ReLU(x); mean and covariance of r (cov null: r alone)
void rectified(const T* x, Int rows, T* r, T* mean, T* cov) {
    for (Int k = 0; k < rows * C; k += VL) {
        V v = load(x + k);
        store(r + k, v > 0 ? v : V{});
    }
    if (!cov) return;
    std::vector<double> gram(C * C);
    double sums[C] = {};
    add_gram(r, r, rows, gram.data());
    add_column_dots(r, C, nullptr, 0, rows, sums);
    for (int i = 0; i < C; ++i) {
        mean[i] = sums[i] / rows;
        for (int c = 0; c < C; ++c)
            cov[i * C + c] = gram[i * C + c] / rows - sums[i] / rows * (sums[c] / rows);
    }
}

// mean, biased variance and 1 / sqrt(variance + eps) of every column of y (rows, width)
void moments(const T* y, Int rows, Int width, double eps, T* mean, T* variance, T* inverse) {
    for (Int first = 0; first < width; first += C) {
        double count = 0, means[C] = {}, squares[C] = {};
        for (Int start = 0; start < rows; start += TILE) {
            Int size = least(rows - start, TILE);
            const T* tile = y + start * width + first;
            double sums[C] = {}, found[C] = {};
            add_column_dots(tile, width, nullptr, 0, size, sums);
            for (int o = 0; o < C; o += VL) {
                V centre, acc[2] = {};
                for (int c = 0; c < VL; ++c) centre[c] = sums[o + c] / size;
                for (Int p = 0; p < size; ++p) {
                    V gap = load(tile + p * width + o) - centre;
                    acc[p % 2] += gap * gap;
                }
                for (int c = 0; c < VL; ++c) {  // about the mean itself, not about its rounding
                    double off = sums[o + c] / size - centre[c];
                    found[o + c] = double(acc[0][c]) + acc[1][c] - size * off * off;
                }
            }
            for (int c = 0; c < C; ++c) {
                double gap = sums[c] / size - means[c];
                squares[c] += found[c] + gap * gap * count * size / (count + size);
                means[c] += gap * size / (count + size);
            }
            count += size;
        }
        for (int c = 0; c < C; ++c) {
            mean[first + c] = means[c];
            variance[first + c] = squares[c] / rows;
            inverse[first + c] = 1 / std::sqrt(squares[c] / rows + eps);
        }
    }
}

// the same of r w^T, w (width, C), from mean and covariance of r
void pointwise_moments(const T* w, Int width, const T* of_r, const T* cov, double eps, T* mean,
                       T* variance, T* inverse) {
    for (Int k = 0; k < width; ++k) {
        double first = 0, second = 0;
        for (int i = 0; i < C; ++i) {
            double row = 0;
            for (int c = 0; c < C; ++c) row += double(cov[i * C + c]) * w[k * C + c];
            first += double(of_r[i]) * w[k * C + i];
            second += row * w[k * C + i];
        }
        second = second > 0 ? second : 0;
        mean[k] = first;
        variance[k] = second;
        inverse[k] = 1 / std::sqrt(second + eps);
    }
}

enum Kind : Int { STACKED, POINTWISE, SKIP, POOL };

// What one branch adds to a node. data: y, r, or x, rows of length ld. mean .. shift: of its batch
// norm (scale and shift null where it is not affine). w: (C, C), of kernels of 1. z: its place in z.
struct Term {
    Int kind;
    const T* data;
    Int ld;
    const T *mean, *inverse, *scale, *shift, *w;
    Int z;
};

// The state of a node, (n h w, C). counts: the factor of every place of a pooled image.
void node(Int count, const Term* terms, const T* z, Int n, Int h, Int w, const T* counts, T* out) {
    std::vector<T> factors(count * C * C), summed(h * w * C), rowsums(h * w * C);
    double constant[C] = {};
    bool pools = false;
    for (Int t = 0; t < count; ++t) {
        const Term& term = terms[t];
        T* own = factors.data() + t * C * C;
        pools |= term.kind == POOL;
        if (term.kind > POINTWISE) continue;
        for (int c = 0; c < C; ++c) {
            double a = double(z[term.z]) * term.inverse[c] * (term.scale ? term.scale[c] : 1);
            constant[c] += (term.shift ? double(z[term.z]) * term.shift[c] : 0) - a * term.mean[c];
            if (term.kind == STACKED) own[c] = a;
            else for (int i = 0; i < C; ++i) own[i * C + c] = a * term.w[c * C + i];
        }
    }
    T start[C];
    for (int c = 0; c < C; ++c) start[c] = constant[c];
    auto block = [&]<int ROWS>(Int p, std::integral_constant<int, ROWS>) {
        for (int o = 0; o < C; o += NB * VL) {
            V acc[ROWS][NB];
            for (int r = 0; r < ROWS; ++r)
                for (int b = 0; b < NB; ++b) {
                    acc[r][b] = load(start + o + b * VL);
                    if (pools) acc[r][b] += load(out + (p + r) * C + o + b * VL);
                }
            for (Int t = 0; t < count; ++t) {
                const Term& term = terms[t];
                const T *own = factors.data() + t * C * C, *x = term.data + p * term.ld;
                if (term.kind == STACKED) add_scaled<ROWS>(acc, x + o, term.ld, own + o);
                else if (term.kind == POINTWISE) add_product<ROWS>(acc, x, own, o);
                else if (term.kind == SKIP) add_scaled<ROWS>(acc, x + o, term.ld, z[term.z]);
            }
            for (int r = 0; r < ROWS; ++r)
                for (int b = 0; b < NB; ++b) store(out + (p + r) * C + o + b * VL, acc[r][b]);
        }
    };
    Int size = h * w;
    for (Int image = 0; image < n; ++image) {
        Int first = image * size, p = first;
        if (pools) {
            for (Int k = 0; k < size * C; k += VL) {
                V sum = {};
                for (Int t = 0; t < count; ++t)
                    if (terms[t].kind == POOL)
                        sum += z[terms[t].z] * load(terms[t].data + first * C + k);
                store(summed.data() + k, sum);
            }
            box(summed.data(), h, w, rowsums.data(), out + first * C, false);
            for (Int k = 0; k < size; ++k)
                for (int o = 0; o < C; o += VL) {
                    T* place = out + (first + k) * C + o;
                    store(place, load(place) * counts[k]);
                }
        }
        for (; p + BR <= first + size; p += BR) block(p, std::integral_constant<int, BR>());
        for (; p < first + size; ++p) block(p, std::integral_constant<int, 1>());
    }
}

// --- backward ---

// sum of a node's gradient per channel, and the adjoint of pooling applied to it (null: not)
void node_gradient(const T* g, Int n, Int h, Int w, const T* counts, double* sum, T* adjoint) {
    for (int c = 0; c < C; ++c) sum[c] = 0;
    add_column_dots(g, C, nullptr, 0, n * h * w, sum);
    if (!adjoint) return;
    Int size = h * w;
    std::vector<T> scaled(size * C), rowsums(size * C);
    for (Int image = 0; image < n; ++image) {
        const T* own = g + image * size * C;
        for (Int k = 0; k < size; ++k)
            for (int o = 0; o < C; o += VL)
                store(scaled.data() + k * C + o, load(own + k * C + o) * counts[k]);
        box(scaled.data(), h, w, rowsums.data(), adjoint + image * size * C, false);
    }
}

// dL/dz of a branch without parameters
void linear(const T* g, const T* x, Int rows, T* of_z) { *of_z = dot_of(g, x, rows); }

// A branch with batch norm, backwards. g: the gradient of its target, sum: per channel.
struct Target {
    const T* g;
    const double* sum;
    Int z;
};

// The batch norms of one group. scale: null where it is not affine; then of_scale, of_shift are too.
struct Norm {
    const T *mean, *inverse, *scale;
    T *of_scale, *of_shift;
};

// q and a of one branch, and dL/dz, dL/d scale, dL/d shift; dots: sum of g y per channel
static void norm_backward(const Norm& norm, const Target& target, Int first, const T* z,
                          const double* dots, T* of_z, double* q, double* a) {
    double weight = z[target.z], total = 0;
    for (int c = 0; c < C; ++c) {
        Int k = first + c;
        double s = target.sum[c], scale = norm.scale ? norm.scale[k] : 1;
        q[c] = norm.inverse[k] * (dots[c] - norm.mean[k] * s);
        a[c] = weight * norm.inverse[k] * scale;
        total += q[c] * scale;
        if (norm.of_scale) {
            norm.of_scale[k] = weight * q[c];
            norm.of_shift[k] = weight * s;
        }
    }
    of_z[target.z] = total;
}

// The gradient dy of the outputs y (rows, count C) of one group of convolutions (null: not wanted).
// shifts: batch norm's shifts, (count C), or null.
void stacked_backward(Int count, const Target* targets, const Norm* norm, const T* shifts,
                      const T* y, Int rows, const T* z, T* of_z, T* dy) {
    Int width = count * C;
    std::vector<T> by_g(width), by_y(width), constant(width);
    for (Int b = 0; b < count; ++b) {
        double dots[C] = {}, q[C], a[C];
        add_column_dots(targets[b].g, C, y + b * C, width, rows, dots);
        norm_backward(*norm, targets[b], b * C, z, dots, of_z, q, a);
        for (int c = 0; c < C; ++c) {
            Int k = b * C + c;
            double s = targets[b].sum[c], of_y = -a[c] * norm->inverse[k] * q[c] / rows;
            if (shifts) of_z[targets[b].z] += s * shifts[k];
            by_g[k] = a[c];
            by_y[k] = of_y;
            constant[k] = -a[c] * s / rows - of_y * norm->mean[k];
        }
    }
    if (!dy) return;
    for (Int p = 0; p < rows; ++p)
        for (Int b = 0; b < count; ++b)
            for (int o = 0; o < C; o += VL) {
                Int k = b * C + o;
                store(dy + p * width + k, load(constant.data() + k)
                      + load(by_g.data() + k) * load(targets[b].g + p * C + o)
                      + load(by_y.data() + k) * load(y + p * width + k));
            }
}

// The kernels of 1. of_w: (count C, C) or null. What they add to dL/dr is constant + r mixed +
// sum of g back; constant (C), mixed (C, C), back (count, C, C); null: not wanted.
void pointwise_backward(Int count, const Target* targets, const Norm* norm, const T* shifts,
                        const T* r, Int rows, const T* w, const T* of_r, const T* cov, const T* z,
                        T* of_z, T* of_w, T* constant, T* mixed, T* back) {
    std::vector<double> products(C * C), square(C * C);
    double line[C] = {};
    for (Int b = 0; b < count; ++b) {
        double dots[C] = {}, q[C], a[C];
        const T* own = w + b * C * C;
        for (double& value : products) value = 0;
        add_gram(targets[b].g, r, rows, products.data());
        for (int c = 0; c < C; ++c)
            for (int i = 0; i < C; ++i) dots[c] += own[c * C + i] * products[c * C + i];
        norm_backward(*norm, targets[b], b * C, z, dots, of_z, q, a);
        for (int c = 0; c < C; ++c) {
            double s = targets[b].sum[c], of_variance = -0.5 * a[c] * norm->inverse[b * C + c] * q[c];
            if (shifts) of_z[targets[b].z] += s * shifts[b * C + c];
            for (int i = 0; i < C; ++i) {
                if (of_w) {
                    double turned = 0;
                    for (int k = 0; k < C; ++k) turned += double(own[c * C + k]) * cov[k * C + i];
                    of_w[(b * C + c) * C + i] =
                        a[c] * (products[c * C + i] - s * of_r[i]) + 2 * of_variance * turned;
                }
                if (!constant) continue;
                back[(b * C + c) * C + i] = a[c] * own[c * C + i];
                line[i] += a[c] * s * own[c * C + i];
                double share = 2.0 / rows * of_variance * own[c * C + i];
                for (int k = 0; k < C; ++k) square[i * C + k] += share * own[c * C + k];
            }
        }
    }
    if (!constant) return;
    for (int i = 0; i < C; ++i) {
        double moved = 0;
        for (int k = 0; k < C; ++k) {
            mixed[k * C + i] = square[k * C + i];
            moved += of_r[k] * square[k * C + i];
        }
        constant[i] = -line[i] / rows - moved;
    }
}

// What the gradient of a node is made of. rectified: dL/dr of the wide kernels (null: none), behind
// the ReLU of x, as are r mixed, constant and g back of the kernels of 1 (null: none).
struct Source {
    const T *x, *rectified, *r, *constant, *mixed, *back;
    Int count;
    const Target* targets;
    Int linears;
    const Int* places;  // pairs (matrix, place in z)
    const T* own;
};

void source_gradient(const Source* of, const T* z, Int rows, T* out) {
    auto block = [&]<int ROWS>(Int p, std::integral_constant<int, ROWS>) {
        for (int o = 0; o < C; o += NB * VL) {
            V acc[ROWS][NB] = {};
            if (of->constant)
                for (int r = 0; r < ROWS; ++r)
                    for (int b = 0; b < NB; ++b) acc[r][b] = load(of->constant + o + b * VL);
            if (of->rectified) add_scaled<ROWS>(acc, of->rectified + p * C + o, C, T(1));
            if (of->mixed) {
                add_product<ROWS>(acc, of->r + p * C, of->mixed, o);
                for (Int t = 0; t < of->count; ++t)
                    add_product<ROWS>(acc, of->targets[t].g + p * C, of->back + t * C * C, o);
            }
            for (int r = 0; r < ROWS; ++r)
                for (int b = 0; b < NB; ++b) {
                    V x = load(of->x + (p + r) * C + o + b * VL);
                    acc[r][b] = x > 0 ? acc[r][b] : V{};
                }
            for (Int t = 0; t < of->linears; ++t) {
                const T* term = reinterpret_cast<const T*>(of->places[2 * t]);
                add_scaled<ROWS>(acc, term + p * C + o, C, z[of->places[2 * t + 1]]);
            }
            if (of->own) add_scaled<ROWS>(acc, of->own + p * C + o, C, T(1));
            for (int r = 0; r < ROWS; ++r)
                for (int b = 0; b < NB; ++b) store(out + (p + r) * C + o + b * VL, acc[r][b]);
        }
    };
    Int p = 0;
    for (; p + BR <= rows; p += BR) block(p, std::integral_constant<int, BR>());
    for (; p < rows; ++p) block(p, std::integral_constant<int, 1>());
}
}
