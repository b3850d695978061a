import FileFormats
import RouterSpecifications
import RoutingCore

/// Golden vectors as JSON lines, `routegrad.vectors/1`: a header, then a line for each call with what is expected.
///
/// *Source*: docs/router-vectors.md, which is a contract.
package struct VectorFile: Sendable {
  static let schema = "routegrad.vectors/1"

  /// What the answers are of.
  package var specification: RouterSpecification
  /// What is forgiven, relative.
  package var tolerance: Double
  /// The vectors, by the number of the call, from 1.
  package var vectors: [GoldenVector]

  /// Reads vectors.
  ///
  /// - Parameters:
  ///   - bytes: the file's content.
  ///   - file: the file's name, for messages.
  /// - Throws: ``Refusal`` of code `wrongData` for the first line that is wrong, with its number.
  package init(_ bytes: [UInt8], file: String) throws(Refusal) {
    do throws(InvalidInput) {
      try self.init(bytes)
    } catch {
      throw Refusal(file: file, error)
    }
  }

  private init(_ bytes: [UInt8]) throws(InvalidInput) {
    let lines = JSONLines(bytes)
    guard let first = lines.numbered.first else {
      throw InvalidInput("line 1", "expected the header of vectors, got the end of the file")
    }
    (specification, tolerance) = try lines.read(first) { (value) throws(InvalidInput) in
      let fields = try JSONFields(
        value, of: "the header of vectors",
        only: ["schema", "version", "specification", "seed", "parts", "tolerance", "vectors", "mutations"])
      _ = try fields.word("schema", among: [Self.schema])
      return (
        try fields.part("specification", "a specification", RouterSpecification.init(_:)),
        try fields.number("tolerance", .positive)
      )
    }
    guard specification.gate != nil else { throw InvalidInput("line 1: specification.gate", "expected a stated gate") }
    vectors = []
    for line in lines.numbered.dropFirst() {
      let number = vectors.count + 1
      vectors.append(
        try lines.read(line) { [specification] (value) throws(InvalidInput) in
          try Self.vector(value, number, specification)
        })
    }
    guard !vectors.isEmpty else { throw InvalidInput("line 2", "expected a vector, got the end of the file") }
  }

  private static func vector(
    _ value: JSONValue, _ number: Int, _ specification: RouterSpecification
  ) throws(InvalidInput) -> GoldenVector {
    let fields = try JSONFields(value, of: "a vector")
    let found = try fields.integer("call")
    guard found == number else { throw InvalidInput("call", "expected \(number), got \(found)") }
    let call = try RouterCall(value, besides: ["expected", "tells"])
    try call.validate(for: specification)
    let expected = try fields.part("expected", "an answer", RouterAnswer.init(_:))
    do throws(RouterFailure) {
      try expected.requireFit(call, of: RouterProfile(specification), gradientsToo: false)
    } catch {
      throw InvalidInput("expected", error.description)
    }
    for (t, row) in expected.choice.enumerated() {
      if let k = row.firstIndex(where: { !(0..<specification.experts).contains($0) }) {
        throw InvalidInput("expected.choice[\(t)][\(k)]", "expected one of the experts, got \(row[k])")
      }
    }
    if let path = expected.firstNotFinite { throw InvalidInput("expected.\(path)", "expected a finite number") }
    let tells = try fields.list("tells", "a list of mistakes") { (value) throws(InvalidInput) -> RouterMistake in
      guard case .string(let word) = value, let mistake = RouterMistake(rawValue: word) else {
        throw InvalidInput("", "expected the name of a mistake, got \(value.kind)")
      }
      return mistake
    }
    return GoldenVector(call: call, expected: expected, tells: tells)
  }

  /// Reads the answers to vectors: one line for each call, in any order.
  ///
  /// - Returns: the answers by the number of the call.
  /// - Throws: ``Refusal`` of code `wrongData` for the first line that is wrong: no answer, of another shape than asked for, or to no call.
  package func answers(_ bytes: [UInt8], file: String) throws(Refusal) -> [Int: RouterAnswer] {
    var answers: [Int: RouterAnswer] = [:]
    let lines = JSONLines(bytes)
    do throws(InvalidInput) {
      for line in lines.numbered {
        let known = Set(answers.keys)
        let (number, answer) = try lines.read(line) { (value) throws(InvalidInput) in
          let number = try JSONFields(value, of: "an answer").integer("call")
          guard (1...vectors.count).contains(number), !known.contains(number) else {
            let expected = "expected one of the calls 1 to \(vectors.count), each once, got \(number)"
            throw InvalidInput("call", expected)
          }
          let answer = try RouterAnswer(value)
          do throws(RouterFailure) {
            try answer.requireFit(vectors[number - 1].call, of: RouterProfile(specification), gradientsToo: false)
          } catch {
            throw InvalidInput("", error.description)
          }
          return (number, answer)
        }
        answers[number] = answer
      }
    } catch {
      throw Refusal(file: file, error)
    }
    return answers
  }
}

