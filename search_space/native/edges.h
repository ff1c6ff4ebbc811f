// Edges of a cell: what they add to their nodes.
#pragma once

#include "layers.h"

namespace autola {

template <typename T>
class Edges : protected Layers<T> {
 protected:
  using Base = Layers<T>;
  using V = Vectors<T>;
  using Vector = typename V::Vector;
  using Maps = typename Base::Maps;
  using Scratch = typename Base::Scratch;
  using Base::program_, Base::places_, Base::weights_, Base::plane_, Base::x_, Base::joined_, Base::of_x_,
      Base::of_joined_, Base::between_, Base::add, Base::gate, Base::note, Base::over, Base::pool, Base::rectify,
      Base::run_layer, Base::scale, Base::scale_of, Base::shift_of;
  using Base::Base;

  // Numbers of the edges into a node.
  std::pair<int, int> edges_of(int node) const {
    int begin = 0;
    while (begin < int(program_.edges.size()) && program_.edges[begin].node < node) ++begin;
    int end = begin;
    while (end < int(program_.edges.size()) && program_.edges[end].node == node) ++end;
    return {begin, end};
  }
  size_t most_layers(int node) const {
    size_t most = 0;
    for (const Edge& edge : program_.edges)
      if (edge.node == node) most = std::max(most, edge.layers.size());
    return most;
  }

  const T* source_of(const Edge& edge, int64_t image) const {
    const int c = program_.width;
    return edge.source == 0 ? x_.at(image, (edge.node - 1) * c) : joined_.at(image, (edge.source - 1) * c);
  }
  T* of_source_of(const Edge& edge, int64_t image) const {
    const int c = program_.width;
    return edge.source == 0 ? of_x_.at(image, (edge.node - 1) * c) : of_joined_.at(image, (edge.source - 1) * c);
  }
  T* node_of(const Edge& edge, int64_t image) const { return joined_.at(image, (edge.node - 1) * program_.width); }

  // The planes that the gate of an edge multiplies: its source, or that scaled by a channel gate.
  const T* multiplied(const Edge& edge, const EdgeAt<T>& at, Scratch& scratch, int64_t image) const {
    const T* source = source_of(edge, image);
    if (edge.kind != kScaled) return source;
    const int c = program_.width;
    gate_of_pools(edge, at, source, scratch);
    scale(source, c, scratch.factors, scratch.wide[0]);
    return scratch.wide[0];
  }
  // What the first layer of an edge reads: these planes, or their maximum and mean over the channels.
  const T* layer_input(const Edge& edge, const T* planes, T* pools) const {
    if (edge.kind == kFull) return planes;
    over([&](int64_t p) { pool_channels(planes + p, program_.width, plane_.size, pools + p, pools + plane_.size + p); });
    return pools;
  }

  // Adds what an edge without layers gives, or runs the first layer of one that has some.
  void start_edge(int number, Scratch& scratch, int64_t image) {
    const Edge& edge = program_.edges[number];
    const int c = program_.width;
    const T* source = source_of(edge, image);
    T* node = node_of(edge, image);
    if (edge.kind == kPassing) return add(source, c, node);
    if (edge.kind != kChannel) return run_layer_of(number, 0, scratch, image, true);
    gate_of_pools(edge, places_.edges[number], source, scratch);
    for (int i = 0; i < c; ++i) {
      const T factor = scratch.factors[i];
      over([&](int64_t p) {
        T* to = node + i * plane_.size + p;
        V::store(to, V::load(to) + V::load(source + i * plane_.size + p) * factor);
      });
    }
  }
  void gate_of_pools(const Edge& edge, const EdgeAt<T>& at, const T* source, Scratch& scratch) const {
    pool(source, program_.width, scratch.mean, edge.reads_maximum ? &scratch.maximum : nullptr);
    gate(at.gate, scratch, edge.reads_maximum);
  }
  // Adds to a node what its edges with layers give.
  void add_gated(int node, Scratch& scratch, int64_t image) {
    const auto [begin, end] = edges_of(node);
    for (int number = begin; number < end; ++number) {
      const Edge& edge = program_.edges[number];
      if (edge.layers.empty()) continue;
      const T* planes = multiplied(edge, places_.edges[number], scratch, image);
      T* sum = node_of(edge, image);
      gate_by_maps(places_.edges[number].norms.back(), last_of(edge).at(image, 0), [&](int, int i, int64_t p, Vector factor) {
        T* to = sum + i * plane_.size + p;
        V::store(to, V::load(to) + V::load(planes + i * plane_.size + p) * factor);
      });
    }
  }
  const Maps& last_of(const Edge& edge) const { return between_[edge.source][(edge.layers.size() - 1) % 2]; }
  // Gives sigmoid(norm(logits)) for every channel; one map serves all channels.
  template <typename Give>
  void gate_by_maps(const NormAt& norm, const T* logits, Give give) const {
    const int c = program_.width;
    for (int output = 0; output < norm.channels; ++output) {
      const T scale = scale_of(norm, output), shift = shift_of(norm, output);
      over([&](int64_t p) {
        const Vector factor = V::sigmoid(V::load(logits + output * plane_.size + p) * scale + shift);
        if (norm.channels > 1 || c == 1) {
          give(output, output, p, factor);
        } else {
          for (int i = 0; i < c; ++i) give(output, i, p, factor);
        }
      });
    }
  }
  // One layer of an edge; one behind the first reads the one before.
  void run_layer_of(int number, size_t l, Scratch& scratch, int64_t image, bool notes) {
    const Edge& edge = program_.edges[number];
    const EdgeAt<T>& at = places_.edges[number];
    T* to = between_[edge.source][l % 2].at(image, 0);
    const T* input = input_of(edge, at, l, scratch, image);
    run_layer(edge.layers[l], weights_ + at.kernels[l], at.pointwise[l], input, to, scratch.tile);
    if (notes) note(at.norms[l], image, to);
  }
  // What layer l reads. Spoils narrow[0] and wide[0].
  const T* input_of(const Edge& edge, const EdgeAt<T>& at, size_t l, Scratch& scratch, int64_t image) const {
    if (l == 0) return layer_input(edge, multiplied(edge, at, scratch, image), scratch.narrow[0]);
    rectify(at.norms[l - 1], between_[edge.source][(l - 1) % 2].at(image, 0), scratch.narrow[0]);
    return scratch.narrow[0];
  }
};

}  // namespace autola
