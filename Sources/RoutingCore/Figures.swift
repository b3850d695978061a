import CStandardLibrary

/// Numbers for people: the one place that rounds numbers for tables, verdicts and messages. What is undefined is a dash.
///
/// *Edge cases*: every Float64 has a text of at most ``longest`` characters, infinities and NaN too.
package enum Figures {
  /// What stands for a number that is not defined.
  package static let undefined = "–"

  /// No number takes more characters than `-1.23e-308` with the most decimals that are asked for.
  package static let longest = 24

  /// A ratio of two norms below this is rounding, and printed as 0.
  package static let rounding = 1e-13

  /// Numbers from here on are written with an exponent.
  private static let large = 1e5

  /// Three significant digits: 0.123, 12.3, 1.23e-7.
  package static func significant(_ x: Double?) -> String {
    guard let x else { return undefined }
    guard x.isFinite else { return notFinite(x) }
    if x == x.rounded(), x.magnitude < large { return fixed(x + 0, decimals: 0) }
    return (-3...4).contains(exponent(x)) ? fixed(x, decimals: max(0, 2 - exponent(x))) : scientific(x, decimals: 2)
  }

  /// Up to so many significant digits, without trailing zeros: 0.25, 12, 1.5e-7.
  package static func short(_ x: Double, digits: Int) -> String {
    guard x.isFinite else { return notFinite(x) }
    if x == 0 { return "0" }
    let isPlain = x.magnitude < 1e6 && x.magnitude >= 1e-4
    let text =
      isPlain
      ? formatted("%.*f", x, decimals: max(0, digits - 1 - exponent(x))) : scientific(x, decimals: digits - 1)
    let mantissa = text.prefix { $0 != "e" }
    guard mantissa.contains(".") else { return text }
    let kept = mantissa.reversed().drop { $0 == "0" }.drop { $0 == "." }
    return String(kept.reversed()) + text[mantissa.endIndex...]
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

  /// A fixed number of decimals, up to 12; three digits and an exponent from 10⁵ on.
  package static func fixed(_ x: Double, decimals: Int) -> String {
    guard x.isFinite else { return notFinite(x) }
    return x.magnitude < large ? formatted("%.*f", x, decimals: decimals) : scientific(x, decimals: 2)
  }

  /// `e^x`, from its logarithm: Float64 holds not all of them.
  package static func exponential(ofLogarithm logarithm: Double) -> String {
    guard logarithm.isFinite else { return logarithm > 0 ? "∞" : "0" }
    let decimal = logarithm / 2.302585092994046
    guard decimal.magnitude >= 4 else { return significant(exp(logarithm)) }
    // Rounded before it is split, so that 10⁶ is not 10.0e5.
    let rounded = (decimal * 1e9).rounded() / 1e9
    guard let power = Int(exactly: rounded.rounded(.down)) else { return logarithm > 0 ? "∞" : "0" }
    return "\(fixed(pow(10, rounded - Double(power)), decimals: 1))e\(power)"
  }

  private static func notFinite(_ x: Double) -> String { x.isNaN ? undefined : x < 0 ? "-∞" : "∞" }

  /// The power of ten of the first digit; x is finite and not 0.
  private static func exponent(_ x: Double) -> Int { Int(log10(x.magnitude).rounded(.down)) }

  /// `1.23e-7`: an exponent without sign `+` or leading zeros.
  private static func scientific(_ x: Double, decimals: Int) -> String {
    let text = formatted("%.*e", x, decimals: decimals)
    guard let e = text.firstIndex(of: "e"), let power = Int(text[text.index(after: e)...]) else { return text }
    return text[..<e] + "e\(power)"
  }

  private static func formatted(_ format: String, _ x: Double, decimals: Int) -> String {
    withVaList([Int32(min(max(decimals, 0), 12)), x]) { arguments in
      // Longer than any number printed here: fixed ones stay below 10⁶, scientific ones are short.
      var buffer = [CChar](repeating: 0, count: 64)
      vsnprintf(&buffer, buffer.count, format, arguments)
      return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
  }
}
