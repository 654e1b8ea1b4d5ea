// The numbers of batch norm in few sweeps over memory, for one instruction set: that of the compiler's options.
//
// TFOLD_SET names the table in which these functions end up. One library holds several tables, and the linker keeps one
// copy of an inline function that several of its files have: one that was compiled for AVX-512 would then be called
// everywhere, and end the process on another processor. So all but the table is in an unnamed namespace, and what is
// included has no code of its own.
//
// Sums are taken within blocks of rows that fit in a core's cache, and merged in double precision. Variances are
// two-pass within a block, merged by Chan's formula (Chan, Golub, LeVeque 1979), so that no digits are lost where the
// mean is large. Which rows make a block depends on the shape alone: results do not change with the number of threads.
//
// (Jung et al., Restructuring Batch Normalization to Accelerate CNN Training, MLSys 2019, sec. 4.)

#include "loops.h"

#ifndef TFOLD_SET
#define TFOLD_SET baseline
#endif
#define TFOLD_PASTED(a, b) a##b
#define TFOLD_TABLE(set) TFOLD_PASTED(tfold_loops_, set)

// The iterations of a loop have nothing to do with each other, even where it writes to what it reads.
#ifdef __clang__
#define TFOLD_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define TFOLD_INDEPENDENT _Pragma("GCC ivdep")
#endif

extern "C" {
__attribute__((visibility("hidden"))) extern const tfold::Loops TFOLD_TABLE(TFOLD_SET);
}

namespace tfold {
namespace {

// ---------------------------------------------------------------------------------------------------- Numbers

struct bfloat16 {
  uint16_t bits;
};

inline float Load(float v) { return v; }

inline float Load(bfloat16 v) {
  const uint32_t bits = static_cast<uint32_t>(v.bits) << 16;
  float out;
  __builtin_memcpy(&out, &bits, sizeof out);
  return out;
}

template <typename T>
inline T Store(float v);

template <>
inline float Store<float>(float v) {
  return v;
}

template <>
inline bfloat16 Store<bfloat16>(float v) {
  uint32_t bits;
  __builtin_memcpy(&bits, &v, sizeof bits);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;  // to nearest, ties to even
  return {static_cast<uint16_t>(v != v ? 0x7fc0u : rounded)};
}

inline int64_t Min(int64_t a, int64_t b) { return b < a ? b : a; }
inline int64_t Max(int64_t a, int64_t b) { return a < b ? b : a; }

// So many numbers, all of them zero.
template <typename T>
class Buffer {
 public:
  explicit Buffer(int64_t count) : at_(new T[count]()) {}
  ~Buffer() { delete[] at_; }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T& operator[](int64_t i) { return at_[i]; }
  const T& operator[](int64_t i) const { return at_[i]; }
  operator T*() { return at_; }
  operator const T*() const { return at_; }

 private:
  T* at_;
};

// Comparisons that a NaN fails leave it as it is: it must not vanish in an activation.
inline float Clip(float v, float limit) {
  const float positive = v < 0.0f ? 0.0f : v;
  return positive > limit ? limit : positive;
}

template <Act act>
inline float Activate(float v, float slope, float limit) {
  if (act == kNone) return v;
  const float clipped = Clip(v, limit);
  if (act == kClip) return clipped;
  return slope * v + (1.0f - slope) * clipped;  // this form is exact at slope 0 and 1
}

template <Act act>
inline float ActivateGrad(float dy, float v, float slope, float limit) {
  if (act == kNone) return dy;
  // `&` and not `&&`: no branch.
  const bool inside = (v > 0.0f) & (v < limit);
  return dy * (inside ? 1.0f : slope);
}

// ---------------------------------------------------------------------------------------------------- Layout

// Rows of `width` numbers. Few channels make short loops: several pixels are taken as one row then.
struct Grid {
  int64_t rows, width, repeat, tail;  // `tail` rows of width / repeat are left over

