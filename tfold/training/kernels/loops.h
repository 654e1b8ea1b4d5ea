// What the loops over numbers are given and give back: plain memory and plain numbers, nothing of TensorFlow.
//
//   batch_norm.cc          TensorFlow's operations: check, allocate, call         compiled for the least processor
//   instruction_sets.cc    which of the tables below this processor can run       compiled for the least processor
//   loops.cc               the numbers, as a table of functions                   compiled for each instruction set
//
// TensorFlow's headers bring Eigen, whose vector code is chosen by the compiler's options and does not compile with all
// of them. So these headers never meet an option for a processor, and loops.cc never meets these headers.

#ifndef TFOLD_TRAINING_KERNELS_LOOPS_H_
#define TFOLD_TRAINING_KERNELS_LOOPS_H_

#include <stdint.h>

namespace tfold {

enum Act { kNone, kClip, kMix };

// Calls work(argument, begin, end) on several threads, until 0 ... count - 1 are done, each on about so many numbers.
struct Threads {
  void* pool;
  void (*run)(void* pool, int64_t count, int64_t numbers, void (*work)(void*, int64_t, int64_t), void* argument);
};

// One of the tensors that stand side by side in the channels of x, and the gradient by it.
struct Part {
  const void* x;
  int64_t channels, first;
  void* dx;
};

// y = act(gamma x^ + beta + residual). Vectors have a number for each channel.
struct Normalization {
  const Part* parts;
  int64_t number_of_parts;
  const void* residual;  // null where there is none
  int64_t pixels, channels;
  const float *mean, *rest, *variance, *gamma, *beta;
  float epsilon, slope, limit;
  Act act;
};

struct Gradient {
  const void* dy;
  void* dresidual;  // null where it is dy, or where there is no residual
  float *dgamma, *dbeta, *dslope;
};

// For one type of numbers.
struct Functions {
  void (*moments)(const void* x, int64_t pixels, int64_t channels, float* mean, float* rest, float* variance,
                  const Threads& threads);
  void (*normalize)(const Normalization& of, void* y, const Threads& threads);
  void (*normalize_grad)(const Normalization& of, const Gradient& to, const Threads& threads);
  void (*mix)(const void* x, void* y, int64_t count, float slope, float limit, const Threads& threads);
  void (*mix_grad)(const void* dy, const void* x, void* dx, float* dslope, int64_t count, float slope, float limit,
                   const Threads& threads);
};

struct Loops {
  Functions float32, bfloat16;
};

// The best loops that this processor can run, or those that tfold_use_instruction_set has chosen.
const Loops& ChosenLoops();

}  // namespace tfold

#endif  // TFOLD_TRAINING_KERNELS_LOOPS_H_
