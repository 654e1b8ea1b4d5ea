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
// Here TensorFlow's side of it: what comes in is checked, and what goes out allocated. The numbers are loops.cc's.

#include <string>
#include <vector>

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

#include "loops.h"

#if defined(__AVX2__) || defined(__FMA__) || defined(__AVX512F__)
#error "this file must be compiled for the least processor: take -m options out of the compiler's command ($CXX)"
#endif

namespace tfold {
namespace {

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

template <typename T>
const Functions& FunctionsFor();

template <>
const Functions& FunctionsFor<float>() {
  return ChosenLoops().float32;
}

template <>
const Functions& FunctionsFor<Eigen::bfloat16>() {
  return ChosenLoops().bfloat16;
}

// The threads of the session.
Threads ThreadsOf(OpKernelContext* context) {
  const auto run = [](void* pool, int64_t count, int64_t numbers, void (*work)(void*, int64_t, int64_t), void* given) {
    static_cast<tensorflow::thread::ThreadPool*>(pool)->ParallelFor(
        count, numbers, [work, given](int64_t begin, int64_t end) { work(given, begin, end); });
  };
  return {context->device()->tensorflow_cpu_worker_threads()->workers, run};
}

// Not Tensor::flat: it makes one of Eigen's tensors.
float* Floats(Tensor* tensor) { return static_cast<float*>(tensor->data()); }
const float* Floats(const Tensor& tensor) { return static_cast<const float*>(tensor.data()); }

#define TFOLD_CHECK(condition, ...) OP_REQUIRES(context, condition, InvalidArgument(__VA_ARGS__))

int64_t Pixels(const TensorShape& shape) {
  int64_t pixels = 1;
  for (int i = 0; i + 1 < shape.dims(); ++i) pixels *= shape.dim_size(i);
  return pixels;
}

int64_t Channels(const TensorShape& shape) { return shape.dim_size(shape.dims() - 1); }

template <typename T>
class MomentsOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(0);
    TFOLD_CHECK(x.dims() >= 1, "x has channels last. Received a scalar.");
    const int64_t channels = Channels(x.shape());
    Tensor* outputs[3];  // mean, rest, variance
    for (int i = 0; i < 3; ++i)
      OP_REQUIRES_OK(context, context->allocate_output(i, TensorShape({channels}), &outputs[i]));
    FunctionsFor<T>().moments(x.data(), Pixels(x.shape()), channels, Floats(outputs[0]), Floats(outputs[1]),
                              Floats(outputs[2]), ThreadsOf(context));
  }
};

// What TfoldNormalize and its gradient share: attributes and inputs.
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
    std::vector<Part> parts;
    TensorShape shape;
    Normalization of;
  };

  tensorflow::Status Read(OpKernelContext* context, Inputs* in) const {
    OpInputList x, residual;
    TF_RETURN_IF_ERROR(context->input_list("x", &x));
    TF_RETURN_IF_ERROR(context->input_list("residual", &residual));
    if (x[0].dims() < 1) return InvalidArgument("x has channels last. Received a scalar.");
    in->shape = x[0].shape();
    Normalization* of = &in->of;
    of->pixels = Pixels(in->shape);
    of->channels = 0;
    for (int i = 0; i < x.size(); ++i) {
      if (x[i].dims() != x[0].dims() || Pixels(x[i].shape()) != of->pixels)
        return InvalidArgument("The parts of x have the same pixels. Received: ",
                               x[0].shape().DebugString(), " and ", x[i].shape().DebugString());
      in->parts.push_back({x[i].data(), Channels(x[i].shape()), of->channels, nullptr});
      of->channels += Channels(x[i].shape());
    }
    of->parts = in->parts.data();
    of->number_of_parts = static_cast<int64_t>(in->parts.size());
    in->shape.set_dim(in->shape.dims() - 1, of->channels);
    if (residual.size() > 1) return InvalidArgument("There is one residual, or none. Received: ", residual.size());
    if (residual.size() > 0 && residual[0].shape() != in->shape)
      return InvalidArgument("residual has the shape of the result. Received: ", residual[0].shape().DebugString(),
                             " and ", in->shape.DebugString());
    of->residual = residual.size() > 0 ? residual[0].data() : nullptr;
    const float** vectors[] = {&of->mean, &of->rest, &of->variance, &of->gamma, &of->beta};
    const char* names[] = {"mean", "rest", "variance", "gamma", "beta"};
    for (int i = 0; i < 5; ++i) {
      const Tensor* tensor;
      TF_RETURN_IF_ERROR(context->input(names[i], &tensor));
      if (tensor->NumElements() != of->channels)
        return InvalidArgument(names[i], " has a number for each channel. Received: ", tensor->NumElements(),
                               " for ", of->channels, " channels");
      *vectors[i] = Floats(*tensor);
    }
    const Tensor* slope;
    TF_RETURN_IF_ERROR(context->input("slope", &slope));
    if (slope->NumElements() != 1) return InvalidArgument("slope is one number.");
    of->slope = act_ == kMix ? Floats(*slope)[0] : 0.0f;
    of->limit = limit_;
    of->epsilon = epsilon_;
    of->act = act_;
    return tensorflow::OkStatus();
  }

 private:
  Act act_;
  float limit_, epsilon_;
};

