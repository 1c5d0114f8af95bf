#pragma once

#include "model/device_kernel.cuh"
#include "model/tree_attention_cuda.hpp"

#include <cstdint>
#include <type_traits>

namespace banyan {

// What the forward and the backward pass of tree attention on CUDA share.

using half_pair = std::uint32_t; // two bfloat16, the first one in the low bits

constexpr int tile = attention_tile;
constexpr int num_warps = 4, block_threads = num_warps * warp_size;
constexpr int warp_rows = tile / num_warps; // 16: the rows of one matrix instruction
constexpr int columns = tile / 8;           // instructions for a row of scores, 8 wide each
constexpr float log2e = 1.4426950408889634f;

static_assert(warp_rows == 16);

// ---- matrix instructions ----
//
// Lane 4 · g + t of a warp holds, of a 16 × 8 sum, rows g and g + 8 in columns 2 t and 2 t + 1.

struct sum16x8 {
  float x[4] = {}; // (g, 2t) (g, 2t + 1) (g + 8, 2t) (g + 8, 2t + 1)
};
struct rows16x16 {
  half_pair x[4]; // (g, 2t) (g + 8, 2t) (g, 2t + 8) (g + 8, 2t + 8), each with the column after it
};
struct columns16x8 {
  half_pair x[2]; // (2t, g) (2t + 8, g), each with the row after it
};

inline __device__ half_pair pack(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const half_pair*>(&both);
}

inline __device__ void multiply_add(sum16x8& c, const rows16x16& a, const columns16x8& b) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
               "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(c.x[0]), "+f"(c.x[1]), "+f"(c.x[2]), "+f"(c.x[3])
               : "r"(a.x[0]), "r"(a.x[1]), "r"(a.x[2]), "r"(a.x[3]), "r"(b.x[0]), "r"(b.x[1]));
}

/// 16 columns of a sum as the left side of a product.
inline __device__ rows16x16 as_rows(const sum16x8& left, const sum16x8& right) {
  return {pack(left.x[0], left.x[1]), pack(left.x[2], left.x[3]), pack(right.x[0], right.x[1]),
          pack(right.x[2], right.x[3])};
}

/// A tile of one head in shared memory; rows are apart by what keeps them in different banks.
template <int D>
struct shared_rows {
  static constexpr int stride = D + 8;
  alignas(16) __nv_bfloat16 x[tile * stride]; ///< copied 16 bytes at a time

  /// Columns 16 · chunk … of rows that begin at `row`, transposed: for sums over the head.
  __device__ columns16x8 across(int row, int chunk, int g, int t) const {
    const auto at = reinterpret_cast<const half_pair*>(x + (row + g) * stride + chunk * 16) + t;
    return {at[0], at[4]};
  }

  /// Eight columns of 16 rows: for sums over the rows.
  __device__ columns16x8 down(int row, int column, int lane) const {
    columns16x8 b;
    const auto at =
        static_cast<unsigned>(__cvta_generic_to_shared(x + (row + lane % 16) * stride + column));
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(b.x[0]), "=r"(b.x[1])
                 : "r"(at));
    return b;
  }

  /// The block copies rows in; those beyond `count` are zeros. `from`: the first row.
  __device__ void load(const __nv_bfloat16* from, std::int64_t row_stride, int count) {
    constexpr int pieces = D / 8; // of 16 bytes
    for (int i = threadIdx.x; i < tile * pieces; i += block_threads) {
      const int row = i / pieces, piece = i % pieces;
      uint4 bits = {};
      if (row < count) bits = *reinterpret_cast<const uint4*>(from + row * row_stride + piece * 8);
      *reinterpret_cast<uint4*>(x + row * stride + piece * 8) = bits;
    }
  }
};

/// 16 rows of one head in registers, as the left side of products.
template <int D>
struct register_rows {
  rows16x16 chunks[D / 16];

  __device__ void load(const shared_rows<D>& from, int row, int g, int t) {
#pragma unroll
    for (int c = 0; c < D / 16; ++c) {
      const auto upper = from.across(row, c, g, t), lower = from.across(row + 8, c, g, t);
      chunks[c] = {upper.x[0], lower.x[0], upper.x[1], lower.x[1]};
    }
  }

  /// [16, 8] products with 8 rows of a tile.
  __device__ sum16x8 times(const shared_rows<D>& rows, int row, int g, int t) const {
    sum16x8 sum;
#pragma unroll
    for (int c = 0; c < D / 16; ++c) multiply_add(sum, chunks[c], rows.across(row, c, g, t));
    return sum;
  }
};

/// [16, D] sums.
template <int D>
struct head_sums {
  sum16x8 of[D / 8];

  /// += weights [16, tile] · rows [tile, D]
  __device__ void add(const sum16x8 (&weights)[columns], const shared_rows<D>& rows, int lane) {
#pragma unroll
    for (int k = 0; k < tile / 16; ++k) {
      const auto left = as_rows(weights[2 * k], weights[2 * k + 1]);
#pragma unroll
      for (int n = 0; n < D / 8; ++n) multiply_add(of[n], left, rows.down(k * 16, n * 8, lane));
    }
  }

