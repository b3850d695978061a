import CStandardLibrary
import RoutingCore

/// Holds a property to random problems, and shrinks the first on which it fails.
///
/// From any test framework:
///
///     let result = PropertyCheck().run { problem in … nil, or what is wrong … }
///     #expect(result.holds, "\(result)")          // Swift Testing
///     XCTAssertTrue(result.holds, "\(result)")    // XCTest
///
/// Problem number k of a seed is always the same, whatever ran before.
public struct PropertyCheck: Sendable {
  /// What the problems are.
  public var generator: ProblemGenerator
  /// How many problems are tried.
  public var runs: Int
  /// The seed.
  public var seed: UInt64
  /// How often the property may be asked while shrinking.
  public var shrinkingLimit: Int

  /// The seed where the environment names none.
  public static let standardSeed: UInt64 = 20_231_117

  /// The seed that the environment variable `ROUTEGRAD_TEST_SEED` names, or the standard one.
  public static var environmentSeed: UInt64 {
    getenv("ROUTEGRAD_TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? standardSeed
  }

  /// A check on 100 problems of all sorts, unless told otherwise.
  public init(
    _ generator: ProblemGenerator = ProblemGenerator(), runs: Int = 100, seed: UInt64 = environmentSeed,
    shrinkingLimit: Int = 5000
  ) {
    precondition(runs > 0 && shrinkingLimit >= 0, "a property is tried at least once")
    self.generator = generator
    self.runs = runs
    self.seed = seed
    self.shrinkingLimit = shrinkingLimit
  }

  /// Runs a property.
  ///
  /// - Parameter property: what is wrong on a problem, nil if nothing is. An error is a failure, but for
  ///   `Unavailable`, which passes over the problem.
  public func run(_ property: (RoutedProblem) throws -> String?) -> PropertyResult {
    var skipped = 0
    for number in 0..<runs {
      var source = DrawSource(seed: seed, stream: UInt64(number))
      let problem = generator.problem(from: &source)
      switch verdict(on: problem, property) {
      case .holds: break
      case .skipped: skipped += 1
      case .fails(let reason):
        let shrunk = shrink(source.choices, problem, reason, property)
        let counterExample = CounterExample(
          problem: shrunk.problem, reason: shrunk.reason, seed: seed, run: number, original: problem,
          evaluations: shrunk.evaluations)
        return PropertyResult(runs: number + 1, skipped: skipped, seed: seed, counterExample: counterExample)
      }
    }
    return PropertyResult(runs: runs, skipped: skipped, seed: seed, counterExample: nil)
  }

  private enum Answer {
    case holds
    case skipped
    case fails(String)
  }

  private func verdict(on problem: RoutedProblem, _ property: (RoutedProblem) throws -> String?) -> Answer {
    do {
      return try property(problem).map { .fails($0) } ?? .holds
    } catch is Unavailable {
      return .skipped
    } catch {
      return .fails("\(error)")
    }
  }
}

/// What became of a property.
public struct PropertyResult: Sendable, CustomStringConvertible {
  /// How many problems were tried.
  public var runs: Int
  /// How many of them were passed over.
  public var skipped: Int
  /// The seed.
  public var seed: UInt64
  /// Where the property fails, as simple as it was found.
  public var counterExample: CounterExample?

  /// Whether it was tried and never failed.
  public var holds: Bool { counterExample == nil && skipped < runs }

  public var description: String {
    if let counterExample { return counterExample.description }
    let passedOver = skipped > 0 ? ", \(skipped) of them passed over" : ""
    return "\(skipped < runs ? "held" : "never tried") on \(runs) problems\(passedOver) (seed \(seed))"
  }
}

/// A problem on which a property fails. `RoutingReports` writes it as a problem file.
public struct CounterExample: Sendable, CustomStringConvertible {
  /// The simplest problem found.
  public var problem: RoutedProblem
  /// What is wrong there.
  public var reason: String
  /// The seed and the number of the problem that failed first.
  public var seed: UInt64
  public var run: Int
  /// The problem that failed first.
  package var original: RoutedProblem
  /// How often the property was asked while shrinking.
  package var evaluations: Int

  public var description: String {
    "\(reason), on \(problem.experts) experts with logits \(problem.problem.logits), mask \(problem.mask.rule) "
      + "(problem \(run) of ROUTEGRAD_TEST_SEED=\(seed), shrunk in \(evaluations) evaluations)"
  }
}

// MARK: - Shrinking

extension PropertyCheck {
  /// The simplest choices on which the property still fails, by passes that delete, zero and halve until none helps.
  private func shrink(
    _ choices: [UInt64], _ problem: RoutedProblem, _ reason: String, _ property: (RoutedProblem) throws -> String?
  ) -> (problem: RoutedProblem, reason: String, evaluations: Int) {
    var best = (choices: choices, problem: problem, reason: reason)
    var evaluations = 0
    /// Takes a candidate if it is simpler (shorter, or else earlier in the order of lists) and still fails.
    func take(_ candidate: [UInt64]) -> Bool {
      guard evaluations < shrinkingLimit else { return false }
      var source = DrawSource(playing: candidate)
      let problem = generator.problem(from: &source)
      let played = source.choices
      guard
        played.count < best.choices.count
          || played.count == best.choices.count && played.lexicographicallyPrecedes(best.choices)
      else { return false }
      evaluations += 1
      guard case .fails(let reason) = verdict(on: problem, property) else { return false }
      best = (played, problem, reason)
      return true
    }
    var isShrinking = true
    while isShrinking, evaluations < shrinkingLimit {
      isShrinking = false
      for size in [8, 4, 2, 1] {
        var start = 0
        while start + size <= best.choices.count {
          var candidate = best.choices
          candidate.removeSubrange(start..<start + size)
          var zeroed = best.choices
          for k in start..<start + size { zeroed[k] = 0 }
          if take(candidate) || take(zeroed) { isShrinking = true } else { start += 1 }
        }
      }
      for k in best.choices.indices {
        var low: UInt64 = 0  // everything below is known not to fail
        while k < best.choices.count, low < best.choices[k] {
          var candidate = best.choices
          candidate[k] = low + (best.choices[k] - low) / 2
          if take(candidate) { isShrinking = true } else { low += (best.choices[k] - low) / 2 + 1 }
        }
      }
      if !isShrinking { isShrinking = lowersAndDeletes(best.choices, take) }
    }
    return (best.problem, best.reason, evaluations)
  }

  /// Whether one choice less, together with some that it governed, still fails: an expert less and its numbers, a degree
  /// less and its coefficient.
  private func lowersAndDeletes(_ choices: [UInt64], _ take: ([UInt64]) -> Bool) -> Bool {
    for k in choices.indices where choices[k] > 0 {
      for size in 1...8 {
        for start in choices.indices.dropFirst(k + 1) where start + size <= choices.count {
          var candidate = choices
          candidate[k] -= 1
          candidate.removeSubrange(start..<start + size)
          if take(candidate) { return true }
        }
      }
    }
    return false
  }
}
