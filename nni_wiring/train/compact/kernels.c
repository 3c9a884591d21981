/* One training step of a small convolutional network, image index innermost.

   Every tensor is [channel][pixel][image], so that a vector holds one pixel of neighbouring images
   and networks of four channels fill the processor's vectors, which layouts with channels innermost
   do not. A network is a list of instructions (see program.py), run forwards and backwards here.
   Compiled once with REAL=float and once with REAL=double. */

#include <math.h>
#include <stdint.h>
#include <string.h>

/* DEEP, and how many input channels a tile of weights has with three taps and with one: as many as
   the registers hold sums. */
#if defined(__AVX512F__)
enum { BYTES = 64, DEEP = 4, WITH_THREE = 2, WITH_ONE = 4 };
#elif defined(__AVX__)
enum { BYTES = 32, DEEP = 2, WITH_THREE = 1, WITH_ONE = 2 };
#else
enum { BYTES = 16, DEEP = 4, WITH_THREE = 1, WITH_ONE = 2 };
#endif
typedef REAL vec __attribute__((vector_size(BYTES)));
enum { LANES = BYTES / sizeof(REAL), ACROSS = 4, MAX_TAPS = 9 };
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

enum { CONV, NORM, RELU, ADD, POOL, HALVE, ZERO, MEAN, LINEAR, LOSS };

/* Offsets count elements: src, dst of acts and of their gradients; weight, bias of parameters;
   stats of the running mean, followed by the variance; saved of a batch's mean and 1 / sd. */
typedef struct {
    int64_t kind, src, dst, in_channels, channels, height, width, out_height, out_width, kernel,
        stride, weight, bias, stats, saved, add, add_back, back;
} op;

typedef struct {
    const REAL *params;
    REAL *grads, *stats, *acts, *act_grads, *saved, *scratch;
    const int64_t *labels;
    int64_t images;
    double momentum, epsilon, loss, right;
} state;

INLINE REAL total(vec v) {
    REAL sum = 0;
    for (int lane = 0; lane < LANES; lane++) sum += v[lane];
    return sum;
}

/* One pixel of TO channels and TV vectors of images: sum of weights times neighbours. */
INLINE void conv_tile(const int TO, const int TV, REAL *dst, int64_t dst_channel, const REAL *src,
                      int64_t src_channel, const REAL *w, int64_t w_row, int64_t w_tap,
                      int64_t in, const int64_t *at, const int64_t *tap, int taps, int add) {
    vec sum[ACROSS][DEEP];
    UNROLL for (int o = 0; o < TO; o++)
        UNROLL for (int v = 0; v < TV; v++) sum[o][v] = (vec){0};
    for (int t = 0; t < taps; t++)
        _Pragma("GCC unroll 4") for (int64_t i = 0; i < in; i++) {
            const vec *x = (const vec *)(src + i * src_channel + at[t]);
            const REAL *row = w + tap[t] * w_tap + i * w_row;
            vec loaded[DEEP];
            UNROLL for (int v = 0; v < TV; v++) loaded[v] = x[v];
            UNROLL for (int o = 0; o < TO; o++)
                UNROLL for (int v = 0; v < TV; v++) sum[o][v] += row[o] * loaded[v];
        }
    UNROLL for (int o = 0; o < TO; o++) {
        vec *y = (vec *)(dst + o * dst_channel);
        UNROLL for (int v = 0; v < TV; v++) y[v] = add ? y[v] + sum[o][v] : sum[o][v];
    }
}

/* One pixel of all channels and images. */
static void conv_pixel(REAL *dst, int64_t dst_channel, int64_t out, const REAL *src,
                       int64_t src_channel, int64_t in, const REAL *w, const int64_t *at,
                       const int64_t *tap, int taps, int64_t images, int add) {
    int64_t w_tap = in * out, n = 0;
    for (; n + DEEP * LANES <= images; n += DEEP * LANES) {
        int64_t o = 0;
        for (; o + ACROSS <= out; o += ACROSS)
            conv_tile(ACROSS, DEEP, dst + o * dst_channel + n, dst_channel, src + n, src_channel,
                      w + o, out, w_tap, in, at, tap, taps, add);
        for (; o < out; o++)
            conv_tile(1, DEEP, dst + o * dst_channel + n, dst_channel, src + n, src_channel, w + o,
                      out, w_tap, in, at, tap, taps, add);
    }
    for (; n < images; n += LANES)
        for (int64_t o = 0; o < out; o++)
            conv_tile(1, 1, dst + o * dst_channel + n, dst_channel, src + n, src_channel, w + o,
                      out, w_tap, in, at, tap, taps, add);
}

