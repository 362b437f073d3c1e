// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <string>

#include "base/stream.h"
#include "commands/commands.h"
#include "progress.h"
#include "snapshot/snapshot_copy.h"
#include "snapshot/stream_copy.h"
#include "snapshot_file.h"

namespace vmsnap::snaptool {
namespace {

struct RepackOptions {
  std::string from;
  std::string to;
  std::string encoding;  // empty: what the rest of the command line asks for
  std::string compression = "none";
  unsigned threads = 0;  // 0: as many as there are cores
  bool json = false;

  [[nodiscard]] bool to_stream() const { return to == "-"; }
};

Result<SnapshotWriteOptions> write_options(const RepackOptions& options) {
  SnapshotWriteOptions write;
  const bool compressed = options.compression == "lz4";
  const bool extents =
      options.encoding.empty() ? compressed || options.to_stream() : options.encoding == "extents";
  if (compressed && !extents) {
    return Error(ErrorKind::kUsage, "flat memory is never compressed; use --encoding extents");
  }
  if (options.to_stream() && !extents) {
    return Error(ErrorKind::kUsage, "flat memory cannot be written to a stream; use --encoding extents");
  }
  if (options.to_stream() && options.json) {
    return Error(ErrorKind::kUsage, "the snapshot itself goes to standard output, so --json cannot");
  }
  write.encoding = extents ? RamEncoding::kExtents : RamEncoding::kFlat;
  write.codec = compressed ? Codec::kLz4 : Codec::kNone;
  return write;
}

constexpr const char* kStandardInput = "standard input";

/// What standard input is: a file, or a stream.
Result<UniqueFd> open_standard_input(bool& is_file) {
  UniqueFd input(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
  struct stat status {};
  if (!input || ::fstat(input.get(), &status) != 0) {
    return io_error("cannot be read", errno).in_file(kStandardInput);
  }
  is_file = S_ISREG(status.st_mode);
  if (!is_file && ::isatty(input.get()) == 1) {
    return Error(ErrorKind::kUsage, "standard input is a terminal; a snapshot comes from a pipe or a file");
  }
  return input;
}

/// Has the pass shown and interrupted.
void use(Progress& progress, const RepackOptions& options, SnapshotWriteOptions& write) {
  write.pass = progress.pass();
  if (options.threads != 0) write.pass.threads = options.threads;
}

/// Does the work with `copy`, which is called with the place for the new snapshot: the name of a file, or a
/// sink.
template <typename Copy>
Result<CopyReport> write_output(const RepackOptions& options, const std::function<bool()>& cancelled,
                                const Copy& copy) {
  if (!options.to_stream()) return copy(options.to);
  UniqueFd fd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
  if (!fd) return io_error("cannot be written", errno).in_file("standard output");
  StreamSink sink(std::move(fd), "standard output", cancelled);
  return copy(sink);
}

Result<CopyReport> repack_file(Result<SnapshotReader> opened, const RepackOptions& options,
                               SnapshotWriteOptions& write, const std::function<bool()>& cancelled,
                               Output& output) {
  VMSNAP_ASSIGN_OR_RETURN(const SnapshotReader from, std::move(opened));
  Progress progress(output, "repacking", memory_size(from));
  use(progress, options, write);
  return write_output(options, cancelled, [&](auto& to) { return copy_snapshot(from, to, write); });
}

Result<CopyReport> repack_stream(UniqueFd input, const RepackOptions& options, SnapshotWriteOptions& write,
                                 const std::function<bool()>& cancelled, Output& output) {
  StreamSource from(std::move(input), kStandardInput, cancelled);
  Progress progress(output, "repacking", 0);
  use(progress, options, write);
  return write_output(options, cancelled, [&](auto& to) { return copy_stream(from, to, write); });
}

/// Both ends of the work, with the name of the file that is at fault in any error.
Result<CopyReport> repack(const RepackOptions& options, Output& output) {
  VMSNAP_ASSIGN_OR_RETURN(SnapshotWriteOptions write, write_options(options));
  if (options.to_stream() && ::isatty(STDOUT_FILENO) == 1) {
    return Error(ErrorKind::kUsage, "standard output is a terminal; send the snapshot to a pipe or a file");
  }
  const std::atomic<bool>* flag =
      output.watcher().catch_interrupt ? output.watcher().catch_interrupt() : nullptr;
  const std::function<bool()> cancelled = [flag] { return flag != nullptr && flag->load(); };
  if (options.from != "-") {
    return repack_file(open_snapshot(options.from, ReadLevel::kMeta), options, write, cancelled, output);
  }
  bool is_file = false;
  VMSNAP_ASSIGN_OR_RETURN(UniqueFd input, open_standard_input(is_file));
  if (!is_file) return repack_stream(std::move(input), options, write, cancelled, output);
  const SnapshotReadOptions read{.allow_unknown_critical = true, .allow_recovered = true};
  return repack_file(SnapshotReader::open(File::adopt(std::move(input), kStandardInput), read), options,
                     write, cancelled, output);
}

void print_json(const RepackOptions& options, const CopyReport& report, Output& output) {
  output.print_json({{"file", options.from},
                     {"repacked", options.to},
                     {"uuid", vmsnap::to_string(report.written.uuid)},
                     {"root", vmsnap::to_string(report.written.root)},
                     {"file_size", wide(report.written.file_size)},
                     {"chunk_count", report.written.chunk_count},
                     {"memory_size", wide(report.written.ram_bytes)},
                     {"memory_data", wide(report.written.ram_data_bytes)},
                     {"memory_stored", wide(report.written.ram_stored_bytes)},
                     {"left_out", report.left_out}});
}

ExitCode run(const RepackOptions& options, Output& output) {
  const Result<CopyReport> report = repack(options, output);
  if (!report) {
    Error error = report.error();
    // Of a wrong command line, which is not about the file, the sentence is all there is.
    const bool is_usage = error.kind() == ErrorKind::kUsage;
    if (!is_usage) error.in_file(options.from);
    return fail(error, options.json && !is_usage, output);
  }
  const ExitCode status = report->left_out.empty() ? kExitOk : kExitFindings;
  if (options.json) {
    print_json(options, *report, output);
    return status;
  }
  for (const std::string& what : report->left_out) {
    output.complain(fmt::format("{}: left out {}", options.from, what));
  }
  if (options.to_stream()) return status;
  const SnapshotSummary& written = report->written;
  output.print(fmt::format("{}: wrote {} in {}: {} of memory, of which {} are not zero, in {}\n",
                           printable(options.to), count_of(written.chunk_count, "chunk"),
                           count_of(written.file_size, "byte"), human_size(written.ram_bytes),
                           human_size(written.ram_data_bytes), human_size(written.ram_stored_bytes)));
  return status;
}

}  // namespace

void add_repack_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<RepackOptions>();
  CLI::App* command = app.add_subcommand(
      "repack", "Write a snapshot anew, with guest memory in another encoding and everything else as it is");
  command->add_option("IN", options->from, "The snapshot; - is standard input")->required()->type_name("");
  command
      ->add_option("OUT", options->to,
                   "The file to write; one of that name is replaced when the new one is complete; - is "
                   "standard output")
      ->required()
      ->type_name("");
  command
      ->add_option("--encoding", options->encoding,
                   "Layout of memory: flat (a restore maps it at once) or extents (front to back, smaller); "
                   "extents with --compress lz4 and for streams, else flat")
      ->check(CLI::IsMember({"flat", "extents"}))
      ->type_name("ENCODING");
  command->add_option("--compress", options->compression, "Compression of memory: none or lz4")
      ->check(CLI::IsMember({"none", "lz4"}))
      ->type_name("CODEC")
      ->capture_default_str();
  command->add_option("--threads", options->threads, "How many threads work; the number of cores when absent")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  command->add_flag("--json", options->json, "Print JSON, for programs");
  command->callback(
      [&action, options] { action = [options](Output& output) { return run(*options, output); }; });
}

}  // namespace vmsnap::snaptool
