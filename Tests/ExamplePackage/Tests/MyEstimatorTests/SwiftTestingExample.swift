import MyEstimator
import RouteGrad
import Testing

/// With Swift Testing.
struct SwiftTestingExample {
  /// A property of random problems; the counter-example is printed as a file that `routegrad report` reads.
  @Test func itIsExactForQuadraticLosses() {
    let generator = ProblemGenerator(kinds: [.mixture], objectives: [.linear, .quadratic], logits: [.ordinary, .ties])
    let result = PropertyCheck(generator).run { problem in
      let assessment = try Assessment(of: BothSlopes(), on: problem)
      guard let bias = assessment.relativeBias, bias > 1e-10 else { return nil }
      return "the relative bias is \(bias)"
    }
    #expect(result.holds, "\(result.report)")
  }

  @Test func itsDegreeIsCertified() throws {
    let certificate = try OrderCertificate(of: BothSlopes())
    #expect(certificate.verdict == .proved, "\(certificate)")
  }

  /// What a failure looks like: the estimator is not exact beyond its degree, and the simplest problem that shows it is small.
  @Test func aCounterExampleIsSmall() throws {
    let generator = ProblemGenerator(kinds: [.mixture], objectives: [.polynomial], logits: [.ordinary], masks: false)
    let result = PropertyCheck(generator).run { problem in
      let assessment = try Assessment(of: BothSlopes(), on: problem)
      guard let bias = assessment.relativeBias, bias > 1e-10 else { return nil }
      return "the relative bias is \(bias)"
    }
    let counterExample = try #require(result.counterExample)
    #expect(counterExample.problem.experts == 2)
    #expect(counterExample.report.contains(#""schema": "routegrad.problem/1""#))
  }

  @Test func itsRouterPassesTheBattery() throws {
    let router = ClosureRouter(RouterProfile(name: "mine", experts: 8, gates: .softmax)) { call in
      var answer = RouterAnswer(choice: [], multipliers: [], gradient: [], output: [], logitsAfter: call.logits)
      for t in 0..<call.tokens {
        let slopes = call.expertOutputs[t].map { row in zip(row, call.upstream[t]).reduce(0) { $0 + $1.0 * $1.1 } }
        let (choice, gate, gradient) = MyRouter.route(logits: call.logits[t], slopes: slopes)
        answer.choice.append([choice])
        answer.multipliers.append([gate])
        answer.gradient?.append(gradient)
        answer.output?.append(call.expertOutputs[t][choice].map { gate * $0 })
      }
      return answer
    }
    let result = try RouterLint().run(on: router)
    #expect(result.verdict == .proved, "\(LintReport(result).text(style: .plain))")
  }

  /// A router that people train, held to what the catalogue says of its family.
  @Test func itsRouterIsHeldToASpecification() throws {
    var specification = try #require(try RouterCatalogue.shipped().entry(named: "deepseek-v3")).specification
    specification.experts = 32
    let profile = RouterProfile(specification)
    let reference = RouterReference(specification)
    let router = ClosureRouter(profile) { (call) throws(RouterFailure) in
      guard let answer = reference.answer(to: call) else { throw RouterFailure("no choice") }
      return answer
    }
    #expect(try RouterLint(checks: [.gateOrder, .gateGradient, .selection]).run(on: router).verdict == .proved)

    let leaking = SpecifiedRouter(profile, mistake: .biasInGate)
    let result = try RouterLint().run(on: leaking)
    #expect(result.verdict == .refuted)
    #expect(result[.gateOrder]?.detail.contains("(bias-in-gate)") == true)
  }
}
