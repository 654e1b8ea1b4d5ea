#include <array>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>
#include <cstring>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdint>
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
      sums[r][v] = adds ? static_cast<Vector>(*reinterpret_cast<const Unaligned*>(y + r * y_stride + v * kLanes)) : Vector{};
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

// Some rows of y: all panels, for kDepth of the depth after another.
inline void MultiplyRows(const float* x, int64_t rows, const Weights& w, float* y, std::vector<float>* copy) {
  // Rows 4096 bytes apart fall on the same lines of the cache: they are copied to where they do not.
  const bool copies = w.depth % 1024 == 0 && w.width > kColumns;
  if (copies) copy->resize(rows * (kDepth + kPad));
  float spill[kRows * kColumns];
  for (int64_t from = 0; from < w.depth; from += kDepth) {
    const int64_t deep = std::min(kDepth, w.depth - from);
    const float* start = x + from;
    int64_t stride = w.depth;
    if (copies) {
      stride = deep + kPad;
      for (int64_t r = 0; r < rows; ++r) std::memcpy(copy->data() + r * stride, x + r * w.depth + from, deep * 4);
      start = copy->data();
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

// One block of y. Where W stays in the second cache, x is gone through in order, one height of a tile after another;
// where it does not, each panel serves all rows of the block.
inline void Multiply(const float* x, int64_t rows, const Weights& w, float* y) {
  std::vector<float> copy;
  static const int64_t lim = getenv("LIM") ? atoll(getenv("LIM")) : 131072;
  const int64_t step = w.depth * w.padded <= lim ? kRows : rows;
  for (int64_t r = 0; r < rows; r += step)
    MultiplyRows(x + r * w.depth, std::min(step, rows - r), w, y + r * w.width, &copy);
}

}  // namespace panels
int main(){ using namespace panels;
 for(auto [R,K,N]: {std::array<int,3>{140,64,256},{140,256,64},{112,128,512},{140,512,128},{70,1024,256},{56,256,1024},{14*9,128,128},{70,512,2048},{1120,16,96},{14*40,144,24},{14*40,192,32},{280,32,192},{140,384,64}}){
  std::vector<float> x(R*K,1.f),w(K*N,1.f),y(R*N); Weights W(w.data(),K,N);
  int it=std::max(1,int(2e8/(double(R)*K*N*2)))*2; double best=1e9;
  for(int rep=0;rep<5;rep++){auto t=std::chrono::steady_clock::now(); for(int i=0;i<it;i++) Multiply(x.data(),R,W,y.data());
  best=std::min(best,std::chrono::duration<double>(std::chrono::steady_clock::now()-t).count()/it);}
  auto t=std::chrono::steady_clock::now(); for(int i=0;i<20;i++) Weights W2(w.data(),K,N); double p=std::chrono::duration<double>(std::chrono::steady_clock::now()-t).count()/20;
  printf("%d %d %d: %.1f GFLOP/s  (y0 %g) pack %.3f ms\n",R,K,N,2.0*R*K*N/best*1e-9,y[0],p*1e3);}
}