  Grid(int64_t pixels, int64_t channels, bool joinable) {
    repeat = 1;
    if (joinable && channels > 0 && channels < 128) {
      // Whole vectors of 16 where that can be had.
      repeat = 128 / channels;
      const int64_t odd = 16 / Gcd(16, channels);
      if (repeat >= odd) repeat -= repeat % odd;
      if (repeat < odd) repeat = odd * channels <= 512 ? odd : Max(repeat, 1);
    }
    rows = pixels / repeat;
    tail = pixels % repeat;
    width = channels * repeat;
  }

  static int64_t Gcd(int64_t a, int64_t b) { return b == 0 ? a : Gcd(b, a % b); }
};

constexpr int64_t kBlock = 8192;  // numbers that a core keeps in its nearest cache
constexpr int64_t kLeastRows = 32;
constexpr int64_t kMostChunks = 64;
constexpr int64_t kStrip = 64;  // channels: up to 1,536 rows of them stay in a core's second cache
constexpr int64_t kFewRows = 512, kFewRowsInParts = 1536;

inline int64_t BlockRows(int64_t width) { return Max(kLeastRows, kBlock / Max(width, 1)); }

// Rows are dealt out in chunks of whole blocks, a number that depends on the shape alone.
struct Chunks {
  int64_t rows, each, count;

  Chunks(int64_t rows, int64_t width) : rows(rows) {
    const int64_t block = BlockRows(width);
    const int64_t blocks = (rows + block - 1) / block;
    const int64_t most = Max(1, Min(kMostChunks, blocks));
    each = (blocks + most - 1) / most * block;
    count = each == 0 ? 0 : (rows + each - 1) / each;
  }