extension GoldenVectors {
  /// The vectors as JSON lines.
  package var jsonLines: String {
    var lines = [JSONWriter.line(header)]
    for (k, vector) in vectors.enumerated() {
      let members: [JSONValue.Member] =
        [.init(key: "call", value: JSONValue(k + 1))] + vector.call.members + [
          .init(key: "expected", value: vector.expected.expectation),
          .init(key: "tells", value: .array(vector.tells.map { .string($0.rawValue) })),
        ]
      lines.append(JSONWriter.line(.object(members)))
    }
    return lines.map { $0 + "\n" }.joined()
  }

  /// What stands before the vectors.
  var header: JSONValue {
    func names(_ mistakes: [RouterMistake]) -> JSONValue { .array(mistakes.map { .string($0.rawValue) }) }
    return [
      "schema": .string(VectorFile.schema), "version": .string(routeGradVersion), "specification": specification.json,
      "seed": .string("\(seed)"), "parts": .array(parts.map { .string($0.rawValue) }),
      "tolerance": .number(Self.tolerance), "vectors": JSONValue(vectors.count),
      "mutations": [
        "changing": JSONValue(told.count + missed.count), "told": JSONValue(told.count), "missed": names(missed),
        "same": names(same), "pool": JSONValue(pool),
      ],
    ]
  }

  /// The mutation score, in lines for people.
  package var summary: [String] {
    let changing = told.count + missed.count
    let share = changing == 0 ? 100.0 : 100 * Double(told.count) / Double(changing)
    var lines = [
      "\(specification.name), \(specification.experts) experts: \(vectors.count) \(vectors.count == 1 ? "vector" : "vectors") of "
        + "\(pool) calls, seed \(seed)",
      "Mutation score \(Figures.short(share, digits: 4)) %: \(told.count) of \(changing) mistakes that change the function"
        + " are told apart, each by more than \(Figures.short(Self.margin, digits: 2)) tolerances.",
    ]
    if !missed.isEmpty { lines.append("Not told apart: \(missed.map(\.rawValue).joined(separator: ", ")).") }
    if !same.isEmpty {
      lines.append("Same function on \(pool) calls: \(same.map(\.rawValue).joined(separator: ", ")).")
    }
    return lines.flatMap(\.wrapped)
  }
}

extension RouterAnswer {
  /// What is expected of an answer: what is there.
  var expectation: JSONValue {
    guard case .object(let members) = json(number: 0) else { return .null }
    return .object(members.filter { $0.key != "call" && $0.value != .null })
  }
}

/// The lines of a file that are not empty.
struct JSONLines {
  let numbered: [(number: Int, bytes: [UInt8])]

  init(_ bytes: [UInt8]) {
    numbered = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated().compactMap { k, line in
      let line = line.last == 0x0D ? line.dropLast() : line
      return line.allSatisfy { $0 == 0x20 || $0 == 0x09 } ? nil : (k + 1, Array(line))
    }
  }

  /// What a line holds; what is wrong with it is named with its number.
  func read<Content>(
    _ line: (number: Int, bytes: [UInt8]), _ decode: (JSONValue) throws(InvalidInput) -> Content
  ) throws(InvalidInput) -> Content {
    func placed(_ error: InvalidInput) -> InvalidInput {
      let place = "line \(line.number)"
      return InvalidInput(error.path.isEmpty ? place : "\(place): \(error.path)", error.expectation)
    }
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONParser.parse(line.bytes)
    } catch {
      throw placed(error.inLine)
    }
    do throws(InvalidInput) {
      return try decode(value)
    } catch {
      throw placed(error)
    }
  }
}
