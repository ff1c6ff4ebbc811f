// A deployed HOGA cell in one pass over an image: a small program over channel groups and nodes.
//
// Maps that a kernel larger than 1x1 reads lie in planes with a margin of zeros, the margin behind a row being
// that before the next; so a convolution is a loop over consecutive numbers, whatever the width of the map.
// What it computes is said in search_space/native.py, which writes the program and the weights.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "convolutions.h"

namespace autola {

enum Kind { kPassing, kChannel, kFull, kSpatial, kScaled };

struct Edge {
  int node, source;
  Kind kind;
  int hidden = 0;
  bool reads_maximum = false;
  std::vector<Layer> layers;
};

// What a cell computes; made of the numbers that search_space/native.py writes.
struct Program {
  int num_nodes, width, fuse, gate_hidden, output_hidden;
  std::vector<Edge> edges;
  int margin = 0;
  int64_t num_weights = 0;

  // A cell that trains has two numbers of a norm where a deployed one has a bias.
  Program(const int64_t* numbers, int64_t length, bool trains = false)
      : at_(numbers), end_(numbers + length), of_output_(trains ? 2 : 1) {
    num_nodes = next(1, 1 << 16);
    width = next(1, 1 << 16);
    fuse = next(0, 2);
    gate_hidden = next(1, 1 << 16);
    output_hidden = next(1, 1 << 16);
    edges.resize(next(1, 1 << 16));
    count_gate(gate_hidden, width);
    for (Edge& edge : edges) read(edge);
    const int64_t channels = int64_t(num_nodes) * width, joined = channels + width;
    if (fuse > 0) num_weights += channels * joined + of_output_ * channels;
    if (fuse > 1) num_weights += channels * channels + of_output_ * channels;
    count_gate(output_hidden, channels);
    if (at_ != end_) refuse("is too long");
  }

 private:
  const int64_t *at_, *end_;
  int of_output_;
  int least_node_ = 1;  // edges come node by node

  [[noreturn]] static void refuse(const std::string& what) {
    throw std::runtime_error("the program of a cell " + what);
  }
  int next(int64_t least, int64_t most) {
    if (at_ == end_) refuse("is too short");
    const int64_t number = *at_++;
    if (number < least || number > most) refuse("holds " + std::to_string(number));
    return int(number);
  }
  void count_gate(int64_t hidden, int64_t channels) { num_weights += hidden * channels * 2 + hidden + channels; }
  void read(Edge& edge) {
    edge.node = next(least_node_, num_nodes);
    least_node_ = edge.node;
    edge.source = next(0, edge.node - 1);
    edge.kind = Kind(next(kPassing, kScaled));
    if (edge.kind == kChannel || edge.kind == kScaled) {
      edge.hidden = next(1, 1 << 16);
      edge.reads_maximum = next(0, 1);
      count_gate(edge.hidden, width);
    }
    if (edge.kind < kFull) return;
    edge.layers.resize(next(1, 16));
    int inputs = edge.kind == kFull ? width : 2;
    for (size_t i = 0; i < edge.layers.size(); ++i) {
      Layer& layer = edge.layers[i];
      const bool is_last = i + 1 == edge.layers.size();
      const int outputs = edge.kind == kFull ? width : is_last ? 1 : 2;
      layer = {outputs, inputs, next(1, 31), next(1, 31), next(0, 1) == 1};
      if (layer.kernel % 2 == 0 || (layer.is_separable && edge.kind != kFull)) refuse("holds a layer of no kind");
      const int64_t taps = int64_t(layer.kernel) * layer.kernel;
      num_weights += of_output_ * outputs + (layer.is_separable ? inputs * taps + int64_t(outputs) * inputs
                                                   : int64_t(outputs) * inputs * taps);
      margin = std::max(margin, layer.reach());
      inputs = outputs;
    }
  }
};

// Runs a cell on images, one after the other, in memory of its own.
template <typename T>
class Runner {
  using V = Vectors<T>;
  using Vector = typename V::Vector;
  static constexpr int kLanes = V::kLanes, kTile = Plane<T>::kTile;