  int64_t begin(int64_t chunk) const { return chunk * each; }
  int64_t end(int64_t chunk) const { return Min(rows, (chunk + 1) * each); }
};

// Calls work(0), ..., work(count - 1), each on about so many numbers, on the threads of the session. Waking a thread up
// takes longer than a small tensor does: that stays on this one.
template <typename F>
inline void Parallel(const Threads& threads, int64_t count, int64_t numbers, const F& work) {
  constexpr int64_t kWorthAThread = 150000;
  if (count * numbers < 2 * kWorthAThread) {
    for (int64_t i = 0; i < count; ++i) work(i);
    return;
  }
  void (*const some)(void*, int64_t, int64_t) = [](void* argument, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) (*static_cast<const F*>(argument))(i);
  };
  threads.run(threads.pool, count, numbers, some, const_cast<void*>(static_cast<const void*>(&work)));
}

template <typename T>
inline void Zero(T* at, int64_t count) {
  for (int64_t i = 0; i < count; ++i) at[i] = T();
}

// ---------------------------------------------------------------------------------------------------- Loops

// Vectors run along the channels. There are no branches: an activation's gradient is a factor, not a choice between two
// numbers, of which a compiler makes loads that wait for their mask.

template <int n>
struct Together {
  static constexpr int value = n;
};

// Calls f(row, how many) for rows 0 .. rows, so many together, then one by one.
template <int together, typename F>
inline void EachRow(int64_t rows, const F& f) {
  int64_t r = 0;
  if (together > 1) for (; r + together <= rows; r += together) f(r, Together<together>());
  for (; r < rows; ++r) f(r, Together<1>());
}

// sum[c] += x[., c] - shift[c]
template <typename T>
void AddRows(const T* __restrict x, int64_t stride, int64_t rows, int64_t width, const float* __restrict shift,
             float* __restrict sum) {
  EachRow<4>(rows, [=](int64_t r, auto together_rows) {
    constexpr int together = decltype(together_rows)::value;
    const T* __restrict from = x + r * stride;
    for (int64_t i = 0; i < width; ++i) {
      float total = 0.0f;
#pragma GCC unroll 4
      for (int k = 0; k < together; ++k) total += Load(from[k * stride + i]) - shift[i];
      sum[i] += total;
    }
  });
}

// square[c] += (x[., c] - mean[c])^2
template <typename T>
void AddSquares(const T* __restrict x, int64_t stride, int64_t rows, int64_t width, const float* __restrict mean,
                float* __restrict square) {
  EachRow<4>(rows, [=](int64_t r, auto together_rows) {
    constexpr int together = decltype(together_rows)::value;
    const T* __restrict from = x + r * stride;
    for (int64_t i = 0; i < width; ++i) {
      float total = 0.0f;
#pragma GCC unroll 4
      for (int k = 0; k < together; ++k) {
        const float deviation = Load(from[k * stride + i]) - mean[i];
        total += deviation * deviation;
      }
      square[i] += total;
    }
  });
}

template <Act act, bool has_residual, typename T>
void NormalizeRows(const T* __restrict x, int64_t x_stride, const T* __restrict residual, T* __restrict y,
                   int64_t y_stride, int64_t rows, int64_t width, const float* __restrict mean,
                   const float* __restrict scale, const float* __restrict offset, float slope, float limit) {
  EachRow<1>(rows, [=](int64_t r, auto together_rows) {
    constexpr int together = decltype(together_rows)::value;
    const T* __restrict from = x + r * x_stride;
    const T* __restrict plus = has_residual ? residual + r * y_stride : nullptr;
    T* __restrict to = y + r * y_stride;
TFOLD_INDEPENDENT
    for (int64_t i = 0; i < width; ++i) {
#pragma GCC unroll 4
      for (int k = 0; k < together; ++k) {
        float v = (Load(from[k * x_stride + i]) - mean[i]) * scale[i] + offset[i];
        if (has_residual) v += Load(plus[k * y_stride + i]);
        to[k * y_stride + i] = Store<T>(Activate<act>(v, slope, limit));
      }
    }
  });
}

// The sums over g = dL/dv, with v in front of the activation: sum_g, sum_gx = sum of g (x - mean), sum_slope. Where there
// is a residual, g is its gradient, and is written.
template <Act act, bool has_residual, typename T>
void GradSumRows(const T* __restrict dy, int64_t y_stride, const T* __restrict x, int64_t x_stride,
                 const T* __restrict residual, T* __restrict g_out, int64_t rows, int64_t width,
                 const float* __restrict mean, const float* __restrict scale, const float* __restrict offset, float slope,
                 float limit, float* __restrict sum_g, float* __restrict sum_gx, float* __restrict sum_slope) {
  constexpr bool writes = has_residual && act != kNone;
  EachRow<1>(rows, [=](int64_t r, auto together_rows) {
    constexpr int together = decltype(together_rows)::value;
    const T* __restrict upstream = dy + r * y_stride;
    const T* __restrict from = x + r * x_stride;
    const T* __restrict plus = writes ? residual + r * y_stride : nullptr;
    T* __restrict to = writes ? g_out + r * y_stride : nullptr;
TFOLD_INDEPENDENT
    for (int64_t i = 0; i < width; ++i) {
      float total_g = 0.0f, total_gx = 0.0f, total_slope = 0.0f;
#pragma GCC unroll 4
      for (int k = 0; k < together; ++k) {
        const float d = Load(upstream[k * y_stride + i]);
        const float centred = Load(from[k * x_stride + i]) - mean[i];
        float g = d;
        if (act != kNone) {
          float v = centred * scale[i] + offset[i];
          if (has_residual) v += Load(plus[k * y_stride + i]);
          g = ActivateGrad<act>(d, v, slope, limit);
          if (act == kMix) total_slope += d * (v - Clip(v, limit));
          if (writes) to[k * y_stride + i] = Store<T>(g);
        }
        total_g += g;
        total_gx += g * centred;
      }
      sum_g[i] += total_g;
      sum_gx[i] += total_gx;
      if (act == kMix) sum_slope[i] += total_slope;
    }
  });
}

// dx = scale g + slope_x (x - mean) + constant. `dy` and `dx` may be the same memory.
template <Act act, typename T>
void GradRows(const T* dy, int64_t y_stride, const T* __restrict x, int64_t x_stride, T* dx, int64_t rows,
              int64_t width, const float* __restrict mean, const float* __restrict scale,
              const float* __restrict offset, const float* __restrict slope_x, const float* __restrict constant,
              float slope, float limit) {
  EachRow<1>(rows, [=](int64_t r, auto together_rows) {
    constexpr int together = decltype(together_rows)::value;
    const T* upstream = dy + r * y_stride;
    const T* __restrict from = x + r * x_stride;
    T* to = dx + r * x_stride;
TFOLD_INDEPENDENT
    for (int64_t i = 0; i < width; ++i) {
#pragma GCC unroll 4
      for (int k = 0; k < together; ++k) {
        const float centred = Load(from[k * x_stride + i]) - mean[i];
        const float v = centred * scale[i] + offset[i];
        const float g = ActivateGrad<act>(Load(upstream[k * y_stride + i]), v, slope, limit);
        to[k * x_stride + i] = Store<T>(scale[i] * g + (slope_x[i] * centred + constant[i]));
      }
    }
  });
}

// ---------------------------------------------------------------------------------------------------- Sums

// Mean and sum of squared deviations of `count` rows of numbers, merged with those of another lot.
struct Moments {
  double count = 0.0;
  Buffer<double> mean, square;

