import CStandardLibrary
import RoutingCore
import Testing

/// The seed of every random test: fixed, unless the environment variable `ROUTEGRAD_TEST_SEED` says
/// otherwise.
public enum TestSeed {
  /// The seed where the environment names none.
  public static let standard: UInt64 = 20_231_117

  /// The seed in use.
  public static let value: UInt64 =
    getenv("ROUTEGRAD_TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? standard

  /// What a failure should say so that it can be repeated.
  public static var note: String { "ROUTEGRAD_TEST_SEED=\(value)" }

  /// A generator whose stream depends on the name alone, so that no test's numbers depend on another's.
  public static func generator(_ name: String) -> Philox {
    // FNV-1a, because Swift's own hashes change from run to run.
    let stream = name.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    return Philox(seed: value, stream: stream)
  }
}

/// Adds the seed to whatever goes wrong in a test.
extension Trait where Self == IssueHandlingTrait {
  /// Marks a test that draws random numbers.
  public static var seeded: Self {
    .compactMapIssues { issue in
      var issue = issue
      issue.comments.append(Comment(rawValue: TestSeed.note))
      return issue
    }
  }
}

extension RandomNumberGenerator {
  /// A number from a normal distribution (Box–Muller).
  public mutating func nextNormal() -> Double {
    (-2 * log(nextOpenUnit())).squareRoot() * cos(2 * .pi * nextOpenUnit())
  }

  /// Normal numbers.
  public mutating func normals(_ count: Int, spread: Double = 1, centre: Double = 0) -> [Double] {
    (0..<count).map { _ in centre + spread * nextNormal() }
  }
}
