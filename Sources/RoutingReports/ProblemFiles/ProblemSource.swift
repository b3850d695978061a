import FileFormats
import RoutingCore

/// Problems that are read from their beginning as often as needed, and need not fit into memory.
package struct ProblemSource {
  /// Begins anew: gives the problems one after the other, then nil.
  let start: () throws -> () throws -> FiledProblem?

  /// Problems that are at hand.
  package init(_ problems: [FiledProblem]) {
    start = {
      var rest = problems[...]
      return { rest.popFirst() }
    }
  }

  /// The problems of a file that is read piece by piece.
  ///
  /// What is wrong with it is refused when it is reached, the same as by ``ProblemFile/problems(of:file:)``.
  ///
  /// - Parameters:
  ///   - file: the file's name, for messages.
  ///   - open: opens it; what it gives reads the next piece, of any length, empty at the end.
  package init(file: String, open: @escaping () throws -> () throws -> [UInt8]) {
    start = {
      var reader = JSONListReader("problems", read: try open())
      var index = 0
      return {
        do {
          if let value = try reader.next() {
            defer { index += 1 }
            return try ProblemFile.item(value, index: index, file: file)
          }
          if index > 0 {
            try ProblemFile.requireList(.object(reader.fields), file: file)
            return nil
          }
          // No list of objects: one problem, or what is refused.
          defer { index = 1 }
          return try ProblemFile.decoded(.object(reader.fields), file: file).first
        } catch let error as JSONError {
          throw Refusal(file: file, error.inFile)
        }
      }
    }
  }

  /// The problems of several sources, one after the other.
  package init(joining sources: [ProblemSource]) {
    start = {
      var rest = sources[...]
      var next: () throws -> FiledProblem? = { nil }
      return {
        while true {
          if let problem = try next() { return problem }
          guard let source = rest.popFirst() else { return nil }
          next = try source.start()
        }
      }
    }
  }
}