  explicit Moments(int64_t width) : mean(width), square(width) {}

  // Chan's formula.
  void Merge(double others, const double* other_mean, const double* other_square, int64_t width) {
    const double total = count + others;
    if (total == 0.0) return;
    const double share = others / total, weight = count * share;
    for (int64_t i = 0; i < width; ++i) {
      const double delta = other_mean[i] - mean[i];
      mean[i] += delta * share;
      square[i] += other_square[i] + delta * delta * weight;
    }
    count = total;
  }
};

// Moments of one block after another, merged.
class BlockMoments {
 public:
  explicit BlockMoments(int64_t width) : centre_(width), sum_(width), mean_(width), square_(width) {}

  template <typename T>
  void Add(const T* x, int64_t rows, int64_t width, Moments* into) {
    float *centre = centre_, *sum = sum_;
    double *mean = mean_, *square = square_;
    // Sums of what is left beside the first row are small and exact, however large the mean is.
    for (int64_t i = 0; i < width; ++i) centre[i] = Load(x[i]);
    Zero(sum, width);
    AddRows(x, width, rows, width, centre, sum);
    for (int64_t i = 0; i < width; ++i) {
      mean[i] = centre[i] + static_cast<double>(sum[i]) / rows;
      centre[i] = static_cast<float>(mean[i]);
    }
    Zero(sum, width);
    AddSquares(x, width, rows, width, centre, sum);
    for (int64_t i = 0; i < width; ++i) {
      const double rest = mean[i] - centre[i];  // the deviations are those from the rounded mean
      const double left = sum[i] - rows * rest * rest;
      square[i] = 0.0 < left || left != left ? left : 0.0;
    }
    into->Merge(static_cast<double>(rows), mean, square, width);
  }

 private:
  Buffer<float> centre_, sum_;
  Buffer<double> mean_, square_;
};

// ---------------------------------------------------------------------------------------------------- Operations

template <typename T>
void ComputeMoments(const void* input, int64_t pixels, int64_t channels, float* mean_out, float* rest_out,
                    float* variance_out, const Threads& threads) {
  const T* x = static_cast<const T*>(input);
  const Grid grid(pixels, channels, true);
  const Chunks chunks(grid.rows, grid.width);
  const int64_t block = BlockRows(grid.width), width = grid.width;
  Buffer<double> counts(chunks.count), means(chunks.count * width), squares(chunks.count * width);
  Parallel(threads, chunks.count, chunks.each * width, [&](int64_t chunk) {
    BlockMoments blocks(width);
    Moments moments(width);
    for (int64_t row = chunks.begin(chunk); row < chunks.end(chunk); row += block)
      blocks.Add(x + row * width, Min(block, chunks.end(chunk) - row), width, &moments);
    counts[chunk] = moments.count;
    __builtin_memcpy(&means[chunk * width], &moments.mean[0], width * sizeof(double));
    __builtin_memcpy(&squares[chunk * width], &moments.square[0], width * sizeof(double));
  });
  Moments all(width);
  for (int64_t chunk = 0; chunk < chunks.count; ++chunk)
    all.Merge(counts[chunk], &means[chunk * width], &squares[chunk * width], width);
  Moments total(channels);
  for (int64_t k = 0; k < grid.repeat; ++k)
    total.Merge(all.count, &all.mean[k * channels], &all.square[k * channels], channels);
  if (grid.tail > 0) BlockMoments(channels).Add(x + grid.rows * width, grid.tail, channels, &total);
  for (int64_t c = 0; c < channels; ++c) {
    // Of no pixels at all: not a number, as elsewhere.
    const double mean = total.count > 0.0 ? total.mean[c] : __builtin_nan("");
    mean_out[c] = static_cast<float>(mean);
    rest_out[c] = static_cast<float>(mean - mean_out[c]);
    variance_out[c] = static_cast<float>(total.square[c] / total.count);
  }
}

// Per channel, and repeated as often as a row holds them.
struct Constants {
  Buffer<float> mean, scale, offset;