static void conv(const op *p, state *s) {
    int64_t n = s->images, k = p->kernel, pad = k / 2, at[MAX_TAPS], tap[MAX_TAPS];
    const REAL *weight = s->params + p->weight, *src = s->acts + p->src;
    REAL *turned = s->scratch; /* [tap][in][out] */
    for (int64_t o = 0; o < p->channels; o++)
        for (int64_t i = 0; i < p->in_channels; i++)
            for (int64_t t = 0; t < k * k; t++)
                turned[(t * p->in_channels + i) * p->channels + o] =
                    weight[(o * p->in_channels + i) * k * k + t];
    for (int64_t y = 0; y < p->out_height; y++)
        for (int64_t x = 0; x < p->out_width; x++) {
            int taps = 0;
            for (int64_t t = 0; t < k * k; t++) {
                int64_t row = y * p->stride + t / k - pad, column = x * p->stride + t % k - pad;
                if (row < 0 || row >= p->height || column < 0 || column >= p->width) continue;
                at[taps] = (row * p->width + column) * n;
                tap[taps++] = t;
            }
            conv_pixel(s->acts + p->dst + (y * p->out_width + x) * n,
                       p->out_height * p->out_width * n, p->channels, src,
                       p->height * p->width * n, p->in_channels, turned, at, tap, taps, n,
                       (int)p->add);
        }
}

static void conv_back_data(const op *p, state *s) {
    int64_t n = s->images, k = p->kernel, pad = k / 2, at[MAX_TAPS], tap[MAX_TAPS];
    const REAL *weight = s->params + p->weight, *grad = s->act_grads + p->dst;
    REAL *turned = s->scratch; /* [tap][out][in] */
    for (int64_t o = 0; o < p->channels; o++)
        for (int64_t i = 0; i < p->in_channels; i++)
            for (int64_t t = 0; t < k * k; t++)
                turned[(t * p->channels + o) * p->in_channels + i] =
                    weight[(o * p->in_channels + i) * k * k + t];
    for (int64_t y = 0; y < p->height; y++)
        for (int64_t x = 0; x < p->width; x++) {
            int taps = 0;
            for (int64_t t = 0; t < k * k; t++) {
                int64_t row = y + pad - t / k, column = x + pad - t % k;
                if (row < 0 || column < 0 || row % p->stride || column % p->stride) continue;
                row /= p->stride, column /= p->stride;
                if (row >= p->out_height || column >= p->out_width) continue;
                at[taps] = (row * p->out_width + column) * n;
                tap[taps++] = t;
            }
            conv_pixel(s->act_grads + p->src + (y * p->width + x) * n, p->height * p->width * n,
                       p->in_channels, grad, p->out_height * p->out_width * n, p->channels, turned,
                       at, tap, taps, n, (int)p->add_back);
        }
}

/* Products of one row of TO output channels with TI input channels at TK neighbours. */
INLINE void weight_tile(const int TO, const int TI, const int TK, vec *sums, int64_t o_step,
                        int64_t i_step, const REAL *grad, int64_t grad_channel, const REAL *src,
                        int64_t src_channel, const op *p, const REAL *zeros, int64_t images) {
    vec sum[4][4][3];
    UNROLL for (int o = 0; o < TO; o++)
        UNROLL for (int i = 0; i < TI; i++)
            UNROLL for (int k = 0; k < TK; k++) sum[o][i][k] = sums[o * o_step + i * i_step + k];
    for (int64_t x = 0; x < p->out_width; x++) {
        const REAL *near[4][3], *here = grad + x * images;
        for (int i = 0; i < TI; i++)
            for (int k = 0; k < TK; k++) {
                int64_t column = x * p->stride + k - TK / 2;
                near[i][k] = column < 0 || column >= p->width
                                 ? zeros
                                 : src + i * src_channel + column * images;
            }
        for (int64_t n = 0; n < images; n += LANES) {
            vec g[4];
            UNROLL for (int o = 0; o < TO; o++) g[o] = *(const vec *)(here + o * grad_channel + n);
            UNROLL for (int i = 0; i < TI; i++)
                UNROLL for (int k = 0; k < TK; k++) {
                    vec value = *(const vec *)(near[i][k] + n);
                    UNROLL for (int o = 0; o < TO; o++) sum[o][i][k] += g[o] * value;
                }
        }
    }
    UNROLL for (int o = 0; o < TO; o++)
        UNROLL for (int i = 0; i < TI; i++)
            UNROLL for (int k = 0; k < TK; k++) sums[o * o_step + i * i_step + k] = sum[o][i][k];
}

