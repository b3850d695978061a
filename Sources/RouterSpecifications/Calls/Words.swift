import RoutingCore

/// Calls and numbers in plain words, for counter-examples.
package enum Words {
  /// Up to four significant digits.
  package static func number(_ x: Double) -> String { Figures.short(x, digits: 4) }

  /// Up to eight numbers in brackets.
  package static func list(_ values: [Double]) -> String {
    let shown = values.prefix(8).map(number).joined(separator: ", ")
    return "[\(shown)\(values.count > 8 ? ", …" : "")]"
  }

  /// Experts in brackets.
  package static func list(_ values: [Int]) -> String {
    let shown = values.prefix(8).map { "\($0)" }.joined(separator: ", ")
    return "[\(shown)\(values.count > 8 ? ", …" : "")]"
  }

  /// What a call is, shortly: the first token's logits.
  package static func call(_ call: RouterCall) -> String {
    var text = "logits \(list(call.logits.first ?? []))"
    if call.tokens > 1 { text += " and \(call.tokens - 1) more tokens" }
    if call.mode == .eval { text += ", evaluating" }
    return text
  }
}
