// SPDX-License-Identifier: BSD-2-Clause
#include "reflect/content.h"

#include <array>

#include "reflect/walker.h"

namespace vmsnap::reflect {
namespace {

/// Renders each event as a tag and its numbers, so that no two different walks render to the same bytes.
class DigestVisitor : public Visitor {
 public:
  void begin_object(const Object&) override { put('{', 0); }
  void end_object(const Object&, std::uint32_t) override { put('}', 0); }
  void field(const Field& field, Presence) override { put('.', field.id); }
  void scalar(const Field&, Scalar value) override { put('n', value.bits); }
  void string(const Field&, std::string_view text) override {
    put('s', text.size());
    hash_.update(as_byte_view(text));
  }
  void scalars(const Field&, const ScalarRun& run) override {
    put('v', run.count);
    hash_.update(run.bytes);
  }
  void begin_list(const Field&, std::uint32_t count) override { put('[', count); }
  void end_list(const Field&) override { put(']', 0); }
  void null(const Field&) override { put('0', 0); }
  void unknown_member(const Field&, std::uint8_t) override { unknown_member_ = true; }

  [[nodiscard]] bool met_unknown_member() const { return unknown_member_; }
  [[nodiscard]] Digest128 digest() const { return hash_.digest_128(); }

 private:
  void put(char tag, std::uint64_t number) {
    std::array<std::byte, 9> event{};
    event[0] = static_cast<std::byte>(tag);
    store_le<std::uint64_t>(event, 1, number);
    hash_.update(event);
  }

  Xxh3Stream hash_;
  bool unknown_member_ = false;
};

}  // namespace

Result<Digest128> content_digest(const SchemaModel& model, ByteView data, const Limits& limits) {
  DigestVisitor visitor;
  VMSNAP_ASSIGN_OR_RETURN(const WalkReport report, walk(model, data, visitor, limits));
  if (report.unknown_fields > 0 || visitor.met_unknown_member()) {
    return Error(
        ErrorKind::kUnsupported,
        "the state holds fields that its schema does not know, so its content cannot be compared; use the "
        "schema it was written with");
  }
  return visitor.digest();
}

Result<bool> equal_by_content(const SchemaModel& model, ByteView a, ByteView b, const Limits& limits) {
  VMSNAP_ASSIGN_OR_RETURN(const Digest128 first, content_digest(model, a, limits));
  VMSNAP_ASSIGN_OR_RETURN(const Digest128 second, content_digest(model, b, limits));
  return first == second;
}

}  // namespace vmsnap::reflect
