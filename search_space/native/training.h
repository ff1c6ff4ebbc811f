// A HOGA cell that trains: its pass over a batch, with norms of the batch, and the pass back.
//
// Forward keeps the nodes and the statistics of the norms alone; backward computes the rest again. Work that
// reads statistics of the batch is a pass of its own. Positions that belong to no map are zero in every plane,
// so that sums run over planes as they lie.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <utility>

#include "cell.h"

namespace autola {

constexpr int kMostSections = 16;  // parts of a batch with gradients of their own, so that threads do not meet

constexpr int64_t kMostKept = 1 << 28;  // bytes of memory that a thread keeps from one call to the next

// Runs `work(begin, end)` over 0 ... number in parts.
using Parallel = std::function<void(int64_t, const std::function<void(int64_t, int64_t)>&)>;

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

// What a map is and how far its channels and positions lie apart.
template <typename T>
struct Images {
  T* at;
  int64_t channel_step, position_step, image_step;
};

template <typename T>
class Training {
  using V = Vectors<T>;
  using Vector = typename V::Vector;
  static constexpr int kLanes = V::kLanes, kTile = Plane<T>::kTile;

 public:
  Training(const Program& program, const T* weights, double eps, int64_t batch, int height, int width,
           const Parallel& parallel)
      : program_(program), places_(program, weights), weights_(weights), eps_(eps), batch_(batch),
        plane_(height, width, program.margin), positions_(int64_t(height) * width),
        sections_(std::min<int64_t>(batch, kMostSections)), parallel_(parallel),
        mean_(places_.num_statistics), variance_(places_.num_statistics), inverse_(places_.num_statistics),
        valid_(plane_.size, T(0)) {
    for (int y = 0; y < height; ++y)
      std::fill_n(valid_.data() + plane_.first + int64_t(y) * plane_.stride, width, T(1));
  }

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
          std::fill_n(joined_.at(image, 0), channels * plane_.size, T(0));
          join_pooled(scratch, image);
        } else {
          add_gated(node - 1, scratch, image);
        }
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

 private:
  // Planes of the whole batch.
  struct Maps {
    T* begin = nullptr;
    int channels = 0;
    int64_t size = 0;
    T* at(int64_t image, int64_t channel) const { return begin + (image * channels + channel) * size; }
  };
  // Planes for one image at a time.
  struct Scratch {
    T *wide[3], *narrow[4], *tile;
    T* gradients;  // of this section's weights
    std::vector<T> mean, maximum, factors, of_factors, hidden, of_mean, of_maximum, more;
  };

  const Program& program_;
  const Places<T> places_;
  const T* weights_;
  double eps_;
  int64_t batch_;
  Plane<T> plane_;
  int64_t positions_, sections_;
  const Parallel& parallel_;
  std::vector<T> mean_, variance_, inverse_, valid_, gradients_, mean_sum_, mean_product_;
  std::vector<double> sums_, squares_;  // of images, for every channel of every norm
  std::unique_ptr<T[]> own_;
  T* free_ = nullptr;  // memory for maps that nothing lies in
  Maps x_, joined_, of_x_, of_joined_;
  std::vector<std::array<Maps, 2>> between_;  // what the layers of an edge give, before their norms; one for each source
  std::vector<Maps> of_between_;

  // Takes memory for `maps`: kept between calls where it is little, since the system clears what it gives.
  void prepare(bool is_backward) {
    const int c = program_.width, channels = c * program_.num_nodes, states = program_.num_nodes * std::max(c, 2);
    const int64_t planes = (is_backward ? 2 : 1) * (2 * channels + c) + (is_backward ? 3 : 2) * states + program_.fuse * channels;
    const int64_t size = batch_ * planes * plane_.size;
    thread_local std::vector<T> kept;
    if (size * int64_t(sizeof(T)) > kMostKept) {
      own_.reset(new T[size]);
    } else if (int64_t(kept.size()) < size) {
      kept.resize(size);
    }
    free_ = own_ ? own_.get() : kept.data();
    x_ = maps(channels, true);
    joined_ = maps(channels + c, true);
    for (int slot = 0; slot < program_.num_nodes; ++slot)
      between_.push_back({maps(std::max(c, 2), false), maps(std::max(c, 2), false)});
  }
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

  Maps maps(int channels, bool has_margins) {
    Maps made{free_, channels, plane_.size};
    free_ += batch_ * channels * plane_.size;
    if (has_margins)
      for (int64_t i = 0; i < batch_ * channels; ++i) clear_ends(made.begin + i * plane_.size);
    return made;
  }
  void clear_ends(T* plane) const {
    std::fill(plane, plane + plane_.first, T(0));
    std::fill(plane + plane_.tiles_end, plane + plane_.size, T(0));
  }
  static std::vector<T>& memory() {
    thread_local std::vector<T> memory;
    return memory;
  }

