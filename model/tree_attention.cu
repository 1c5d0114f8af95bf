#include "model/tree_attention_cuda.hpp"

#include "model/device_kernel.cuh"

namespace banyan {

namespace {

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

__device__ half_pair pack(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const half_pair*>(&both);
}

__device__ void multiply_add(sum16x8& c, const rows16x16& a, const columns16x8& b) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
               "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(c.x[0]), "+f"(c.x[1]), "+f"(c.x[2]), "+f"(c.x[3])
               : "r"(a.x[0]), "r"(a.x[1]), "r"(a.x[2]), "r"(a.x[3]), "r"(b.x[0]), "r"(b.x[1]));
}

/// 16 columns of a sum as the left side of a product.
__device__ rows16x16 as_rows(const sum16x8& left, const sum16x8& right) {
  return {pack(left.x[0], left.x[1]), pack(left.x[2], left.x[3]), pack(right.x[0], right.x[1]),
          pack(right.x[2], right.x[3])};
}

/// A tile of one head in shared memory; rows are apart by what keeps them in different banks.
template <int D>
struct shared_rows {
  static constexpr int stride = D + 8;
  __nv_bfloat16 x[tile * stride];

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
__device__ bool meets(const tree_tile& queries, const tree_tile& keys) {
  return keys.last > queries.first;
}

/// Whether each of them sees all of it.
__device__ bool sees_all(const tree_tile& queries, const tree_tile& keys) {
  return keys.first < queries.first && keys.least >= queries.first + tile;
}

__device__ int rows_of(const tree_tile& t) { return min(tile, t.length - t.first); }

// ---- forward ----

__global__ void __launch_bounds__(block_threads)
    turn(const __grid_constant__ tree_attention_cuda_args a) {
  const places at{a};
  const std::int64_t token = blockIdx.x;
  const int half = a.head_dim / 2, count = (a.heads + a.kv_heads) * half;
  const auto from = static_cast<const __nv_bfloat16*>(a.qkv) + token * at.qkv_stride();
  const auto to = static_cast<__nv_bfloat16*>(a.turned) + token * at.turned_stride();
  const auto row = std::int64_t{a.positions[token]} * half;
  for (int i = threadIdx.x; i < count; i += block_threads) {
    const int d = i % half, column = i / half * a.head_dim + d;
    const float x = to_float(from[column]), y = to_float(from[column + half]);
    const float c = a.cos[row + d], s = a.sin[row + d];
    store(to + column, x * c - y * s);
    store(to + column + half, y * c + x * s);
  }
}

template <int D>
__global__ void __launch_bounds__(block_threads)
    attend(const __grid_constant__ tree_attention_cuda_args a, float scale) {
  __shared__ shared_rows<D> keys, values;
  const places at{a};
  const auto mine = a.tiles[blockIdx.x];
  const int head = blockIdx.y, kv = head / (a.heads / a.kv_heads);
  const int lane = threadIdx.x % warp_size, g = lane / 4, t = lane % 4;
  const int warp_row = threadIdx.x / warp_size * warp_rows;
  const int upper = mine.first + warp_row + g, lower = upper + 8; // this lane's queries
  const std::int64_t first_token = mine.begin + mine.first;

  keys.load(at.query(first_token, head), at.turned_stride(), rows_of(mine));
  __syncthreads();
  register_rows<D> query;
  query.load(keys, warp_row, g, t);

  head_sums<D> sums;
  float top[2] = {-INFINITY, -INFINITY}, total[2] = {};
  for (int j = mine.first_tile; j <= static_cast<int>(blockIdx.x); ++j) {
    const auto other = a.tiles[j];
    if (!meets(mine, other)) continue;
    __syncthreads();
    keys.load(at.key(other.begin + other.first, kv), at.turned_stride(), rows_of(other));
    values.load(at.value(other.begin + other.first, kv), at.qkv_stride(), rows_of(other));
    __syncthreads();

    sum16x8 scores[columns];
#pragma unroll
    for (int n = 0; n < columns; ++n) scores[n] = query.times(keys, n * 8, g, t);
    if (!sees_all(mine, other)) {
#pragma unroll
      for (int n = 0; n < columns; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int key = other.first + n * 8 + 2 * t + i % 2, who = i < 2 ? upper : lower;
          const bool seen =
              key <= who && key < other.length && a.visible_until[other.begin + key] > who;
          if (!seen) scores[n].x[i] = -INFINITY;
        }
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float most = top[r];
#pragma unroll
      for (int n = 0; n < columns; ++n)
        most = fmaxf(most, fmaxf(scores[n].x[2 * r], scores[n].x[2 * r + 1]));
      most = fmaxf(most, __shfl_xor_sync(whole_warp, most, 1));
      most = fmaxf(most, __shfl_xor_sync(whole_warp, most, 2));
      const float base = most == -INFINITY ? 0 : most; // nothing seen yet
      const float kept = exp2f((top[r] - base) * scale);
      top[r] = most;
      total[r] *= kept;
#pragma unroll
      for (int n = 0; n < D / 8; ++n) {
        sums.of[n].x[2 * r] *= kept;
        sums.of[n].x[2 * r + 1] *= kept;
      }
#pragma unroll
      for (int n = 0; n < columns; ++n)
#pragma unroll
        for (int i = 2 * r; i < 2 * r + 2; ++i) {
          scores[n].x[i] = exp2f((scores[n].x[i] - base) * scale);
          total[r] += scores[n].x[i];
        }
    }
    sums.add(scores, values, lane);
  }

#pragma unroll
  for (float& x : total) {
    x += __shfl_xor_sync(whole_warp, x, 1);
    x += __shfl_xor_sync(whole_warp, x, 2);
  }
  const int rows_left = mine.length - mine.first - warp_row;
  sums.store(at.output(first_token + warp_row, head), at.out_stride(), rows_left, 1 / total[0],
             1 / total[1], g, t);
  if (t != 0) return;
  const auto lse = a.log_sum_exp + std::int64_t{head} * a.num_tokens + first_token + warp_row;
  if (g < rows_left) lse[g] = top[0] * scale / log2e + logf(total[0]);
  if (g + 8 < rows_left) lse[g + 8] = top[1] * scale / log2e + logf(total[1]);
}

// ---- backward ----

/// delta = output · its gradient; a warp for each token and head.
__global__ void __launch_bounds__(block_threads)
    dot_gradients(const __grid_constant__ tree_attention_cuda_args a) {
  const places at{a};
  const auto item = std::int64_t{blockIdx.x} * num_warps + threadIdx.x / warp_size;
  if (item >= std::int64_t{a.num_tokens} * a.heads) return;
  const auto token = item / a.heads;
  const int head = static_cast<int>(item % a.heads), lane = threadIdx.x % warp_size;
  const auto out = at.output(token, head);
  const auto gradient = at.grad_output(token, head);
  float sum = 0;
  for (int d = lane; d < a.head_dim; d += warp_size)
    sum += to_float(out[d]) * to_float(gradient[d]);
  sum = warp_sum(sum);
  if (lane == 0) a.delta[head * std::int64_t{a.num_tokens} + token] = sum;
}

/// What a query's softmax was, and what its output's gradient makes of it.
struct query_row {
  float lse, delta; // the first one in powers of two

