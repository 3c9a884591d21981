// The gradient of a depthwise convolution to its weights, channels innermost.
// Compiled by depthwise.py with -DNUMBER=..
#include <cstdint>
#include <cstring>
#include <vector>

using T = NUMBER;
using Int = int64_t;

// x (n, h, w, c) and the outputs' gradient dy (n, oh, ow, c)
struct Convolution {
    Int n, h, w, c, stride, padding, dilation, oh, ow;
};

// of_weights (c, K, K); VL channels at a time. Sums over an image are taken in NUMBER, those over
// images in double; even and odd pixels apart, so that enough sums are in flight.
template <int K, int VL>
static void weights_gradient(const Convolution& of, const T* x, const T* dy, T* of_weights) {
    typedef T V __attribute__((vector_size(VL * sizeof(T)), aligned(sizeof(T)), may_alias));
    auto load = [](const T* p) { return *reinterpret_cast<const V*>(p); };
    Int c = of.c, across = of.w + 2 * of.padding;
    std::vector<T> framed((of.h + 2 * of.padding) * across * c);
    std::vector<double> sums(K * K * c);
    for (Int image = 0; image < of.n; ++image) {
        for (Int y = 0; y < of.h; ++y)
            std::memcpy(framed.data() + ((y + of.padding) * across + of.padding) * c,
                        x + (image * of.h + y) * of.w * c, of.w * c * sizeof(T));
        const T* own = dy + image * of.oh * of.ow * c;
        for (Int o = 0; o < c; o += VL)
            for (Int ky = 0; ky < K; ++ky) {
                V even[K] = {}, odd[K] = {};
                for (Int y = 0; y < of.oh; ++y) {
                    const T* in = framed.data() + (y * of.stride + ky * of.dilation) * across * c + o;
                    const T* g = own + y * of.ow * c + o;
                    auto add = [&](Int p, V(&sum)[K]) {
                        V right = load(g + p * c);
                        for (int kx = 0; kx < K; ++kx)
                            sum[kx] += right * load(in + (p * of.stride + kx * of.dilation) * c);
                    };
                    Int p = 0;
                    for (; p + 2 <= of.ow; p += 2) add(p, even), add(p + 1, odd);
                    if (p < of.ow) add(p, even);
                }
                for (int kx = 0; kx < K; ++kx)
                    for (int k = 0; k < VL; ++k)
                        sums[((o + k) * K + ky) * K + kx] += double(even[kx][k]) + odd[kx][k];
            }
    }
    for (Int k = 0; k < K * K * c; ++k) of_weights[k] = sums[k];
}

template <int K>
static void any_width(const Convolution& of, const T* x, const T* dy, T* of_weights) {
    if (of.c % 8) weights_gradient<K, 4>(of, x, dy, of_weights);
    else if (of.c % 16) weights_gradient<K, 8>(of, x, dy, of_weights);
    else weights_gradient<K, 64 / sizeof(T)>(of, x, dy, of_weights);
}

// Kernels of 3 and 5, a multiple of 4 channels.
extern "C" void of_weights(const Convolution* of, Int kernel, const T* x, const T* dy, T* found) {
    if (kernel == 3) any_width<3>(*of, x, dy, found);
    else any_width<5>(*of, x, dy, found);
}