  // Runs `work(scratch, image)` on every image.
  template <typename Work>
  void each(Work work) {
    const int c = std::max(program_.width, 2), channels = program_.width * (program_.num_nodes + 1);
    parallel_(sections_, [&](int64_t begin, int64_t end) {
      Scratch scratch;
      const int64_t size = (3 * channels + 4 * c) * plane_.size + int64_t(channels + c) * kTile;
      if (int64_t(memory().size()) < size) memory().resize(size);
      T* at = memory().data();
      for (T*& planes : scratch.wide) planes = at, at += channels * plane_.size;
      for (T*& planes : scratch.narrow) {
        planes = at, at += c * plane_.size;
        for (int i = 0; i < c; ++i) clear_ends(planes + i * plane_.size);
      }
      scratch.tile = at;
      for (auto* values : {&scratch.mean, &scratch.maximum, &scratch.factors, &scratch.of_factors, &scratch.of_mean,
                           &scratch.of_maximum, &scratch.more})
        values->resize(channels + kLanes);
      for (int64_t section = begin; section < end; ++section) {
        scratch.gradients = gradients_.data() + (gradients_.empty() ? 0 : section * places_.num_weights);
        for (int64_t image = section * batch_ / sections_; image < (section + 1) * batch_ / sections_; ++image)
          work(scratch, image);
      }
    });
  }
  template <typename Give>
  void over(Give give) const {
    for (int64_t p = plane_.first; p < plane_.tiles_end; p += kLanes) give(p);
  }

  // Maps of the caller's, with zeros around them.
  void read_into(Images<const T> from, int64_t image, T* planes, int channels) const {
    each_block(channels, [&](int64_t line, int64_t position, int number, int i, bool is_square) {
      const T* at = from.at + image * from.image_step + i * from.channel_step + position * from.position_step;
      T* to = planes + i * plane_.size + line;
      if (from.position_step == 1) {
        std::memcpy(to, at, number * sizeof(T));
      } else if (is_square) {
        Vector rows[kLanes] = {};
        for (int p = 0; p < number; ++p) rows[p] = V::load(at + p * from.position_step);
        V::transpose(rows);
        for (int j = 0; j < kLanes; ++j) std::memcpy(to + j * plane_.size, &rows[j], number * sizeof(T));
      } else {
        for (int p = 0; p < number; ++p) to[p] = at[p * from.position_step];
      }
    }, from.position_step == 1);
    for (int i = 0; i < channels; ++i) plane_.clear_margins(planes + i * plane_.size);
  }
  // Maps for the caller, each channel times a factor if there are any.
  void write_from(const T* planes, int64_t image, Images<T> to, int channels, const T* factors) const {
    each_block(channels, [&](int64_t line, int64_t position, int number, int i, bool is_square) {
      T* at = to.at + image * to.image_step + i * to.channel_step + position * to.position_step;
      const T* from = planes + i * plane_.size + line;
      if (is_square) {
        Vector rows[kLanes];
        for (int j = 0; j < kLanes; ++j) rows[j] = V::load(from + j * plane_.size) * (factors ? factors[i + j] : T(1));
        V::transpose(rows);
        for (int p = 0; p < number; ++p) V::store(at + p * to.position_step, rows[p]);
      } else {
        const T factor = factors ? factors[i] : T(1);
        for (int p = 0; p < number; ++p) at[p * to.position_step] = from[p] * factor;
      }
    }, to.position_step == 1);
  }
  // Gives pieces of rows: their place in a plane, in the map, their length, and their channel, or the first of as
  // many channels as a vector has lanes.
  template <typename Give>
  void each_block(int channels, Give give, bool planes_lie_apart) const {
    const int step = planes_lie_apart ? plane_.width : kLanes;
    const int squares = planes_lie_apart ? 0 : channels / kLanes * kLanes;
    for (int y = 0; y < plane_.height; ++y)
      for (int x = 0; x < plane_.width; x += step) {
        const int64_t line = plane_.first + int64_t(y) * plane_.stride + x, position = int64_t(y) * plane_.width + x;
        const int number = std::min(step, plane_.width - x);
        for (int i = 0; i < squares; i += kLanes) give(line, position, number, i, true);
        for (int i = squares; i < channels; ++i) give(line, position, number, i, false);
      }
  }

  // Norms.

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

  // Channel gates.

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

  // Edges.

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

  // Fuse and output.

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
    add_through_gate<false>(scratch, channels, scratch.wide[0], scratch.wide[1], of_x_.at(image, 0), false);
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