#define WEIGHT_TILE(TO, TI, TK)                                                                 \
    weight_tile(TO, TI, TK, sums + (o * in + i) * k * k + ky * k, in *k *k, k *k,                \
                grad + o * grad_channel, grad_channel, from + i * src_channel, src_channel, p,   \
                zeros, n)

static void conv_back_weight(const op *p, state *s) {
    int64_t n = s->images, k = p->kernel, in = p->in_channels, out = p->channels;
    int64_t grad_channel = p->out_height * p->out_width * n, src_channel = p->height * p->width * n;
    vec *sums = (vec *)s->scratch;
    REAL *zeros = (REAL *)(sums + in * out * k * k);
    memset(sums, 0, sizeof(vec) * in * out * k * k);
    memset(zeros, 0, sizeof(REAL) * n);
    for (int64_t y = 0; y < p->out_height; y++)
        for (int64_t ky = 0; ky < k; ky++) {
            int64_t row = y * p->stride + ky - k / 2;
            if (row < 0 || row >= p->height) continue;
            const REAL *grad = s->act_grads + p->dst + y * p->out_width * n;
            const REAL *from = s->acts + p->src + row * p->width * n;
            int64_t o = 0;
            for (; o + 4 <= out; o += 4) {
                int64_t i = 0;
                if (k == 3) {
                    for (; i + WITH_THREE <= in; i += WITH_THREE) WEIGHT_TILE(4, WITH_THREE, 3);
                    for (; i < in; i++) WEIGHT_TILE(4, 1, 3);
                } else {
                    for (; i + WITH_ONE <= in; i += WITH_ONE) WEIGHT_TILE(4, WITH_ONE, 1);
                    for (; i < in; i++) WEIGHT_TILE(4, 1, 1);
                }
            }
            for (; o < out; o++)
                for (int64_t i = 0; i < in; i++) {
                    if (k == 3) WEIGHT_TILE(1, 1, 3);
                    else WEIGHT_TILE(1, 1, 1);
                }
        }
    for (int64_t j = 0; j < in * out * k * k; j++) s->grads[p->weight + j] = total(sums[j]);
}

/* Sums over a channel, folded into double every few thousand elements. */
INLINE double sum_of(const REAL *x, int64_t count, REAL centre, int squares) {
    double sum = 0;
    for (int64_t start = 0; start < count; start += 4096) {
        int64_t end = start + 4096 < count ? start + 4096 : count, j = start;
        vec part[2] = {{0}, {0}};
        for (; j + 2 * LANES <= end; j += 2 * LANES)
            UNROLL for (int v = 0; v < 2; v++) {
                vec d = *(const vec *)(x + j + v * LANES) - centre;
                part[v] += squares ? d * d : d;
            }
        sum += total(part[0] + part[1]);
    }
    return sum;
}

static void norm(const op *p, state *s, int training) {
    int64_t count = p->height * p->width * s->images;
    for (int64_t c = 0; c < p->channels; c++) {
        const REAL *x = s->acts + p->src + c * count;
        REAL *y = s->acts + p->dst + c * count, *running = s->stats + p->stats + c;
        double mean = running[0], variance = running[p->channels];
        if (training) {
            mean = sum_of(x, count, 0, 0) / count;
            variance = sum_of(x, count, (REAL)mean, 1) / count;
            running[0] += (REAL)(s->momentum * (mean - running[0]));
            running[p->channels] +=
                (REAL)(s->momentum * (variance * count / (count - 1.0) - running[p->channels]));
        }
        REAL inverse = (REAL)(1 / sqrt(variance + s->epsilon));
        s->saved[p->saved + c] = (REAL)mean;
        s->saved[p->saved + p->channels + c] = inverse;
        REAL scale = p->weight < 0 ? inverse : s->params[p->weight + c] * inverse;
        REAL shift = (REAL)((p->bias < 0 ? 0 : s->params[p->bias + c]) - mean * scale);
        if (p->add)
            for (int64_t j = 0; j < count; j++) y[j] += x[j] * scale + shift;
        else
            for (int64_t j = 0; j < count; j++) y[j] = x[j] * scale + shift;
    }
}

