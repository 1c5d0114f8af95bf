#include "model/product.hpp"

#include "model/lanes.hpp"

#include <algorithm>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

namespace banyan {

namespace {

constexpr std::int64_t panel_width = 16; // columns

enum class target { store, store_bfloat16, add };

struct product_args {
  const float* x;     // [tokens, in]
  const void* panels; // [panels, in, panel_width], float or bfloat16
  void* out;          // [tokens, columns], type and use as `goal` says
  std::int64_t tokens, in, columns;
  bool bfloat16_panels;
  target goal;
};

/// How many rows and panels of a result are in registers at a time: tiles of many rows, and wider
/// ones for the few rows of a small batch.
template <int W>
struct tile_shape {
  static constexpr int rows = 6, panels = 1, few_rows = 3, panels_of_few = 2; // 16 registers
};
template <>
struct tile_shape<16> {
  static constexpr int rows = 6, panels = 4, few_rows = 3, panels_of_few = 8; // 32 registers
};
template <>
struct tile_shape<4> {
  static constexpr int rows = 3, panels = 1, few_rows = 1, panels_of_few = 2;
};

struct product_kernel {
  /// Panels [begin, end) of the result.
  template <int W>
  BANYAN_INLINE static void run(const product_args& a, std::int64_t begin, std::int64_t end) {
    using shape = tile_shape<W>;
    if (a.tokens <= shape::few_rows)
      groups<W, shape::few_rows, shape::panels_of_few>(a, begin, end);
    else
      groups<W, shape::rows, shape::panels>(a, begin, end);
  }

private:
  template <int W, int Rows, int Panels>
  BANYAN_INLINE static void groups(const product_args& a, std::int64_t begin, std::int64_t end) {
    auto panel = begin;
    for (; panel + Panels <= end; panel += Panels) group<W, Rows, Panels>(a, panel);
    for (; panel < end; ++panel) group<W, Rows, 1>(a, panel);
  }

  /// A group of panels stays in the nearest cache while all rows pass by.
  template <int W, int Rows, int Panels>
  BANYAN_INLINE static void group(const product_args& a, std::int64_t panel) {
    const auto first = panel * a.in * panel_width, count = Panels * a.in * panel_width;
    const auto weights = a.bfloat16_panels
                             ? widened<W>(static_cast<const bfloat16*>(a.panels) + first, count)
                             : static_cast<const float*>(a.panels) + first;
    std::int64_t row = 0;
    for (; row + Rows <= a.tokens; row += Rows) tile<W, Rows, Panels>(a, weights, row, panel);
    last_rows<W, Rows - 1, Panels>(a, weights, row, panel);
  }

  template <int W>
  BANYAN_INLINE static const float* widened(const bfloat16* weights, std::int64_t count) {
    thread_local std::vector<float> memory;
    if (memory.size() < static_cast<std::size_t>(count))
      memory.resize(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; i += W) store<W>(memory.data() + i, load<W>(weights + i));
    return memory.data();
  }

  template <int W, int Rows, int Panels>
  BANYAN_INLINE static void last_rows(const product_args& a, const float* weights, std::int64_t row,
                                      std::int64_t panel) {
    if constexpr (Rows > 0) {
      if (row + Rows > a.tokens) return last_rows<W, Rows - 1, Panels>(a, weights, row, panel);
      tile<W, Rows, Panels>(a, weights, row, panel);
    }
  }

  template <int W, int Rows, int Panels>
  BANYAN_INLINE static void tile(const product_args& a, const float* weights, std::int64_t row,
                                 std::int64_t panel) {
    constexpr int vectors = Panels * panel_width / W, in_panel = panel_width / W;
    lanes<W> sums[Rows][vectors] = {};
    const auto x = a.x + row * a.in;
    for (std::int64_t k = 0; k < a.in; ++k) {
      lanes<W> w[vectors];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v)
        w[v] = load<W>(weights + (v / in_panel * a.in + k) * panel_width + v % in_panel * W);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) sums[r][v] += x[r * a.in + k] * w[v];
    }
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) put<W>(a, row + r, panel * panel_width + v * W, sums[r][v]);
  }

  template <int W>
  BANYAN_INLINE static void put(const product_args& a, std::int64_t row, std::int64_t column,
                                const lanes<W>& sum) {
    const auto count = std::min<std::int64_t>(W, a.columns - column);
    const auto at = row * a.columns + column;
    if (a.goal == target::store_bfloat16)
      put_some<W>(static_cast<bfloat16*>(a.out) + at, sum, count);
    else if (a.goal == target::store)
      put_some<W>(static_cast<float*>(a.out) + at, sum, count);
    else if (const auto out = static_cast<float*>(a.out) + at; count == W)
      store<W>(out, load<W>(out) + sum);
    else if (count > 0)
      store_first<W>(out, load_first<W>(out, count) + sum, count);
  }

  template <int W, class Out>
  BANYAN_INLINE static void put_some(Out* out, const lanes<W>& sum, std::int64_t count) {
    if (count == W)
      store<W>(out, sum);
    else if (count > 0)
      store_first<W>(out, sum, count);
  }
};

