#include "tests/learning.hpp"

#include <string>
#include <string_view>

#include <c10/core/CPUAllocator.h>

#include <catch2/catch.hpp>

using namespace banyan;

namespace {

/// While it lives the CPU's allocator refuses requests larger than `most` bytes, as a machine whose
/// memory is used up does.
class scarce_memory : public c10::Allocator {
public:
  explicit scarce_memory(std::size_t most) : plain_(c10::GetCPUAllocator()), most_(most) {
    c10::SetCPUAllocator(this, 255);
  }
  ~scarce_memory() override { c10::SetCPUAllocator(plain_, 255); }
  scarce_memory(const scarce_memory&) = delete;
  scarce_memory& operator=(const scarce_memory&) = delete;

  c10::DataPtr allocate(std::size_t bytes) override {
    if (bytes > most_) TORCH_CHECK(false, "DefaultCPUAllocator: not enough memory");
    return plain_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return plain_->raw_deleter(); }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

private:
  c10::Allocator* plain_;
  std::size_t most_;
};

/// A step during which nothing of any size can be allocated.
void run_without_memory(learning& l) {
  l.learner.begin(groups(), 1, 1e-3);
  const scarce_memory scarce(1024);
  while (l.learner.advance()) {
  }
}

} // namespace

TEST_CASE("micro-batches change nothing but the memory", "[trainer]") {
  auto small = plain();
  small.micro_tokens = 1;
  learning whole(plain()), cut(small);
  const auto a = whole.run(groups()), b = cut.run(groups());
  CHECK(a.sums.loss == Approx(b.sums.loss).margin(1e-6));
  CHECK(a.grad_norm == Approx(b.grad_norm).epsilon(1e-4));
  CHECK(a.sums.terms == b.sums.terms);
}

TEST_CASE("recomputed activations change nothing but the memory", "[trainer]") {
  auto again = plain();
  again.recompute = true;
  learning kept(plain()), recomputed(again);
  CHECK(kept.run(groups()).grad_norm == Approx(recomputed.run(groups()).grad_norm).epsilon(1e-4));
}

TEST_CASE("where memory does not suffice the step is done in smaller parts", "[trainer]") {
  std::size_t tokens = 0;
  {
    learning l(plain());
    tokens = l.run(groups()).tokens;
  }
  auto tight = plain();
  tight.micro_tokens = tokens;
  std::vector<std::string> said;
  tight.log = [&](std::string_view line) { said.emplace_back(line); };
  learning whole(plain()), cut(tight);
  const auto expected = whole.run(groups());
  learn_figures found;
  {
    // A whole step's gate and up projection does not fit; half of it does.
    const scarce_memory scarce(tokens * 96 * sizeof(float) - 1);
    found = cut.run(groups());
  }
  REQUIRE(said.size() == 1);
  CHECK_THAT(said[0], Catch::Contains("memory"));
  CHECK(found.grad_norm == Approx(expected.grad_norm).epsilon(1e-4));
  CHECK(found.sums.terms == expected.sums.terms);
}

TEST_CASE("memory that never suffices is an error and not an endless loop", "[trainer]") {
  auto o = plain();
  std::vector<std::string> said;
  o.log = [&](std::string_view line) { said.emplace_back(line); };
  learning l(o);
  CHECK_THROWS(run_without_memory(l));
  CHECK(said.size() == 1); // tried in smaller parts once
}

TEST_CASE("a thread for which memory does not suffice is named", "[trainer]") {
  auto o = plain();
  o.micro_tokens = 1;
  std::vector<std::string> said;
  o.log = [&](std::string_view line) { said.emplace_back(line); };
  learning l(o);
  CHECK_THROWS(run_without_memory(l));
  REQUIRE(said.size() == 1);
  CHECK_THAT(said[0], Catch::Contains("cannot be learnt from in smaller parts"));
}
