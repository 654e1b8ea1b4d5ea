// y = x W of a 1x1 convolution, and the moments of y taken while each block of y is in a core's cache.
//
//   TfoldConvolveMoments   x, w -> y, mean, rest, variance     reads x, writes y
//
// against   Conv2D: reads x, writes y   and then   TfoldMoments: reads y.
//
//   rows of x        y: blocks of whole rows, dealt out to the pool
//   +------+  W      +--------+
//   | R x K| K x N = | R x N  |  multiply, then mean, then squares of deviations, before the next block
//   +------+         +--------+
//   |      |         |        |
//
// Two ways to multiply: "eigen" is the GEMM of Eigen, one thread a block; "panels" a GEMM of our own, with W packed
// once for all blocks. Built by statistics_in_convolution.py, together with TfoldMoments.

#include <array>
#include <cstdlib>
#include <memory>
#include <utility>

#include "tfold/training/kernels/batch_norm.cc"

namespace tfold {
namespace panels {

// A tile of kRows x kColumns sums stays in vector registers: 28 of 32 with AVX-512, 12 of 16 with AVX2.
#ifdef __AVX512F__
constexpr int kLanes = 16, kRows = 14;
#else
constexpr int kLanes = 8, kRows = 6;
#endif
constexpr int kVectors = 2, kColumns = kLanes * kVectors;
constexpr int64_t kDepth = 256;  // of W at a time: kDepth x kColumns numbers fit in the nearest cache
constexpr int64_t kPad = kLanes;

typedef float Vector __attribute__((vector_size(kLanes * 4)));
typedef float Unaligned __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

// y[r, :] (+)= sum over k of x[r, k] w[k, :], for `rows` rows and `vectors` vectors of columns.
template <int rows, int vectors>
inline void Tile(const float* __restrict x, int64_t x_stride, const float* __restrict w, int64_t depth,
                 float* __restrict y, int64_t y_stride, bool adds) {
  Vector sums[rows][vectors];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v)
      if (adds)
        sums[r][v] = *reinterpret_cast<const Unaligned*>(y + r * y_stride + v * kLanes);
      else
        sums[r][v] = Vector{};
  for (int64_t k = 0; k < depth; ++k) {
    Vector column[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) column[v] = *reinterpret_cast<const Vector*>(w + (k * vectors + v) * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const float value = x[r * x_stride + k];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sums[r][v] += value * column[v];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) *reinterpret_cast<Unaligned*>(y + r * y_stride + v * kLanes) = sums[r][v];
}

using TileFunction = void (*)(const float*, int64_t, const float*, int64_t, float*, int64_t, bool);

template <int vectors, int... rows>
constexpr std::array<TileFunction, kRows + 1> Tiles(std::integer_sequence<int, rows...>) {
  return {nullptr, &Tile<rows + 1, vectors>...};
}

const std::array<TileFunction, kRows + 1> kTiles[kVectors + 1] = {
    {}, Tiles<1>(std::make_integer_sequence<int, kRows>()), Tiles<2>(std::make_integer_sequence<int, kRows>())};

// W as panels of kColumns columns (the last one may be one vector wide), kDepth rows after kDepth rows.
struct Weights {
  int64_t depth, width, padded;
  std::unique_ptr<float, void (*)(void*)> packed;

  Weights(int64_t depth, int64_t width)
      : depth(depth), width(width), padded((width + kLanes - 1) / kLanes * kLanes),
        packed(static_cast<float*>(std::aligned_alloc(64, (depth * padded * 4 + 63) / 64 * 64)), &std::free) {}

  int64_t panels() const { return (padded + kColumns - 1) / kColumns; }

  void Pack(const float* w, int64_t panel) {
    const int64_t column = panel * kColumns, wide = std::min<int64_t>(kColumns, padded - column);
    const int64_t real = std::min(wide, width - column);
    for (int64_t from = 0; from < depth; from += kDepth) {
      const int64_t deep = std::min(kDepth, depth - from);
      float* to = packed.get() + from * padded + column * deep;
      for (int64_t k = from; k < from + deep; ++k, to += wide) {
        std::memcpy(to, w + k * width + column, real * 4);
        std::fill(to + real, to + wide, 0.0f);
      }
    }
  }
};

// One block of y: each panel serves all rows of the block, for kDepth of the depth after another.
inline void Multiply(const float* x, int64_t rows, const Weights& w, float* y) {
  // Rows 4096 bytes apart fall on the same lines of the cache: they are copied to where they do not.
  const bool copies = w.depth % 1024 == 0 && w.width > kColumns;
  std::vector<float> copy(copies ? rows * (kDepth + kPad) : 0);
  float spill[kRows * kColumns];
  for (int64_t from = 0; from < w.depth; from += kDepth) {
    const int64_t deep = std::min(kDepth, w.depth - from);
    const float* start = x + from;
    int64_t stride = w.depth;
    if (copies) {
      stride = deep + kPad;
      for (int64_t r = 0; r < rows; ++r) std::memcpy(copy.data() + r * stride, x + r * w.depth + from, deep * 4);
      start = copy.data();
    }
    for (int64_t column = 0; column < w.padded; column += kColumns) {
      const int64_t wide = std::min<int64_t>(kColumns, w.padded - column);
      const float* panel = w.packed.get() + from * w.padded + column * deep;
      const auto& tiles = kTiles[wide / kLanes];
      const bool whole = column + wide <= w.width;
      for (int64_t r = 0; r < rows; r += kRows) {
        const int64_t high = std::min<int64_t>(kRows, rows - r);
        float* to = y + r * w.width + column;
        if (whole) {
          tiles[high](start + r * stride, stride, panel, deep, to, w.width, from > 0);
          continue;
        }
        // The last columns are fewer than a vector: through a tile of memory of our own.
        const int64_t real = w.width - column;
        if (from > 0)
          for (int64_t i = 0; i < high; ++i) std::memcpy(spill + i * wide, to + i * w.width, real * 4);
        tiles[high](start + r * stride, stride, panel, deep, spill, wide, from > 0);
        for (int64_t i = 0; i < high; ++i) std::memcpy(to + i * w.width, spill + i * wide, real * 4);
      }
    }
  }
}

}  // namespace panels

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

class ConvolveMomentsOp : public OpKernel {
 public:
  explicit ConvolveMomentsOp(OpKernelConstruction* context) : OpKernel(context) {
    std::string gemm;
    OP_REQUIRES_OK(context, context->GetAttr("gemm", &gemm));
    OP_REQUIRES_OK(context, context->GetAttr("moments", &moments_));
    OP_REQUIRES_OK(context, context->GetAttr("block", &block_));
    eigen_ = gemm == "eigen";
  }

