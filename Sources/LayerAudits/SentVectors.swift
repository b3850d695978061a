/// The mean of the v that every expert is sent for every token, as passes over tokens found it.
struct SentVectors: Sendable {
  /// Of some tokens, `[experts, tokens, outputs]`.
  struct Part: Sendable {
    var tokens: Range<Int>
    var values: [Double]
  }

  private let parts: [Part]
  private let outputs: Int

  /// Parts that follow on each other.
  init(_ parts: [Part], outputs: Int) {
    self.parts = parts
    self.outputs = outputs
  }

  /// What an expert is sent for some tokens, `[tokens, outputs]`.
  func rows(expert i: Int, _ tokens: Range<Int>) -> [Double] {
    var rows: [Double] = []
    rows.reserveCapacity(tokens.count * outputs)
    for part in parts where part.tokens.overlaps(tokens) {
      let some = part.tokens.clamped(to: tokens)
      let first = i * part.tokens.count + some.lowerBound - part.tokens.lowerBound
      rows += part.values[first * outputs..<(first + some.count) * outputs]
    }
    return rows
  }
}
