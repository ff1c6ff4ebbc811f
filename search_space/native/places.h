// Where the weights of a cell that trains lie, and the statistics of its norms.
#pragma once

#include "cell.h"

namespace autola {

// Where the two layers of a channel gate lie among the weights.
struct GateAt {
  int channels, hidden;
  int64_t first, first_bias, second, second_bias;
};

// Where the factors and summands of a norm lie among the weights, and its channels among the statistics.
struct NormAt {
  int channels;
  int64_t scale, shift, statistics;
};

template <typename T>
struct EdgeAt {
  GateAt gate;
  std::vector<int64_t> kernels;
  std::vector<NormAt> norms;
  std::vector<std::vector<T>> pointwise, turned_pointwise;  // packed, where a layer has one
};

// Where everything lies, in the order in which search_space/native/training.py writes it.
template <typename T>
struct Places {
  GateAt groups, output;
  std::vector<EdgeAt<T>> edges;
  std::vector<int64_t> fuse;
  std::vector<NormAt> fuse_norms;
  int64_t num_weights = 0, num_statistics = 0;

  Places(const Program& program, const T* weights) {
    const int c = program.width, channels = c * program.num_nodes;
    groups = gate(c, program.gate_hidden);
    for (const Edge& edge : program.edges) {
      EdgeAt<T> at{};
      if (edge.hidden > 0) at.gate = gate(c, edge.hidden);
      for (const Layer& layer : edge.layers) {
        at.kernels.push_back(take(layer.is_separable ? layer.inputs * (layer.taps() + layer.outputs)
                                                     : layer.inputs * layer.taps() * layer.outputs));
        at.norms.push_back(norm(layer.outputs));
        at.pointwise.emplace_back();
        at.turned_pointwise.emplace_back();
        if (!layer.is_separable || weights == nullptr) continue;
        const T* pointwise = weights + at.kernels.back() + layer.inputs * layer.taps();
        at.pointwise.back() = packed(pointwise, layer.outputs, layer.inputs, layer.inputs, 1);
        at.turned_pointwise.back() = packed(pointwise, layer.inputs, layer.outputs, 1, layer.inputs);
      }
      edges.push_back(at);
    }
    for (int number = 0; number < program.fuse; ++number) {
      fuse.push_back(take(int64_t(channels) * (number == 0 ? channels + c : channels)));
      fuse_norms.push_back(norm(channels));
    }
    output = gate(channels, program.output_hidden);
  }

 private:
  int64_t take(int64_t number) { return (num_weights += number) - number; }
  GateAt gate(int channels, int hidden) {
    const int64_t size = int64_t(channels) * hidden;
    return {channels, hidden, take(size), take(hidden), take(size), take(channels)};
  }
  NormAt norm(int channels) {
    num_statistics += channels;
    return {channels, take(channels), take(channels), num_statistics - channels};
  }
};

}  // namespace autola