  /// Takes back the turn of queries or keys: the gradient before it from that after it.
  __device__ void turn_back(const float* cos, const float* sin, int upper_position,
                            int lower_position, int t) {
    constexpr int half = D / 2;
#pragma unroll
    for (int n = 0; n < D / 16; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int at = (i < 2 ? upper_position : lower_position) * half + n * 8 + 2 * t + i % 2;
        const float c = cos[at], s = sin[at];
        float &x = of[n].x[i], &y = of[n + D / 16].x[i];
        const float turned = x;
        x = turned * c + y * s;
        y = y * c - turned * s;
      }
  }

  /// Rows `g` and `g + 8` of the warp, each times its factor, where they are within the sequence.
  __device__ void store(__nv_bfloat16* to, std::int64_t row_stride, int rows_left, float upper,
                        float lower, int g, int t) const {
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      const auto at = to + n * 8 + 2 * t;
      if (g < rows_left)
        *reinterpret_cast<half_pair*>(at + g * row_stride) =
            pack(of[n].x[0] * upper, of[n].x[1] * upper);
      if (g + 8 < rows_left)
        *reinterpret_cast<half_pair*>(at + (g + 8) * row_stride) =
            pack(of[n].x[2] * lower, of[n].x[3] * lower);
    }
  }
};

/// Where things lie in the batch.
struct places {
  const tree_attention_cuda_args& a;

  __device__ std::int64_t turned_stride() const {
    return std::int64_t{a.heads + a.kv_heads} * a.head_dim;
  }
  __device__ std::int64_t qkv_stride() const {
    return std::int64_t{a.heads + 2 * a.kv_heads} * a.head_dim;
  }
  __device__ std::int64_t out_stride() const { return std::int64_t{a.heads} * a.head_dim; }

  __device__ const __nv_bfloat16* query(std::int64_t token, int head) const {
    return static_cast<const __nv_bfloat16*>(a.turned) + token * turned_stride()
           + head * a.head_dim;
  }
  __device__ const __nv_bfloat16* key(std::int64_t token, int kv) const {
    return query(token, a.heads + kv);
  }
  __device__ const __nv_bfloat16* value(std::int64_t token, int kv) const {
    return static_cast<const __nv_bfloat16*>(a.qkv) + token * qkv_stride()
           + (a.heads + a.kv_heads + kv) * a.head_dim;
  }
  __device__ __nv_bfloat16* output(std::int64_t token, int head) const {
    return static_cast<__nv_bfloat16*>(a.output) + token * out_stride() + head * a.head_dim;
  }
  __device__ const __nv_bfloat16* grad_output(std::int64_t token, int head) const {
    return static_cast<const __nv_bfloat16*>(a.grad_output) + token * out_stride()
           + head * a.head_dim;
  }
  __device__ __nv_bfloat16* gradient(std::int64_t token, int column) const {
    return static_cast<__nv_bfloat16*>(a.grad_qkv) + token * qkv_stride() + column * a.head_dim;
  }
};

/// Whether queries of `queries` see anything of `keys`, a tile that is not later.
inline __device__ bool meets(const tree_tile& queries, const tree_tile& keys) {
  return keys.last > queries.first;
}

/// Whether each of them sees all of it.
inline __device__ bool sees_all(const tree_tile& queries, const tree_tile& keys) {
  return keys.first < queries.first && keys.least >= queries.first + tile;
}

inline __device__ int rows_of(const tree_tile& t) { return min(tile, t.length - t.first); }

/// What a lane works on: two rows of its block's tile, which is one of queries or of keys.
struct lane_rows {
  tree_tile mine;
  int lane, g, t;           ///< of the warp, as in matrix instructions
  int warp_row;             ///< its warp's first row of the tile
  int upper, lower;         ///< the two, within the sequence
  std::int64_t first_token; ///< of the tile, in the batch

  __device__ explicit lane_rows(const tree_attention_cuda_args& a)
      : mine(a.tiles[blockIdx.x]),
        lane(threadIdx.x % warp_size),
        g(lane / 4),
        t(lane % 4),
        warp_row(threadIdx.x / warp_size * warp_rows),
        upper(mine.first + warp_row + g),
        lower(upper + 8),
        first_token(mine.begin + mine.first) {}
};

/// Calls `launch` with the length of heads as a constant; false for one that has no kernels.
template <class Launch>
bool with_head_dim(std::int64_t head_dim, Launch launch) {
  switch (head_dim) {
  case 16: return launch(std::integral_constant<int, 16>()), true;
  case 32: return launch(std::integral_constant<int, 32>()), true;
  case 64: return launch(std::integral_constant<int, 64>()), true;
  default: return false;
  }
}

/// 1/√D, for powers of two.
inline float scale_of(int head_dim) { return log2e / sqrtf(static_cast<float>(head_dim)); }

} // namespace banyan
