// A HOGA cell that trains: its pass over a batch, with norms of the batch, and the pass back.
//
// Forward keeps the nodes and the statistics of the norms alone; backward computes the rest again. Work that
// reads statistics of the batch is a pass of its own. Positions that belong to no map are zero in every plane,
// so that sums run over planes as they lie.
#pragma once

#include "fuse.h"

namespace autola {

template <typename T>
class Training : protected Fuse<T> {
  using Base = Fuse<T>;
  using V = Vectors<T>;
  using Vector = typename V::Vector;
  using Maps = typename Base::Maps;
  using Scratch = typename Base::Scratch;
  using Base::program_, Base::places_, Base::weights_, Base::eps_, Base::batch_, Base::plane_, Base::positions_,
      Base::sections_, Base::mean_, Base::variance_, Base::inverse_, Base::gradients_, Base::mean_sum_,
      Base::mean_product_, Base::sums_, Base::squares_, Base::x_, Base::joined_, Base::of_x_, Base::of_joined_,
      Base::of_between_, Base::add_gated, Base::add_normed, Base::backward_fuse, Base::begin_backward, Base::each,
      Base::edges_of, Base::end_node, Base::finish, Base::gate_output, Base::join_plainly, Base::join_pooled,
      Base::maps, Base::most_layers, Base::multiply_planes, Base::note, Base::prepare, Base::read_into,
      Base::rectify, Base::run_layer_of, Base::settle, Base::start_edge, Base::through_layer_of;

 public:
  using Base::Base;

  // `nodes` is (b, channels, h, w); `statistics` the means of all norms, then the variances.
  void forward(Images<const T> x, Images<T> y, T* nodes, T* statistics) {
    const int c = program_.width, channels = c * program_.num_nodes;
    sums_.resize(batch_ * places_.num_statistics);
    squares_.resize(batch_ * places_.num_statistics);
    prepare(false);
    for (int node = 1; node <= program_.num_nodes; ++node) {
      const auto [begin, end] = edges_of(node);
      each([&](Scratch& scratch, int64_t image) {
        if (node == 1) {
          read_into(x, image, x_.at(image, 0), channels);
          join_pooled(scratch, image);
        } else {
          add_gated(node - 1, scratch, image);
        }
        std::fill_n(joined_.at(image, (node - 1) * c), c * plane_.size, T(0));
        for (int number = begin; number < end; ++number) start_edge(number, scratch, image);
      });
      for (int number = begin; number < end; ++number) settle(number, 0);
      for (size_t l = 1; l < most_layers(node); ++l) {
        each([&](Scratch& scratch, int64_t image) {
          for (int number = begin; number < end; ++number)
            if (l < program_.edges[number].layers.size()) run_layer_of(number, l, scratch, image, true);
        });
        for (int number = begin; number < end; ++number) settle(number, l);
      }
    }
    const auto finish_nodes = [&](Scratch& scratch, int64_t image) {
      add_gated(program_.num_nodes, scratch, image);
      for (int i = 0; i < channels; ++i) plane_.empty(joined_.at(image, i), nodes + (image * channels + i) * positions_);
    };
    if (program_.fuse == 0) {
      each([&](Scratch& scratch, int64_t image) {
        finish_nodes(scratch, image);
        join_plainly(scratch, image);
        gate_output(scratch, image, y);
      });
    } else {
      const int last = program_.fuse - 1;
      Maps fused[2] = {maps(channels, false), {}};
      if (last > 0) fused[1] = maps(channels, false);
      const auto first = packed(weights_ + places_.fuse[0], channels, channels + c, channels + c, 1);
      each([&](Scratch& scratch, int64_t image) {
        finish_nodes(scratch, image);
        multiply_planes(channels, channels + c, first, joined_.at(image, 0), fused[0].at(image, 0));
        note(places_.fuse_norms[0], image, fused[0].at(image, 0));
      });
      settle(places_.fuse_norms[0]);
      if (last > 0) {
        const auto second = packed(weights_ + places_.fuse[1], channels, channels, channels, 1);
        each([&](Scratch& scratch, int64_t image) {
          rectify(places_.fuse_norms[0], fused[0].at(image, 0), scratch.wide[0]);
          multiply_planes(channels, channels, second, scratch.wide[0], fused[1].at(image, 0));
          note(places_.fuse_norms[1], image, fused[1].at(image, 0));
        });
        settle(places_.fuse_norms[1]);
      }
      each([&](Scratch& scratch, int64_t image) {
        add_normed(places_.fuse_norms[last], fused[last].at(image, 0), x_.at(image, 0), scratch.wide[0]);
        gate_output(scratch, image, y);
      });
    }
    std::copy(mean_.begin(), mean_.end(), statistics);
    std::copy(variance_.begin(), variance_.end(), statistics + places_.num_statistics);
  }

  // The gradients of the input and the weights, given that of the output.
  void backward(Images<const T> x, const T* nodes, const T* statistics, Images<const T> of_y, Images<T> of_x,
                T* of_weights) {
    const int c = program_.width, channels = c * program_.num_nodes;
    for (int64_t i = 0; i < places_.num_statistics; ++i) {
      mean_[i] = statistics[i];
      inverse_[i] = T(1 / std::sqrt(double(statistics[places_.num_statistics + i]) + eps_));
    }
    sums_.resize(batch_ * places_.num_statistics);
    squares_.resize(batch_ * places_.num_statistics);
    mean_sum_.resize(places_.num_statistics);
    mean_product_.resize(places_.num_statistics);
    gradients_.assign(sections_ * places_.num_weights, T(0));
    prepare(true);
    of_x_ = maps(channels, false);
    of_joined_ = maps(channels + c, false);
    for (int slot = 0; slot < program_.num_nodes; ++slot) of_between_.push_back(maps(std::max(c, 2), false));
    const auto begin_image = [&](Scratch& scratch, int64_t image) {
      read_into(x, image, x_.at(image, 0), channels);
      for (int i = 0; i < channels; ++i) {
        T* node = joined_.at(image, i);
        plane_.fill(node, nodes + (image * channels + i) * positions_);
        plane_.clear_margins(node);
      }
      join_pooled(scratch, image);
    };
    backward_fuse(of_y, begin_image, [&](Scratch& scratch, int64_t image) {
      begin_backward(program_.num_nodes, scratch, image);
    });
    for (int node = program_.num_nodes; node > 0; --node) {
      const auto [begin, end] = edges_of(node);
      for (int l = int(most_layers(node)) - 1; l >= 0; --l) {
        for (int number = begin; number < end; ++number) finish(number, l);
        each([&](Scratch& scratch, int64_t image) {
          for (int number = begin; number < end; ++number) through_layer_of(number, l, scratch, image);
          if (l == 0) end_node(node, scratch, image, of_x);
        });
      }
      if (most_layers(node) == 0) each([&](Scratch& scratch, int64_t image) { end_node(node, scratch, image, of_x); });
    }
    std::fill_n(of_weights, places_.num_weights, T(0));
    for (int64_t section = 0; section < sections_; ++section)
      for (int64_t i = 0; i < places_.num_weights; ++i) of_weights[i] += gradients_[section * places_.num_weights + i];
  }
};

}  // namespace autola
