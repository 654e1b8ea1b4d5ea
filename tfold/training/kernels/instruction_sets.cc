// Which instruction sets the library has loops for, which of them this processor can run, and which is in use.

#include <atomic>
#include <cstring>

#include "loops.h"

#if defined(__x86_64__)
#include <cpuid.h>
#define TFOLD_X86 1
#define TFOLD_BASELINE "x86-64"
#elif defined(__aarch64__)
#define TFOLD_BASELINE "armv8-a"
#else
#define TFOLD_BASELINE "baseline"
#endif

#define TFOLD_EXPORTED extern "C" __attribute__((visibility("default")))

extern "C" {
extern const tfold::Loops tfold_loops_baseline, tfold_loops_x86_64_v2, tfold_loops_x86_64_v3, tfold_loops_x86_64_v4;
}

namespace tfold {
namespace {

// The x86-64 psABI's micro-architecture level of this processor, as the operating system lets it be used: 1 to 4.
int Level() {
#ifdef TFOLD_X86
  const auto all = [](unsigned found, unsigned wanted) { return (found & wanted) == wanted; };
  unsigned a, b, c = 0, d, unused, extended = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 1;
  __get_cpuid(0x80000001, &a, &b, &extended, &d);
  const unsigned v2 = 1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23;  // SSE3, SSSE3, CX16, SSE4, POPCNT
  if (!all(c, v2) || !all(extended, 1u << 0)) return 1;                               // LAHF
  const unsigned v3 = 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29;           // FMA, MOVBE, OSXSAVE, AVX, F16C
  unsigned leaf7 = 0;
  if (!all(c, v3) || !all(extended, 1u << 5) || !__get_cpuid_count(7, 0, &a, &leaf7, &unused, &d)) return 2;  // LZCNT
  unsigned states;  // the registers that the operating system keeps for each thread
  __asm__ volatile(".byte 0x0f, 0x01, 0xd0" : "=a"(states), "=d"(unused) : "c"(0));  // xgetbv
  if (!all(leaf7, 1u << 3 | 1u << 5 | 1u << 8) || !all(states, 0x06)) return 2;        // BMI1, AVX2, BMI2
  const unsigned v4 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;            // AVX-512 F, DQ, CD, BW, VL
  return all(leaf7, v4) && all(states, 0xe6) ? 4 : 3;
#else
  return 1;
#endif
}

struct Entry {
  const char* name;
  int level;
  const Loops* loops;
};

// Best first. compiler.py says which of them the compiler could make.
const Entry kEntries[] = {
#ifdef TFOLD_HAS_x86_64_v4
    {"x86-64-v4", 4, &tfold_loops_x86_64_v4},
#endif
#ifdef TFOLD_HAS_x86_64_v3
    {"x86-64-v3", 3, &tfold_loops_x86_64_v3},
#endif
#ifdef TFOLD_HAS_x86_64_v2
    {"x86-64-v2", 2, &tfold_loops_x86_64_v2},
#endif
    {TFOLD_BASELINE, 1, &tfold_loops_baseline},
};

// The entries from here on run on this processor.
const Entry* First() {
  static const int level = Level();
  const Entry* entry = kEntries;
  while (entry->level > level) ++entry;
  return entry;
}

std::atomic<const Entry*> chosen{nullptr};

const Entry* Chosen() {
  const Entry* entry = chosen.load(std::memory_order_acquire);
  return entry != nullptr ? entry : First();
}

}  // namespace

const Loops& ChosenLoops() { return *Chosen()->loops; }

// The name of the instruction set that is in use.
TFOLD_EXPORTED const char* tfold_instruction_set() { return Chosen()->name; }

// The name of the number-th one that runs here, best first; null behind the last.
TFOLD_EXPORTED const char* tfold_instruction_set_at(int number) {
  const Entry* entry = First() + number;
  return entry < kEntries + sizeof kEntries / sizeof *kEntries ? entry->name : nullptr;
}

// Takes another one from now on. Returns 0 if it is not there or does not run here: nothing changes then.
TFOLD_EXPORTED int tfold_use_instruction_set(const char* name) {
  for (int number = 0; tfold_instruction_set_at(number) != nullptr; ++number)
    if (std::strcmp(tfold_instruction_set_at(number), name) == 0) {
      chosen.store(First() + number, std::memory_order_release);
      return 1;
    }
  return 0;
}

}  // namespace tfold