  void Compute(OpKernelContext* context) override {
    const Tensor &input = context->input(0), &kernel = context->input(1);
    const int64_t pixels = Pixels(input.shape()), depth = Channels(input.shape()), width = Channels(kernel.shape());
    TFOLD_CHECK(kernel.NumElements() == depth * width, "w is (channels of x, channels of y).");
    TensorShape shape = input.shape();
    shape.set_dim(shape.dims() - 1, width);
    Tensor *output, *vectors[3];
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &output));
    for (int i = 0; i < 3; ++i)
      OP_REQUIRES_OK(context, context->allocate_output(1 + i, TensorShape({width}), &vectors[i]));
    const float *x = input.flat<float>().data(), *w = kernel.flat<float>().data();
    float* y = output->flat<float>().data();
    std::unique_ptr<panels::Weights> packed;
    if (!eigen_) {
      packed = std::make_unique<panels::Weights>(depth, width);
      Parallel(context, packed->panels(), depth * panels::kColumns, [&](int64_t panel) { packed->Pack(w, panel); });
    }

    // Blocks of about block_ numbers of y, whole tiles high; at least eight, so that cores have enough to share. Where
    // channels are few, the moments take several pixels as one row, as TfoldMoments does.
    const Grid grid(pixels, width, true);
    const int64_t whole = panels::kRows * grid.repeat;
    const int64_t wanted = std::max<int64_t>(1, std::min(block_ / width, (pixels + 7) / 8));
    const int64_t rows = (wanted + whole - 1) / whole * whole;
    const int64_t blocks = (pixels + rows - 1) / rows, chunks = std::min(blocks, kMostChunks);
    const int64_t each = (blocks + chunks - 1) / chunks * rows;
    std::vector<Moments> found(chunks);
    Moments tail(width);
    Parallel(context, chunks, 2 * each * width * depth / 16, [&](int64_t chunk) {
      BlockMoments taker(grid.width);
      Moments moments(grid.width);
      for (int64_t row = chunk * each; row < std::min(pixels, (chunk + 1) * each); row += rows) {
        const int64_t high = std::min(rows, pixels - row);
        float* to = y + row * width;
        if (eigen_) {
          Eigen::Map<Matrix> product(to, high, width);
          product.noalias() = Eigen::Map<const Matrix>(x + row * depth, high, depth) *
                              Eigen::Map<const Matrix>(w, depth, width);
        } else {
          panels::Multiply(x + row * depth, high, *packed, to);
        }
        if (!moments_) continue;
        const int64_t left = high % grid.repeat;
        if (high > left) taker.Add(to, high / grid.repeat, grid.width, &moments);
        // Only the last block leaves some.
        if (left > 0) BlockMoments(width).Add(to + (high - left) * width, left, width, &tail);
      }
      found[chunk] = std::move(moments);
    });
    Moments joined(grid.width), all = std::move(tail);
    for (const Moments& part : found) joined.Merge(part.count, part.mean.data(), part.square.data(), grid.width);
    for (int64_t k = 0; k < grid.repeat; ++k)
      all.Merge(joined.count, joined.mean.data() + k * width, joined.square.data() + k * width, width);
    for (int64_t c = 0; c < width; ++c) {
      const float mean = static_cast<float>(all.mean[c]);
      vectors[0]->flat<float>()(c) = mean;
      vectors[1]->flat<float>()(c) = static_cast<float>(all.mean[c] - mean);
      vectors[2]->flat<float>()(c) = static_cast<float>(all.square[c] / all.count);
    }
  }

 private:
  bool eigen_, moments_;
  int64_t block_;
};

REGISTER_OP("TfoldConvolveMoments")
    .Input("x: float")
    .Input("w: float")
    .Output("y: float")
    .Output("mean: float")
    .Output("rest: float")
    .Output("variance: float")
    .Attr("gemm: {'eigen', 'panels'}")
    .Attr("moments: bool")
    .Attr("block: int")
    .SetShapeFn([](InferenceContext* c) {
      ShapeHandle y;
      const DimensionHandle width = c->Dim(c->input(1), -1);
      TF_RETURN_IF_ERROR(c->ReplaceDim(c->input(0), -1, width, &y));
      c->set_output(0, y);
      for (int i = 1; i < 4; ++i) c->set_output(i, c->Vector(width));
      return absl::OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("TfoldConvolveMoments").Device(DEVICE_CPU), ConvolveMomentsOp);

}  // namespace tfold