  __device__ void load(const tree_attention_cuda_args& a, int head, std::int64_t token,
                       bool there) {
    const auto i = std::int64_t{head} * a.num_tokens + token;
    lse = there ? a.log_sum_exp[i] * log2e : INFINITY; // beyond the sequence: probability 0
    delta = there ? a.delta[i] : 0;
  }
  __device__ float probability(float score, float scale) const {
    return exp2f(score * scale - lse);
  }
};

template <int D>
__global__ void __launch_bounds__(block_threads)
    query_gradients(const __grid_constant__ tree_attention_cuda_args a, float scale) {
  __shared__ shared_rows<D> keys, values;
  const places at{a};
  const auto mine = a.tiles[blockIdx.x];
  const int head = blockIdx.y, kv = head / (a.heads / a.kv_heads);
  const int lane = threadIdx.x % warp_size, g = lane / 4, t = lane % 4;
  const int warp_row = threadIdx.x / warp_size * warp_rows;
  const int upper = mine.first + warp_row + g, lower = upper + 8;
  const std::int64_t first_token = mine.begin + mine.first;

  keys.load(at.query(first_token, head), at.turned_stride(), rows_of(mine));
  values.load(at.grad_output(first_token, head), at.out_stride(), rows_of(mine));
  __syncthreads();
  register_rows<D> query, gradient;
  query.load(keys, warp_row, g, t);
  gradient.load(values, warp_row, g, t);
  query_row rows[2];
  rows[0].load(a, head, mine.begin + upper, upper < mine.length);
  rows[1].load(a, head, mine.begin + lower, lower < mine.length);

  head_sums<D> sums;
  for (int j = mine.first_tile; j <= static_cast<int>(blockIdx.x); ++j) {
    const auto other = a.tiles[j];
    if (!meets(mine, other)) continue;
    __syncthreads();
    keys.load(at.key(other.begin + other.first, kv), at.turned_stride(), rows_of(other));
    values.load(at.value(other.begin + other.first, kv), at.qkv_stride(), rows_of(other));
    __syncthreads();

    const bool all = sees_all(mine, other);
    sum16x8 slopes[columns];
#pragma unroll
    for (int n = 0; n < columns; ++n) {
      const auto scores = query.times(keys, n * 8, g, t);
      slopes[n] = gradient.times(values, n * 8, g, t);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int key = other.first + n * 8 + 2 * t + i % 2, who = i < 2 ? upper : lower;
        const bool seen =
            all || (key <= who && key < other.length && a.visible_until[other.begin + key] > who);
        const auto& row = rows[i / 2];
        slopes[n].x[i] =
            seen ? row.probability(scores.x[i], scale) * (slopes[n].x[i] - row.delta) : 0;
      }
    }
    sums.add(slopes, keys, lane);
  }