 public:
  Runner(const Program& program, const T* weights, int height, int width)
      : program_(program), weights_(weights), plane_(height, width, program.margin),
        positions_(int64_t(height) * width),
        row_((positions_ + kTile - 1) / kTile * kTile + kLanes) {
    const int64_t c = program.width, k = program.num_nodes, channels = c * k;
    const int64_t planes = (k + 3) * c + 6;
    const int64_t rows = 2 * channels + channels + c;
    const int64_t tile = int64_t(channels + c) * kTile;
    const int64_t size = planes * plane_.size + rows * row_ + tile + 4 * channels + 2 * kLanes;
    if (int64_t(memory().size()) < size) memory().resize(size);
    T* at = memory().data();
    for (int64_t i = 0; i < planes; ++i) plane_.clear_all_margins(at + i * plane_.size);
    const auto take = [&](int64_t number) { T* taken = at; at += number; return taken; };
    group_ = take(c * plane_.size);
    nodes_ = take(channels * plane_.size);
    between_ = take(c * plane_.size);
    others_ = take(c * plane_.size);
    group_pools_ = take(2 * plane_.size);
    maps_ = take(2 * plane_.size);
    more_maps_ = take(2 * plane_.size);
    x_ = take(channels * row_);
    y_ = take(channels * row_);
    joined_ = take((channels + c) * row_);
    tile_ = take(tile);
    mean_ = take(channels);
    maximum_ = take(channels);
    factors_ = take(channels + kLanes);
    hidden_ = take(channels + kLanes);
  }

  // An image (channels, height, width), whose channels and positions lie as far apart as is said.
  void run(const T* image, T* output, int64_t channel_step, int64_t position_step) {
    const int c = program_.width, k = program_.num_nodes, channels = c * k;
    weight_ = weights_;
    copy_in(image, channel_step, position_step);
    for (int i = 0; i < channels; ++i) mean_[i] = sum_of(x_ + i * row_, positions_) / positions_;
    join_pooled();
    for (int node = 1; node <= k; ++node) {
      T* sum = nodes_ + int64_t(node - 1) * c * plane_.size;
      for (int i = 0; i < c; ++i) std::fill(sum + i * plane_.size + plane_.first, sum + i * plane_.size + plane_.tiles_end, T(0));
      const T* rows = x_ + int64_t(node - 1) * c * row_;
      for (int i = 0; i < c; ++i) plane_.fill(group_ + i * plane_.size, rows + i * row_);
      for (const Edge& edge : program_.edges) {
        if (edge.node != node) continue;
        const bool reads_group = edge.source == 0;
        const int64_t of_source = reads_group ? node - 1 : edge.source - 1;
        run_edge(edge, reads_group ? group_ : nodes_ + of_source * c * plane_.size,
                 (reads_group ? x_ : joined_) + of_source * c * row_, sum);
      }
      T* into = joined_ + int64_t(node - 1) * c * row_;
      for (int i = 0; i < c; ++i) {
        plane_.clear_margins(sum + i * plane_.size);
        plane_.empty(sum + i * plane_.size, into + i * row_);
      }
    }
    fuse();
    for (int i = 0; i < channels; ++i) mean_[i] = sum_of(y_ + i * row_, positions_) / positions_;
    channel_gate(channels, program_.output_hidden, mean_, nullptr);
    copy_out(output, channel_step, position_step);
  }

 private:
  const Program& program_;
  const T* weights_;
  const T* weight_ = nullptr;  // those that come next
  Plane<T> plane_;
  int64_t positions_, row_;
  T *group_, *nodes_, *between_, *others_, *group_pools_, *maps_, *more_maps_;
  T *x_, *y_, *joined_, *tile_, *mean_, *maximum_, *factors_, *hidden_;

  static std::vector<T>& memory() {
    thread_local std::vector<T> memory;
    return memory;
  }
  const T* take_weights(int64_t number) {
    const T* taken = weight_;
    weight_ += number;
    return taken;
  }

  void copy_in(const T* image, int64_t channel_step, int64_t position_step) {
    const int64_t channels = int64_t(program_.width) * program_.num_nodes;
    if (position_step == 1) {
      for (int64_t i = 0; i < channels; ++i)
        std::memcpy(x_ + i * row_, image + i * channel_step, positions_ * sizeof(T));
      return;
    }
    for (int64_t start = 0; start < positions_; start += kLanes)
      for (int64_t i = 0; i < channels; ++i)
        for (int64_t p = start; p < std::min(start + kLanes, positions_); ++p)
          x_[i * row_ + p] = image[i * channel_step + p * position_step];
  }

  void copy_out(T* output, int64_t channel_step, int64_t position_step) {
    const int64_t channels = int64_t(program_.width) * program_.num_nodes;
    if (position_step == 1) {
      for (int64_t i = 0; i < channels; ++i)
        for (int64_t p = 0; p < positions_; ++p) output[i * channel_step + p] = y_[i * row_ + p] * factors_[i];
      return;
    }
    for (int64_t start = 0; start < positions_; start += kLanes)
      for (int64_t p = start; p < std::min(start + kLanes, positions_); ++p)
        for (int64_t i = 0; i < channels; ++i)
          output[i * channel_step + p * position_step] = y_[i * row_ + p] * factors_[i];
  }

