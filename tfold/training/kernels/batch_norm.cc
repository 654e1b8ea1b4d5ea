// Batch norm for training in few sweeps over memory: TensorFlow operations for CPUs, channels last.
//
//   TfoldMoments         x             -> mean, rest, variance             reads x once
//   TfoldNormalize       x, residual   -> y = act(gamma x^ + beta + r)     reads x, r; writes y
//   TfoldNormalizeGrad   dy, x, r      -> dx, dr, dgamma, dbeta, dslope    reads dy, x, r twice; writes dx, dr
//   TfoldMix             x             -> act(x)                           the activation alone
//   TfoldMixGrad         dy, x         -> dx, dslope
//
// with x^ = (x - mean - rest) / sqrt(variance + epsilon), where `rest` is what rounding the mean to float32 took from it,
// and one of three activations:
//
//   none   act(v) = v
//   clip   act(v) = c(v),  c(v) = min(max(v, 0), limit)      ReLU (limit = infinity), ReLU6
//   mix    act(v) = slope v + (1 - slope) c(v)               tfold's sigma_alpha, leaky ReLU
//
// x may come in parts, which stand side by side in the channels: a concatenation that is never made. TfoldNormalizeGrad
// returns the whole gradient of batch norm, the way through mean and variance included.
//
// Sums are taken within blocks of rows that fit in a core's cache, and merged in double precision. Variances are
// two-pass within a block, merged by Chan's formula (Chan, Golub, LeVeque 1979), so that no digits are lost where the
// mean is large. Which rows make a block depends on the shape alone: results do not change with the number of threads.
//
// (Jung et al., Restructuring Batch Normalization to Accelerate CNN Training, MLSys 2019, sec. 4.)

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <type_traits>
#include <vector>

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tfold {

using tensorflow::DEVICE_CPU;
using tensorflow::OpInputList;
using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::OpOutputList;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::errors::InvalidArgument;
using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

enum Act { kNone, kClip, kMix };

// ---------------------------------------------------------------------------------------------------- Numbers

inline float Load(float v) { return v; }

inline float Load(Eigen::bfloat16 v) {
  uint16_t half;
  std::memcpy(&half, &v, sizeof half);
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

template <typename T>
inline T Store(float v);

template <>
inline float Store<float>(float v) {
  return v;
}

template <>
inline Eigen::bfloat16 Store<Eigen::bfloat16>(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;  // to nearest, ties to even
  const uint16_t half = static_cast<uint16_t>(v != v ? 0x7fc0u : rounded);
  Eigen::bfloat16 out;
  std::memcpy(&out, &half, sizeof out);
  return out;
}

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
      if (repeat < odd) repeat = odd * channels <= 512 ? odd : std::max<int64_t>(repeat, 1);
    }
    rows = pixels / repeat;
    tail = pixels % repeat;
    width = channels * repeat;
  }

  static int64_t Gcd(int64_t a, int64_t b) { return b == 0 ? a : Gcd(b, a % b); }
};

template <typename T>
struct Part {
  const T* x;
  int64_t channels, first;
};

constexpr int64_t kBlock = 8192;  // numbers that a core keeps in its nearest cache
constexpr int64_t kLeastRows = 32;
constexpr int64_t kMostChunks = 64;
constexpr int64_t kStrip = 64;  // channels: up to 1,536 rows of them stay in a core's second cache
constexpr int64_t kFewRows = 512, kFewRowsInParts = 1536;

inline int64_t BlockRows(int64_t width) { return std::max(kLeastRows, kBlock / std::max<int64_t>(width, 1)); }

// Rows are dealt out in chunks of whole blocks, a number that depends on the shape alone.
struct Chunks {
  int64_t rows, each, count;

  Chunks(int64_t rows, int64_t width) : rows(rows) {
    const int64_t block = BlockRows(width);
    const int64_t blocks = (rows + block - 1) / block;
    const int64_t most = std::max<int64_t>(1, std::min(kMostChunks, blocks));
    each = (blocks + most - 1) / most * block;
    count = each == 0 ? 0 : (rows + each - 1) / each;
  }

  int64_t begin(int64_t chunk) const { return chunk * each; }
  int64_t end(int64_t chunk) const { return std::min(rows, (chunk + 1) * each); }
};

