// SPDX-License-Identifier: BSD-2-Clause
#include "control/protocol.h"

#include <gtest/gtest.h>

namespace vmsnap::vmm {
namespace {

using nlohmann::json;

Result<Request> decode(std::string_view line) {
  std::optional<std::uint64_t> id;
  return decode_request(line, id);
}

void expect_refusal(std::string_view line, ErrorKind kind, std::string_view part) {
  const auto request = decode(line);
  ASSERT_FALSE(request) << line;
  EXPECT_EQ(request.error().kind(), kind) << line;
  EXPECT_NE(request.error().message().find(part), std::string::npos) << request.error().to_string();
}

TEST(Protocol, EveryCommandSurvivesTheWayThere) {
  for (const Command command : {Command::kStatus, Command::kPause, Command::kResume, Command::kCheckpoint,
                                Command::kSuspend, Command::kQuit}) {
    const std::string file = takes_file(command) ? "/tmp/a \"quoted\"\nname" : "";
    std::string line = encode(Request{18446744073709551615u, command, file});
    ASSERT_EQ(line.back(), '\n');
    line.pop_back();
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const auto request = decode(line);
    ASSERT_TRUE(request) << request.error().to_string();
    EXPECT_EQ(request->id, 18446744073709551615u);
    EXPECT_EQ(request->command, command);
    EXPECT_EQ(request->file, file);
    EXPECT_EQ(parse_command(to_string(command)), command);
  }
}

TEST(Protocol, LinesThatAreNoObjectAreRefused) {
  for (const std::string_view line : {"", "status", "[]", "1", "null", "{", "{\"id\": 1,}", "{} {}",
                                      "\xff\xfe", "{\"id\": 1e}", "{\"id\": \"\xc3\x28\"}"}) {
    expect_refusal(line, ErrorKind::kUsage, "not a JSON object");
  }
}

TEST(Protocol, KeysThatAreUnknownOrRepeatedAreRefused) {
  expect_refusal(R"({"id":1,"command":"status","force":true})", ErrorKind::kUsage, "not known");
  expect_refusal(R"({"id":1,"command":"status","command":"quit"})", ErrorKind::kUsage, "more than once");
}

TEST(Protocol, AnUnknownKeyIsNamed) {
  const auto request = decode(R"({"id":1,"command":"status","force":true})");
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().field(), "force");
}

TEST(Protocol, AnIdIsAWholeNumberFromZeroUp) {
  EXPECT_TRUE(decode(R"({"id":0,"command":"status"})"));
  for (const std::string_view id : {"-1", "1.5", "\"1\"", "null", "true", "[1]", "18446744073709551616"}) {
    expect_refusal("{\"id\":" + std::string(id) + ",\"command\":\"status\"}", ErrorKind::kUsage, "\"id\"");
  }
  expect_refusal(R"({"command":"status"})", ErrorKind::kUsage, "\"id\"");
}

TEST(Protocol, TheIdIsKnownForTheAnswerEvenWhenTheRestIsWrong) {
  std::optional<std::uint64_t> id;
  EXPECT_FALSE(decode_request(R"({"id":7,"command":"fly"})", id));
  EXPECT_EQ(id, 7u);
}

TEST(Protocol, CommandsThatAreNotKnownAreRefusedWithTheOnesThatAre) {
  for (const std::string_view line :
       {R"({"id":1,"command":"fly"})", R"({"id":1,"command":1})", R"({"id":1})"}) {
    expect_refusal(line, ErrorKind::kUsage, "status, pause, resume, checkpoint, suspend, quit");
  }
}

TEST(Protocol, AFileGoesWithTheCommandsThatWriteOneAndIsAbsolute) {
  EXPECT_TRUE(decode(R"({"id":1,"command":"checkpoint","file":"/a"})"));
  expect_refusal(R"({"id":1,"command":"checkpoint"})", ErrorKind::kUsage, "needs a file");
  expect_refusal(R"({"id":1,"command":"suspend","file":"a"})", ErrorKind::kUsage, "absolute");
  expect_refusal(R"({"id":1,"command":"suspend","file":"/a\u0000b"})", ErrorKind::kUsage, "zero byte");
  expect_refusal(R"({"id":1,"command":"suspend","file":""})", ErrorKind::kUsage, "file name");
  expect_refusal(R"({"id":1,"command":"suspend","file":3})", ErrorKind::kUsage, "file name");
  expect_refusal(R"({"id":1,"command":"status","file":"/a"})", ErrorKind::kUsage, "takes no file");
}

TEST(Protocol, EncodingAndCompressionSurviveTheWayThereAndDecideForEachOther) {
  const auto chosen = [](std::string_view rest) {
    const auto request = decode(R"({"id":1,"command":"checkpoint",)" + std::string(rest) + "}");
    EXPECT_TRUE(request) << rest << ": " << request.error().to_string();
    if (!request) return std::string();
    std::string line = encode(*request);
    line.pop_back();
    const auto again = decode(line);
    EXPECT_TRUE(again && again->stream == request->stream && again->encoding == request->encoding &&
                again->compression == request->compression)
        << line;
    return std::string(to_string(request->chosen_encoding()));
  };
  EXPECT_EQ(chosen(R"("file":"/a")"), "flat");
  EXPECT_EQ(chosen(R"("file":"/a","stream":false,"compress":"none")"), "flat");
  EXPECT_EQ(chosen(R"("file":"/a","encoding":"extents")"), "extents");
  EXPECT_EQ(chosen(R"("file":"/a","compress":"lz4")"), "extents");
  EXPECT_EQ(chosen(R"("stream":true)"), "extents");
  EXPECT_EQ(chosen(R"("stream":true,"compress":"lz4")"), "extents");
}

TEST(Protocol, EncodingsThatDoNotFitTheirPlaceAreRefused) {
  const std::string head = R"({"id":1,"command":"suspend",)";
  expect_refusal(head + R"("stream":true,"file":"/a"})", ErrorKind::kUsage, "choose one");
  expect_refusal(head + R"("stream":true,"encoding":"flat"})", ErrorKind::kUsage, "extents for a stream");
  expect_refusal(head + R"("file":"/a","encoding":"flat","compress":"lz4"})", ErrorKind::kUsage,
                 "never compressed");
  expect_refusal(head + R"("stream":false})", ErrorKind::kUsage, "needs a file");
  expect_refusal(head + R"("stream":1})", ErrorKind::kUsage, "true nor false");
  expect_refusal(head + R"("file":"/a","encoding":"sparse"})", ErrorKind::kUsage, "flat or extents");
  expect_refusal(head + R"("file":"/a","compress":3})", ErrorKind::kUsage, "none or lz4");
  for (const std::string_view rest :
       {R"("stream":true})", R"("encoding":"extents"})", R"("compress":"none"})"}) {
    expect_refusal(R"({"id":1,"command":"status",)" + std::string(rest), ErrorKind::kUsage,
                   "writes no snapshot");
  }
}

TEST(Protocol, AReleaseLevelSurvivesTheWayThere) {
  for (const std::string_view level : {"1", "2", "99", "65535"}) {
    const auto request =
        decode(R"({"id":1,"command":"checkpoint","file":"/a","level":)" + std::string(level) + "}");
    ASSERT_TRUE(request) << request.error().to_string();
    EXPECT_EQ(std::to_string(request->level.value_or(0)), level);
    std::string line = encode(*request);
    line.pop_back();
    EXPECT_EQ(decode(line)->level, request->level);
  }
  EXPECT_FALSE(decode(R"({"id":1,"command":"checkpoint","file":"/a"})")->level);
}

TEST(Protocol, LevelsThatCannotBeAreRefused) {
  const std::string head = R"({"id":1,"command":"suspend","file":"/a","level":)";
  expect_refusal(head + "0}", ErrorKind::kUsage, "begin with 1");
  for (const std::string_view level : {"65536", "-1", "1.0", "\"1\"", "\"old\"", "null", "true", "[1]"}) {
    expect_refusal(head + std::string(level) + "}", ErrorKind::kUsage, "1 to 65535");
  }
  expect_refusal(R"({"id":1,"command":"status","level":1})", ErrorKind::kUsage, "writes no snapshot");
}

TEST(Protocol, DepthIsBoundedBeforeAnythingIsParsed) {
  expect_refusal(std::string(60000, '['), ErrorKind::kLimitExceeded, "nested");
  expect_refusal(R"({"id":[[[[1]]]],"command":"status"})", ErrorKind::kLimitExceeded, "nested");
  const auto brackets_in_text = decode(R"({"id":1,"command":"checkpoint","file":"/[[[[[[\"[[[["})");
  EXPECT_TRUE(brackets_in_text);
}

TEST(Protocol, LengthIsBounded) {
  const std::string head = R"({"id":1,"command":"checkpoint","file":"/)";
  const std::string fits = head + std::string(kRequestLimit - head.size() - 2, 'x') + "\"}";
  ASSERT_EQ(fits.size(), kRequestLimit);
  EXPECT_TRUE(decode(fits));
  expect_refusal(fits + " ", ErrorKind::kLimitExceeded, "longer than 65536");
}

TEST(Protocol, AResultComesBackAsItWas) {
  const json result = {{"state", "paused"}, {"vcpus", 2}};
  std::string line = encode_result(5, result);
  EXPECT_EQ(line, "{\"id\":5,\"ok\":true,\"result\":{\"state\":\"paused\",\"vcpus\":2}}\n");
  line.pop_back();
  const auto reply = decode_reply(line, 5);
  ASSERT_TRUE(reply);
  EXPECT_EQ(*reply, result);
}

TEST(Protocol, AnErrorHasOneShapeWithWhatIsKnown) {
  EXPECT_EQ(encode_error(3, Error(ErrorKind::kInvalidState, "it runs")),
            "{\"error\":{\"kind\":\"invalid-state\",\"message\":\"it runs\"},\"id\":3,\"ok\":false}\n");
  std::string line = encode_error(std::nullopt, Error(ErrorKind::kCorrupt, "bad")
                                                    .in_file("f")
                                                    .at_offset(1)
                                                    .in_chunk("UART")
                                                    .in_device("isa0/uart@3f8")
                                                    .in_field("lcr"));
  line.pop_back();
  EXPECT_EQ(json::parse(line, nullptr, false), json({{"id", nullptr},
                                                     {"ok", false},
                                                     {"error",
                                                      {{"kind", "corrupt"},
                                                       {"message", "bad"},
                                                       {"file", "f"},
                                                       {"offset", 1},
                                                       {"chunk", "UART"},
                                                       {"device", "isa0/uart@3f8"},
                                                       {"field", "lcr"}}}}));
  const auto reply = decode_reply(line, 9);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(reply.error().to_string(), "f: offset 1: chunk UART: device isa0/uart@3f8: field lcr: bad");
}

TEST(Protocol, EveryKindOfErrorSurvivesTheWayBack) {
  for (const ErrorKind kind :
       {ErrorKind::kIo, ErrorKind::kTruncated, ErrorKind::kCorrupt, ErrorKind::kUnsupported,
        ErrorKind::kLimitExceeded, ErrorKind::kInvalidState, ErrorKind::kUsage, ErrorKind::kInternal}) {
    std::string line = encode_error(1, Error(kind, "m"));
    line.pop_back();
    const auto reply = decode_reply(line, 1);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().kind(), kind);
  }
}

TEST(Protocol, TextThatIsNotUtf8IsShownAndNotThrownAt) {
  const std::string line = encode_error(1, Error(ErrorKind::kIo, "m").in_file("/tmp/\xff\xfe"));
  EXPECT_NE(line.find("/tmp/"), std::string::npos);
  EXPECT_EQ(line.find('\xff'), std::string::npos);
}

TEST(Protocol, RepliesThatAreNotOfThisProtocolAreCorrupt) {
  for (const std::string_view line :
       {"", "HTTP/1.1 400 Bad Request", "{}", R"({"ok":true})", R"({"id":1,"ok":1,"result":{}})",
        R"({"id":1,"ok":true})", R"({"id":2,"ok":true,"result":{}})", R"({"id":1,"ok":false})",
        R"({"id":1,"ok":false,"error":"x"})",
        R"({"id":1,"ok":false,"error":{"kind":"odd","message":"m"}})"}) {
    const auto reply = decode_reply(line, 1);
    ASSERT_FALSE(reply) << line;
    EXPECT_EQ(reply.error().kind(), ErrorKind::kCorrupt);
    EXPECT_NE(reply.error().message().find("control protocol"), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace vmsnap::vmm