  // factors = sigmoid(second relu(first mean)), and the same of the maximum added before the sigmoid.
  void channel_gate(int channels, int hidden, const T* mean, const T* maximum) {
    const T* first = take_weights(int64_t(hidden) * channels);
    const T* first_bias = take_weights(hidden);
    const T* second = take_weights(int64_t(channels) * hidden);
    const T* second_bias = take_weights(channels);
    const int pools = maximum == nullptr ? 1 : 2;
    std::vector<T>& values = hidden_values();
    values.assign(hidden, T(0));
    for (int pool = 0; pool < pools; ++pool)
      for (int i = 0; i < hidden; ++i) {
        const T value = first_bias[i] + product_of(first + int64_t(i) * channels, pool ? maximum : mean, channels);
        values[i] += value < 0 ? T(0) : value;
      }
    for (int i = 0; i < channels; ++i)
      factors_[i] = pools * second_bias[i] + product_of(second + int64_t(i) * hidden, values.data(), hidden);
    for (int i = 0; i < channels; i += kLanes) V::store(factors_ + i, V::sigmoid(V::load(factors_ + i)));
  }
  static std::vector<T>& hidden_values() {
    thread_local std::vector<T> values;
    return values;
  }

  // The sum of all groups times its own channel gate, behind the nodes.
  void join_pooled() {
    const int c = program_.width, k = program_.num_nodes;
    for (int i = 0; i < c; ++i) {
      T mean = 0;
      for (int group = 0; group < k; ++group) mean += mean_[group * c + i];
      maximum_[i] = mean;
    }
    channel_gate(c, program_.gate_hidden, maximum_, nullptr);
    for (int i = 0; i < c; ++i) {
      T* to = joined_ + (int64_t(k) * c + i) * row_;
      const Vector factor = T(0) * Vector{} + factors_[i];
      for (int64_t p = 0; p < positions_; p += kLanes) {
        Vector sum = V::load(x_ + i * row_ + p);
        for (int group = 1; group < k; ++group) sum += V::load(x_ + (int64_t(group) * c + i) * row_ + p);
        V::store(to + p, sum * factor);
      }
    }
  }

  void run_edge(const Edge& edge, const T* source, const T* rows, T* sum) {
    const int c = program_.width;
    if (edge.kind == kPassing) {
      for (int i = 0; i < c; ++i) add_scaled(source + i * plane_.size, T(1), sum + i * plane_.size);
    } else if (edge.kind == kChannel) {
      pooled_gate(edge, rows);
      for (int i = 0; i < c; ++i) add_scaled(source + i * plane_.size, factors_[i], sum + i * plane_.size);
    } else if (edge.kind == kFull) {
      full_gate(edge, source, sum);
    } else if (edge.kind == kSpatial) {
      spatial_gate(edge, source, sum);
    } else {
      pooled_gate(edge, rows);
      for (int i = 0; i < c; ++i) {
        const T* from = source + i * plane_.size;
        T* to = between_ + i * plane_.size;
        const T factor = factors_[i];
        for (int64_t p = plane_.first; p < plane_.tiles_end; p += kLanes) V::store(to + p, V::load(from + p) * factor);
      }
      spatial_gate(edge, between_, sum);
    }
  }

  void add_scaled(const T* from, T factor, T* to) {
    for (int64_t p = plane_.first; p < plane_.tiles_end; p += kLanes)
      V::store(to + p, V::load(to + p) + V::load(from + p) * factor);
  }

  void pooled_gate(const Edge& edge, const T* rows) {
    const int c = program_.width;
    T *mean = maximum_, *maximum = tile_;
    for (int i = 0; i < c; ++i) mean[i] = sum_of(rows + i * row_, positions_) / positions_;
    if (edge.reads_maximum)
      for (int i = 0; i < c; ++i) maximum[i] = maximum_of(rows + i * row_, positions_);
    channel_gate(c, edge.hidden, mean, edge.reads_maximum ? maximum : nullptr);
  }

  void full_gate(const Edge& edge, const T* source, T* sum) {
    const T* from = source;
    for (size_t number = 0; number < edge.layers.size(); ++number) {
      const bool is_last = number + 1 == edge.layers.size();
      T* to = from == between_ ? others_ : between_;
      layer_of_planes(edge.layers[number], from, [&](int output, int64_t p, Vector a, Vector b) {
        if (is_last) {
          gate(source + output * plane_.size + p, sum + output * plane_.size + p, a, b);
        } else {
          rectify(to + output * plane_.size + p, a, b);
        }
      });
      if (!is_last)
        for (int i = 0; i < program_.width; ++i) plane_.clear_margins(to + i * plane_.size);
      from = to;
    }
  }

