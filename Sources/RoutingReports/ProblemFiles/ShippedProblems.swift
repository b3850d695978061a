import CShippedProblems
import RoutingCore

/// The problems that ship with the program, embedded in it.
public enum ShippedProblems {
  /// All of them, in the order in which they are reported.
  ///
  /// - Throws: `Refusal`, never for a program that was built from a checkout that passes its tests.
  public static func all() throws(Refusal) -> [FiledProblem] {
    var count = 0
    guard let files = rg_shipped_files(&count) else { return [] }
    var problems: [FiledProblem] = []
    for file in UnsafeBufferPointer(start: files, count: count) {
      let bytes = [UInt8](UnsafeBufferPointer(start: file.bytes, count: file.count))
      problems += try ProblemFile.problems(of: bytes, file: String(cString: file.name))
    }
    return problems
  }

  /// The few on which an order of accuracy shows: losses that are smooth and no polynomials, for which no
  /// rule is exact.
  package static func smooth() throws(Refusal) -> [FiledProblem] {
    let names = ["categorical-8-cross-entropy", "mixture-8-log-cosh", "mixture-8-softmax-cross-entropy"]
    return try all().filter { names.contains($0.problem.name ?? "") }
  }
}
