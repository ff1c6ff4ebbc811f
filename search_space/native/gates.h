// Channel gates and their gradients; that of the sum of all groups.
#pragma once

#include "norms.h"

namespace autola {

template <typename T>
class Gates : protected Norms<T> {
 protected:
  using Base = Norms<T>;
  using V = Vectors<T>;
  using Vector = typename V::Vector;
  using Scratch = typename Base::Scratch;
  using Base::program_, Base::places_, Base::weights_, Base::plane_, Base::positions_, Base::valid_, Base::x_,
      Base::joined_, Base::of_x_, Base::kLanes, Base::over;
  using Base::Base;

  void pool(const T* planes, int channels, std::vector<T>& mean, std::vector<T>* maximum) const {
    for (int i = 0; i < channels; ++i) {
      const T* plane = planes + i * plane_.size;
      Vector sum{};
      over([&](int64_t p) { sum += V::load(plane + p); });
      mean[i] = V::total(sum) / T(positions_);
      if (maximum == nullptr) continue;
      T largest = plane[plane_.first];
      for (int y = 0; y < plane_.height; ++y)
        largest = std::max(largest, maximum_of(plane + plane_.first + int64_t(y) * plane_.stride, plane_.width));
      (*maximum)[i] = largest;
    }
  }
  // factors = sigmoid(second (relu(first mean) + relu(first maximum))), with biases; hidden keeps what relu reads.
  void gate(const GateAt& at, Scratch& scratch, bool reads_maximum) const {
    const T* w = weights_;
    const int pools = reads_maximum ? 2 : 1;
    scratch.hidden.assign(2 * at.hidden, T(0));
    std::vector<T> sum(at.hidden, T(0));
    for (int pool = 0; pool < pools; ++pool)
      for (int i = 0; i < at.hidden; ++i) {
        const T* pooled = (pool ? scratch.maximum : scratch.mean).data();
        const T value = w[at.first_bias + i] + product_of(w + at.first + int64_t(i) * at.channels, pooled, at.channels);
        scratch.hidden[pool * at.hidden + i] = value;
        sum[i] += std::max(value, T(0));
      }
    T* factors = scratch.factors.data();
    for (int i = 0; i < at.channels; ++i)
      factors[i] = pools * w[at.second_bias + i] + product_of(w + at.second + int64_t(i) * at.hidden, sum.data(), at.hidden);
    for (int i = 0; i < at.channels; i += kLanes) V::store(factors + i, V::sigmoid(V::load(factors + i)));
  }
  // After `gate`: from the gradient of the factors to those of the weights, the mean and the maximum.
  void through_gate(const GateAt& at, Scratch& scratch, bool reads_maximum) const {
    const int pools = reads_maximum ? 2 : 1;
    const T* w = weights_;
    T* g = scratch.gradients;
    std::fill_n(scratch.of_mean.begin(), at.channels, T(0));
    std::fill_n(scratch.of_maximum.begin(), at.channels, T(0));
    std::vector<T> of_hidden(at.hidden, T(0));
    for (int i = 0; i < at.channels; ++i) {
      const T factor = scratch.factors[i], given = scratch.of_factors[i] * factor * (1 - factor);
      g[at.second_bias + i] += pools * given;
      for (int j = 0; j < at.hidden; ++j) {
        T sum = 0;
        for (int pool = 0; pool < pools; ++pool) sum += std::max(scratch.hidden[pool * at.hidden + j], T(0));
        g[at.second + int64_t(i) * at.hidden + j] += given * sum;
        of_hidden[j] += given * w[at.second + int64_t(i) * at.hidden + j];
      }
    }
    for (int pool = 0; pool < pools; ++pool) {
      const std::vector<T>& pooled = pool ? scratch.maximum : scratch.mean;
      std::vector<T>& of_pooled = pool ? scratch.of_maximum : scratch.of_mean;
      for (int j = 0; j < at.hidden; ++j) {
        if (!(scratch.hidden[pool * at.hidden + j] > 0)) continue;
        g[at.first_bias + j] += of_hidden[j];
        for (int i = 0; i < at.channels; ++i) {
          g[at.first + int64_t(j) * at.channels + i] += of_hidden[j] * pooled[i];
          of_pooled[i] += of_hidden[j] * w[at.first + int64_t(j) * at.channels + i];
        }
      }
    }
  }
  // Gives, or adds, given * factor + the gradients of mean and maximum, channel by channel.
  template <bool kAdds = true>
  void add_through_gate(const Scratch& scratch, int channels, const T* planes, const T* given, T* of_planes,
                        bool reads_maximum) const {
    for (int i = 0; i < channels; ++i) {
      const T factor = scratch.factors[i], mean = scratch.of_mean[i] / T(positions_);
      const T* from = given + i * plane_.size;
      T* to = of_planes + i * plane_.size;
      over([&](int64_t p) {
        const Vector given_here = V::load(from + p) * factor + V::load(valid_.data() + p) * mean;
        V::store(to + p, kAdds ? V::load(to + p) + given_here : given_here);
      });
      if (reads_maximum) to[place_of(planes + i * plane_.size, scratch.maximum[i])] += scratch.of_maximum[i];
    }
  }
  // The first position that holds a value.
  int64_t place_of(const T* plane, T value) const {
    for (int y = 0; y < plane_.height; ++y) {
      const T* row = plane + plane_.first + int64_t(y) * plane_.stride;
      const T* found = std::find(row, row + plane_.width, value);
      if (found != row + plane_.width) return found - plane;
    }
    return plane_.first;  // a map that holds no number
  }
  void products_of(const T* a, const T* b, int channels, std::vector<T>& to) const {
    for (int i = 0; i < channels; ++i) {
      Vector sum{};
      over([&](int64_t p) { sum += V::load(a + i * plane_.size + p) * V::load(b + i * plane_.size + p); });
      to[i] = V::total(sum);
    }
  }
  void scale(const T* from, int channels, const std::vector<T>& factors, T* to) const {
    for (int i = 0; i < channels; ++i) {
      const T factor = factors[i];
      over([&](int64_t p) { V::store(to + i * plane_.size + p, V::load(from + i * plane_.size + p) * factor); });
    }
  }