  Constants(const Normalization& of, int64_t repeat)
      : mean(of.channels * repeat), scale(of.channels * repeat), offset(of.channels * repeat) {
    for (int64_t k = 0; k < repeat; ++k)
      for (int64_t c = 0; c < of.channels; ++c) {
        const int64_t i = k * of.channels + c;
        mean[i] = of.mean[c];
        scale[i] = of.gamma[c] / __builtin_sqrtf(of.variance[c] + of.epsilon);
        offset[i] = of.beta[c] - of.rest[c] * scale[i];
      }
  }
};

// Calls CALL(activation, has_residual) with constants.
#define TFOLD_DISPATCH(act, has_residual, CALL)              \
  do {                                                       \
    if (has_residual) {                                      \
      if (act == kNone) { CALL(kNone, true); }               \
      else if (act == kClip) { CALL(kClip, true); }          \
      else { CALL(kMix, true); }                             \
    } else {                                                 \
      if (act == kNone) { CALL(kNone, false); }              \
      else if (act == kClip) { CALL(kClip, false); }         \
      else { CALL(kMix, false); }                            \
    }                                                        \
  } while (false)

// Some rows of some channels of one part, as a loop takes them.
struct Region {
  int64_t part;
  int64_t x, y;                // where it begins in the part, and in y
  int64_t x_stride, y_stride;  // from row to row
  int64_t rows, width;
  int64_t channel;  // its first, among the constants
};

// Rows of all channels. Where x comes in parts, row by row: the whole row of y is read or written in one go then.
template <typename F>
inline void EachRegion(const Normalization& of, int64_t row, int64_t rows, int64_t grid_width, int64_t width,
                       const F& f) {
  if (of.number_of_parts == 1)
    return f(Region{0, row * grid_width, row * grid_width, width, width, rows, width, 0});
  for (int64_t r = row; r < row + rows; ++r)
    for (int64_t i = 0; i < of.number_of_parts; ++i) {
      const int64_t channels = of.parts[i].channels, first = of.parts[i].first;
      f(Region{i, r * channels, r * width + first, channels, width, 1, channels, first});
    }
}

template <typename T>
void Normalize(const Normalization& of, void* output, const Threads& threads) {
  T* y = static_cast<T*>(output);
  const T* residual = static_cast<const T*>(of.residual);
  const Grid grid(of.pixels, of.channels, of.number_of_parts == 1);
  const Constants constants(of, grid.repeat);
  const Chunks chunks(grid.rows, grid.width);
  auto run = [&](int64_t row, int64_t rows, int64_t width) {
    EachRegion(of, row, rows, grid.width, width, [&](const Region& region) {
      const T* x = static_cast<const T*>(of.parts[region.part].x) + region.x;
#define TFOLD_CALL(act, has)                                                                                        \
  NormalizeRows<act, has, T>(x, region.x_stride, has ? residual + region.y : nullptr, y + region.y, region.y_stride, \
                             region.rows, region.width, &constants.mean[region.channel],                            \
                             &constants.scale[region.channel], &constants.offset[region.channel], of.slope, of.limit)
      TFOLD_DISPATCH(of.act, residual != nullptr, TFOLD_CALL);
#undef TFOLD_CALL
    });
  };
  Parallel(threads, chunks.count, chunks.each * grid.width, [&](int64_t chunk) {
    run(chunks.begin(chunk), chunks.end(chunk) - chunks.begin(chunk), grid.width);
  });
  if (grid.tail > 0) run(grid.rows, grid.tail, of.channels);
}

// The gradient of Normalize, the way through mean and variance included, in two sweeps.
template <typename T>
class NormalizeGrad {
 public:
  NormalizeGrad(const Normalization& of, const Gradient& to, const Threads& threads)
      : of_(of), to_(to), threads_(threads) {}

