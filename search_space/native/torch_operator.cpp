// The cell as an operator of PyTorch, autola::cell, on the CPU. Of PyTorch only what stays binary compatible.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "cell.h"

using torch::stable::Tensor;

namespace {

template <typename T>
void run(const autola::Program& program, const Tensor& x, const Tensor& weights, Tensor& y) {
  const auto sizes = x.sizes();
  const bool planes_lie_apart = x.is_contiguous();
  const int64_t positions = sizes[2] * sizes[3], channels = sizes[1];
  const int64_t channel_step = planes_lie_apart ? positions : 1, position_step = planes_lie_apart ? 1 : channels;
  const T *from = static_cast<const T*>(x.data_ptr()), *numbers = static_cast<const T*>(weights.data_ptr());
  T* to = static_cast<T*>(y.data_ptr());
  torch::stable::parallel_for(0, sizes[0], 1, [&](int64_t begin, int64_t end) {
    autola::Runner<T> runner(program, numbers, int(sizes[2]), int(sizes[3]));
    for (int64_t i = begin; i < end; ++i)
      runner.run(from + i * channels * positions, to + i * channels * positions, channel_step, position_step);
  });
}

// `x` (b, c, h, w) is contiguous as planes or channels last, and so is the output.
Tensor cell(Tensor x, Tensor weights, std::vector<int64_t> numbers) {
  const autola::Program program(numbers.data(), int64_t(numbers.size()));
  STD_TORCH_CHECK(x.dim() == 4 && x.size(1) == int64_t(program.width) * program.num_nodes,
                  "the cell reads maps of ", program.width * program.num_nodes, " channels");
  STD_TORCH_CHECK(weights.scalar_type() == x.scalar_type() && weights.numel() == program.num_weights &&
                      weights.is_contiguous(),
                  "the cell has ", program.num_weights, " weights in the number format of the maps");
  Tensor y = torch::stable::empty_like(x);
  if (x.numel() == 0) return y;
  if (x.scalar_type() == torch::headeronly::ScalarType::Float) {
    run<float>(program, x, weights, y);
  } else {
    STD_TORCH_CHECK(x.scalar_type() == torch::headeronly::ScalarType::Double, "the cell reads float32 or float64");
    run<double>(program, x, weights, y);
  }
  return y;
}

}  // namespace

STABLE_TORCH_LIBRARY(autola, library) { library.def("cell(Tensor x, Tensor weights, int[] program) -> Tensor"); }

STABLE_TORCH_LIBRARY_IMPL(autola, CPU, library) { library.impl("cell", TORCH_BOX(&cell)); }
