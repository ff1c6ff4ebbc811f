// Convolutions on the edges of a cell and their gradients.
#pragma once

#include "gates.h"

namespace autola {

template <typename T>
class Layers : protected Gates<T> {
 protected:
  using Base = Gates<T>;
  using V = Vectors<T>;
  using Vector = typename V::Vector;
  using Scratch = typename Base::Scratch;
  using Base::weights_, Base::plane_, Base::valid_, Base::kLanes, Base::kTile;
  using Base::Base;

  void run_layer(const Layer& layer, const T* weights, const std::vector<T>& pointwise, const T* from, T* to, T* tile) const {
    const auto give = [&](int output, int64_t p, Vector a, Vector b) {
      T* at = to + output * plane_.size + p;
      V::store(at, a * V::load(valid_.data() + p));
      V::store(at + kLanes, b * V::load(valid_.data() + p + kLanes));
    };
    for (int64_t p = plane_.first; p < plane_.tiles_end; p += kTile) {
      if (layer.is_separable) {
        for (int i = 0; i < layer.inputs; ++i) {
          Vector a{}, b{};
          add_taps<T>(layer, plane_.stride, from + i * plane_.size + p, weights + i * layer.taps(), a, b);
          V::store(tile + i * kTile, a);
          V::store(tile + i * kTile + kLanes, b);
        }
        multiply<T>(layer.outputs, layer.inputs, pointwise.data(), nullptr, tile, kTile,
                    [&](int output, Vector a, Vector b) { give(output, p, a, b); });
        continue;
      }
      for (int output = 0; output < layer.outputs; ++output) {
        Vector a{}, b{};
        for (int i = 0; i < layer.inputs; ++i)
          add_taps<T>(layer, plane_.stride, from + i * plane_.size + p,
                      weights + (int64_t(output) * layer.inputs + i) * layer.taps(), a, b);
        give(output, p, a, b);
      }
    }
  }
  // Adds the gradient of a layer's weights, and gives that of its input. Spoils narrow[3].
  void through_layer(const Layer& layer, int64_t weights, const std::vector<T>& turned_pointwise, const T* input,
                     const T* gradient, T* of_input, Scratch& scratch) const {
    const int64_t taps = layer.taps();
    const T* kernel = weights_ + weights;
    T* of_kernel = scratch.gradients + weights;
    std::vector<T> turned(kernel, kernel + (layer.is_separable ? layer.inputs : layer.outputs * layer.inputs) * taps);
    for (size_t at = 0; at < turned.size(); at += taps) std::reverse(turned.begin() + at, turned.begin() + at + taps);
    if (!layer.is_separable) {
      for (int o = 0; o < layer.outputs; ++o)
        for (int i = 0; i < layer.inputs; ++i)
          add_tap_products(layer, plane_, gradient + o * plane_.size, input + i * plane_.size,
                           of_kernel + (int64_t(o) * layer.inputs + i) * taps);
      for (int i = 0; i < layer.inputs; ++i)
        convolve(layer, of_input + i * plane_.size, layer.outputs, [&](int o, int64_t p, Vector& a, Vector& b) {
          add_taps<T>(layer, plane_.stride, gradient + o * plane_.size + p,
                      turned.data() + (int64_t(o) * layer.inputs + i) * taps, a, b);
        });
      return;
    }
    T* between = scratch.narrow[3];
    for (int i = 0; i < layer.inputs; ++i)
      convolve(layer, between + i * plane_.size, 1, [&](int, int64_t p, Vector& a, Vector& b) {
        add_taps<T>(layer, plane_.stride, input + i * plane_.size + p, kernel + i * taps, a, b);
      });
    add_products(layer.outputs, gradient, layer.inputs, between, plane_.size, plane_.first, plane_.tiles_end,
                 of_kernel + layer.inputs * taps);
    multiply_planes(layer.inputs, layer.outputs, turned_pointwise, gradient, between);
    for (int i = 0; i < layer.inputs; ++i)
      add_tap_products(layer, plane_, between + i * plane_.size, input + i * plane_.size, of_kernel + i * taps);
    for (int i = 0; i < layer.inputs; ++i)
      convolve(layer, of_input + i * plane_.size, 1, [&](int, int64_t p, Vector& a, Vector& b) {
        add_taps<T>(layer, plane_.stride, between + i * plane_.size + p, turned.data() + i * taps, a, b);
      });
  }
  template <typename Add>
  void convolve(const Layer& layer, T* to, int inputs, Add add_input) const {
    for (int64_t p = plane_.first; p < plane_.tiles_end; p += kTile) {
      Vector a{}, b{};
      for (int i = 0; i < inputs; ++i) add_input(i, p, a, b);
      V::store(to + p, a * V::load(valid_.data() + p));
      V::store(to + p + kLanes, b * V::load(valid_.data() + p + kLanes));
    }
  }
  void multiply_planes(int outputs, int inputs, const std::vector<T>& weights, const T* from, T* to) const {
    for (int64_t p = plane_.first; p < plane_.tiles_end; p += kTile)
      multiply<T>(outputs, inputs, weights.data(), nullptr, from + p, plane_.size, [&](int output, Vector a, Vector b) {
        V::store(to + output * plane_.size + p, a);
        V::store(to + output * plane_.size + p + kLanes, b);
      });
  }
};

}  // namespace autola