static void norm_back(const op *p, state *s) {
    int64_t count = p->height * p->width * s->images;
    for (int64_t c = 0; c < p->channels; c++) {
        const REAL *x = s->acts + p->src + c * count, *dy = s->act_grads + p->dst + c * count;
        REAL *dx = s->act_grads + p->src + c * count;
        REAL mean = s->saved[p->saved + c], inverse = s->saved[p->saved + p->channels + c];
        double sum = 0, product = 0; /* of dy, and of dy with the centred x */
        for (int64_t start = 0; start < count; start += 4096) {
            int64_t end = start + 4096 < count ? start + 4096 : count;
            vec part = {0}, with = {0}, part2 = {0}, with2 = {0};
            for (int64_t j = start; j + 2 * LANES <= end; j += 2 * LANES) {
                vec g = *(const vec *)(dy + j), h = *(const vec *)(dy + j + LANES);
                part += g, part2 += h;
                with += g * (*(const vec *)(x + j) - mean);
                with2 += h * (*(const vec *)(x + j + LANES) - mean);
            }
            sum += total(part + part2);
            product += total(with + with2);
        }
        if (p->weight >= 0) s->grads[p->weight + c] = (REAL)(product * inverse);
        if (p->bias >= 0) s->grads[p->bias + c] = (REAL)sum;
        if (!p->back) continue;
        REAL scale = (p->weight < 0 ? 1 : s->params[p->weight + c]) * inverse;
        REAL slope = (REAL)(-scale * inverse * inverse * product / count);
        REAL shift = (REAL)(-scale * sum / count - slope * mean);
        if (p->add_back)
            for (int64_t j = 0; j < count; j++) dx[j] += dy[j] * scale + x[j] * slope + shift;
        else
            for (int64_t j = 0; j < count; j++) dx[j] = dy[j] * scale + x[j] * slope + shift;
    }
}

/* dst (+)= factor * src, where mask (if any) is above zero. */
INLINE void copy(REAL *restrict dst, const REAL *restrict src, const REAL *restrict mask,
                 REAL factor, int64_t count, int add) {
    if (mask && add)
        for (int64_t j = 0; j < count; j++) dst[j] += mask[j] > 0 ? src[j] : 0;
    else if (mask)
        for (int64_t j = 0; j < count; j++) dst[j] = mask[j] > 0 ? src[j] : 0;
    else if (add)
        for (int64_t j = 0; j < count; j++) dst[j] += factor * src[j];
    else
        for (int64_t j = 0; j < count; j++) dst[j] = factor * src[j];
}

/* Means over 3x3 without the padding; backwards, each mean's gradient goes to what it is of. */
static void pool(const op *p, const REAL *from, REAL *to, int64_t n, int add, int backwards) {
    int64_t h = p->height, w = p->width;
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t y = 0; y < h; y++)
            for (int64_t x = 0; x < w; x++) {
                REAL *out = to + ((c * h + y) * w + x) * n;
                if (!add) memset(out, 0, sizeof(REAL) * n);
                for (int64_t t = 0; t < 9; t++) {
                    int64_t row = y + t / 3 - 1, column = x + t % 3 - 1;
                    if (row < 0 || row >= h || column < 0 || column >= w) continue;
                    int64_t cy = backwards ? row : y, cx = backwards ? column : x;
                    int64_t tall = 3 - (cy == 0) - (cy == h - 1);
                    int64_t wide = 3 - (cx == 0) - (cx == w - 1);
                    copy(out, from + ((c * h + row) * w + column) * n, 0, (REAL)1 / (tall * wide),
                         n, 1);
                }
            }
}

/* Means over 2x2, and their gradients. */
static void halve(const op *p, state *s, int backwards) {
    int64_t n = s->images, h = p->height, w = p->width;
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t y = 0; y < h; y++)
            for (int64_t x = 0; x < w; x++) {
                int64_t big = ((c * h + y) * w + x) * n;
                int64_t small = ((c * (h / 2) + y / 2) * (w / 2) + x / 2) * n;
                if (backwards)
                    copy(s->act_grads + p->src + big, s->act_grads + p->dst + small, 0, (REAL).25,
                         n, (int)p->add_back);
                else
                    copy(s->acts + p->dst + small, s->acts + p->src + big, 0, (REAL).25, n,
                         y % 2 || x % 2);
            }
}

static void mean(const op *p, state *s, int backwards) {
    int64_t n = s->images, pixels = p->height * p->width;
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t j = 0; j < pixels; j++)
            if (backwards)
                copy(s->act_grads + p->src + (c * pixels + j) * n, s->act_grads + p->dst + c * n, 0,
                     (REAL)1 / pixels, n, (int)p->add_back);
            else
                copy(s->acts + p->dst + c * n, s->acts + p->src + (c * pixels + j) * n, 0,
                     (REAL)1 / pixels, n, j > 0);
}