// Calls work(0), ..., work(count - 1), each on about so many numbers, on the threads of the session. Waking a thread up
// takes longer than a small tensor does: that stays on this one.
inline void Parallel(OpKernelContext* context, int64_t count, int64_t numbers,
                     const std::function<void(int64_t)>& work) {
  constexpr int64_t kWorthAThread = 150000;
  if (count * numbers < 2 * kWorthAThread) {
    for (int64_t i = 0; i < count; ++i) work(i);
    return;
  }
  auto pool = context->device()->tensorflow_cpu_worker_threads()->workers;
  pool->ParallelFor(count, numbers, [&work](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) work(i);
  });
}

// ---------------------------------------------------------------------------------------------------- Loops

// Vectors run along the channels. There are no branches: an activation's gradient is a factor, not a choice between two
// numbers, of which a compiler makes loads that wait for their mask.

// Calls f(row, how many) for rows 0 .. rows, so many together, then one by one.
template <int together, typename F>
inline void EachRow(int64_t rows, F f) {
  int64_t r = 0;
  if (together > 1) for (; r + together <= rows; r += together) f(r, std::integral_constant<int, together>());
  for (; r < rows; ++r) f(r, std::integral_constant<int, 1>());
}

// sum[c] += x[., c] - shift[c]
template <typename T>
void AddRows(const T* __restrict x, int64_t stride, int64_t rows, int64_t width, const float* __restrict shift,
             float* __restrict sum) {
  EachRow<4>(rows, [=](int64_t r, auto together) {
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
  EachRow<4>(rows, [=](int64_t r, auto together) {
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
  EachRow<1>(rows, [=](int64_t r, auto together) {
    const T* __restrict from = x + r * x_stride;
    const T* __restrict plus = has_residual ? residual + r * y_stride : nullptr;
    T* __restrict to = y + r * y_stride;
#pragma GCC ivdep
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
  EachRow<1>(rows, [=](int64_t r, auto together) {
    const T* __restrict upstream = dy + r * y_stride;
    const T* __restrict from = x + r * x_stride;
    const T* __restrict plus = writes ? residual + r * y_stride : nullptr;
    T* __restrict to = writes ? g_out + r * y_stride : nullptr;
#pragma GCC ivdep
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
  EachRow<1>(rows, [=](int64_t r, auto together) {
    const T* upstream = dy + r * y_stride;
    const T* __restrict from = x + r * x_stride;
    T* to = dx + r * x_stride;
#pragma GCC ivdep
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

// Mean and sum of squared deviations of `count` numbers, merged with those of another lot.
struct Moments {
  double count = 0.0;
  std::vector<double> mean, square;

  explicit Moments(int64_t width = 0) : mean(width, 0.0), square(width, 0.0) {}

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
    // Sums of what is left beside the first row are small and exact, however large the mean is.
    for (int64_t i = 0; i < width; ++i) centre_[i] = Load(x[i]);
    std::fill(sum_.begin(), sum_.end(), 0.0f);
    AddRows(x, width, rows, width, centre_.data(), sum_.data());
    for (int64_t i = 0; i < width; ++i) {
      mean_[i] = centre_[i] + static_cast<double>(sum_[i]) / rows;
      centre_[i] = static_cast<float>(mean_[i]);
    }
    std::fill(sum_.begin(), sum_.end(), 0.0f);
    AddSquares(x, width, rows, width, centre_.data(), sum_.data());
    for (int64_t i = 0; i < width; ++i) {
      const double rest = mean_[i] - centre_[i];  // the deviations are those from the rounded mean
      square_[i] = std::max(0.0, sum_[i] - rows * rest * rest);
    }
    into->Merge(static_cast<double>(rows), mean_.data(), square_.data(), width);
  }

 private:
  std::vector<float> centre_, sum_;
  std::vector<double> mean_, square_;
};

// ---------------------------------------------------------------------------------------------------- Operations

#define TFOLD_CHECK(condition, ...) OP_REQUIRES(context, condition, InvalidArgument(__VA_ARGS__))

inline int64_t Pixels(const TensorShape& shape) {
  int64_t pixels = 1;
  for (int i = 0; i + 1 < shape.dims(); ++i) pixels *= shape.dim_size(i);
  return pixels;
}

inline int64_t Channels(const TensorShape& shape) { return shape.dim_size(shape.dims() - 1); }

template <typename T>
class MomentsOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor& input = context->input(0);
    TFOLD_CHECK(input.dims() >= 1, "x has channels last. Received a scalar.");
    const int64_t pixels = Pixels(input.shape()), channels = Channels(input.shape());
    Tensor *mean, *rest, *variance;
    OP_REQUIRES_OK(context, context->allocate_output(0, TensorShape({channels}), &mean));
    OP_REQUIRES_OK(context, context->allocate_output(1, TensorShape({channels}), &rest));
    OP_REQUIRES_OK(context, context->allocate_output(2, TensorShape({channels}), &variance));
    float* mean_out = mean->flat<float>().data();
    float* rest_out = rest->flat<float>().data();
    float* variance_out = variance->flat<float>().data();
    const T* x = input.flat<T>().data();
    const Grid grid(pixels, channels, true);
    const Chunks chunks(grid.rows, grid.width);
    std::vector<Moments> found(chunks.count);
    const int64_t block = BlockRows(grid.width);
    Parallel(context, chunks.count, chunks.each * grid.width, [&](int64_t chunk) {
      BlockMoments blocks(grid.width);
      Moments moments(grid.width);
      for (int64_t row = chunks.begin(chunk); row < chunks.end(chunk); row += block)
        blocks.Add(x + row * grid.width, std::min(block, chunks.end(chunk) - row), grid.width, &moments);
      found[chunk] = std::move(moments);
    });
    Moments all(grid.width);
    for (const Moments& part : found) all.Merge(part.count, part.mean.data(), part.square.data(), grid.width);
    Moments total(channels);
    for (int64_t k = 0; k < grid.repeat; ++k)
      total.Merge(all.count, all.mean.data() + k * channels, all.square.data() + k * channels, channels);
    if (grid.tail > 0) BlockMoments(channels).Add(x + grid.rows * grid.width, grid.tail, channels, &total);
    for (int64_t c = 0; c < channels; ++c) {
      // Of no pixels at all: not a number, as elsewhere.
      const double mean = total.count > 0.0 ? total.mean[c] : std::numeric_limits<double>::quiet_NaN();
      mean_out[c] = static_cast<float>(mean);
      rest_out[c] = static_cast<float>(mean - mean_out[c]);
      variance_out[c] = static_cast<float>(total.square[c] / total.count);
    }
  }
};

// What TfoldNormalize and its gradient share: attributes, inputs, and the constants of each channel.
template <typename T>
class NormalizeBase : public OpKernel {
 public:
  explicit NormalizeBase(OpKernelConstruction* context) : OpKernel(context) {
    std::string activation;
    OP_REQUIRES_OK(context, context->GetAttr("activation", &activation));
    OP_REQUIRES_OK(context, context->GetAttr("limit", &limit_));
    OP_REQUIRES_OK(context, context->GetAttr("epsilon", &epsilon_));
    act_ = activation == "clip" ? kClip : activation == "mix" ? kMix : kNone;
  }

 protected:
  struct Inputs {
    std::vector<Part<T>> parts;
    const T* residual = nullptr;
    const Tensor* residual_tensor = nullptr;
    TensorShape shape;
    int64_t pixels = 0, channels = 0;
    const float *mean, *rest, *variance, *gamma, *beta;
    float slope = 0.0f;
  };

  bool Read(OpKernelContext* context, Inputs* in) {
    tensorflow::Status status = ReadInputs(context, in);
    if (!status.ok()) context->CtxFailure(status);
    return status.ok();
  }

  // Per channel, and repeated as often as a row holds them.
  struct Constants {
    std::vector<float> mean, scale, offset;

    Constants(const Inputs& in, float epsilon, int64_t repeat)
        : mean(in.channels * repeat), scale(in.channels * repeat), offset(in.channels * repeat) {
      for (int64_t k = 0; k < repeat; ++k)
        for (int64_t c = 0; c < in.channels; ++c) {
          const int64_t i = k * in.channels + c;
          mean[i] = in.mean[c];
          scale[i] = in.gamma[c] / std::sqrt(in.variance[c] + epsilon);
          offset[i] = in.beta[c] - in.rest[c] * scale[i];
        }
    }
  };

  Act act_;
  float limit_, epsilon_;

 private:
  tensorflow::Status ReadInputs(OpKernelContext* context, Inputs* in) {
    OpInputList x, residual;
    TF_RETURN_IF_ERROR(context->input_list("x", &x));
    TF_RETURN_IF_ERROR(context->input_list("residual", &residual));
    if (x[0].dims() < 1) return InvalidArgument("x has channels last. Received a scalar.");
    in->shape = x[0].shape();
    in->pixels = Pixels(in->shape);
    for (int i = 0; i < x.size(); ++i) {
      if (x[i].dims() != x[0].dims() || Pixels(x[i].shape()) != in->pixels)
        return InvalidArgument("The parts of x have the same pixels. Received: ",
                               x[0].shape().DebugString(), " and ", x[i].shape().DebugString());
      in->parts.push_back({x[i].flat<T>().data(), Channels(x[i].shape()), in->channels});
      in->channels += Channels(x[i].shape());
    }
    in->shape.set_dim(in->shape.dims() - 1, in->channels);
    if (residual.size() > 1) return InvalidArgument("There is one residual, or none. Received: ", residual.size());
    if (residual.size() > 0) {
      if (residual[0].shape() != in->shape)
        return InvalidArgument("residual has the shape of the result. Received: ", residual[0].shape().DebugString(),
                               " and ", in->shape.DebugString());
      in->residual = residual[0].flat<T>().data();
      in->residual_tensor = &residual[0];
    }
    const float** vectors[] = {&in->mean, &in->rest, &in->variance, &in->gamma, &in->beta};
    const char* names[] = {"mean", "rest", "variance", "gamma", "beta"};
    for (int i = 0; i < 5; ++i) {
      const Tensor* tensor;
      TF_RETURN_IF_ERROR(context->input(names[i], &tensor));
      if (tensor->NumElements() != in->channels)
        return InvalidArgument(names[i], " has a number for each channel. Received: ", tensor->NumElements(),
                               " for ", in->channels, " channels");
      *vectors[i] = tensor->flat<float>().data();
    }
    const Tensor* slope;
    TF_RETURN_IF_ERROR(context->input("slope", &slope));
    if (slope->NumElements() != 1) return InvalidArgument("slope is one number.");
    in->slope = act_ == kMix ? slope->flat<float>()(0) : 0.0f;
    return tensorflow::OkStatus();
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
  size_t part;
  int64_t x, y;                // where it begins in the part, and in y
  int64_t x_stride, y_stride;  // from row to row
  int64_t rows, width;
  int64_t channel;  // its first, among the constants
};

// Rows of all channels. Where x comes in parts, row by row: the whole row of y is read or written in one go then.
template <typename T, typename F>
void EachRegion(const std::vector<Part<T>>& parts, int64_t row, int64_t rows, int64_t grid_width, int64_t width, F f) {
  if (parts.size() == 1) return f(Region{0, row * grid_width, row * grid_width, width, width, rows, width, 0});
  for (int64_t r = row; r < row + rows; ++r)
    for (size_t i = 0; i < parts.size(); ++i) {
      const int64_t channels = parts[i].channels, first = parts[i].first;
      f(Region{i, r * channels, r * width + first, channels, width, 1, channels, first});
    }
}

template <typename T>
class NormalizeOp : public NormalizeBase<T> {
 public:
  using NormalizeBase<T>::NormalizeBase;
  using typename NormalizeBase<T>::Inputs;
  using typename NormalizeBase<T>::Constants;

  void Compute(OpKernelContext* context) override {
    Inputs in;
    if (!this->Read(context, &in)) return;
    Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, in.shape, &output));
    T* y = output->flat<T>().data();
    const Grid grid(in.pixels, in.channels, in.parts.size() == 1);
    const Constants constants(in, this->epsilon_, grid.repeat);
    const Chunks chunks(grid.rows, grid.width);
    auto run = [&](int64_t row, int64_t rows, int64_t width) {
      EachRegion(in.parts, row, rows, grid.width, width, [&](const Region& region) {
#define TFOLD_CALL(act, has_residual)                                                                              \
  NormalizeRows<act, has_residual, T>(in.parts[region.part].x + region.x, region.x_stride,                         \
                                      has_residual ? in.residual + region.y : nullptr, y + region.y,               \
                                      region.y_stride, region.rows, region.width, &constants.mean[region.channel], \
                                      &constants.scale[region.channel], &constants.offset[region.channel],         \
                                      in.slope, this->limit_)
        TFOLD_DISPATCH(this->act_, in.residual != nullptr, TFOLD_CALL);
#undef TFOLD_CALL
      });
    };
    Parallel(context, chunks.count, chunks.each * grid.width, [&](int64_t chunk) {
      run(chunks.begin(chunk), chunks.end(chunk) - chunks.begin(chunk), grid.width);
    });
    if (grid.tail > 0) run(grid.rows, grid.tail, in.channels);
  }
};

template <typename T>
class NormalizeGradOp : public NormalizeBase<T> {
 public:
  using NormalizeBase<T>::NormalizeBase;
  using typename NormalizeBase<T>::Inputs;
  using typename NormalizeBase<T>::Constants;

  void Compute(OpKernelContext* context) override {
    Job job;
    if (!Allocate(context, &job)) return;
    // Measured: of rows that are whole in memory, strips are worth reading only where there are very few.
    const int64_t few = job.in.parts.size() > 1 ? kFewRowsInParts : kFewRows;
    job.dslope[0] = static_cast<float>(job.in.pixels <= few ? ByStrips(context, job) : ByRows(context, job));
  }

 private:
  struct Job {
    Inputs in;
    const T* dy;
    T* g = nullptr;  // the residual's gradient where it has to be computed
    std::vector<T*> dx;
    float *dgamma, *dbeta, *dslope;
  };

  // dx = scale g + slope_x (x - mean) + constant
  struct Line {
    float slope_x, constant;
  };

  bool Allocate(OpKernelContext* context, Job* job) {
    if (!this->Read(context, &job->in)) return false;
    const tensorflow::Status status = AllocateOutputs(context, job);
    if (!status.ok()) context->CtxFailure(status);
    return status.ok();
  }

  tensorflow::Status AllocateOutputs(OpKernelContext* context, Job* job) {
    const Inputs& in = job->in;
    const Tensor& dy = context->input(0);
    if (dy.shape() != in.shape)
      return InvalidArgument("dy has the shape of y. Received: ", dy.shape().DebugString(), " and ",
                             in.shape.DebugString());
    job->dy = dy.flat<T>().data();
    OpOutputList dx, dresidual;
    TF_RETURN_IF_ERROR(context->output_list("dx", &dx));
    TF_RETURN_IF_ERROR(context->output_list("dresidual", &dresidual));
    if (in.residual != nullptr && this->act_ == kNone) dresidual.set(0, dy);
    if (in.residual != nullptr && this->act_ != kNone) {
      Tensor* out;
      TF_RETURN_IF_ERROR(dresidual.allocate(0, in.shape, &out));
      job->g = out->flat<T>().data();
    }
    const int parts = static_cast<int>(in.parts.size());
    for (int i = 0; i < parts; ++i) {
      Tensor* out;
      TensorShape shape = in.shape;
      shape.set_dim(shape.dims() - 1, in.parts[i].channels);
      if (parts == 1 && in.residual == nullptr) {
        TF_RETURN_IF_ERROR(context->forward_input_or_allocate_output({0}, 0, shape, &out));  // in place of dy
      } else {
        TF_RETURN_IF_ERROR(dx.allocate(i, shape, &out));
      }
      job->dx.push_back(out->flat<T>().data());
    }
    float** vectors[] = {&job->dgamma, &job->dbeta, &job->dslope};
    for (int i = 0; i < 3; ++i) {
      Tensor* out;
      const TensorShape shape = i < 2 ? TensorShape({in.channels}) : TensorShape({});
      TF_RETURN_IF_ERROR(context->allocate_output(parts + (in.residual != nullptr) + i, shape, &out));
      *vectors[i] = out->flat<float>().data();
    }
    return tensorflow::OkStatus();
  }

  // First sweep over a region: adds to the sums of its channels.
  void Sum(const Job& job, const Constants& constants, const Region& region, float* sum_g, float* sum_gx,
           float* sum_slope) const {
    const T* x = job.in.parts[region.part].x + region.x;
#define TFOLD_CALL(act, has)                                                                                            \
  GradSumRows<act, has, T>(job.dy + region.y, region.y_stride, x, region.x_stride,                                      \
                           has ? job.in.residual + region.y : nullptr, has && act != kNone ? job.g + region.y : nullptr, \
                           region.rows, region.width, &constants.mean[region.channel],                                  \
                           &constants.scale[region.channel], &constants.offset[region.channel], job.in.slope,           \
                           this->limit_, sum_g, sum_gx, sum_slope)
    TFOLD_DISPATCH(this->act_, job.in.residual != nullptr, TFOLD_CALL);
#undef TFOLD_CALL
  }

  // Second sweep over a region: dx.
  void Write(const Job& job, const Constants& constants, const Region& region, const float* slope_x,
             const float* constant) const {
    const T* x = job.in.parts[region.part].x + region.x;
    // Where there is a residual its gradient is all that is needed of dy.
    const T* upstream = job.g != nullptr ? job.g : job.dy;
#define TFOLD_CALL(act, unused)                                                                                       \
  GradRows<act, T>(upstream + region.y, region.y_stride, x, region.x_stride, job.dx[region.part] + region.x,          \
                   region.rows, region.width, &constants.mean[region.channel], &constants.scale[region.channel],      \
                   &constants.offset[region.channel], slope_x, constant, job.in.slope, this->limit_)
    TFOLD_DISPATCH((job.g != nullptr ? kNone : this->act_), false, TFOLD_CALL);
#undef TFOLD_CALL
  }

  // From the sums of a channel to its gradients, and to what the second sweep needs.
  Line Finish(const Job& job, int64_t c, double sum_g, double sum_gx) const {
    const double inverse = 1.0 / std::sqrt(static_cast<double>(job.in.variance[c]) + this->epsilon_);
    const double rest = job.in.rest[c], count = static_cast<double>(job.in.pixels);
    sum_gx -= rest * sum_g;  // it is of x - mean, without what was lost in rounding the mean
    job.dbeta[c] = static_cast<float>(sum_g);
    job.dgamma[c] = static_cast<float>(sum_gx * inverse);
    const double scale = job.in.gamma[c] * inverse, slope = -scale * inverse * inverse * sum_gx / count;
    return {static_cast<float>(slope), static_cast<float>(-scale * sum_g / count - slope * rest)};
  }

  // Many rows: both sweeps go through all channels of some rows at a time. Returns dL/dslope.
  double ByRows(OpKernelContext* context, const Job& job) const {
    const Inputs& in = job.in;
    const Grid grid(in.pixels, in.channels, in.parts.size() == 1);
    const Constants constants(in, this->epsilon_, grid.repeat);
    const Chunks chunks(grid.rows, grid.width);
    const int64_t block = BlockRows(grid.width), width = grid.width;
    std::vector<std::vector<double>> found(chunks.count + 1);
    auto sum = [&](int64_t chunk, int64_t begin, int64_t end, int64_t row_width, int64_t step) {
      std::vector<float> sums(3 * width);
      found[chunk].assign(3 * width, 0.0);
      for (int64_t row = begin; row < end; row += step) {
        std::fill(sums.begin(), sums.end(), 0.0f);
        EachRegion(in.parts, row, std::min(step, end - row), width, row_width, [&](const Region& region) {
          float* at = sums.data() + region.channel;
          Sum(job, constants, region, at, at + width, at + 2 * width);
        });
        for (int64_t i = 0; i < 3 * width; ++i) found[chunk][i] += sums[i];
      }
    };
    Parallel(context, chunks.count, chunks.each * width,
             [&](int64_t chunk) { sum(chunk, chunks.begin(chunk), chunks.end(chunk), width, block); });
    // The tail in one go: its rows are narrower, so that only its first one stands where the grid says.
    if (grid.tail > 0) sum(chunks.count, grid.rows, grid.rows + grid.tail, in.channels, grid.tail);

    std::vector<double> totals(3 * in.channels, 0.0);
    for (const std::vector<double>& sums : found)
      for (int64_t which = 0; which < 3 && !sums.empty(); ++which)
        for (int64_t k = 0; k < grid.repeat; ++k) {
          const double* from = &sums[which * width + k * in.channels];
          double* to = &totals[which * in.channels];
          for (int64_t c = 0; c < in.channels; ++c) to[c] += from[c];
        }
    double dslope = 0.0;
    std::vector<float> slope_x(width), constant(width);
    for (int64_t c = 0; c < in.channels; ++c) {
      dslope += totals[2 * in.channels + c];
      const Line line = Finish(job, c, totals[c], totals[in.channels + c]);
      for (int64_t k = 0; k < grid.repeat; ++k) {
        slope_x[k * in.channels + c] = line.slope_x;
        constant[k * in.channels + c] = line.constant;
      }
    }

    auto write = [&](int64_t row, int64_t rows, int64_t row_width) {
      EachRegion(in.parts, row, rows, width, row_width, [&](const Region& region) {
        Write(job, constants, region, &slope_x[region.channel], &constant[region.channel]);
      });
    };
    Parallel(context, chunks.count, chunks.each * width, [&](int64_t chunk) {
      write(chunks.begin(chunk), chunks.end(chunk) - chunks.begin(chunk), width);
    });
    if (grid.tail > 0) write(grid.rows, grid.tail, in.channels);
    return dslope;
  }

  // Few rows: all of them, of some channels at a time, stay in a core's cache from the first sweep to the second.
  double ByStrips(OpKernelContext* context, const Job& job) const {
    const Inputs& in = job.in;
    const Constants constants(in, this->epsilon_, 1);
    std::vector<Region> strips;
    for (size_t i = 0; i < in.parts.size(); ++i)
      for (int64_t c = 0; c < in.parts[i].channels; c += kStrip) {
        const int64_t width = std::min(kStrip, in.parts[i].channels - c), at = in.parts[i].first + c;
        strips.push_back({i, c, at, in.parts[i].channels, in.channels, in.pixels, width, at});
      }
    std::vector<double> dslopes(strips.size(), 0.0);
    Parallel(context, strips.size(), 2 * in.pixels * kStrip, [&](int64_t number) {
      const Region& strip = strips[number];
      const int64_t width = strip.width, block = BlockRows(width);
      std::vector<float> sums(3 * width);
      std::vector<double> totals(3 * width, 0.0);
      for (int64_t row = 0; row < strip.rows; row += block) {
        Region region = strip;
        region.x += row * strip.x_stride;
        region.y += row * strip.y_stride;
        region.rows = std::min(block, strip.rows - row);
        std::fill(sums.begin(), sums.end(), 0.0f);
        Sum(job, constants, region, &sums[0], &sums[width], &sums[2 * width]);
        for (int64_t i = 0; i < 3 * width; ++i) totals[i] += sums[i];
      }
      std::vector<float> slope_x(width), constant(width);
      for (int64_t i = 0; i < width; ++i) {
        dslopes[number] += totals[2 * width + i];
        const Line line = Finish(job, strip.channel + i, totals[i], totals[width + i]);
        slope_x[i] = line.slope_x;
        constant[i] = line.constant;
      }
      Write(job, constants, strip, slope_x.data(), constant.data());
    });
    return std::accumulate(dslopes.begin(), dslopes.end(), 0.0);
  }
};

template <typename T>
class MixOp : public OpKernel {
 public:
  explicit MixOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("limit", &limit_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& input = context->input(0);
    TFOLD_CHECK(context->input(1).NumElements() == 1, "slope is one number.");
    const float slope = context->input(1).flat<float>()(0), limit = limit_;
    Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, input.shape(), &output));
    const T* x = input.flat<T>().data();
    T* y = output->flat<T>().data();
    const Chunks chunks(input.NumElements(), 1);
    Parallel(context, chunks.count, chunks.each, [&](int64_t chunk) {
      const T* __restrict from = x;
      T* __restrict to = y;
      for (int64_t i = chunks.begin(chunk); i < chunks.end(chunk); ++i)
        to[i] = Store<T>(Activate<kMix>(Load(from[i]), slope, limit));
    });
  }

 private:
  float limit_;
};

template <typename T>
class MixGradOp : public OpKernel {
 public:
  explicit MixGradOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("limit", &limit_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor &dy_tensor = context->input(0), &input = context->input(1);
    TFOLD_CHECK(dy_tensor.shape() == input.shape(), "dy has the shape of x.");
    TFOLD_CHECK(context->input(2).NumElements() == 1, "slope is one number.");
    const float slope = context->input(2).flat<float>()(0), limit = limit_;
    Tensor *output, *dslope;
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0, input.shape(), &output));
    OP_REQUIRES_OK(context, context->allocate_output(1, TensorShape({}), &dslope));
    const T* dy = dy_tensor.flat<T>().data();
    const T* x = input.flat<T>().data();
    T* dx = output->flat<T>().data();
    const Chunks chunks(input.NumElements(), 1);
    std::vector<double> found(chunks.count, 0.0);
    constexpr int64_t lanes = 64;
    Parallel(context, chunks.count, chunks.each, [&](int64_t chunk) {
      double total = 0.0;
      for (int64_t begin = chunks.begin(chunk); begin < chunks.end(chunk); begin += kBlock) {
        const int64_t end = std::min(begin + kBlock, chunks.end(chunk));
        float sums[lanes] = {0.0f};
        int64_t i = begin;
        for (; i + lanes <= end; i += lanes) {
#pragma GCC ivdep
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
    for (double value : found) total += value;
    dslope->flat<float>()(0) = static_cast<float>(total);
  }

 private:
  float limit_;
};

// ---------------------------------------------------------------------------------------------------- Registration

absl::Status VectorsShape(InferenceContext* c) {
  ShapeHandle x;
  TF_RETURN_IF_ERROR(c->WithRankAtLeast(c->input(0), 1, &x));
  c->set_output(0, c->Vector(c->Dim(x, -1)));
  c->set_output(1, c->Vector(c->Dim(x, -1)));
  c->set_output(2, c->Vector(c->Dim(x, -1)));
  return absl::OkStatus();
}

absl::Status NormalizeShape(InferenceContext* c) {
  int parts;
  TF_RETURN_IF_ERROR(c->GetAttr("N", &parts));
  ShapeHandle x;
  TF_RETURN_IF_ERROR(c->WithRankAtLeast(c->input(0), 1, &x));
  DimensionHandle channels = c->Dim(x, -1);
  for (int i = 1; i < parts; ++i) {
    TF_RETURN_IF_ERROR(c->WithRankAtLeast(c->input(i), 1, &x));
    TF_RETURN_IF_ERROR(c->Add(channels, c->Dim(x, -1), &channels));
  }
  TF_RETURN_IF_ERROR(c->ReplaceDim(c->input(0), -1, channels, &x));
  c->set_output(0, x);
  return absl::OkStatus();
}

absl::Status NormalizeGradShape(InferenceContext* c) {
  int parts, residuals;
  TF_RETURN_IF_ERROR(c->GetAttr("N", &parts));
  TF_RETURN_IF_ERROR(c->GetAttr("M", &residuals));
  int output = 0;
  for (int i = 0; i < parts + residuals; ++i) c->set_output(output++, c->input(1 + i));
  const ShapeHandle vector = c->input(1 + parts + residuals);
  c->set_output(output++, vector);
  c->set_output(output++, vector);
  c->set_output(output++, c->Scalar());
  return absl::OkStatus();
}

REGISTER_OP("TfoldMoments")
    .Input("x: T")
    .Output("mean: float")
    .Output("rest: float")
    .Output("variance: float")
    .Attr("T: {float, bfloat16}")
    .SetShapeFn(VectorsShape);

REGISTER_OP("TfoldNormalize")
    .Input("x: N * T")
    .Input("residual: M * T")
    .Input("mean: float")
    .Input("rest: float")
    .Input("variance: float")
    .Input("gamma: float")
    .Input("beta: float")
    .Input("slope: float")
    .Output("y: T")
    .Attr("N: int >= 1")
    .Attr("M: int >= 0")
    .Attr("T: {float, bfloat16}")
    .Attr("epsilon: float")
    .Attr("activation: {'none', 'clip', 'mix'}")
    .Attr("limit: float")
    .SetShapeFn(NormalizeShape);

REGISTER_OP("TfoldNormalizeGrad")
    .Input("dy: T")
    .Input("x: N * T")
    .Input("residual: M * T")
    .Input("mean: float")
    .Input("rest: float")
    .Input("variance: float")
    .Input("gamma: float")
    .Input("beta: float")
    .Input("slope: float")
    .Output("dx: N * T")
    .Output("dresidual: M * T")
    .Output("dgamma: float")
    .Output("dbeta: float")
    .Output("dslope: float")
    .Attr("N: int >= 1")
    .Attr("M: int >= 0")
    .Attr("T: {float, bfloat16}")
    .Attr("epsilon: float")
    .Attr("activation: {'none', 'clip', 'mix'}")
    .Attr("limit: float")
    .SetShapeFn(NormalizeGradShape);

REGISTER_OP("TfoldMix")
    .Input("x: T")
    .Input("slope: float")
    .Output("y: T")
    .Attr("T: {float, bfloat16}")
    .Attr("limit: float")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(0));
      return absl::OkStatus();
    });

REGISTER_OP("TfoldMixGrad")
    .Input("dy: T")
    .Input("x: T")
    .Input("slope: float")
    .Output("dx: T")
    .Output("dslope: float")
    .Attr("T: {float, bfloat16}")
    .Attr("limit: float")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(1));
      c->set_output(1, c->Scalar());
      return absl::OkStatus();
    });

#define TFOLD_REGISTER(T)                                                                                          \
  REGISTER_KERNEL_BUILDER(Name("TfoldMoments").Device(DEVICE_CPU).TypeConstraint<T>("T"), MomentsOp<T>);            \
  REGISTER_KERNEL_BUILDER(Name("TfoldNormalize").Device(DEVICE_CPU).TypeConstraint<T>("T"), NormalizeOp<T>);        \
  REGISTER_KERNEL_BUILDER(Name("TfoldNormalizeGrad").Device(DEVICE_CPU).TypeConstraint<T>("T"), NormalizeGradOp<T>); \
  REGISTER_KERNEL_BUILDER(Name("TfoldMix").Device(DEVICE_CPU).TypeConstraint<T>("T"), MixOp<T>);                    \
  REGISTER_KERNEL_BUILDER(Name("TfoldMixGrad").Device(DEVICE_CPU).TypeConstraint<T>("T"), MixGradOp<T>)

TFOLD_REGISTER(float);
TFOLD_REGISTER(Eigen::bfloat16);

}  // namespace tfold