template <typename T>
class NormalizeOp : public NormalizeBase {
 public:
  using NormalizeBase::NormalizeBase;

  void Compute(OpKernelContext* context) override {
    Inputs in;
    OP_REQUIRES_OK(context, Read(context, &in));
    Tensor* y;
    OP_REQUIRES_OK(context, context->allocate_output(0, in.shape, &y));
    FunctionsFor<T>().normalize(in.of, y->data(), ThreadsOf(context));
  }
};

template <typename T>
class NormalizeGradOp : public NormalizeBase {
 public:
  using NormalizeBase::NormalizeBase;

  void Compute(OpKernelContext* context) override {
    Inputs in;
    Gradient to;
    OP_REQUIRES_OK(context, Read(context, &in));
    OP_REQUIRES_OK(context, Allocate(context, &in, &to));
    FunctionsFor<T>().normalize_grad(in.of, to, ThreadsOf(context));
  }

 private:
  static tensorflow::Status Allocate(OpKernelContext* context, Inputs* in, Gradient* to) {
    const Tensor& dy = context->input(0);
    if (dy.shape() != in->shape)
      return InvalidArgument("dy has the shape of y. Received: ", dy.shape().DebugString(), " and ",
                             in->shape.DebugString());
    to->dy = dy.data();
    to->dresidual = nullptr;
    OpOutputList dx, dresidual;
    TF_RETURN_IF_ERROR(context->output_list("dx", &dx));
    TF_RETURN_IF_ERROR(context->output_list("dresidual", &dresidual));
    const bool has_residual = dresidual.size() > 0;
    if (has_residual && in->of.act == kNone) dresidual.set(0, dy);
    if (has_residual && in->of.act != kNone) {
      Tensor* out;
      TF_RETURN_IF_ERROR(dresidual.allocate(0, in->shape, &out));
      to->dresidual = out->data();
    }
    const int parts = static_cast<int>(in->parts.size());
    for (int i = 0; i < parts; ++i) {
      Tensor* out;
      TensorShape shape = in->shape;
      shape.set_dim(shape.dims() - 1, in->parts[i].channels);
      if (parts == 1 && !has_residual) {
        TF_RETURN_IF_ERROR(context->forward_input_or_allocate_output({0}, 0, shape, &out));  // in place of dy
      } else {
        TF_RETURN_IF_ERROR(dx.allocate(i, shape, &out));
      }
      in->parts[i].dx = out->data();
    }
    float** vectors[] = {&to->dgamma, &to->dbeta, &to->dslope};
    for (int i = 0; i < 3; ++i) {
      Tensor* out;
      const TensorShape shape = i < 2 ? TensorShape({in->of.channels}) : TensorShape({});
      TF_RETURN_IF_ERROR(context->allocate_output(parts + has_residual + i, shape, &out));
      *vectors[i] = Floats(out);
    }
    return tensorflow::OkStatus();
  }
};

template <typename T>
class MixOp : public OpKernel {
 public:
  explicit MixOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("limit", &limit_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(0);
    TFOLD_CHECK(context->input(1).NumElements() == 1, "slope is one number.");
    const float slope = Floats(context->input(1))[0];
    Tensor* y;
    OP_REQUIRES_OK(context, context->allocate_output(0, x.shape(), &y));
    FunctionsFor<T>().mix(x.data(), y->data(), x.NumElements(), slope, limit_, ThreadsOf(context));
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
    const Tensor &dy = context->input(0), &x = context->input(1);
    TFOLD_CHECK(dy.shape() == x.shape(), "dy has the shape of x.");
    TFOLD_CHECK(context->input(2).NumElements() == 1, "slope is one number.");
    const float slope = Floats(context->input(2))[0];
    const void* upstream = dy.data();
    Tensor *dx, *dslope;
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output({0}, 0, x.shape(), &dx));
    OP_REQUIRES_OK(context, context->allocate_output(1, TensorShape({}), &dslope));
    FunctionsFor<T>().mix_grad(upstream, x.data(), dx->data(), Floats(dslope), x.NumElements(), slope, limit_,
                               ThreadsOf(context));
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

}  // namespace
}  // namespace tfold
