// The end of a cell: its fuse, the residual and the gate of the output, and the way back through them.
#pragma once

#include "edges_back.h"

namespace autola {

template <typename T>
class Fuse : protected EdgesBack<T> {
 protected:
  using Base = EdgesBack<T>;
  using V = Vectors<T>;
  using Vector = typename V::Vector;
  using Maps = typename Base::Maps;
  using Scratch = typename Base::Scratch;
  using Base::program_, Base::places_, Base::weights_, Base::plane_, Base::x_, Base::joined_, Base::of_x_,
      Base::of_joined_, Base::add_normed, Base::add_through_gate, Base::each, Base::finish, Base::gate, Base::maps,
      Base::multiply_planes, Base::note_gradient, Base::over, Base::pool, Base::products_of, Base::read_into,
      Base::rectify, Base::through_gate, Base::through_norm, Base::through_pooled, Base::through_relu,
      Base::write_from;
  using Base::Base;

  void join_plainly(Scratch& scratch, int64_t image) const {
    const int c = program_.width, channels = c * program_.num_nodes;
    for (int i = 0; i < channels; ++i)
      over([&](int64_t p) {
        V::store(scratch.wide[0] + i * plane_.size + p,
                 V::load(joined_.at(image, i) + p) + V::load(joined_.at(image, channels + i % c) + p) +
                     V::load(x_.at(image, i) + p));
      });
  }
  void gate_output(Scratch& scratch, int64_t image, Images<T> to) {
    const int channels = program_.width * program_.num_nodes;
    pool(scratch.wide[0], channels, scratch.mean, nullptr);
    gate(places_.output, scratch, false);
    write_from(scratch.wide[0], image, to, channels, scratch.factors.data());
  }
  // From the gradient of the output to that of what its gate reads, wide[0]: into of_x_. Spoils wide[1].
  void through_output(Scratch& scratch, int64_t image, Images<const T> of_y) {
    const int channels = program_.width * program_.num_nodes;
    read_into(of_y, image, scratch.wide[1], channels);
    pool(scratch.wide[0], channels, scratch.mean, nullptr);
    gate(places_.output, scratch, false);
    products_of(scratch.wide[1], scratch.wide[0], channels, scratch.of_factors);
    through_gate(places_.output, scratch, false);
    this->template add_through_gate<false>(scratch, channels, scratch.wide[0], scratch.wide[1], of_x_.at(image, 0), false);
  }
  // `begin` reads an image before the first pass; `end` goes on once the gradients of nodes and input are there.
  template <typename Begin, typename End>
  void backward_fuse(Images<const T> of_y, Begin begin, End end) {
    const int c = program_.width, channels = c * program_.num_nodes, joined = channels + c;
    if (program_.fuse == 0) {
      each([&](Scratch& scratch, int64_t image) {
        begin(scratch, image);
        join_plainly(scratch, image);
        through_output(scratch, image, of_y);
        const T* given = of_x_.at(image, 0);
        std::copy_n(given, channels * plane_.size, of_joined_.at(image, 0));
        for (int i = 0; i < c; ++i)
          over([&](int64_t p) {
            Vector sum = V::load(given + i * plane_.size + p);
            for (int group = 1; group < program_.num_nodes; ++group) sum += V::load(given + (group * c + i) * plane_.size + p);
            V::store(scratch.wide[0] + i * plane_.size + p, sum);
          });
        through_pooled(scratch, image, scratch.wide[0]);
        end(scratch, image);
      });
      return;
    }
    const bool is_double = program_.fuse > 1;
    const NormAt &first_norm = places_.fuse_norms[0], &last_norm = places_.fuse_norms.back();
    const auto first = packed(weights_ + places_.fuse[0], channels, joined, joined, 1);
    const auto first_turned = packed(weights_ + places_.fuse[0], joined, channels, 1, joined);
    const Maps one = maps(channels, false), two = is_double ? maps(channels, false) : Maps{};
    std::vector<T> second, second_turned;
    if (is_double) {
      second = packed(weights_ + places_.fuse[1], channels, channels, channels, 1);
      second_turned = packed(weights_ + places_.fuse[1], channels, channels, 1, channels);
    }
    const Maps& last = is_double ? two : one;
    each([&](Scratch& scratch, int64_t image) {
      begin(scratch, image);
      multiply_planes(channels, joined, first, joined_.at(image, 0), one.at(image, 0));
      if (is_double) {
        rectify(first_norm, one.at(image, 0), scratch.wide[0]);
        multiply_planes(channels, channels, second, scratch.wide[0], two.at(image, 0));
      }
      add_normed(last_norm, last.at(image, 0), x_.at(image, 0), scratch.wide[0]);
      through_output(scratch, image, of_y);
      note_gradient(last_norm, image, of_x_.at(image, 0), last.at(image, 0));
    });
    finish(last_norm);
    if (is_double) {
      each([&](Scratch& scratch, int64_t image) {
        T *gradient = scratch.wide[0], *input = scratch.wide[1], *of_input = two.at(image, 0);
        through_norm(last_norm, of_x_.at(image, 0), two.at(image, 0), gradient);
        rectify(first_norm, one.at(image, 0), input);
        add_products(channels, gradient, channels, input, plane_.size, plane_.first, plane_.tiles_end,
                     scratch.gradients + places_.fuse[1]);
        multiply_planes(channels, channels, second_turned, gradient, of_input);
        through_relu(first_norm, one.at(image, 0), of_input);
        note_gradient(first_norm, image, of_input, one.at(image, 0));
      });
      finish(first_norm);
    }
    each([&](Scratch& scratch, int64_t image) {
      T* gradient = scratch.wide[0];
      through_norm(first_norm, is_double ? two.at(image, 0) : of_x_.at(image, 0), one.at(image, 0), gradient);
      add_products(channels, gradient, joined, joined_.at(image, 0), plane_.size, plane_.first, plane_.tiles_end,
                   scratch.gradients + places_.fuse[0]);
      multiply_planes(joined, channels, first_turned, gradient, of_joined_.at(image, 0));
      through_pooled(scratch, image, of_joined_.at(image, channels));
      end(scratch, image);
    });
  }
};

}  // namespace autola