void multiply(const at::Tensor& x, const at::Tensor& panels, at::Tensor& out, target goal) {
  TORCH_INTERNAL_ASSERT_DEBUG_ONLY(x.is_contiguous() && out.is_contiguous());
  const auto wide = x.to(at::kFloat);
  const product_args a{.x = wide.data_ptr<float>(),
                       .panels = panels.data_ptr(),
                       .out = out.data_ptr(),
                       .tokens = x.size(0),
                       .in = x.size(1),
                       .columns = out.size(1),
                       .bfloat16_panels = panels.scalar_type() == at::kBFloat16,
                       .goal = goal};
  constexpr std::int64_t worth_waking_threads = 500'000; // multiplications, some 5 µs
  const auto per_panel = std::max<std::int64_t>(1, a.tokens * a.in * panel_width);
  at::parallel_for(
      0, panels.size(0), worth_waking_threads / per_panel + 1,
      [&](std::int64_t begin, std::int64_t end) { run_widest<product_kernel>(a, begin, end); });
}

/// [columns, in] → [panels, in, panel_width]; columns that are missing are zeros.
struct pack_kernel {
  template <int W, class T>
  BANYAN_INLINE static void run(const T* weight, std::int64_t columns, std::int64_t in, T* panels) {
    for (std::int64_t c = 0; c < columns; c += panel_width, panels += in * panel_width)
      for (std::int64_t part = 0; part < panel_width; part += W)
        for (std::int64_t k = 0; k < in; k += W) {
          const auto count = std::min<std::int64_t>(W, in - k);
          lanes<W> x[W] = {};
          for (std::int64_t i = 0; i < W && c + part + i < columns; ++i) {
            const auto* from = weight + (c + part + i) * in + k;
            x[i] = count == W ? load<W>(from) : load_first<W>(from, count);
          }
          transpose<W>(x);
          for (std::int64_t j = 0; j < count; ++j)
            store<W>(panels + (k + j) * panel_width + part, x[j]);
        }
  }
};

} // namespace

product::product(const at::Tensor& weight, bool packed) : transposed_(weight.detach().t()) {
  if (!packed) return;
  const auto columns = weight.size(0), in = weight.size(1);
  const auto panels = (columns + panel_width - 1) / panel_width;
  panels_ = at::empty({panels, in, panel_width}, weight.options());
  const auto fill = [&](auto type) {
    using T = decltype(type);
    run_widest<pack_kernel>(static_cast<const T*>(weight.const_data_ptr()), columns, in,
                            static_cast<T*>(panels_.data_ptr()));
  };
  weight.scalar_type() == at::kFloat ? fill(float{}) : fill(bfloat16{});
}

void product::into(const at::Tensor& x, at::Tensor& out) const {
  if (panels_.defined())
    multiply(x, panels_, out,
             out.scalar_type() == at::kFloat ? target::store : target::store_bfloat16);
  else if (out.scalar_type() == x.scalar_type())
    at::mm_out(out, x, transposed_);
  else
    out.copy_(at::mm(x, transposed_));
}

void product::add_to(const at::Tensor& x, at::Tensor& sum, at::Tensor& scratch) const {
  if (panels_.defined())
    multiply(x, panels_, sum, target::add);
  else if (sum.scalar_type() == x.scalar_type())
    sum.addmm_(x, transposed_);
  else
    sum.add_(at::mm_out(scratch, x, transposed_));
}

} // namespace banyan
