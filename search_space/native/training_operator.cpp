// A cell that trains as operators of PyTorch on the CPU: autola::cell_training and its backward pass. Of PyTorch only
// what stays binary compatible.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <tuple>

#include "training.h"

using torch::stable::Tensor;

namespace {

// Maps are contiguous as planes or channels last.
template <typename T>
autola::Images<T> images(const Tensor& x) {
  const auto sizes = x.sizes();
  const bool planes_lie_apart = x.is_contiguous();
  const int64_t positions = sizes[2] * sizes[3], channels = sizes[1];
  return {static_cast<T*>(x.data_ptr()), planes_lie_apart ? positions : 1, planes_lie_apart ? 1 : channels,
          channels * positions};
}

void check(const autola::Program& program, const Tensor& x, const Tensor& weights) {
  STD_TORCH_CHECK(x.dim() == 4 && x.size(1) == int64_t(program.width) * program.num_nodes && x.numel() > 0,
                  "the cell reads maps of ", program.width * program.num_nodes, " channels");
  STD_TORCH_CHECK(weights.scalar_type() == x.scalar_type() && weights.numel() == program.num_weights &&
                      weights.is_contiguous(),
                  "the cell has ", program.num_weights, " weights in the number format of the maps");
}

// Calls `work` with the cell in the number format of the maps.
template <typename Work>
void with_cell(const autola::Program& program, const Tensor& x, const Tensor& weights, double eps, Work work) {
  const autola::Parallel parallel = [](int64_t number, const std::function<void(int64_t, int64_t)>& part) {
    torch::stable::parallel_for(0, number, 1, part);
  };
  const auto run = [&](auto number) {
    using T = decltype(number);
    autola::Training<T> cell(program, static_cast<const T*>(weights.data_ptr()), eps, x.size(0), int(x.size(2)),
                             int(x.size(3)), parallel);
    work(cell, number);
  };
  if (x.scalar_type() == torch::headeronly::ScalarType::Float) return run(float());
  STD_TORCH_CHECK(x.scalar_type() == torch::headeronly::ScalarType::Double, "the cell reads float32 or float64");
  run(double());
}

// The output, the nodes (b, c, h, w) as planes, and the means and variances of all norms.
std::tuple<Tensor, Tensor, Tensor> forward(Tensor x, Tensor weights, std::vector<int64_t> numbers, double eps) {
  const autola::Program program(numbers.data(), int64_t(numbers.size()), true);
  check(program, x, weights);
  Tensor y = torch::stable::empty_like(x), nodes = torch::stable::new_empty(x, x.sizes());
  Tensor statistics = torch::stable::new_empty(x, {2 * autola::Places<float>(program, nullptr).num_statistics});
  with_cell(program, x, weights, eps, [&](auto& cell, auto number) {
    using T = decltype(number);
    cell.forward(images<const T>(x), images<T>(y), static_cast<T*>(nodes.data_ptr()),
                 static_cast<T*>(statistics.data_ptr()));
  });
  return {y, nodes, statistics};
}

// The gradients of the input and the weights.
std::tuple<Tensor, Tensor> backward(Tensor of_y, Tensor x, Tensor nodes, Tensor statistics, Tensor weights,
                                    std::vector<int64_t> numbers, double eps) {
  const autola::Program program(numbers.data(), int64_t(numbers.size()), true);
  for (const Tensor& maps : {x, of_y, nodes}) check(program, maps, weights);
  STD_TORCH_CHECK(statistics.numel() == 2 * autola::Places<float>(program, nullptr).num_statistics, "the cell has other statistics");
  Tensor of_x = torch::stable::empty_like(x), of_weights = torch::stable::empty_like(weights);
  with_cell(program, x, weights, eps, [&](auto& cell, auto number) {
    using T = decltype(number);
    cell.backward(images<const T>(x), static_cast<const T*>(nodes.data_ptr()),
                  static_cast<const T*>(statistics.data_ptr()), images<const T>(of_y), images<T>(of_x),
                  static_cast<T*>(of_weights.data_ptr()));
  });
  return {of_x, of_weights};
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(autola, library) {
  library.def("cell_training(Tensor x, Tensor weights, int[] program, float eps) -> (Tensor, Tensor, Tensor)");
  library.def(
      "cell_training_backward(Tensor of_y, Tensor x, Tensor nodes, Tensor statistics, Tensor weights, int[] program, "
      "float eps) -> (Tensor, Tensor)");
}

STABLE_TORCH_LIBRARY_IMPL(autola, CPU, library) {
  library.impl("cell_training", TORCH_BOX(&forward));
  library.impl("cell_training_backward", TORCH_BOX(&backward));
}