  const int last = mine.length - 1;
  sums.turn_back(a.cos, a.sin, a.positions[mine.begin + min(upper, last)],
                 a.positions[mine.begin + min(lower, last)], t);
  const float factor = scale / log2e;
  sums.store(at.gradient(first_token + warp_row, head), at.qkv_stride(),
             mine.length - mine.first - warp_row, factor, factor, g, t);
}

template <int D>
__global__ void __launch_bounds__(block_threads)
    key_gradients(const __grid_constant__ tree_attention_cuda_args a, float scale) {
  __shared__ shared_rows<D> queries, gradients;
  __shared__ query_row rows[tile];
  const places at{a};
  const auto mine = a.tiles[blockIdx.x];
  const int kv = blockIdx.y, group = a.heads / a.kv_heads;
  const int lane = threadIdx.x % warp_size, g = lane / 4, t = lane % 4;
  const int warp_row = threadIdx.x / warp_size * warp_rows;
  const int upper = mine.first + warp_row + g, lower = upper + 8; // this lane's keys
  const std::int64_t first_token = mine.begin + mine.first;

  queries.load(at.key(first_token, kv), at.turned_stride(), rows_of(mine));
  gradients.load(at.value(first_token, kv), at.qkv_stride(), rows_of(mine));
  __syncthreads();
  register_rows<D> key, value;
  key.load(queries, warp_row, g, t);
  value.load(gradients, warp_row, g, t);
  const int until[2] = {upper < mine.length ? a.visible_until[mine.begin + upper] : 0,
                        lower < mine.length ? a.visible_until[mine.begin + lower] : 0};

  head_sums<D> of_keys, of_values;
  const int end = mine.first_tile + mine.num_tiles;
  for (int j = blockIdx.x; j < end; ++j) {
    const auto other = a.tiles[j];
    if (!meets(other, mine)) break; // nor does what comes later
    const bool all = sees_all(other, mine);
    for (int head = kv * group; head < (kv + 1) * group; ++head) {
      __syncthreads();
      const std::int64_t other_token = other.begin + other.first;
      queries.load(at.query(other_token, head), at.turned_stride(), rows_of(other));
      gradients.load(at.grad_output(other_token, head), at.out_stride(), rows_of(other));
      for (int i = threadIdx.x; i < tile; i += block_threads)
        rows[i].load(a, head, other_token + i, i < rows_of(other));
      __syncthreads();

      sum16x8 weights[columns], slopes[columns];
#pragma unroll
      for (int n = 0; n < columns; ++n) {
        weights[n] = key.times(queries, n * 8, g, t);
        slopes[n] = value.times(gradients, n * 8, g, t);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int column = n * 8 + 2 * t + i % 2, who = other.first + column;
          const bool seen = all || ((i < 2 ? upper : lower) <= who && who < until[i / 2]);
          const auto row = rows[column];
          weights[n].x[i] = seen ? row.probability(weights[n].x[i], scale) : 0;
          slopes[n].x[i] = weights[n].x[i] * (slopes[n].x[i] - row.delta);
        }
      }
      of_values.add(weights, gradients, lane);
      of_keys.add(slopes, queries, lane);
    }
  }

  const int last = mine.length - 1;
  of_keys.turn_back(a.cos, a.sin, a.positions[mine.begin + min(upper, last)],
                    a.positions[mine.begin + min(lower, last)], t);
  const float factor = scale / log2e;
  const int rows_left = mine.length - mine.first - warp_row;
  of_keys.store(at.gradient(first_token + warp_row, a.heads + kv), at.qkv_stride(), rows_left,
                factor, factor, g, t);
  of_values.store(at.gradient(first_token + warp_row, a.heads + a.kv_heads + kv), at.qkv_stride(),
                  rows_left, 1, 1, g, t);
}

