// The convolutions of the native cells alone, for convolutions.py.
#include "convolutions.hpp"

extern "C" {

void forward(const T* x, Int n, Int h, Int w, const T* weights, Int outs, T* y) {
    convolution(x, n, h, w, weights, outs, y);
}

void backward(const T* dy, const T* x, Int n, Int h, Int w, const T* weights, Int outs, T* of_x,
              T* of_weights) {
    convolution_backward(dy, x, n, h, w, weights, outs, of_x, of_weights);
}
}
