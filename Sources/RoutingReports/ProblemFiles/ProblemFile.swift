import FileFormats
import RoutingCore

/// A problem, and where it came from.
public struct FiledProblem: Sendable {
  /// The problem.
  public var problem: RoutingProblem
  /// The name of the file, for messages.
  public var file: String
  /// Its place in the file, `problems[3]`; empty if the file is the problem.
  public var place: String

  /// Says where a problem came from.
  public init(_ problem: RoutingProblem, file: String, place: String = "") {
    self.problem = problem
    self.file = file
    self.place = place
  }

  /// Where it came from, and its name if it has one: `moe.json: problems[3] (token-03)`.
  public var location: String {
    var location = place.isEmpty ? file : "\(file): \(place)"
    if let name = problem.name { location += " (\(name.clipped(to: 60)))" }
    return location
  }
}

/// Files of the formats `routegrad.problem/1` (one problem) and `routegrad.problems/1` (a list of them).
///
/// *Source*: docs/formats.md, which is a contract.
public enum ProblemFile {
  static let single = "routegrad.problem/1"
  static let several = "routegrad.problems/1"

  /// The problems of a file, in order.
  ///
  /// *Edge cases*: a problem within a list may leave out its own `schema`; names may repeat; a list has at
  /// least one problem.
  ///
  /// - Parameters:
  ///   - bytes: the file's content.
  ///   - file: the file's name, for messages.
  /// - Throws: `Refusal` of code `wrongData` for the first thing that is wrong: not UTF-8, not JSON, a field unknown,
  ///   missing, of another type or length, a number not finite or out of range.
  public static func problems(of bytes: [UInt8], file: String) throws(Refusal) -> [FiledProblem] {
    do throws(InvalidInput) {
      return try decode(try root(of: bytes), file: file)
    } catch {
      throw Refusal(file: file, error)
    }
  }

  /// The value of a text; what is wrong with it is named as a part of `container`, if one is given.
  static func root(of bytes: [UInt8], inside container: String? = nil) throws(InvalidInput) -> JSONValue {
    do {
      return try JSONParser.parse(bytes)
    } catch {
      throw container.map(error.inFile.inside) ?? error.inFile
    }
  }

  /// A problem of a list.
  static func item(_ value: JSONValue, index: Int, file: String) throws(Refusal) -> FiledProblem {
    do throws(InvalidInput) {
      return try item(value, index: index, of: file)
    } catch {
      throw Refusal(file: file, error)
    }
  }

  /// Requires of a list's other fields what ``problems(of:file:)`` does.
  static func requireList(_ root: JSONValue, file: String) throws(Refusal) {
    do throws(InvalidInput) {
      let fields = try JSONFields(root, of: "a problem file")
      if try fields.word("schema", among: [single, several]) == several {
        try fields.requireOnly(["schema", "problems"])
      }
      // A problem has no such field, and says which it has.
      else {
        _ = try RoutingProblem(root)
      }
    } catch {
      throw Refusal(file: file, error)
    }
  }

  /// The problems of a file's value.
  static func decoded(_ root: JSONValue, file: String) throws(Refusal) -> [FiledProblem] {
    do throws(InvalidInput) {
      return try decode(root, file: file)
    } catch {
      throw Refusal(file: file, error)
    }
  }

  private static func item(_ value: JSONValue, index: Int, of file: String) throws(InvalidInput) -> FiledProblem {
    do throws(InvalidInput) {
      let item = try JSONFields(value, of: "a problem")
      if item.has("schema") { _ = try item.word("schema", among: [single]) }
      return FiledProblem(try RoutingProblem(value), file: file, place: "problems[\(index)]")
    } catch {
      throw error.inside("problems[\(index)]")
    }
  }

  private static func decode(_ root: JSONValue, file: String) throws(InvalidInput) -> [FiledProblem] {
    let fields = try JSONFields(root, of: "a problem file")
    guard try fields.word("schema", among: [single, several]) == several else {
      return [FiledProblem(try RoutingProblem(root), file: file)]
    }
    try fields.requireOnly(["schema", "problems"])
    let list = try fields.value("problems", "a list of problems")
    let values: [JSONValue]
    switch list {
    case .array(let items): values = items
    case .numbers: throw InvalidInput("problems[0]", "expected a problem (an object), got a number")
    default: throw InvalidInput("problems", "expected a list of problems, got \(list.kind)")
    }
    guard !values.isEmpty else { throw InvalidInput("problems", "expected at least one problem, got none") }
    var problems: [FiledProblem] = []
    for (i, value) in values.enumerated() { problems.append(try item(value, index: i, of: file)) }
    return problems
  }
}