  // The groups' own gate.

  void sum_groups(int64_t image, T* to) const {
    const int c = program_.width;
    for (int i = 0; i < c; ++i)
      over([&](int64_t p) {
        Vector sum = V::load(x_.at(image, i) + p);
        for (int group = 1; group < program_.num_nodes; ++group) sum += V::load(x_.at(image, group * c + i) + p);
        V::store(to + i * plane_.size + p, sum);
      });
  }
  void join_pooled(Scratch& scratch, int64_t image) {
    const int c = program_.width;
    sum_groups(image, scratch.narrow[0]);
    pool(scratch.narrow[0], c, scratch.mean, nullptr);
    gate(places_.groups, scratch, false);
    scale(scratch.narrow[0], c, scratch.factors, joined_.at(image, int64_t(program_.num_nodes) * c));
  }
  void through_pooled(Scratch& scratch, int64_t image, const T* given) {
    const int c = program_.width;
    T *sum = scratch.narrow[0], *of_sum = scratch.narrow[1];
    sum_groups(image, sum);
    pool(sum, c, scratch.mean, nullptr);
    gate(places_.groups, scratch, false);
    products_of(given, sum, c, scratch.of_factors);
    through_gate(places_.groups, scratch, false);
    add_through_gate<false>(scratch, c, sum, given, of_sum, false);
    for (int group = 0; group < program_.num_nodes; ++group) add(of_sum, c, of_x_.at(image, group * c));
  }
  void add(const T* from, int channels, T* to) const {
    for (int i = 0; i < channels; ++i)
      over([&](int64_t p) {
        V::store(to + i * plane_.size + p, V::load(to + i * plane_.size + p) + V::load(from + i * plane_.size + p));
      });
  }
};

}  // namespace autola