  void Run() const {
    // Measured: of rows that are whole in memory, strips are worth reading only where there are very few.
    const int64_t few = of_.number_of_parts > 1 ? kFewRowsInParts : kFewRows;
    to_.dslope[0] = static_cast<float>(of_.pixels <= few ? ByStrips() : ByRows());
  }

 private:
  // dx = scale g + slope_x (x - mean) + constant
  struct Line {
    float slope_x, constant;
  };

  // First sweep over a region: adds to the sums of its channels.
  void Sum(const Constants& constants, const Region& region, float* sum_g, float* sum_gx, float* sum_slope) const {
    const T* x = static_cast<const T*>(of_.parts[region.part].x) + region.x;
    const T* dy = static_cast<const T*>(to_.dy) + region.y;
    const T* residual = static_cast<const T*>(of_.residual);
    T* g = static_cast<T*>(to_.dresidual);
#define TFOLD_CALL(act, has)                                                                                        \
  GradSumRows<act, has, T>(dy, region.y_stride, x, region.x_stride, has ? residual + region.y : nullptr,             \
                           has && act != kNone ? g + region.y : nullptr, region.rows, region.width,                  \
                           &constants.mean[region.channel], &constants.scale[region.channel],                       \
                           &constants.offset[region.channel], of_.slope, of_.limit, sum_g, sum_gx, sum_slope)
    TFOLD_DISPATCH(of_.act, residual != nullptr, TFOLD_CALL);
#undef TFOLD_CALL
  }

  // Second sweep over a region: dx.
  void Write(const Constants& constants, const Region& region, const float* slope_x, const float* constant) const {
    const T* x = static_cast<const T*>(of_.parts[region.part].x) + region.x;
    T* dx = static_cast<T*>(of_.parts[region.part].dx) + region.x;
    // Where there is a residual its gradient is all that is needed of dy.
    const T* upstream = static_cast<const T*>(to_.dresidual != nullptr ? to_.dresidual : to_.dy) + region.y;
#define TFOLD_CALL(act, unused)                                                                                     \
  GradRows<act, T>(upstream, region.y_stride, x, region.x_stride, dx, region.rows, region.width,                     \
                   &constants.mean[region.channel], &constants.scale[region.channel],                               \
                   &constants.offset[region.channel], slope_x, constant, of_.slope, of_.limit)
    TFOLD_DISPATCH((to_.dresidual != nullptr ? kNone : of_.act), false, TFOLD_CALL);
#undef TFOLD_CALL
  }

  // From the sums of a channel to its gradients, and to what the second sweep needs.
  Line Finish(int64_t c, double sum_g, double sum_gx) const {
    const double inverse = 1.0 / __builtin_sqrt(static_cast<double>(of_.variance[c]) + of_.epsilon);
    const double rest = of_.rest[c], count = static_cast<double>(of_.pixels);
    sum_gx -= rest * sum_g;  // it is of x - mean, without what was lost in rounding the mean
    to_.dbeta[c] = static_cast<float>(sum_g);
    to_.dgamma[c] = static_cast<float>(sum_gx * inverse);
    const double scale = of_.gamma[c] * inverse, slope = -scale * inverse * inverse * sum_gx / count;
    return {static_cast<float>(slope), static_cast<float>(-scale * sum_g / count - slope * rest)};
  }

