import ArgumentParser
import CStandardLibrary
import RouteGrad

/// How a command runs; every command takes these.
struct RunOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Use this many threads; results do not depend on it. (default: all cores)", valueName: "n"))
  var threads: Int?

  @Flag(help: "Say nothing on standard error unless there is an error.")
  var quiet = false

  func validate() throws {
    try Limit.threads.validate("--threads", threads)
  }

  /// The number of threads, of which more than this many would only stand in each other's way.
  var threadCount: Int { min(threads ?? max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1), Limit<Int>.mostThreads) }
}
