// Edges of a cell: the way back, from the gradients of the nodes to those of their sources.
#pragma once

#include "edges.h"

namespace autola {

template <typename T>
class EdgesBack : protected Edges<T> {
 protected:
  using Base = Edges<T>;
  using V = Vectors<T>;
  using Vector = typename V::Vector;
  using Scratch = typename Base::Scratch;
  using Base::program_, Base::places_, Base::plane_, Base::of_x_, Base::of_joined_, Base::between_,
      Base::of_between_, Base::add, Base::add_through_gate, Base::edges_of, Base::gate_by_maps, Base::gate_of_pools,
      Base::input_of, Base::last_of, Base::layer_input, Base::multiplied, Base::note_gradient, Base::of_source_of,
      Base::over, Base::products_of, Base::run_layer_of, Base::source_of, Base::through_gate, Base::through_layer,
      Base::through_norm, Base::through_relu, Base::write_from;
  using Base::Base;

  // The first steps back through the edges into a node: all of one without layers, the sigmoid of others.
  void begin_backward(int node, Scratch& scratch, int64_t image) {
    const auto [begin, end] = edges_of(node);
    const int c = program_.width;
    const T* given = of_joined_.at(image, (node - 1) * c);
    for (int number = begin; number < end; ++number) {
      const Edge& edge = program_.edges[number];
      const EdgeAt<T>& at = places_.edges[number];
      const T* source = source_of(edge, image);
      T* of_source = of_source_of(edge, image);
      if (edge.kind == kPassing) {
        add(given, c, of_source);
      } else if (edge.kind == kChannel) {
        gate_of_pools(edge, at, source, scratch);
        products_of(given, source, c, scratch.of_factors);
        through_gate(at.gate, scratch, edge.reads_maximum);
        add_through_gate(scratch, c, source, given, of_source, edge.reads_maximum);
      } else {
        for (size_t l = 0; l < edge.layers.size(); ++l) run_layer_of(number, l, scratch, image, false);
        const NormAt& norm = at.norms.back();
        const T *planes = multiplied(edge, at, scratch, image), *logits = last_of(edge).at(image, 0);
        T* of_logits = of_between_[edge.source].at(image, 0);
        const bool is_one = norm.channels == 1 && c > 1;
        if (is_one) over([&](int64_t p) { V::store(of_logits + p, Vector{}); });
        gate_by_maps(norm, logits, [&](int output, int i, int64_t p, Vector factor) {
          const Vector from = V::load(given + i * plane_.size + p);
          const Vector step = from * V::load(planes + i * plane_.size + p) * factor * (T(1) - factor);
          T* to = of_logits + output * plane_.size + p;
          V::store(to, is_one ? V::load(to) + step : step);
          if (edge.kind == kScaled) return;  // its gradient goes through the channel gate: `through_input`
          T* of = of_source + i * plane_.size + p;
          V::store(of, V::load(of) + from * factor);
        });
        note_gradient(norm, image, of_logits, logits);
      }
    }
  }
  // From the gradient of what layer l gives, its norm behind it, to that of what it reads.
  void through_layer_of(int number, int l, Scratch& scratch, int64_t image) {
    const Edge& edge = program_.edges[number];
    const EdgeAt<T>& at = places_.edges[number];
    if (l >= int(edge.layers.size())) return;
    const Layer& layer = edge.layers[l];
    const auto& logits = between_[edge.source];
    T *gradient = scratch.narrow[1], *of_input = scratch.narrow[2], *of_logits = of_between_[edge.source].at(image, 0);
    through_norm(at.norms[l], of_logits, logits[l % 2].at(image, 0), gradient);
    const T* planes = l == 0 ? multiplied(edge, at, scratch, image) : nullptr;
    const T* input = l == 0 ? layer_input(edge, planes, scratch.narrow[0]) : input_of(edge, at, l, scratch, image);
    through_layer(layer, at.kernels[l], at.turned_pointwise[l], input, gradient, of_input, scratch);
    if (l == 0) return through_input(edge, at, scratch, image, planes, input, of_input);
    const T* before = logits[(l - 1) % 2].at(image, 0);
    through_relu(at.norms[l - 1], before, of_input);
    std::copy_n(of_input, layer.inputs * plane_.size, of_logits);
    note_gradient(at.norms[l - 1], image, of_logits, before);
  }
  // Once the gradients of a node's sources are whole: goes on to the node before, or writes the input's.
  void end_node(int node, Scratch& scratch, int64_t image, Images<T> of_x) {
    if (node > 1) return begin_backward(node - 1, scratch, image);
    write_from(of_x_.at(image, 0), image, of_x, program_.width * program_.num_nodes, nullptr);
  }
  // From the gradient of what the first layer reads to that of the source. Spoils wide[1].
  void through_input(const Edge& edge, const EdgeAt<T>& at, Scratch& scratch, int64_t image, const T* planes, const T* input,
                     const T* of_input) {
    const int c = program_.width;
    T* of_source = of_source_of(edge, image);
    if (edge.kind == kFull) return add(of_input, c, of_source);
    if (edge.kind == kSpatial) return add_through_pools(planes, input, of_input, of_source);
    // The channel gate's values are those of `planes`, which were computed last.
    T* of_planes = scratch.wide[1];
    const T* given = of_joined_.at(image, (edge.node - 1) * c);
    gate_by_maps(at.norms.back(), last_of(edge).at(image, 0), [&](int, int i, int64_t p, Vector factor) {
      V::store(of_planes + i * plane_.size + p, V::load(given + i * plane_.size + p) * factor);
    });
    add_through_pools(planes, input, of_input, of_planes);
    const T* source = source_of(edge, image);
    products_of(of_planes, source, c, scratch.of_factors);
    through_gate(at.gate, scratch, edge.reads_maximum);
    add_through_gate(scratch, c, source, of_planes, of_source, edge.reads_maximum);
  }
  // The gradient of a maximum over channels goes to the first of equals.
  void add_through_pools(const T* planes, const T* pools, const T* of_pools, T* of_planes) const {
    const int c = program_.width;
    over([&](int64_t p) {
      const Vector maximum = V::load(pools + p), of_mean = V::load(of_pools + plane_.size + p) / T(c);
      Vector of_maximum = V::load(of_pools + p);
      for (int i = 0; i < c; ++i) {
        const auto is_it = V::load(planes + i * plane_.size + p) == maximum;
        T* to = of_planes + i * plane_.size + p;
        V::store(to, V::load(to) + of_mean + (is_it ? of_maximum : Vector{}));
        of_maximum = is_it ? Vector{} : of_maximum;
      }
    });
  }
};

}  // namespace autola
