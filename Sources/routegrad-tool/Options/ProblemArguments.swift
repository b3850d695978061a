import ArgumentParser
import RouteGrad

/// Files of problems.
struct ProblemArguments: ParsableArguments {
  @Argument(
    help: ArgumentHelp(
      "Files of problems; '-' is standard input. (default: problems that ship with the program)",
      valueName: "file"), completion: .file(extensions: ["json"]))
  var files: [String] = []

  func validate() throws {
    if files.count(where: { $0 == "-" }) > 1 {
      throw ValidationError("standard input ('-') can be read only once")
    }
  }

  /// The problems of all files, in order, which need not fit into memory, or others if no file is named.
  func source(otherwise shipped: () throws(Refusal) -> [FiledProblem]) throws -> ProblemSource {
    files.isEmpty ? ProblemSource(try shipped()) : ProblemSource(joining: try files.map { try Input.source(of: $0) })
  }

  /// The problems of all files, in order, or others if no file is named.
  func problems(otherwise shipped: () throws(Refusal) -> [FiledProblem]) throws -> [FiledProblem] {
    files.isEmpty ? try shipped() : try files.flatMap { try Input.problems(in: $0) }
  }
}
