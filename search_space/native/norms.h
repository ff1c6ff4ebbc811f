// Norms of a batch: their statistics, what they give, and their gradients.
#pragma once

#include "batch.h"

namespace autola {

template <typename T>
class Norms : protected Batch<T> {
 protected:
  using Base = Batch<T>;
  using V = Vectors<T>;
  using Vector = typename V::Vector;
  using Base::places_, Base::weights_, Base::eps_, Base::batch_, Base::plane_, Base::positions_, Base::mean_,
      Base::variance_, Base::inverse_, Base::valid_, Base::gradients_, Base::mean_sum_, Base::mean_product_,
      Base::sums_, Base::squares_, Base::over;
  using Base::Base;

  T scale_of(const NormAt& norm, int i) const { return weights_[norm.scale + i] * inverse_[norm.statistics + i]; }
  T shift_of(const NormAt& norm, int i) const {
    return weights_[norm.shift + i] - mean_[norm.statistics + i] * scale_of(norm, i);
  }

  // Takes an image's mean and sum of squared deviations of the planes that a norm reads.
  void note(const NormAt& norm, int64_t image, const T* planes) {
    for (int i = 0; i < norm.channels; ++i) {
      const T* plane = planes + i * plane_.size;
      Vector sum{}, square{};
      over([&](int64_t p) { sum += V::load(plane + p); });
      const T mean = V::total(sum) / T(positions_);
      over([&](int64_t p) {
        const Vector rest = (V::load(plane + p) - mean) * V::load(valid_.data() + p);
        square += rest * rest;
      });
      const int64_t at = image * places_.num_statistics + norm.statistics + i;
      sums_[at] = mean;
      squares_[at] = V::total(square);
    }
  }
  // The statistics of the batch, from those of the images.
  void settle(const NormAt& norm) {
    for (int64_t i = norm.statistics; i < norm.statistics + norm.channels; ++i) {
      double mean = 0, square = 0;
      for (int64_t image = 0; image < batch_; ++image) mean += sums_[image * places_.num_statistics + i];
      mean /= double(batch_);
      for (int64_t image = 0; image < batch_; ++image) {
        const double rest = sums_[image * places_.num_statistics + i] - mean;
        square += squares_[image * places_.num_statistics + i] + rest * rest * double(positions_);
      }
      mean_[i] = T(mean);
      variance_[i] = T(square / (double(batch_) * double(positions_)));
      inverse_[i] = T(1 / std::sqrt(double(variance_[i]) + eps_));
    }
  }
  void settle(int number, size_t l) {
    if (l < places_.edges[number].norms.size()) settle(places_.edges[number].norms[l]);
  }
  // to = relu(norm(from))
  void rectify(const NormAt& norm, const T* from, T* to) const {
    for (int i = 0; i < norm.channels; ++i, from += plane_.size, to += plane_.size) {
      const T scale = scale_of(norm, i), shift = shift_of(norm, i);
      over([&](int64_t p) {
        const Vector value = V::load(from + p) * scale + shift;
        V::store(to + p, (value < T(0) ? Vector{} : value) * V::load(valid_.data() + p));
      });
    }
  }
  // to = norm(from) + other
  void add_normed(const NormAt& norm, const T* from, const T* other, T* to) const {
    for (int i = 0; i < norm.channels; ++i, from += plane_.size, other += plane_.size, to += plane_.size) {
      const T scale = scale_of(norm, i), shift = shift_of(norm, i);
      over([&](int64_t p) {
        V::store(to + p, (V::load(from + p) * scale + shift) * V::load(valid_.data() + p) + V::load(other + p));
      });
    }
  }

  // Takes an image's sums of the gradient of a norm's output, alone and times what the norm gives.
  void note_gradient(const NormAt& norm, int64_t image, const T* gradient, const T* input) {
    for (int i = 0; i < norm.channels; ++i, gradient += plane_.size, input += plane_.size) {
      const T mean = mean_[norm.statistics + i];
      Vector sum{}, product{};
      over([&](int64_t p) {
        const Vector given = V::load(gradient + p);
        sum += given;
        product += given * (V::load(input + p) - mean);
      });
      const int64_t at = image * places_.num_statistics + norm.statistics + i;
      sums_[at] = V::total(sum);
      squares_[at] = double(V::total(product)) * inverse_[norm.statistics + i];
    }
  }
  // The same sums over the batch, which are the gradients of the norm's weights.
  void finish(const NormAt& norm) {
    const double number = double(batch_) * double(positions_);
    for (int i = 0; i < norm.channels; ++i) {
      double sum = 0, product = 0;
      for (int64_t image = 0; image < batch_; ++image) {
        sum += sums_[image * places_.num_statistics + norm.statistics + i];
        product += squares_[image * places_.num_statistics + norm.statistics + i];
      }
      gradients_[norm.shift + i] = T(sum);
      gradients_[norm.scale + i] = T(product);
      mean_sum_[norm.statistics + i] = T(sum / number);
      mean_product_[norm.statistics + i] = T(product / number);
    }
  }
  void finish(int number, size_t l) {
    if (l < places_.edges[number].norms.size()) finish(places_.edges[number].norms[l]);
  }
  // to = the gradient of a norm's input.
  void through_norm(const NormAt& norm, const T* gradient, const T* input, T* to) const {
    for (int i = 0; i < norm.channels; ++i, gradient += plane_.size, input += plane_.size, to += plane_.size) {
      const T scale = scale_of(norm, i), mean = mean_[norm.statistics + i], first = mean_sum_[norm.statistics + i];
      const T second = mean_product_[norm.statistics + i] * inverse_[norm.statistics + i];
      over([&](int64_t p) {
        const Vector rest = V::load(gradient + p) - first - (V::load(input + p) - mean) * second;
        V::store(to + p, rest * scale * V::load(valid_.data() + p));
      });
    }
  }
  // gradient = gradient where relu(norm(input)) is not zero.
  void through_relu(const NormAt& norm, const T* input, T* gradient) const {
    for (int i = 0; i < norm.channels; ++i, gradient += plane_.size, input += plane_.size) {
      const T scale = scale_of(norm, i), shift = shift_of(norm, i);
      over([&](int64_t p) {
        const Vector value = V::load(input + p) * scale + shift;
        V::store(gradient + p, (value > T(0) ? V::load(gradient + p) : Vector{}) * V::load(valid_.data() + p));
      });
    }
  }
};

}  // namespace autola