  void spatial_gate(const Edge& edge, const T* source, T* sum) {
    const int c = program_.width;
    for (int64_t p = plane_.first; p < plane_.tiles_end; p += kLanes)
      pool_channels(source + p, c, plane_.size, group_pools_ + p, group_pools_ + plane_.size + p);
    // The largest of margins that are zero is zero, and so is their mean.
    plane_.clear_margins(group_pools_);
    plane_.clear_margins(group_pools_ + plane_.size);
    const T* from = group_pools_;
    for (size_t number = 0; number < edge.layers.size(); ++number) {
      const bool is_last = number + 1 == edge.layers.size();
      T* to = from == maps_ ? more_maps_ : maps_;
      layer_of_planes(edge.layers[number], from, [&](int output, int64_t p, Vector a, Vector b) {
        if (!is_last) {
          rectify(to + output * plane_.size + p, a, b);
          return;
        }
        a = V::sigmoid(a);
        b = V::sigmoid(b);
        for (int i = 0; i < c; ++i) {
          const T* x = source + i * plane_.size + p;
          T* y = sum + i * plane_.size + p;
          V::store(y, V::load(y) + V::load(x) * a);
          V::store(y + kLanes, V::load(y + kLanes) + V::load(x + kLanes) * b);
        }
      });
      if (!is_last)
        for (int i = 0; i < edge.layers[number].outputs; ++i) plane_.clear_margins(to + i * plane_.size);
      from = to;
    }
  }

  static void rectify(T* to, Vector a, Vector b) {
    V::store(to, a < T(0) ? Vector{} : a);
    V::store(to + kLanes, b < T(0) ? Vector{} : b);
  }

  static void gate(const T* x, T* y, Vector a, Vector b) {
    V::store(y, V::load(y) + V::load(x) * V::sigmoid(a));
    V::store(y + kLanes, V::load(y + kLanes) + V::load(x + kLanes) * V::sigmoid(b));
  }

  // Gives every output of a layer, a tile of positions at a time.
  template <typename Give>
  void layer_of_planes(const Layer& layer, const T* from, Give give) {
    const int64_t taps = int64_t(layer.kernel) * layer.kernel;
    const T* kernel = take_weights(layer.is_separable ? layer.inputs * taps : layer.outputs * layer.inputs * taps);
    const T* pointwise = layer.is_separable ? take_weights(int64_t(layer.outputs) * layer.inputs) : nullptr;
    const T* bias = take_weights(layer.outputs);
    for (int64_t p = plane_.first; p < plane_.tiles_end; p += kTile) {
      if (layer.is_separable) {
        for (int i = 0; i < layer.inputs; ++i) {
          Vector a = {}, b = {};
          add_taps<T>(layer, plane_.stride, from + i * plane_.size + p, kernel + i * taps, a, b);
          V::store(tile_ + i * kTile, a);
          V::store(tile_ + i * kTile + kLanes, b);
        }
        multiply<T>(layer.outputs, layer.inputs, pointwise, bias, tile_, kTile,
                 [&](int output, Vector a, Vector b) { give(output, p, a, b); });
        continue;
      }
      for (int output = 0; output < layer.outputs; ++output) {
        Vector a = Vector{} + bias[output], b = a;
        for (int i = 0; i < layer.inputs; ++i)
          add_taps<T>(layer, plane_.stride, from + i * plane_.size + p, kernel + (int64_t(output) * layer.inputs + i) * taps, a, b);
        give(output, p, a, b);
      }
    }
  }

  // y = the nodes and the pooled groups through the fuse, plus x.
  void fuse() {
    const int c = program_.width, channels = c * program_.num_nodes, joined = channels + c;
    const T* pooled = joined_ + int64_t(channels) * row_;
    if (program_.fuse == 0) {
      for (int i = 0; i < channels; ++i)
        for (int64_t p = 0; p < positions_; p += kLanes)
          V::store(y_ + i * row_ + p, V::load(joined_ + i * row_ + p) + V::load(pooled + (i % c) * row_ + p) +
                                          V::load(x_ + i * row_ + p));
      return;
    }
    const T* first = take_weights(int64_t(channels) * joined);
    const T* first_bias = take_weights(channels);
    const bool is_double = program_.fuse == 2;
    const T* second = is_double ? take_weights(int64_t(channels) * channels) : nullptr;
    const T* second_bias = is_double ? take_weights(channels) : nullptr;
    for (int64_t p = 0; p < positions_; p += kTile) {
      const auto give = [&](int output, Vector a, Vector b) {
        const T* x = x_ + output * row_ + p;
        T* y = y_ + output * row_ + p;
        V::store(y, V::load(x) + a);
        V::store(y + kLanes, V::load(x + kLanes) + b);
      };
      if (!is_double) {
        multiply<T>(channels, joined, first, first_bias, joined_ + p, row_, give);
        continue;
      }
      multiply<T>(channels, joined, first, first_bias, joined_ + p, row_,
               [&](int output, Vector a, Vector b) { rectify(tile_ + output * kTile, a, b); });
      multiply<T>(channels, channels, second, second_bias, tile_, kTile, give);
    }
  }
};

}  // namespace autola
