// Numbers side by side in a register, as wide as the compiler is told that the processor has them.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace autola {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif

template <typename T>
struct Vectors {
  using Integer = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  typedef T Vector __attribute__((vector_size(kBytes)));
  typedef Integer IntegerVector __attribute__((vector_size(kBytes)));
  static constexpr int kLanes = kBytes / sizeof(T);

  static inline Vector load(const T* from) {
    Vector v;
    std::memcpy(&v, from, sizeof v);
    return v;
  }
  static inline void store(T* to, Vector v) { std::memcpy(to, &v, sizeof v); }
  static inline Vector larger(Vector a, Vector b) { return a > b ? a : b; }

  static inline T total(Vector v) { return total_of_halves<kLanes / 2>(v, std::make_integer_sequence<int, kLanes>()); }

  // Rows of a square of numbers as its columns.
  static inline void transpose(Vector* rows) { swap_blocks<kLanes / 2>(rows, std::make_integer_sequence<int, kLanes>()); }

  // 1 / (1 + exp(-x)): the exponent as an integer and the rest of it by its series, to the number's precision.
  static inline Vector sigmoid(Vector x) {
    constexpr bool is_single = sizeof(T) == 4;
    constexpr T limit = is_single ? 87 : 700;
    constexpr T rounder = is_single ? 12582912.0 : 6755399441055744.0;  // 1.5 times 2 to the mantissa's bits
    constexpr int mantissa = is_single ? 23 : 52, terms = is_single ? 7 : 13;
    constexpr T log2_high = is_single ? 0.693145751953125 : 0.693147180369123816490;
    constexpr T log2_low = is_single ? 1.42860682030941723212e-6 : 1.90821492927058770002e-10;
    x = -x;
    x = x > limit ? x * 0 + limit : x;
    x = x < -limit ? x * 0 - limit : x;
    const Vector shifted = x * T(1.44269504088896340736) + rounder;
    const Vector exponent = shifted - rounder;
    const Vector rest = (x - exponent * log2_high) - exponent * log2_low;
    Vector power = rest * 0 + T(1);
    for (int n = terms; n > 0; --n) power = power * (rest * (T(1) / n)) + T(1);
    const IntegerVector bits = ((IntegerVector)shifted << mantissa) + (IntegerVector)(x * 0 + T(1));
    return T(1) / (T(1) + power * (Vector)bits);
  }

 private:
  template <int kSide, int... kLane>
  static inline T total_of_halves(Vector v, std::integer_sequence<int, kLane...> lanes) {
    if constexpr (kSide == 0) return v[0];
    else return total_of_halves<kSide / 2>(v + __builtin_shufflevector(v, v, (kLane ^ kSide)...), lanes);
  }
  template <int kSide, int... kLane>
  static inline void swap_blocks(Vector* rows, std::integer_sequence<int, kLane...> lanes) {
    if constexpr (kSide > 0) {
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        if (i & kSide) continue;
        const Vector a = rows[i], b = rows[i + kSide];
        rows[i] = __builtin_shufflevector(a, b, (kLane & kSide ? kLanes + (kLane ^ kSide) : kLane)...);
        rows[i + kSide] = __builtin_shufflevector(a, b, (kLane & kSide ? kLanes + kLane : kLane ^ kSide)...);
      }
      swap_blocks<kSide / 2>(rows, lanes);
    }
  }
};

template <typename T>
inline T sum_of(const T* row, int64_t n) {
  using V = Vectors<T>;
  typename V::Vector some = {}, others = {};
  int64_t i = 0;
  for (; i + 2 * V::kLanes <= n; i += 2 * V::kLanes) {
    some += V::load(row + i);
    others += V::load(row + i + V::kLanes);
  }
  some += others;
  T sum = V::total(some);
  for (; i < n; ++i) sum += row[i];
  return sum;
}

template <typename T>
inline T maximum_of(const T* row, int64_t n) {
  using V = Vectors<T>;
  T maximum = row[0];
  int64_t i = 0;
  if (n >= V::kLanes) {
    typename V::Vector largest = V::load(row);
    for (; i + V::kLanes <= n; i += V::kLanes) largest = V::larger(largest, V::load(row + i));
    for (int lane = 0; lane < V::kLanes; ++lane) maximum = largest[lane] > maximum ? largest[lane] : maximum;
  }
  for (; i < n; ++i) maximum = row[i] > maximum ? row[i] : maximum;
  return maximum;
}

template <typename T>
inline T product_of(const T* a, const T* b, int64_t n) {
  using V = Vectors<T>;
  typename V::Vector sums = {};
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) sums += V::load(a + i) * V::load(b + i);
  T sum = 0;
  if (n >= V::kLanes) sum = V::total(sums);
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace autola
