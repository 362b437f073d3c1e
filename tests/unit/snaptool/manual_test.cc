// SPDX-License-Identifier: BSD-2-Clause
// The manual page and --help are written apart and must say the same.
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "run_tool.h"
#include "snapshot/check.h"

namespace vmsnap::snaptool {
namespace {

const std::vector<std::string> kCommands = {"info", "levels",  "migrate", "ls",      "show",   "check",
                                            "diff", "explain", "repack",  "recover", "convert"};

std::string read_manual() {
  std::ifstream file(VMSNAP_MANUAL);
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << VMSNAP_MANUAL;
  return text.str();
}

std::set<std::string> all_matches(const std::string& text, const char* expression, int group) {
  const std::regex regex(expression, std::regex::ECMAScript | std::regex::multiline);
  std::set<std::string> found;
  for (std::sregex_iterator match(text.begin(), text.end(), regex), end; match != end; ++match) {
    found.insert((*match)[static_cast<std::size_t>(group)].str());
  }
  return found;
}

/// Long options in a help text.
std::set<std::string> options_in_help(const std::string& help) {
  return all_matches(help, "--([a-z-]+)", 1);
}

/// The lines of the synopsis that belong to a command, in mdoc.
std::string synopsis_of(const std::string& manual, const std::string& command) {
  const std::string begin = "\n.Cm " + command + "\n";
  std::string lines;
  for (std::size_t at = manual.find(begin); at < manual.find("\n.Sh DESCRIPTION");
       at = manual.find(begin, at + 1))
    lines += manual.substr(at, manual.find("\n.Nm", at) - at);
  EXPECT_FALSE(lines.empty()) << command;
  return lines;
}

TEST(Manual, HasEveryOptionOfTheHelpAndNoOther) {
  std::set<std::string> help = options_in_help(run_tool({"--help"}).out);
  for (const std::string& command : kCommands) help.merge(options_in_help(run_tool({command, "--help"}).out));
  const std::string manual = read_manual();
  EXPECT_EQ(all_matches(manual, "Fl -([a-z-]+)", 1), help);
  std::set<std::string> described = all_matches(manual, "^\\.It Fl -([a-z-]+)", 1);
  described.insert("help");  // stands behind -h
  EXPECT_EQ(described, help);
}

TEST(Manual, HasEveryCommandOfTheHelpAndNoOther) {
  const std::string help = run_tool({"--help"}).out;
  const std::set<std::string> commands =
      all_matches(help.substr(help.find("Subcommands:")), "^  ([a-z]+) ", 1);
  EXPECT_EQ(commands, std::set<std::string>(kCommands.begin(), kCommands.end()));
  const std::string manual = read_manual();
  const std::size_t begin = manual.find(".Sh COMMANDS");
  const std::size_t end = manual.find(".Sh OPTIONS");
  EXPECT_EQ(all_matches(manual.substr(begin, end - begin), "^\\.It Cm ([a-z]+)$", 1), commands);
}

TEST(Manual, GivesEachCommandTheOptionsThatItsHelpGivesIt) {
  const std::string manual = read_manual();
  for (const std::string& command : kCommands) {
    std::set<std::string> help = options_in_help(run_tool({command, "--help"}).out);
    help.erase("help");
    EXPECT_EQ(all_matches(synopsis_of(manual, command), "Fl -([a-z-]+)", 1), help) << command;
  }
}

TEST(Manual, ListsTheCodeOfEveryFinding) {
  const std::string manual = read_manual();
  for (const Finding::Code code :
       {Finding::Code::kUnknownOptionalChunk, Finding::Code::kUnknownCompatibleFeature,
        Finding::Code::kNewerMinorVersion, Finding::Code::kFileMode, Finding::Code::kUnusedSchema,
        Finding::Code::kBodyNotChecked, Finding::Code::kLost}) {
    EXPECT_NE(manual.find(".Ql " + std::string(to_string(code))), std::string::npos) << to_string(code);
  }
}

TEST(Manual, ListsEveryExitStatus) {
  const std::string manual = read_manual();
  const std::size_t begin = manual.find(".Sh EXIT STATUS");
  const std::size_t end = manual.find(".Sh EXAMPLES");
  EXPECT_EQ(all_matches(manual.substr(begin, end - begin), "^\\.It ([0-9])$", 1),
            (std::set<std::string>{"0", "1", "2", "3", "4", "5"}));
}

}  // namespace
}  // namespace vmsnap::snaptool
