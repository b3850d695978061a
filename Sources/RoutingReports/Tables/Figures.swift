import CStandardLibrary

/// Numbers for people, to three or four digits; what is undefined is a dash.
package enum Figures {
  /// What stands for a number that is not defined.
  package static let undefined = "–"

  /// A ratio of two norms below this is rounding, and printed as 0.
  package static let rounding = 1e-13

  /// Three significant digits: 0.123, 12.3, 1.23e-7.
  package static func significant(_ x: Double?) -> String {
    guard let x else { return undefined }
    if x == x.rounded(), x.magnitude < 1e5 { return "\(Int(x))" }
    let exponent = Int(log10(x.magnitude).rounded(.down))
    if (-3...4).contains(exponent) { return fixed(x, decimals: max(0, 2 - exponent)) }
    let scientific = formatted("%.*e", x, decimals: 2)
    guard let e = scientific.firstIndex(of: "e"), let power = Int(scientific[scientific.index(after: e)...])
    else { return scientific }
    return scientific[..<e] + "e\(power)"
  }

  /// Three significant digits, 0 below ``rounding``.
  package static func ratio(_ x: Double?) -> String { significant(x.map { $0.magnitude < rounding ? 0 : $0 }) }

  /// Three significant digits, 0 below √ε: the root of a variance that is nothing but rounding.
  package static func deviation(_ x: Double?) -> String {
    significant(x.map { $0 < Double.ulpOfOne.squareRoot() ? 0 : $0 })
  }

  /// Four decimals; 1 and −1 where nothing but rounding is missing.
  package static func cosine(_ x: Double?) -> String {
    guard let x else { return undefined }
    return 1 - x.magnitude < rounding ? (x < 0 ? "-1" : "1") : fixed(x, decimals: 4)
  }

  /// Three decimals; 0 and 1 where nothing but rounding is missing.
  package static func probability(_ x: Double?) -> String {
    guard let x else { return undefined }
    return x < rounding ? "0" : 1 - x < rounding ? "1" : fixed(x, decimals: 3)
  }

  /// A fixed number of decimals.
  package static func fixed(_ x: Double, decimals: Int) -> String { formatted("%.*f", x, decimals: decimals) }

  private static func formatted(_ format: String, _ x: Double, decimals: Int) -> String {
    withVaList([Int32(decimals), x]) { arguments in
      // Longer than any number printed here: fixed ones stay below 1e5, scientific ones are short.
      var buffer = [CChar](repeating: 0, count: 64)
      vsnprintf(&buffer, buffer.count, format, arguments)
      return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
  }
}

/// The middle of a list of numbers: the mean of the two in the middle if their number is even; nil of none.
func median(_ values: [Double]) -> Double? {
  guard !values.isEmpty else { return nil }
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : 0.5 * (sorted[middle - 1] + sorted[middle])
}
