// Convolutions that keep the size of the map, on planes with a margin of zeros, and what their gradients need.
#pragma once

#include <algorithm>
#include <vector>

#include "vectors.h"

namespace autola {

constexpr int kMostRows = 8;  // outputs of a 1x1 convolution whose weights lie side by side

struct Layer {
  int outputs, inputs, kernel, dilation;
  bool is_separable;
  int reach() const { return dilation * (kernel / 2); }
  int64_t taps() const { return int64_t(kernel) * kernel; }
};

// Where the numbers of a map lie in a plane with margins.
template <typename T>
struct Plane {
  static constexpr int kTile = 2 * Vectors<T>::kLanes;
  int height, width, stride;
  int64_t first, span, tiles_end, size;

  Plane(int height, int width, int margin) : height(height), width(width), stride(width + margin) {
    first = int64_t(margin) * stride + margin;
    span = int64_t(height - 1) * stride + width;
    tiles_end = first + (span + kTile - 1) / kTile * kTile;
    size = (tiles_end + first + kTile - 1) / kTile * kTile + Vectors<T>::kLanes;
  }
  void fill(T* plane, const T* rows) const {
    for (int y = 0; y < height; ++y)
      std::memcpy(plane + first + int64_t(y) * stride, rows + int64_t(y) * width, width * sizeof(T));
  }
  void empty(const T* plane, T* rows) const {
    for (int y = 0; y < height; ++y)
      std::memcpy(rows + int64_t(y) * width, plane + first + int64_t(y) * stride, width * sizeof(T));
  }
  void clear_all_margins(T* plane) const {
    std::fill(plane, plane + first, T(0));
    clear_margins(plane);
    std::fill(plane + tiles_end, plane + size, T(0));
  }
  // Writes zeros where a loop over tiles wrote what belongs to no position.
  void clear_margins(T* plane) const {
    for (int y = 0; y + 1 < height; ++y)
      for (int x = width; x < stride; ++x) plane[first + int64_t(y) * stride + x] = 0;
    std::fill(plane + first + span, plane + tiles_end, T(0));
  }
};

template <typename T, int K>
inline void add_square(int64_t dilation, int64_t stride, const T* at, const T* kernel, typename Vectors<T>::Vector& a,
                       typename Vectors<T>::Vector& b) {
  using V = Vectors<T>;
  const T* row = at - (K / 2) * dilation * (stride + 1);
  for (int y = 0; y < K; ++y, row += dilation * stride)
    for (int x = 0; x < K; ++x) {
      a += V::load(row + x * dilation) * kernel[y * K + x];
      b += V::load(row + x * dilation + V::kLanes) * kernel[y * K + x];
    }
}

// Adds one channel of a convolution at two vectors of positions.
template <typename T>
inline void add_taps(const Layer& layer, int64_t stride, const T* at, const T* kernel,
                     typename Vectors<T>::Vector& a, typename Vectors<T>::Vector& b) {
  using V = Vectors<T>;
  if (layer.kernel == 3) return add_square<T, 3>(layer.dilation, stride, at, kernel, a, b);
  if (layer.kernel == 7) return add_square<T, 7>(layer.dilation, stride, at, kernel, a, b);
  const int half = layer.kernel / 2;
  for (int y = -half; y <= half; ++y)
    for (int x = -half; x <= half; ++x) {
      const T* from = at + (int64_t(y) * stride + x) * layer.dilation;
      a += V::load(from) * *kernel;
      b += V::load(from + V::kLanes) * *kernel++;
    }
}

// Maximum and mean over channels that lie `step` apart, at a vector of positions.
template <typename T>
inline void pool_channels(const T* from, int channels, int64_t step, T* largest, T* mean) {
  using V = Vectors<T>;
  typename V::Vector top = V::load(from), total = top;
  for (int i = 1; i < channels; ++i) {
    const typename V::Vector value = V::load(from + i * step);
    top = V::larger(top, value);
    total += value;
  }
  V::store(largest, top);
  V::store(mean, total / T(channels));
}

template <typename T, int kRows, int kStep, typename Give>
inline void multiply_rows(int first, int inputs, const T* weights, const T* bias, const T* from, int64_t step, Give give) {
  using V = Vectors<T>;
  typename V::Vector a[kRows], b[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) a[r] = b[r] = typename V::Vector{} + (bias == nullptr ? T(0) : bias[first + r]);
  for (int i = 0; i < inputs; ++i, from += step, weights += kStep) {
    const typename V::Vector x = V::load(from), y = V::load(from + V::kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      a[r] += x * weights[r];
      b[r] += y * weights[r];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) give(first + r, a[r], b[r]);
}

// Every output of a 1x1 convolution at a tile of positions; the weights are packed.
template <typename T, typename Give>
inline void multiply(int outputs, int inputs, const T* weights, const T* bias, const T* from, int64_t step, Give give) {
  int done = 0;
  const auto rows = [&](auto number) {
    constexpr int kRows = decltype(number)::value;
    for (; outputs - done >= kRows; done += kRows, weights += int64_t(kRows) * inputs) {
      if constexpr (kRows == kMostRows && kBytes < 64) {
        multiply_rows<T, kRows / 2, kRows>(done, inputs, weights, bias, from, step, give);
        multiply_rows<T, kRows / 2, kRows>(done + kRows / 2, inputs, weights + kRows / 2, bias, from, step, give);
      } else {
        multiply_rows<T, kRows, kRows>(done, inputs, weights, bias, from, step, give);
      }
    }
  };
  rows(std::integral_constant<int, kMostRows>{});
  rows(std::integral_constant<int, 4>{});
  rows(std::integral_constant<int, 2>{});
  rows(std::integral_constant<int, 1>{});
}

// The weights of a 1x1 convolution as `multiply` reads them; those of output o and input i lie at the steps said.
template <typename T>
std::vector<T> packed(const T* weights, int outputs, int inputs, int64_t output_step, int64_t input_step) {
  std::vector<T> blocks;
  blocks.reserve(int64_t(outputs) * inputs);
  int done = 0;
  for (int rows : {kMostRows, 4, 2, 1})
    for (; outputs - done >= rows; done += rows)
      for (int i = 0; i < inputs; ++i)
        for (int r = 0; r < rows; ++r) blocks.push_back(weights[(done + r) * output_step + i * input_step]);
  return blocks;
}

template <typename T, int A, int B>
inline void add_products_of(const T* a, int64_t a_step, const T* b, int64_t b_step, int64_t begin, int64_t end, T* to,
                            int64_t to_step) {
  using V = Vectors<T>;
  typename V::Vector sums[A][B] = {};
  for (int64_t p = begin; p < end; p += V::kLanes) {
    typename V::Vector some[A];
#pragma GCC unroll 4
    for (int i = 0; i < A; ++i) some[i] = V::load(a + i * a_step + p);
#pragma GCC unroll 4
    for (int j = 0; j < B; ++j) {
      const typename V::Vector other = V::load(b + j * b_step + p);
#pragma GCC unroll 4
      for (int i = 0; i < A; ++i) sums[i][j] += some[i] * other;
    }
  }
  for (int i = 0; i < A; ++i)
    for (int j = 0; j < B; ++j) to[i * to_step + j] += Vectors<T>::total(sums[i][j]);
}

// to[i][j] += the sum over positions of a[i] b[j]: the gradient of a 1x1 convolution's weights.
template <typename T>
void add_products(int outputs, const T* a, int inputs, const T* b, int64_t step, int64_t begin, int64_t end, T* to) {
  constexpr int kColumns = kBytes < 64 ? 2 : 4;
  for (int i = 0; i < outputs;) {
    const bool is_block = outputs - i >= 4;
    for (int j = 0; j < inputs;) {
      const bool is_wide = inputs - j >= kColumns;
      const T *some = a + i * step, *others = b + j * step;
      T* at = to + int64_t(i) * inputs + j;
      if (is_block && is_wide) {
        add_products_of<T, 4, kColumns>(some, step, others, step, begin, end, at, inputs);
      } else if (is_block) {
        add_products_of<T, 4, 1>(some, step, others, step, begin, end, at, inputs);
      } else if (is_wide) {
        add_products_of<T, 1, kColumns>(some, step, others, step, begin, end, at, inputs);
      } else {
        add_products_of<T, 1, 1>(some, step, others, step, begin, end, at, inputs);
      }
      j += is_wide ? kColumns : 1;
    }
    i += is_block ? 4 : 1;
  }
}

template <typename T, int K>
inline void add_tap_products_of(const Layer& layer, const Plane<T>& plane, const T* gradient, const T* input, T* to) {
  using V = Vectors<T>;
  const int64_t step = layer.dilation;
  const T* row = input - (K / 2) * step * (plane.stride + 1);
  for (int y = 0; y < K; ++y, row += step * plane.stride, to += K) {
    typename V::Vector sums[K] = {};
    for (int64_t p = plane.first; p < plane.tiles_end; p += V::kLanes) {
      const typename V::Vector given = V::load(gradient + p);
#pragma GCC unroll 7
      for (int x = 0; x < K; ++x) sums[x] += given * V::load(row + p + x * step);
    }
    for (int x = 0; x < K; ++x) to[x] += Vectors<T>::total(sums[x]);
  }
}

// Adds the gradient of one channel's kernel; margins of the gradient are zero.
template <typename T>
void add_tap_products(const Layer& layer, const Plane<T>& plane, const T* gradient, const T* input, T* to) {
  if (layer.kernel == 3) return add_tap_products_of<T, 3>(layer, plane, gradient, input, to);
  if (layer.kernel == 7) return add_tap_products_of<T, 7>(layer, plane, gradient, input, to);
  const int half = layer.kernel / 2;
  for (int y = -half; y <= half; ++y)
    for (int x = -half; x <= half; ++x)
      add_products_of<T, 1, 1>(gradient, 0, input + (int64_t(y) * plane.stride + x) * layer.dilation, 0, plane.first,
                               plane.tiles_end, to++, 0);
}

}  // namespace autola
