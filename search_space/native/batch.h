// A batch that a cell trains on: memory for its planes, passes over it, and maps in and out.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <utility>

#include "places.h"

namespace autola {

constexpr int kMostSections = 16;  // parts of a batch with gradients of their own, so that threads do not meet

constexpr int64_t kMostKept = 1 << 28;  // bytes of memory that a thread keeps from one call to the next

// Runs `work(begin, end)` over 0 ... number in parts.
using Parallel = std::function<void(int64_t, const std::function<void(int64_t, int64_t)>&)>;

// What a map is and how far its channels and positions lie apart.
template <typename T>
struct Images {
  T* at;
  int64_t channel_step, position_step, image_step;
};

// A batch in planes. Positions that belong to no map are zero in every plane, so that sums run over planes as they lie.
template <typename T>
class Batch {
 protected:
  using V = Vectors<T>;
  using Vector = typename V::Vector;
  static constexpr int kLanes = V::kLanes, kTile = Plane<T>::kTile;

 public:
  Batch(const Program& program, const T* weights, double eps, int64_t batch, int height, int width,
        const Parallel& parallel)
      : program_(program), places_(program, weights), weights_(weights), eps_(eps), batch_(batch),
        plane_(height, width, program.margin), positions_(int64_t(height) * width),
        sections_(std::min<int64_t>(batch, kMostSections)), parallel_(parallel),
        mean_(places_.num_statistics), variance_(places_.num_statistics), inverse_(places_.num_statistics),
        valid_(plane_.size, T(0)) {
    for (int y = 0; y < height; ++y)
      std::fill_n(valid_.data() + plane_.first + int64_t(y) * plane_.stride, width, T(1));
  }

 protected:
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
        if (number == kLanes) {
          for (int j = 0; j < kLanes; ++j) V::store(to + j * plane_.size, rows[j]);
        } else {
          for (int j = 0; j < kLanes; ++j) std::memcpy(to + j * plane_.size, &rows[j], number * sizeof(T));
        }
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
};

}  // namespace autola