// ---- launches ----

/// 1/√D, for powers of two.
float scale_of(int head_dim) { return log2e / sqrtf(static_cast<float>(head_dim)); }

template <int D>
void forward(const tree_attention_cuda_args& a, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(a.num_tiles), static_cast<unsigned>(a.heads));
  attend<D><<<grid, block_threads, 0, stream>>>(a, scale_of(D));
  check_launch("tree attention");
}

template <int D>
void backward(const tree_attention_cuda_args& a, cudaStream_t stream) {
  const auto tiles = static_cast<unsigned>(a.num_tiles);
  query_gradients<D>
      <<<dim3(tiles, static_cast<unsigned>(a.heads)), block_threads, 0, stream>>>(a, scale_of(D));
  check_launch("gradient of tree attention");
  key_gradients<D><<<dim3(tiles, static_cast<unsigned>(a.kv_heads)), block_threads, 0, stream>>>(
      a, scale_of(D));
  check_launch("gradient of tree attention");
}

} // namespace

bool tree_attention_cuda_fits(std::int64_t head_dim) {
  return head_dim == 16 || head_dim == 32 || head_dim == 64;
}

void tree_attention_forward_cuda(const tree_attention_cuda_args& a, void* stream) {
  if (a.num_tiles == 0) return;
  const auto on = static_cast<cudaStream_t>(stream);
  turn<<<static_cast<unsigned>(a.num_tokens), block_threads, 0, on>>>(a);
  check_launch("rotary embedding");
  switch (a.head_dim) {
  case 16: return forward<16>(a, on);
  case 32: return forward<32>(a, on);
  case 64: return forward<64>(a, on);
  default: throw std::invalid_argument("tree attention: a head_dim that does not fit");
  }
}

void tree_attention_backward_cuda(const tree_attention_cuda_args& a, void* stream) {
  if (a.num_tiles == 0) return;
  const auto on = static_cast<cudaStream_t>(stream);
  const auto items = std::int64_t{a.num_tokens} * a.heads;
  dot_gradients<<<static_cast<unsigned>((items + num_warps - 1) / num_warps), block_threads, 0,
                  on>>>(a);
  check_launch("gradient of tree attention");
  switch (a.head_dim) {
  case 16: return backward<16>(a, on);
  case 32: return backward<32>(a, on);
  case 64: return backward<64>(a, on);
  default: throw std::invalid_argument("tree attention: a head_dim that does not fit");
  }
}

} // namespace banyan
