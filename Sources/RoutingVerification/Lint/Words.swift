/// Calls and numbers in plain words, for counter-examples.
enum Words {
  /// Up to four significant digits.
  static func number(_ x: Double) -> String {
    guard x.isFinite, x != 0, x.magnitude < 1e6, x.magnitude >= 1e-4 else {
      guard x.isFinite, x != 0 else { return x == 0 ? "0" : "\(x)" }
      var mantissa = x
      var exponent = 0
      while mantissa.magnitude >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
      while mantissa.magnitude < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
      return "\((mantissa * 100).rounded() / 100)e\(exponent)"
    }
    var scale = 1.0
    while x.magnitude * scale < 1000 { scale *= 10 }
    let rounded = (x * scale).rounded() / scale
    return rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
  }

  /// Up to eight numbers in brackets.
  static func list(_ values: [Double]) -> String {
    let shown = values.prefix(8).map(number).joined(separator: ", ")
    return "[\(shown)\(values.count > 8 ? ", …" : "")]"
  }

  /// Experts in brackets.
  static func list(_ values: [Int]) -> String {
    let shown = values.prefix(8).map { "\($0)" }.joined(separator: ", ")
    return "[\(shown)\(values.count > 8 ? ", …" : "")]"
  }

  /// What a call is, shortly: the first token's logits.
  static func call(_ call: RouterCall) -> String {
    var text = "logits \(list(call.logits.first ?? []))"
    if call.tokens > 1 { text += " and \(call.tokens - 1) more tokens" }
    if call.mode == .eval { text += ", evaluating" }
    return text
  }
}
