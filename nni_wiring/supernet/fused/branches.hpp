// The parts of a cell's passes: what leaves a node, forwards and backwards, and what arrives.
// The formulas are those of kernels.py.
#pragma once
#include "vectors.hpp"

// --- forward ---

// r = ReLU(x); mean and covariance of r (cov null: r alone)
static void rectified(const T* x, Int rows, T* r, T* mean, T* cov) {
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
static void moments(const T* y, Int rows, Int width, double eps, T* mean, T* variance,
                    T* inverse) {
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
static void pointwise_moments(const T* w, Int width, const T* of_r, const T* cov, double eps,
                              T* mean, T* variance, T* inverse) {
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
static void node(Int count, const Term* terms, const T* z, Int n, Int h, Int w, const T* counts,
                 T* out) {
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
static void node_gradient(const T* g, Int n, Int h, Int w, const T* counts, double* sum,
                          T* adjoint) {
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
static void stacked_backward(Int count, const Target* targets, const Norm* norm, const T* shifts,
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
static void pointwise_backward(Int count, const Target* targets, const Norm* norm, const T* shifts,
                               const T* r, Int rows, const T* w, const T* of_r, const T* cov,
                               const T* z, T* of_z, T* of_w, T* constant, T* mixed, T* back) {
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

// A branch without parameters: the gradient of its term, its place in z.
struct Linear {
    const T* of_term;
    Int z;
};

// What the gradient of a node is made of. rectified: dL/dr of the wide kernels (null: none), behind
// the ReLU of x, as are r mixed, constant and g back of the kernels of 1 (null: none).
struct Sum {
    const T *x, *rectified, *r, *constant, *mixed, *back;
    Int count;
    const Target* targets;
    Int linears;
    const Linear* linear;
    const T* own;
};

static void source_gradient(const Sum* of, const T* z, Int rows, T* out) {
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
                const Linear& term = of->linear[t];
                add_scaled<ROWS>(acc, term.of_term + p * C + o, C, z[term.z]);
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