  // Many rows: both sweeps go through all channels of some rows at a time. Returns dL/dslope.
  double ByRows() const {
    const int64_t channels = of_.channels;
    const Grid grid(of_.pixels, channels, of_.number_of_parts == 1);
    const Constants constants(of_, grid.repeat);
    const Chunks chunks(grid.rows, grid.width);
    const int64_t block = BlockRows(grid.width), width = grid.width;
    Buffer<double> found((chunks.count + 1) * 3 * width);
    auto sum = [&](int64_t chunk, int64_t begin, int64_t end, int64_t row_width, int64_t step) {
      Buffer<float> buffer(3 * width);
      float* sums = buffer;
      double* into = &found[chunk * 3 * width];
      for (int64_t row = begin; row < end; row += step) {
        Zero(sums, 3 * width);
        EachRegion(of_, row, Min(step, end - row), width, row_width, [&](const Region& region) {
          float* at = sums + region.channel;
          Sum(constants, region, at, at + width, at + 2 * width);
        });
        for (int64_t i = 0; i < 3 * width; ++i) into[i] += sums[i];
      }
    };
    Parallel(threads_, chunks.count, chunks.each * width,
             [&](int64_t chunk) { sum(chunk, chunks.begin(chunk), chunks.end(chunk), width, block); });
    // The tail in one go: its rows are narrower, so that only its first one stands where the grid says.
    if (grid.tail > 0) sum(chunks.count, grid.rows, grid.rows + grid.tail, channels, grid.tail);

    Buffer<double> totals(3 * channels);
    for (int64_t chunk = 0; chunk <= chunks.count; ++chunk)
      for (int64_t which = 0; which < 3; ++which)
        for (int64_t k = 0; k < grid.repeat; ++k) {
          const double* from = &found[(chunk * 3 + which) * width + k * channels];
          double* to = &totals[which * channels];
          for (int64_t c = 0; c < channels; ++c) to[c] += from[c];
        }
    double dslope = 0.0;
    Buffer<float> slope_x(width), constant(width);
    for (int64_t c = 0; c < channels; ++c) {
      dslope += totals[2 * channels + c];
      const Line line = Finish(c, totals[c], totals[channels + c]);
      for (int64_t k = 0; k < grid.repeat; ++k) {
        slope_x[k * channels + c] = line.slope_x;
        constant[k * channels + c] = line.constant;
      }
    }

    auto write = [&](int64_t row, int64_t rows, int64_t row_width) {
      EachRegion(of_, row, rows, width, row_width, [&](const Region& region) {
        Write(constants, region, &slope_x[region.channel], &constant[region.channel]);
      });
    };
    Parallel(threads_, chunks.count, chunks.each * width, [&](int64_t chunk) {
      write(chunks.begin(chunk), chunks.end(chunk) - chunks.begin(chunk), width);
    });
    if (grid.tail > 0) write(grid.rows, grid.tail, channels);
    return dslope;
  }

  // Few rows: all of them, of some channels at a time, stay in a core's cache from the first sweep to the second.
  double ByStrips() const {
    const Constants constants(of_, 1);
    int64_t count = 0;
    for (int64_t i = 0; i < of_.number_of_parts; ++i) count += (of_.parts[i].channels + kStrip - 1) / kStrip;
    Buffer<Region> strips(count);
    int64_t next = 0;
    for (int64_t i = 0; i < of_.number_of_parts; ++i)
      for (int64_t c = 0; c < of_.parts[i].channels; c += kStrip) {
        const int64_t width = Min(kStrip, of_.parts[i].channels - c), at = of_.parts[i].first + c;
        strips[next++] = {i, c, at, of_.parts[i].channels, of_.channels, of_.pixels, width, at};
      }
    Buffer<double> dslopes(count);
    Parallel(threads_, count, 2 * of_.pixels * kStrip, [&](int64_t number) {
      const Region strip = strips[number];
      const int64_t width = strip.width, block = BlockRows(width);
      float sums[3 * kStrip], slope_x[kStrip], constant[kStrip];
      double totals[3 * kStrip] = {0.0}, dslope = 0.0;
      for (int64_t row = 0; row < strip.rows; row += block) {
        Region region = strip;
        region.x += row * strip.x_stride;
        region.y += row * strip.y_stride;
        region.rows = Min(block, strip.rows - row);
        Zero(sums, 3 * width);
        Sum(constants, region, sums, sums + width, sums + 2 * width);
        for (int64_t i = 0; i < 3 * width; ++i) totals[i] += sums[i];
      }
      for (int64_t i = 0; i < width; ++i) {
        dslope += totals[2 * width + i];
        const Line line = Finish(strip.channel + i, totals[i], totals[width + i]);
        slope_x[i] = line.slope_x;
        constant[i] = line.constant;
      }
      Write(constants, strip, slope_x, constant);
      dslopes[number] = dslope;
    });
    double dslope = 0.0;
    for (int64_t number = 0; number < count; ++number) dslope += dslopes[number];
    return dslope;
  }