static void linear(const op *p, state *s) {
    int64_t n = s->images;
    for (int64_t o = 0; o < p->channels; o++) {
        REAL *y = s->acts + p->dst + o * n, bias = p->bias < 0 ? 0 : s->params[p->bias + o];
        for (int64_t j = 0; j < n; j++) y[j] = bias;
        for (int64_t i = 0; i < p->in_channels; i++)
            copy(y, s->acts + p->src + i * n, 0, s->params[p->weight + o * p->in_channels + i], n,
                 1);
    }
}

static void linear_back(const op *p, state *s) {
    int64_t n = s->images, in = p->in_channels;
    for (int64_t o = 0; o < p->channels; o++) {
        const REAL *dy = s->act_grads + p->dst + o * n;
        REAL sum = 0;
        for (int64_t j = 0; j < n; j++) sum += dy[j];
        if (p->bias >= 0) s->grads[p->bias + o] = sum;
        for (int64_t i = 0; i < in; i++) {
            const REAL *x = s->acts + p->src + i * n;
            vec product = {0};
            for (int64_t j = 0; j < n; j += LANES)
                product += *(const vec *)(dy + j) * *(const vec *)(x + j);
            s->grads[p->weight + o * in + i] = total(product);
            if (p->back)
                copy(s->act_grads + p->src + i * n, dy, 0, s->params[p->weight + o * in + i], n,
                     o > 0 || p->add_back);
        }
    }
}

/* Cross-entropy of the logits, summed and counted over images; its mean's gradient on logits. */
static void loss(const op *p, state *s) {
    int64_t n = s->images;
    const REAL *logits = s->acts + p->src;
    REAL *grad = s->act_grads + p->src;
    s->loss = s->right = 0;
    for (int64_t j = 0; j < n; j++) {
        int64_t label = s->labels[j], best = 0;
        REAL sum = 0;
        for (int64_t c = 1; c < p->channels; c++)
            if (logits[c * n + j] > logits[best * n + j]) best = c;
        REAL top = logits[best * n + j];
        for (int64_t c = 0; c < p->channels; c++) {
            grad[c * n + j] = (REAL)exp(logits[c * n + j] - top);
            sum += grad[c * n + j];
        }
        for (int64_t c = 0; c < p->channels; c++)
            grad[c * n + j] = (grad[c * n + j] / sum - (c == label)) / n;
        s->loss += log(sum) + top - logits[label * n + j];
        s->right += best == label;
    }
}

static void forward(const op *p, state *s, int training) {
    int64_t count = p->channels * p->height * p->width * s->images;
    REAL *dst = s->acts + p->dst;
    const REAL *src = s->acts + p->src;
    switch (p->kind) {
    case CONV: conv(p, s); break;
    case NORM: norm(p, s, training); break;
    case RELU: /* a NaN stays one */
        for (int64_t j = 0; j < count; j++) dst[j] = src[j] < 0 ? 0 : src[j];
        break;
    case ADD: copy(dst, src, 0, 1, count, (int)p->add); break;
    case POOL: pool(p, src, dst, s->images, (int)p->add, 0); break;
    case HALVE: halve(p, s, 0); break;
    case ZERO: memset(dst, 0, sizeof(REAL) * count); break;
    case MEAN: mean(p, s, 0); break;
    case LINEAR: linear(p, s); break;
    case LOSS: if (s->labels) loss(p, s); break;
    }
}

static void backward(const op *p, state *s) {
    int64_t count = p->channels * p->height * p->width * s->images;
    const REAL *from = s->act_grads + p->dst;
    REAL *to = s->act_grads + p->src;
    if (p->kind == CONV) conv_back_weight(p, s);
    if (p->kind == NORM) norm_back(p, s);
    if (p->kind == LINEAR) linear_back(p, s);
    if (!p->back) return;
    switch (p->kind) {
    case CONV: conv_back_data(p, s); break;
    case RELU: copy(to, from, s->acts + p->dst, 1, count, (int)p->add_back); break;
    case ADD: copy(to, from, 0, 1, count, (int)p->add_back); break;
    case POOL: pool(p, from, to, s->images, (int)p->add_back, 1); break;
    case HALVE: halve(p, s, 1); break;
    case MEAN: mean(p, s, 1); break;
    }
}

/* Forwards; in training also backwards, which leaves every parameter's gradient in grads. */
void run(const op *ops, int64_t count, state *s, int64_t training) {
    for (int64_t j = 0; j < count; j++) forward(ops + j, s, (int)training);
    if (!training) return;
    for (int64_t j = count - 1; j >= 0; j--) backward(ops + j, s);
}
