import RoutingCore
import RoutingEstimators
import RoutingExpectations
import RoutingVerification
import Testing
import _TestSupport

@Suite("Property checks", .seeded)
struct PropertyCheckTests {
  /// What is wrong if an estimator's mean is not a target.
  private func bias(_ specification: String, _ target: GradientTarget) -> (RoutedProblem) throws -> String? {
    { problem in
      let estimator = try EstimatorRegistry.estimator(specification)
      let exact = try target.gradient(of: problem)
      let outcomes = try estimator.finiteOutcomes(on: problem)
      let mean = outcomes.moments().mean
      var scale = exact.reduce(Double.leastNormalMagnitude) { max($0, $1.magnitude) }
      for outcome in outcomes.outcomes { for x in outcomes.gradient(of: outcome) { scale = max(scale, x.magnitude) } }
      guard zip(mean, exact).contains(where: { ($0 - $1).magnitude > 1e-10 * scale }) else { return nil }
      return "the mean is \(mean), \(target.rawValue) is \(exact)"
    }
  }

  @Test func theExactEstimatorHoldsOnEverything() {
    let result = PropertyCheck(runs: 1000, seed: TestSeed.value).run(bias("exact", .expectedLoss))
    #expect(result.holds, "\(result)")
    #expect(result.skipped == 0)
  }

  @Test func reinforceHoldsOnEverything() {
    let result = PropertyCheck(runs: 500, seed: TestSeed.value).run(bias("reinforce", .expectedLoss))
    #expect(result.holds, "\(result)")
  }

  /// Conventional training is half of the first-order rule: the simplest problem that shows it has two experts, a linear
  /// loss and one number.
  @Test func aBiasShrinksToTheSimplestProblem() throws {
    let result = PropertyCheck(seed: TestSeed.value).run(bias("conventional", .expectedLoss))
    let problem = try #require(result.counterExample).problem
    #expect(problem.experts == 2)
    #expect(problem.mask == .none)
    #expect(problem.problem.logits == [0, 0])
    let mixture = try problem.mixture()
    guard case .loss(let loss) = mixture.source, let linear = loss as? Linear else {
      Issue.record("expected a linear loss, got \(mixture.source)")
      return
    }
    #expect(linear.coefficients == [1])
    #expect(mixture.directions?.elements.map(\.magnitude).sorted() == [0, 1])
    #expect(!result.holds)
    #expect(result.description.contains("ROUTEGRAD_TEST_SEED=\(TestSeed.value)"))
  }

  /// Euler's rule is exact to degree 1: a quadratic loss of one output is the least that shows it.
  @Test func aDegreeShrinksToItsLoss() throws {
    let generator = ProblemGenerator(kinds: [.mixture], objectives: [.linear, .quadratic, .polynomial], masks: false)
    let result = PropertyCheck(generator, seed: TestSeed.value).run(bias("first-order", .expectedLoss))
    let mixture = try #require(result.counterExample).problem.mixture()
    guard case .loss(let loss) = mixture.source else { return }
    #expect(loss is Quadratic)
    #expect(mixture.directions?.columns == 1)
    #expect(mixture.logits == [0, 0])
  }

  @Test func shrinkingIsDeterministic() throws {
    let one = PropertyCheck(seed: 5).run(bias("first-order", .expectedLoss))
    let other = PropertyCheck(seed: 5).run(bias("first-order", .expectedLoss))
    #expect(one.description == other.description)
    #expect(one.counterExample?.problem.problem.logits == other.counterExample?.problem.problem.logits)
  }

  @Test func errorsAreFailuresAndUnavailableIsNot() {
    let error = PropertyCheck(runs: 10, seed: 1).run { _ in throw InvalidInput("x", "is odd") }
    #expect(error.counterExample?.reason == "x: is odd")
    #expect(error.runs == 1)
    let skipped = PropertyCheck(runs: 10, seed: 1).run { _ in throw Unavailable("needs more") }
    #expect(skipped.counterExample == nil)
    #expect(skipped.skipped == 10)
    #expect(!skipped.holds)
    #expect(skipped.description == "never tried on 10 problems, 10 of them passed over (seed 1)")
  }

  @Test func shrinkingKeepsToItsBudget() throws {
    var asked = 0
    let check = PropertyCheck(runs: 1, seed: 3, shrinkingLimit: 10)
    let result = check.run { _ in
      asked += 1
      return "always"
    }
    #expect(try #require(result.counterExample).evaluations <= 10)
    #expect(asked <= 11)
  }

  /// Everything a generator may make comes up.
  @Test func problemsAreOfAllSorts() {
    var seen: Set<String> = []
    for number in 0..<2000 {
      var source = DrawSource(seed: TestSeed.value, stream: UInt64(number))
      let problem = ProblemGenerator().problem(from: &source)
      let logits = problem.problem.logits
      seen.formUnion([problem.kind.rawValue, problem.mask.rule])
      if Set(logits).count < logits.count { seen.insert("ties") }
      if logits.contains(where: { $0.magnitude > 1000 }) { seen.insert("extremes") }
      if problem.distribution.support.count < problem.experts { seen.insert("masked") }
      for k in logits.indices where problem.mask != .none {
        var nudged = logits
        nudged[k] = nudged[k].nextDown
        if problem.mask.support(of: nudged) != problem.distribution.support { seen.insert("at the edge") }
      }
      if case .mixture(let mixture) = problem.problem, case .loss(let loss) = mixture.source {
        seen.insert("\(type(of: loss))")
      }
      var again = DrawSource(playing: source.choices)
      #expect(ProblemGenerator().problem(from: &again).problem.logits == logits)
    }
    let expected: Set = [
      "mixture", "categorical", "none", "paper", "reference-code", "ties", "extremes", "masked", "at the edge",
      "Linear",
      "Quadratic", "Polynomial", "LogCosh", "SeparablePower", "SoftmaxCrossEntropy",
    ]
    #expect(seen == expected)
  }

  /// No choices at all make a problem, too: the simplest.
  @Test func nothingIsTheSimplestProblem() {
    var source = DrawSource(playing: [])
    let problem = ProblemGenerator().problem(from: &source)
    #expect(problem.problem.logits == [0, 0])
    #expect(problem.kind == .mixture)
  }
}