  const Normalization& of_;
  const Gradient& to_;
  const Threads& threads_;
};

template <typename T>
void ComputeNormalizeGrad(const Normalization& of, const Gradient& to, const Threads& threads) {
  NormalizeGrad<T>(of, to, threads).Run();
}

template <typename T>
void Mix(const void* x, void* y, int64_t count, float slope, float limit, const Threads& threads) {
  const Chunks chunks(count, 1);
  Parallel(threads, chunks.count, chunks.each, [&](int64_t chunk) {
    const T* __restrict from = static_cast<const T*>(x);
    T* __restrict to = static_cast<T*>(y);
    const int64_t end = chunks.end(chunk);
    for (int64_t i = chunks.begin(chunk); i < end; ++i) to[i] = Store<T>(Activate<kMix>(Load(from[i]), slope, limit));
  });
}

// `dy` and `dx` may be the same memory.
template <typename T>
void MixGrad(const void* dy_in, const void* x_in, void* dx_out, float* dslope, int64_t count, float slope, float limit,
             const Threads& threads) {
  const T* dy = static_cast<const T*>(dy_in);
  const T* x = static_cast<const T*>(x_in);
  T* dx = static_cast<T*>(dx_out);
  const Chunks chunks(count, 1);
  Buffer<double> found(chunks.count);
  constexpr int64_t lanes = 64;
  Parallel(threads, chunks.count, chunks.each, [&](int64_t chunk) {
    double total = 0.0;
    for (int64_t begin = chunks.begin(chunk); begin < chunks.end(chunk); begin += kBlock) {
      const int64_t end = Min(begin + kBlock, chunks.end(chunk));
      float sums[lanes] = {0.0f};
      int64_t i = begin;
      for (; i + lanes <= end; i += lanes) {
TFOLD_INDEPENDENT
        for (int64_t k = 0; k < lanes; ++k) {
          const float v = Load(x[i + k]), d = Load(dy[i + k]);
          sums[k] += d * (v - Clip(v, limit));
          dx[i + k] = Store<T>(ActivateGrad<kMix>(d, v, slope, limit));
        }
      }
      for (; i < end; ++i) {
        const float v = Load(x[i]), d = Load(dy[i]);
        sums[0] += d * (v - Clip(v, limit));
        dx[i] = Store<T>(ActivateGrad<kMix>(d, v, slope, limit));
      }
      for (float value : sums) total += value;
    }
    found[chunk] = total;
  });
  double total = 0.0;
  for (int64_t chunk = 0; chunk < chunks.count; ++chunk) total += found[chunk];
  *dslope = static_cast<float>(total);
}

}  // namespace
}  // namespace tfold

#define TFOLD_FUNCTIONS(T)                                                                                          \
  {                                                                                                                 \
    tfold::ComputeMoments<T>, tfold::Normalize<T>, tfold::ComputeNormalizeGrad<T>, tfold::Mix<T>, tfold::MixGrad<T> \
  }

extern "C" {
const tfold::Loops TFOLD_TABLE(TFOLD_SET) = {TFOLD_FUNCTIONS(float), TFOLD_FUNCTIONS(tfold::bfloat16)};
}
