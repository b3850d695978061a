import FileFormats
import RoutingCore
import RoutingVerification

/// Gradients as JSON, a line each: `{"gradient": [..], "choice": [..]?, "coins": [..]?}`, and where `probability` stands beside
/// them, outcomes as `routegrad outcomes` writes them.
///
/// All lines have the fields of the first.
final class JSONLineReader: SampleReader {
  let drawsGiven: SampleVerifier.DrawsGiven
  let areOutcomes: Bool
  private let bytes: ByteStream
  private let coordinates: Int
  private let fields: Set<String>
  private var lines = 0
  private var first: JSONFields?
  private var emptyLine: Int?

  private static let known = ["gradient", "choice", "coins", "probability", "multiplier"]

  init(_ bytes: ByteStream, coordinates: Int) throws(Refusal) {
    self.bytes = bytes
    self.coordinates = coordinates
    guard let line = try bytes.line(number: 1) else {
      throw Refusal(.wrongData, "\(bytes.name): expected samples, got an empty stream")
    }
    let first: JSONFields
    do throws(InvalidInput) {
      first = try Self.object(line)
      if first.has("coins"), !first.has("choice") {
        throw InvalidInput("coins", "expected a choice beside them, the field 'choice' is missing")
      }
      if first.has("multiplier"), !first.has("probability") {
        throw InvalidInput("multiplier", "expected a probability beside it, the field 'probability' is missing")
      }
    } catch {
      throw Refusal(.wrongData, "\(bytes.name): line 1: \(error)")
    }
    fields = Set(Self.known.filter(first.has))
    areOutcomes = first.has("probability")
    drawsGiven = !first.has("choice") ? .none : first.has("coins") ? .choicesAndCoins : .choices
    self.first = first
  }

  func next(_ batch: inout SampleBatch) throws(Refusal) -> Bool {
    var rows = 0
    while rows < SampleBatch.mostRows, rows == 0 || (rows + 1) * coordinates <= SampleBatch.mostNumbers {
      guard rows == 0 || bytes.hasLine else { break }
      lines += 1
      do throws(InvalidInput) {
        if let first {
          self.first = nil
          try add(first, to: &batch)
          rows += 1
          continue
        }
        guard let line = try nextLine() else { break }
        if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) {
          emptyLine = emptyLine ?? lines
          continue
        }
        if let emptyLine {
          lines = emptyLine
          throw InvalidInput("", "expected a sample, got an empty line")
        }
        try add(try Self.object(line), to: &batch)
        rows += 1
      } catch {
        if let failure { throw failure }
        throw Refusal(.wrongData, "\(bytes.name): line \(lines): \(error)")
      }
    }
    return rows > 0
  }

  /// What went wrong below the lines' content, which has its own words.
  private var failure: Refusal?

  private func nextLine() throws(InvalidInput) -> UnsafeMutableBufferPointer<UInt8>? {
    do {
      return try bytes.line(number: lines)
    } catch {
      failure = error
      throw InvalidInput("", error.description)
    }
  }

  private static func object(_ line: UnsafeMutableBufferPointer<UInt8>) throws(InvalidInput) -> JSONFields {
    let value: JSONValue
    do {
      value = try JSONParser.parse(Array(line))
    } catch {
      throw error.inLine
    }
    return try JSONFields(value, of: "a sample", only: known)
  }

  private func add(_ sample: JSONFields, to batch: inout SampleBatch) throws(InvalidInput) {
    for field in Self.known where sample.has(field) != fields.contains(field) {
      throw InvalidInput(
        field, "expected the fields of the first line, which has \(fields.contains(field) ? "this one" : "it not")")
    }
    let gradient = try sample.numbers("gradient")
    guard gradient.count == coordinates else {
      throw InvalidInput("gradient", "expected \(coordinates) numbers, one for each expert, got \(gradient.count)")
    }
    var draw: ForeignDraw?
    if drawsGiven != .none {
      draw = ForeignDraw(
        choice: try sample.integers("choice"),
        coins: drawsGiven == .choicesAndCoins ? try sample.integers("coins") : nil)
    }
    guard areOutcomes else {
      batch.gradients += gradient
      if let draw { batch.draws.append(draw) }
      return
    }
    let probability = try sample.number("probability")
    guard probability >= 0, probability <= 1 + 1e-6 else {
      throw InvalidInput("probability", "expected a number from 0 to 1, got \(probability)")
    }
    batch.outcomes.append(
      ForeignOutcome(
        draw: draw, probability: probability,
        multiplier: sample.has("multiplier") ? try sample.numbers("multiplier") : nil, gradient: gradient))
  }
}

extension JSONFields {
  /// A list of whole numbers.
  fileprivate func integers(_ key: String) throws(InvalidInput) -> [Int] {
    var integers: [Int] = []
    for (i, number) in try numbers(key).enumerated() {
      guard let integer = Int(exactly: number) else {
        throw InvalidInput("\(key)[\(i)]", "expected a whole number, got \(number)")
      }
      integers.append(integer)
    }
    return integers
  }
}
