// The cell as an operator of ONNX Runtime, Cell of the domain "autola", float32 on the CPU.
//
// ONNX Runtime's packages bring no headers. What is needed of its C interface is a table of functions, of which
// those of its first version keep their places, and a record of callbacks, to which versions only append.
#include <cstddef>
#include <memory>

#include "cell.h"

namespace {

constexpr uint32_t kVersion = 16;  // the first whose kernels return a status
enum ElementType { kFloat = 1, kInteger64 = 7 };
constexpr int kFail = 1, kRequired = 0, kDefaultMemory = 0;

// Places in ONNX Runtime's table of functions.
enum Place {
  kCreateStatus = 0,
  kGetErrorMessage = 2,
  kCreateCustomOpDomain = 26,
  kCustomOpDomainAdd = 27,
  kAddCustomOpDomain = 28,
  kGetTensorMutableData = 51,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kGetTensorTypeAndShape = 65,
  kKernelContextGetInput = 90,
  kKernelContextGetOutput = 91,
  kReleaseTensorTypeAndShapeInfo = 99
};

using Function = void (*)();
using Api = const Function*;
using Status = void*;  // null for success

template <typename... Arguments>
Status call(Api api, Place place, Arguments... arguments) {
  return reinterpret_cast<Status (*)(Arguments...)>(api[place])(arguments...);
}

template <typename... Arguments>
void require(Api api, Place place, Arguments... arguments) {
  if (Status status = call(api, place, arguments...))
    throw std::runtime_error(reinterpret_cast<const char* (*)(Status)>(api[kGetErrorMessage])(status));
}

struct ApiBase {
  Api (*get_api)(uint32_t version);
  const char* (*get_version)();
};

struct Operator {
  uint32_t version;
  void* (*create_kernel)(const Operator*, Api, const void* info);
  const char* (*name)(const Operator*);
  const char* (*provider)(const Operator*);
  ElementType (*input_type)(const Operator*, size_t index);
  size_t (*num_inputs)(const Operator*);
  ElementType (*output_type)(const Operator*, size_t index);
  size_t (*num_outputs)(const Operator*);
  void (*compute)(void* kernel, void* context);
  void (*destroy)(void* kernel);
  int (*input_kind)(const Operator*, size_t index);
  int (*output_kind)(const Operator*, size_t index);
  int (*input_memory)(const Operator*, size_t index);
  void* of_variadic_inputs_and_outputs[4];
  Status (*create_kernel_with_status)(const Operator*, Api, const void* info, void** kernel);
  Status (*compute_with_status)(void* kernel, void* context);
  void* of_later_versions[16];
};

struct Input {
  void* data;
  std::vector<int64_t> sizes;
  int64_t numel() const {
    int64_t product = 1;
    for (int64_t size : sizes) product *= size;
    return product;
  }
};

Input input_of(Api api, void* context, size_t index) {
  Input input;
  void *value, *info;
  size_t rank;
  require(api, kKernelContextGetInput, context, index, &value);
  require(api, kGetTensorMutableData, value, &input.data);
  require(api, kGetTensorTypeAndShape, value, &info);
  require(api, kGetDimensionsCount, info, &rank);
  input.sizes.resize(rank);
  require(api, kGetDimensions, info, input.sizes.data(), rank);
  reinterpret_cast<void (*)(void*)>(api[kReleaseTensorTypeAndShapeInfo])(info);
  return input;
}

void compute(Api api, void* context) {
  const Input x = input_of(api, context, 0), weights = input_of(api, context, 1), numbers = input_of(api, context, 2);
  const autola::Program program(static_cast<const int64_t*>(numbers.data), numbers.numel());
  if (x.sizes.size() != 4 || x.sizes[1] != int64_t(program.width) * program.num_nodes ||
      weights.numel() != program.num_weights)
    throw std::runtime_error("the maps or weights of a cell have other sizes than its program says");
  void *output, *to;
  require(api, kKernelContextGetOutput, context, size_t(0), x.sizes.data(), x.sizes.size(), &output);
  require(api, kGetTensorMutableData, output, &to);
  if (x.numel() == 0) return;
  const int64_t positions = x.sizes[2] * x.sizes[3], image = x.sizes[1] * positions;
  autola::Runner<float> runner(program, static_cast<const float*>(weights.data), int(x.sizes[2]), int(x.sizes[3]));
  for (int64_t i = 0; i < x.sizes[0]; ++i)
    runner.run(static_cast<const float*>(x.data) + i * image, static_cast<float*>(to) + i * image, positions, 1);
}

Status compute_or_say_why(void* kernel, void* context) {
  const Api api = static_cast<Api>(kernel);
  try {
    compute(api, context);
    return nullptr;
  } catch (const std::exception& error) {
    return reinterpret_cast<Status (*)(int, const char*)>(api[kCreateStatus])(kFail, error.what());
  }
}

Status create(const Operator*, Api api, const void*, void** kernel) {
  *kernel = const_cast<Function*>(api);  // all that a kernel has
  return nullptr;
}

const Operator kCell = {
    kVersion,
    nullptr,
    [](const Operator*) { return "Cell"; },
    [](const Operator*) { return static_cast<const char*>(nullptr); },
    [](const Operator*, size_t index) { return index == 2 ? kInteger64 : kFloat; },
    [](const Operator*) { return size_t(3); },
    [](const Operator*, size_t) { return kFloat; },
    [](const Operator*) { return size_t(1); },
    nullptr,
    [](void*) {},
    [](const Operator*, size_t) { return kRequired; },
    [](const Operator*, size_t) { return kRequired; },
    [](const Operator*, size_t) { return kDefaultMemory; },
    {},
    create,
    compute_or_say_why,
    {},
};

}  // namespace

extern "C" Status RegisterCustomOps(void* options, const ApiBase* base) {
  const Api api = base->get_api(kVersion);
  void* domain;
  if (Status status = call(api, kCreateCustomOpDomain, "autola", &domain)) return status;
  if (Status status = call(api, kCustomOpDomainAdd, domain, &kCell)) return status;
  return call(api, kAddCustomOpDomain, options, domain);
}
